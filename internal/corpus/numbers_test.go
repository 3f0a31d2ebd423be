package corpus

import (
	"encoding/json"
	"math"
	"math/rand/v2"
	"strconv"
	"testing"
)

func FuzzParseDecimal(f *testing.F) {
	for _, text := range []string{
		"0", "-0", "1", "-1.5", "0.1", "16777217", "16777217.0", "33554435", "0.000000000000001", "999999999999999", "1.", "", "-", ".", "1e5", " 1", "1.2.3",
		"8388608.5", "1.00000005960464", "1.0000000596046448", "12345678901234567",
	} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		got, ok := parseDecimal([]byte(text))
		if !ok || !json.Valid([]byte(text)) {
			return
		}
		want, err := strconv.ParseFloat(text, 32)
		if err != nil || math.Float32bits(got) != math.Float32bits(float32(want)) {
			t.Errorf("%q reads as %v, by strconv as %v, %v", text, got, want, err)
		}
	})
}

func TestParseDecimal_ofEveryLength(t *testing.T) {
	rng, read := rand.New(rand.NewPCG(1, 2)), 0 //nolint:gosec // reproducible on purpose
	for range 200_000 {
		text := strconv.FormatFloat(rng.NormFloat64()*math.Pow10(rng.IntN(12)-4), 'f', rng.IntN(12), 64)
		got, ok := parseDecimal([]byte(text))
		if want, err := strconv.ParseFloat(text, 32); ok && (err != nil || got != float32(want)) {
			t.Fatalf("%s reads as %v, by strconv as %v, %v", text, got, want, err)
		}
		if ok {
			read++
		}
	}
	if read < 150_000 {
		t.Errorf("%d of 200,000 numbers were read", read)
	}
}

func BenchmarkParseNumbers(b *testing.B) {
	rng := rand.New(rand.NewPCG(1, 2)) //nolint:gosec // reproducible on purpose
	array := []byte("[")
	for range 256 {
		array = append(strconv.AppendFloat(array, rng.NormFloat64(), 'g', -1, 32), ',')
	}
	array[len(array)-1] = ']'
	for b.Loop() {
		if numbers, ok := parseNumbers(array); !ok || len(numbers) != 256 {
			b.Fatal(numbers)
		}
	}
}
