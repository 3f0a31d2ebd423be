package wellformed_test

import (
	"encoding/json"
	"math"
	"testing"

	"github.com/lanewise/lanewise/fault"
	"github.com/lanewise/lanewise/internal/wellformed"
	"github.com/lanewise/lanewise/search"
)

func TestChecks_nameThePart(t *testing.T) {
	nan, inf := float32(math.NaN()), float32(math.Inf(-1))
	for want, err := range map[string]error{
		"":           wellformed.Dense("/v", 2, []float32{0, math.MaxFloat32}),
		"/v":         wellformed.Dense("/v", 2, []float32{1}),
		"/v/1":       wellformed.Dense("/v", 2, []float32{1, nan}),
		"/s":         wellformed.Sparse("/s", search.Sparse{Index: []uint32{1}}),
		"/s/index/1": wellformed.Sparse("/s", search.Sparse{Index: []uint32{2, 2}, Value: []float32{1, 1}}),
		"/s/value/0": wellformed.Sparse("/s", search.Sparse{Index: []uint32{2}, Value: []float32{inf}}),
	} {
		if fault.Field(err) != want || (want != "" && fault.Of(err) != fault.Invalid) {
			t.Errorf("%q: got %v", want, err)
		}
	}
	if err := wellformed.Sparse("/s", search.Sparse{Index: []uint32{0, 7}, Value: []float32{1, -1}}); err != nil {
		t.Error(err)
	}
}

func TestObject(t *testing.T) {
	for meta, want := range map[string]bool{
		`{}`: true, " \t\r\n{\"a\": [1]}": true,
		``: false, ` `: false, `[]`: false, `null`: false, `{`: false, `{} {}`: false, "{\"a\": \"\xff\"}": false,
	} {
		if got := wellformed.Object(json.RawMessage(meta)); got != want {
			t.Errorf("%q: %v, want %v", meta, got, want)
		}
	}
}
