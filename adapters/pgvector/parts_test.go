package pgvector

import (
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/lanewise/lanewise/fault"
	"github.com/lanewise/lanewise/search"
)

func TestToBigint_keepsTheOrder(t *testing.T) {
	versions := []uint64{0, 1, 1 << 62, 1<<63 - 1, 1 << 63, 1<<63 + 1, math.MaxUint64}
	var signed []int64
	for _, v := range versions {
		if fromBigint(toBigint(v)) != v {
			t.Errorf("%d comes back as %d", v, fromBigint(toBigint(v)))
		}
		signed = append(signed, toBigint(v))
	}
	if !slices.IsSorted(signed) {
		t.Errorf("got %v, not in order", signed)
	}
}

func TestEncodeSparse_comesBack(t *testing.T) {
	for _, v := range []search.Sparse{{}, {Index: []uint32{0, 7, math.MaxUint32}, Value: []float32{-1.5, 0, math.MaxFloat32}}} {
		if diff := cmp.Diff(v, decodeSparse(encodeSparse(v))); diff != "" {
			t.Error(diff)
		}
	}
}

func TestClassOf_readsTheSQLState(t *testing.T) {
	for code, want := range map[string]fault.Class{
		"28P01": fault.Refused, "28000": fault.Refused, "42501": fault.Refused, "42P01": fault.NotFound, "3F000": fault.NotFound,
		"53300": fault.Overloaded, "53100": fault.Overloaded, "22P02": fault.Invalid, "54000": fault.Invalid, "57P01": fault.Unavailable,
		"40001": fault.Unavailable, "25006": fault.Unavailable, "3D000": fault.Unavailable, "XX000": fault.Unavailable, "": fault.Unavailable,
	} {
		if got := classOf(code); got != want {
			t.Errorf("%s: got %q, want %q", code, got, want)
		}
	}
}

func TestNewTable_namesFitAndDiffer(t *testing.T) {
	s := &Store{config: Config{Schema: `a"b`}}
	long := strings.Repeat("é", 100)
	seen := map[string]bool{}
	for i, name := range []string{long, long + "x", `docs"; drop table x; --`, "docs", "docs_1", "docs"} {
		got := s.newTable(int64(i), search.Collection{Name: name}, false).name
		table := strings.TrimSuffix(strings.TrimPrefix(got, `"a""b"."`), `"`)
		if len(strings.ReplaceAll(table, `""`, `"`)) > longestIdentifier || strings.Contains(strings.ReplaceAll(table, `""`, ""), `"`) || seen[got] {
			t.Errorf("%q has the table %s", name, got)
		}
		seen[got] = true
	}
}

func TestAtLeast_comparesNumbers(t *testing.T) {
	for version, want := range map[string]bool{"0.8.5": true, "0.8": true, "0.10.0": true, "1.0": true, "0.7.4": false, "0.5": false, "": false, "x.y": false} {
		if got := atLeast(version, 0, 8); got != want {
			t.Errorf("%q: got %t", version, got)
		}
	}
}

// The last row read decides: it must be further away than float32 can be wrong.
func TestCertain_needsAGapBehindTheList(t *testing.T) {
	const k = 2
	r := &ranking{t: &table{Collection: search.Collection{Metric: search.Cosine}}, leg: &search.Leg{K: k, Dense: []float32{1, 0}}}
	r.rows = []row{{score: 0.9}, {score: 0.8}, {score: 0.7}}
	for furthest, want := range map[float64]bool{0.3: true, 0.2: false, 0.2 + 1e-8: false, 0.2 + 1e-5: true, math.NaN(): false, math.Inf(1): false} {
		if got := r.certain(furthest); got != want {
			t.Errorf("the last row at %v: certain is %t", furthest, got)
		}
	}
	r.rows = r.rows[:k]
	if r.certain(1) {
		t.Error("certain without a row behind the list")
	}
}
