package rerank_test

import (
	"context"
	"errors"
	"math"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"

	"go.uber.org/goleak"

	"github.com/lanewise/lanewise/balance"
	"github.com/lanewise/lanewise/fault"
	"github.com/lanewise/lanewise/rerank"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// provider is a function that reranks.
type provider func(ctx context.Context, b rerank.Batch) (rerank.Scores, error)

func (p provider) Rerank(ctx context.Context, b rerank.Batch) (rerank.Scores, error) {
	return p(ctx, b)
}

// byNumber scores a text by the number that it is.
func byNumber(_ context.Context, b rerank.Batch) (rerank.Scores, error) {
	s := rerank.Scores{Values: make([]float64, len(b.Texts)), Tokens: len(b.Texts)}
	for i, text := range b.Texts {
		s.Values[i], _ = strconv.ParseFloat(text, 64)
	}
	return s, nil
}

func lane(t *testing.T, c rerank.Config, providers ...provider) *rerank.Reranker {
	t.Helper()
	for i, p := range providers {
		c.Upstreams = append(c.Upstreams, rerank.Upstream{Name: "u" + strconv.Itoa(i), Provider: p, Tier: i})
	}
	r, err := rerank.New(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := r.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
		for _, m := range r.Snapshot().Members {
			if m.Load != 0 {
				t.Errorf("upstream %s is left with load %d", m.Name, m.Load)
			}
		}
	})
	return r
}

func TestRerank_splitsAndKeepsTheOrder(t *testing.T) {
	var calls, longest atomic.Int64
	r := lane(t, rerank.Config{Inputs: 7}, func(ctx context.Context, b rerank.Batch) (rerank.Scores, error) {
		calls.Add(1)
		longest.Store(max(longest.Load(), int64(len(b.Texts))))
		return byNumber(ctx, b)
	})
	texts := make([]string, 100)
	for i := range texts {
		texts[i] = strconv.Itoa(i * i)
	}
	s, err := r.Rerank(t.Context(), rerank.Batch{Query: "q", Texts: texts})
	if err != nil || calls.Load() != 15 || longest.Load() != 7 || s.Tokens != 100 {
		t.Fatalf("%d calls of at most %d texts, %d tokens, %v", calls.Load(), longest.Load(), s.Tokens, err)
	}
	for i, x := range s.Values {
		if x != float64(i*i) {
			t.Errorf("text %d got score %v", i, x)
		}
	}
	if s, err := r.Rerank(t.Context(), rerank.Batch{Query: "q"}); err != nil || len(s.Values) != 0 {
		t.Errorf("no texts: got %v, %v", s, err)
	}
}

func TestRerank_goesElsewhereWithWhatIsNoAnswer(t *testing.T) {
	for name, bad := range map[string]provider{
		"error": func(context.Context, rerank.Batch) (rerank.Scores, error) {
			return rerank.Scores{}, fault.New(fault.Unavailable, "down")
		},
		"too few": func(context.Context, rerank.Batch) (rerank.Scores, error) {
			return rerank.Scores{Values: []float64{1}}, nil
		},
		"not a number": func(context.Context, rerank.Batch) (rerank.Scores, error) {
			return rerank.Scores{Values: []float64{1, math.NaN()}}, nil
		},
		"infinite": func(context.Context, rerank.Batch) (rerank.Scores, error) {
			return rerank.Scores{Values: []float64{math.Inf(1), 1}}, nil
		},
		"panic": func(context.Context, rerank.Batch) (rerank.Scores, error) { panic("defect") },
	} {
		r := lane(t, rerank.Config{}, bad, byNumber)
		s, err := r.Rerank(t.Context(), rerank.Batch{Query: "q", Texts: []string{"3", "4"}})
		if err != nil || s.Values[0] != 3 || s.Values[1] != 4 {
			t.Errorf("%s: got %v, %v", name, s, err)
		}
	}
}

func TestRerank_failsAsAWhole(t *testing.T) {
	r := lane(t, rerank.Config{Inputs: 1}, func(ctx context.Context, b rerank.Batch) (rerank.Scores, error) {
		if b.Texts[0] == "5" {
			return rerank.Scores{}, fault.New(fault.Invalid, "a poisoned text")
		}
		return byNumber(ctx, b)
	})
	s, err := r.Rerank(t.Context(), rerank.Batch{Query: "q", Texts: []string{"1", "5", "7"}})
	if fault.Of(err) != fault.Invalid || s.Values != nil || !strings.Contains(err.Error(), "rerank 3 texts") {
		t.Errorf("got %v, %v", s, err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := r.Rerank(ctx, rerank.Batch{Query: "q", Texts: []string{"1"}}); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: got %v", err)
	}
}

func TestNew_namesTheField(t *testing.T) {
	good := rerank.Upstream{Name: "a", Provider: provider(byNumber)}
	for field, c := range map[string]rerank.Config{
		"/upstreams":            {},
		"/upstreams/0/provider": {Upstreams: []rerank.Upstream{{Name: "a"}}},
		"/inputs":               {Upstreams: []rerank.Upstream{good}, Inputs: -1},
		"/parallel":             {Upstreams: []rerank.Upstream{good}, Parallel: -1},
	} {
		if _, err := rerank.New(c); fault.Of(err) != fault.Invalid || fault.Field(err) != field {
			t.Errorf("%s: got %v", field, err)
		}
	}
	if _, err := rerank.New(rerank.Config{Upstreams: []rerank.Upstream{good, good}}); fault.Of(err) != fault.Invalid {
		t.Errorf("the same name twice: got %v", err)
	}
}

func TestUpdate_andSteer(t *testing.T) {
	r := lane(t, rerank.Config{}, byNumber)
	two := []rerank.Upstream{{Name: "a", Provider: provider(byNumber)}, {Name: "b", Provider: provider(byNumber)}}
	if err := errors.Join(r.Update(two), r.Steer("a", balance.Draining), r.Reweigh("a", 2)); err != nil {
		t.Fatal(err)
	}
	got := r.Snapshot().Members
	if len(got) != 2 || got[1].Name != "a" || got[1].State != balance.Draining || got[1].Weight != 2 {
		t.Errorf("got %+v", got)
	}
	if err := r.Update(nil); !errors.Is(err, fault.Invalid) {
		t.Errorf("no upstreams: got %v", err)
	}
}
