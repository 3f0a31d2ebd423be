package tokens_test

import (
	"fmt"
	"math"
	"testing"

	"pgregory.net/rapid"

	"github.com/lanewise/lanewise/internal/tokens"
)

func TestRatios_learnsWhatAModelCounts(t *testing.T) {
	var r tokens.Ratios
	if r.Mean("m") != 1 || r.Fit("m", 1000) != 800 {
		t.Errorf("of an unknown model: mean %v, %d tokens fit into 1000", r.Mean("m"), r.Fit("m", 1000))
	}
	r.Observe("m", 1000, 1500)
	if r.Mean("m") != 1.5 || r.Mean("other") != 1 {
		t.Errorf("after one sample: mean %v, another's %v", r.Mean("m"), r.Mean("other"))
	}
	for range 50 {
		r.Observe("m", 1000, 2000)
	}
	if math.Abs(r.Mean("m")-2) > 0.01 || r.Fit("m", 1000) < 490 || r.Fit("m", 1000) > 500 {
		t.Errorf("after fifty: mean %v, %d tokens fit into 1000", r.Mean("m"), r.Fit("m", 1000))
	}
}

func TestRatios_variationNeedsRoom(t *testing.T) {
	var steady, varied tokens.Ratios
	for i := range 100 {
		steady.Observe("m", 1000, 1000)
		varied.Observe("m", 1000, 800+400*(i%2))
	}
	if s, v := steady.Fit("m", 1000), varied.Fit("m", 1000); s <= v || float64(v) > 1000/1.2 {
		t.Errorf("%d tokens fit where the ratio is steady, %d where it varies by 0.2", s, v)
	}
}

func TestRatios_takesNoNonsense(t *testing.T) {
	var r tokens.Ratios
	for _, c := range [][2]int{{1000, 0}, {1000, -5}, {10, 100}, {0, 0}} {
		r.Observe("m", c[0], c[1])
	}
	if r.Mean("m") != 1 {
		t.Errorf("mean %v", r.Mean("m"))
	}
	for range 100 {
		r.Observe("m", 64, math.MaxInt)
	}
	if r.Mean("m") > 4 || r.Fit("m", 1000) < 125 {
		t.Errorf("an upstream that reports nonsense: mean %v, %d tokens fit", r.Mean("m"), r.Fit("m", 1000))
	}
	if r.Fit("m", -5) != 0 {
		t.Errorf("%d tokens fit into no window", r.Fit("m", -5))
	}
}

// TestRatios_areBounded: client-chosen names must not fill the memory.
func TestRatios_areBounded(t *testing.T) {
	var r tokens.Ratios
	for i := range 10_000 {
		r.Observe(fmt.Sprint(i), 1000, 3000)
	}
	if r.Mean("9999") != r.Mean("") || r.Mean("0") != 3 {
		t.Errorf("means %v, %v, %v", r.Mean("9999"), r.Mean(""), r.Mean("0"))
	}
}

// TestRatios_fitHolds: with a ratio that stays within its recent range, what fits by
// the estimate fits by the model's count, too.
func TestRatios_fitHolds(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var r tokens.Ratios
		low := rapid.Float64Range(0.3, 3).Draw(t, "low")
		for i := range 64 { // the widest variation: from one end to the other
			r.Observe("m", 10_000, int(10_000*low*(1+0.1*float64(i%2))))
		}
		fits := r.Fit("m", 100_000)
		if most := float64(fits) * low * 1.1; most > 100_000 {
			t.Fatalf("%d estimated tokens are up to %v of 100,000", fits, most)
		}
	})
}
