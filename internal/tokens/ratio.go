package tokens

import (
	"math"
	"sync"
)

// Bounds of a ratio: an upstream that reports nonsense must not fill or empty a
// window. Texts with fewer tokens than leastSample say more about a chat template
// than about a tokenizer.
const (
	lowest      = 0.25
	highest     = 4.0
	leastSample = 64
	maxModels   = 256
)

// Ratios learn how many tokens each model counts for one that Estimate does, from
// what its upstreams report: a moving average and its mean deviation, as TCP keeps
// them of round trips (Jacobson, SIGCOMM 1988). The zero value is ready to use.
// Safe for concurrent use.
type Ratios struct {
	mu    sync.Mutex
	known map[string]ratio
}

type ratio struct{ mean, deviation float64 }

// unseen is what is assumed of a model of which nothing is known: common
// tokenizers are mostly within a quarter of the estimate.
var unseen = ratio{mean: 1, deviation: 0.125}

// Observe enters that a model counted reported tokens where estimated were expected.
// Short texts, and figures below one, are not taken.
func (r *Ratios) Observe(model string, estimated, reported int) {
	if estimated < leastSample || reported < 1 {
		return
	}
	sample := min(max(float64(reported)/float64(estimated), lowest), highest)
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.known == nil {
		r.known = map[string]ratio{}
	}
	model = r.name(model)
	now, ok := r.known[model]
	if !ok {
		r.known[model] = ratio{mean: sample, deviation: sample / 8}
		return
	}
	off := sample - now.mean
	r.known[model] = ratio{mean: now.mean + off/8, deviation: now.deviation + (math.Abs(off)-now.deviation)/4}
}

// Mean returns how many tokens a model usually counts for an estimated one; 1 where nothing is known.
func (r *Ratios) Mean(model string) float64 { return r.of(model).mean }

// Fit returns how many estimated tokens a text may have that a model is to read in window
// tokens: two deviations below what its usual ratio would give, and never more than
// what the bounds of a ratio allow.
func (r *Ratios) Fit(model string, window int) int {
	known := r.of(model)
	return int(float64(max(window, 0)) / min(known.mean+2*known.deviation, 2*highest))
}

func (r *Ratios) of(model string) ratio {
	r.mu.Lock()
	defer r.mu.Unlock()
	if known, ok := r.known[r.name(model)]; ok {
		return known
	}
	return unseen
}

// name returns the name under which a model is known: models beyond a bound share one.
func (r *Ratios) name(model string) string {
	if _, ok := r.known[model]; !ok && len(r.known) >= maxModels {
		return ""
	}
	return model
}
