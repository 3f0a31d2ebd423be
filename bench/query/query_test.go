package query_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/lanewise/lanewise/bench"
	"github.com/lanewise/lanewise/bench/data"
	"github.com/lanewise/lanewise/bench/query"
	"github.com/lanewise/lanewise/fault"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// fake answers at once with nine of the ten right ids, or with all where it is asked to be exact.
type fake struct {
	mu   sync.Mutex
	asks []query.Ask
}

func (f *fake) Search(_ context.Context, a query.Ask) (query.Answer, error) {
	if !a.Exact {
		f.mu.Lock()
		f.asks = append(f.asks, a)
		f.mu.Unlock()
	}
	out := query.Answer{Coverage: 0.5, Hedges: 1}
	for i := range a.K {
		if i > 0 || a.Exact {
			out.IDs = append(out.IDs, fmt.Sprint(a.Text, i))
		}
	}
	return out, nil
}

func TestRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fake{}
		mix := query.Mix{
			Queries: []data.Query{{Text: "a"}, {Text: "b"}}, K: []query.Share{{Value: "10", Weight: 3}, {Value: "100", Weight: 1}},
			Mode: []query.Share{{Value: "hybrid", Weight: 1}}, Filter: []query.Share{{Value: `{"year": 2024}`, Weight: 1}, {Value: `{}`, Weight: 1}},
			Tenants: []string{"t0", "t1", "t2"}, Zipf: 1, Seed: 1,
		}
		r, err := query.Plan{Load: bench.Load{Rate: 100, Constant: true, Duration: time.Minute}, Mix: mix, Sample: 50}.Run(t.Context(), f)
		if err != nil {
			t.Fatal(err)
		}
		if math.Abs(r.Recall-0.92) > 0.03 { // 0.9 of ten and 0.99 of a hundred, three to one
			t.Errorf("recall %g, want about 0.92", r.Recall)
		}
		if r.Coverage != 0.5 || r.Hedges != r.Calls() {
			t.Errorf("coverage %g, %d hedges of %d calls", r.Coverage, r.Hedges, r.Calls())
		}
		share := func(of func(query.Ask) bool) float64 {
			n := 0
			for _, a := range f.asks {
				if of(a) {
					n++
				}
			}
			return float64(n) / float64(len(f.asks))
		}
		for name, c := range map[string]struct{ got, want float64 }{
			"k 100":   {share(func(a query.Ask) bool { return a.K == 100 }), 0.25},
			"text a":  {share(func(a query.Ask) bool { return a.Text == "a" }), 0.5},
			"filter":  {share(func(a query.Ask) bool { return !a.Filter.IsZero() }), 0.5},
			"t0":      {share(func(a query.Ask) bool { return a.Tenant == "t0" }), 6.0 / 11},
			"hybrid":  {share(func(a query.Ask) bool { return a.Mode == "hybrid" }), 1},
			"exactly": {float64(len(f.asks)), float64(r.Calls())},
		} {
			if math.Abs(c.got-c.want) > 0.03*max(c.want, 1) {
				t.Errorf("%s: %g, want %g", name, c.got, c.want)
			}
		}
	})
}

func TestRun_refuses(t *testing.T) {
	some := []data.Query{{Text: "a"}}
	for says, m := range map[string]query.Mix{
		"/queries": {},
		"/k":       {Queries: some, K: []query.Share{{Value: "0", Weight: 1}}},
		"/filter":  {Queries: some, Filter: []query.Share{{Value: `{"$odd": 1}`, Weight: 1}}},
	} {
		_, err := query.Plan{Load: bench.Load{Rate: 1, Duration: time.Second}, Mix: m}.Run(t.Context(), &fake{})
		if !errors.Is(err, fault.Invalid) || !strings.Contains(err.Error(), says) {
			t.Errorf("%s: got %v", says, err)
		}
	}
}

func TestParseShares(t *testing.T) {
	got, err := query.ParseShares("--k", "10:0.9,100:0.1,7")
	if err != nil || fmt.Sprint(got) != "[{10 0.9} {100 0.1} {7 1}]" {
		t.Errorf("got %v, %v", got, err)
	}
	for _, bad := range []string{"", "10:", "10:-1", ":1", "10,,", "10:inf", "10:nan"} {
		if _, err := query.ParseShares("--k", bad); !errors.Is(err, fault.Invalid) || !strings.Contains(err.Error(), "--k") {
			t.Errorf("%q: %v", bad, err)
		}
	}
}
