package corpus

import (
	"encoding/json"
	"math"
	"math/rand/v2"
	"strconv"
	"testing"
)

func FuzzScanNumber(f *testing.F) {
	for _, text := range []string{
		"0", "-0", "1", "-1.5", "0.1", "16777217", "16777217.0", "33554435", "0.000000000000001", "999999999999999", "1.", "", "-", ".", "1e5", " 1", "1.2.3",
		"8388608.5", "1.00000005960464", "1.0000000596046448", "12345678901234567", "01", "-01", "1e", "1e+", "1E-7", "1e999", "18446744073709551617", "1x",
	} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		got, size := scanNumber([]byte(text))
		want, err := strconv.ParseFloat(text, 32)
		fits := err == nil && text[0] != ' ' && json.Valid([]byte(text))
		switch whole := size == len(text); {
		case fits != whole && (fits || size > 0 && size == len(text)):
			t.Errorf("%q: %d bytes were read of a number that fits: %t", text, size, fits)
		case fits && math.Float32bits(got) != math.Float32bits(float32(want)):
			t.Errorf("%q reads as %v, by strconv as %v", text, got, want)
		}
	})
}

func TestScanNumber_ofEveryLength(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2)) //nolint:gosec // reproducible on purpose
	for range 200_000 {
		text := strconv.FormatFloat(rng.NormFloat64()*math.Pow10(rng.IntN(12)-4), 'f', rng.IntN(19), 64)
		got, size := scanNumber([]byte(text))
		if want, err := strconv.ParseFloat(text, 32); err != nil || size != len(text) || got != float32(want) {
			t.Fatalf("%s reads as %v, by strconv as %v, %v", text, got, want, err)
		}
	}
}

func BenchmarkScanNumbers(b *testing.B) {
	rng := rand.New(rand.NewPCG(1, 2)) //nolint:gosec // reproducible on purpose
	array := []byte("[")
	for range 256 {
		array = append(strconv.AppendFloat(array, rng.NormFloat64(), 'g', -1, 32), ',')
	}
	array[len(array)-1] = ']'
	for b.Loop() {
		if numbers, _, ok := scanNumbers(array); !ok || len(numbers) != 256 {
			b.Fatal(numbers)
		}
	}
}
