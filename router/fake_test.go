package router_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/lanewise/lanewise/adapters/local"
	"github.com/lanewise/lanewise/embed"
	"github.com/lanewise/lanewise/router"
	"github.com/lanewise/lanewise/search"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// fake is a store whose search is a function; what it has no function for, it
// accepts and forgets.
type fake struct {
	search func(ctx context.Context, q search.Query) (search.Result, error)
	write  func(ctx context.Context, b search.Batch) (search.Written, error)
	points int
}

func (f *fake) Search(ctx context.Context, q search.Query) (search.Result, error) {
	return f.search(ctx, q)
}

func (f *fake) Write(ctx context.Context, b search.Batch) (search.Written, error) {
	if f.write == nil {
		return search.Written{}, nil
	}
	return f.write(ctx, b)
}

func (f *fake) Get(context.Context, string, []search.Key, search.Fields) ([]search.Point, error) {
	return nil, nil
}
func (f *fake) Scroll(context.Context, search.Scan) (search.Page, error) { return search.Page{}, nil }
func (f *fake) Count(context.Context, string, string, search.Filter) (int, error) {
	return f.points, nil
}

func (f *fake) Stats(_ context.Context, collection string) ([]search.Stats, error) {
	if collection == "" {
		return nil, nil
	}
	return []search.Stats{{Collection: search.Collection{Name: collection}, Points: f.points}}, nil
}

// after answers with hits once d has passed, or with the context's end.
func after(d time.Duration, hits ...search.Hit) *fake {
	return &fake{search: func(ctx context.Context, q search.Query) (search.Result, error) {
		select {
		case <-time.After(d):
			return listsOf(q, hits...), nil
		case <-ctx.Done():
			return search.Result{}, context.Cause(ctx)
		}
	}}
}

// failing answers every search with err.
func failing(err error) *fake {
	return &fake{search: func(context.Context, search.Query) (search.Result, error) { return search.Result{}, err }}
}

func listsOf(q search.Query, hits ...search.Hit) search.Result {
	res := search.Result{Lists: make([]search.List, len(q.Legs))}
	for i := range res.Lists {
		res.Lists[i] = search.List{Hits: slices.Clone(hits), Exhausted: true, Prefix: true}
	}
	return res
}

func hit(id string, score float64) search.Hit {
	return search.Hit{Point: search.Point{Key: search.Key{ID: id}}, Score: score, Raw: score}
}

// newRouter makes a router over shards s0, s1, … with replicas r0, r1, … and a
// collection "docs" of two dims.
func newRouter(t *testing.T, c router.Config, shards ...[]search.Store) *router.Router {
	t.Helper()
	for i, stores := range shards {
		s := router.Shard{Name: fmt.Sprintf("s%d", i)}
		for j, store := range stores {
			s.Replicas = append(s.Replicas, router.Replica{Name: fmt.Sprintf("r%d", j), Store: store})
		}
		c.Shards = append(c.Shards, s)
	}
	r, err := router.New(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := r.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	create(t, r, search.Collection{Name: "docs", Dims: 2, Metric: search.Dot})
	return r
}

func create(t *testing.T, r *router.Router, c search.Collection) search.Collection {
	t.Helper()
	c, err := r.CreateCollection(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// locals opens n stores, each in a directory of its own.
func locals(t *testing.T, n int) []search.Store {
	t.Helper()
	stores := make([]search.Store, n)
	for i := range stores {
		s, err := local.Open(local.Config{Path: filepath.Join(t.TempDir(), "store")})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := s.Close(); err != nil {
				t.Errorf("close: %v", err)
			}
		})
		stores[i] = s
	}
	return stores
}

// grid opens shards × replicas local stores.
func grid(t *testing.T, shards, replicas int) [][]search.Store {
	t.Helper()
	out := make([][]search.Store, shards)
	for i := range out {
		out[i] = locals(t, replicas)
	}
	return out
}

// letters embeds a text by how often it has each of the letters a to h, so that
// tests can reason about what is near.
type letters struct{}

func (letters) Space() embed.Space { return embed.Space{Model: "letters", Dims: 8} }

func (letters) Embed(_ context.Context, b embed.Batch) (embed.Vectors, error) {
	v := embed.Vectors{Dims: 8, Data: make([]float32, 8*len(b.Texts))}
	for i, text := range b.Texts {
		for _, r := range text {
			if r >= 'a' && r <= 'h' {
				v.Data[i*8+int(r-'a')]++
			}
		}
	}
	return v, nil
}

func randomVector(rng *rand.Rand, dims int) []float32 {
	v := make([]float32, dims)
	for i := range v {
		v[i] = float32(rng.NormFloat64())
	}
	return v
}
