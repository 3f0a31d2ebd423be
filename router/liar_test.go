package router_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/lanewise/lanewise/router"
	"github.com/lanewise/lanewise/search"
	"github.com/lanewise/lanewise/shardmap"
)

// liar is an upstream that answers whatever comes to its mind: longer lists than asked for,
// unsorted ones, points of other tenants, collections and shards, points twice, scores that are no
// numbers, too few lists, and claims about itself that are not true.
type liar struct {
	fake
	mu  sync.Mutex
	rng *rand.Rand
}

func newLiar(seed uint64) *liar {
	l := &liar{rng: rand.New(rand.NewPCG(seed, 1))}
	l.search = func(_ context.Context, q search.Query) (search.Result, error) {
		l.mu.Lock()
		defer l.mu.Unlock()
		return l.lie(q), nil
	}
	return l
}

func (l *liar) lie(q search.Query) (res search.Result) {
	n := len(q.Legs)
	if l.rng.IntN(20) == 0 {
		n = l.rng.IntN(n + 2)
	}
	for i := range n {
		k := q.Legs[min(i, len(q.Legs)-1)].K
		list := search.List{Exhausted: l.rng.IntN(2) == 0, Prefix: l.rng.IntN(2) == 0, Dropped: l.rng.IntN(3) - 1}
		for range l.rng.IntN(3*k + 1) {
			list.Hits = append(list.Hits, l.hit(q))
		}
		res.Lists = append(res.Lists, list)
	}
	return res
}

func (l *liar) hit(q search.Query) search.Hit {
	h := hit(fmt.Sprint(l.rng.IntN(40)), l.rng.NormFloat64())
	h.Tenant, h.Collection, h.Shard = q.Tenant, q.Collection, "invented"
	h.Version = search.Version(l.rng.IntN(3))
	switch l.rng.IntN(8) {
	case 0:
		h.Tenant = "victim"
	case 1:
		h.Collection = "secrets"
	case 2:
		h.Score = []float64{math.NaN(), math.Inf(1), math.Inf(-1), math.MaxFloat64}[l.rng.IntN(4)]
	case 3:
		h.ID = ""
	}
	h.Text = "of " + h.Tenant + " in " + h.Collection
	return h
}

// Whatever shards answer, an answer holds nothing of another tenant, collection or shard, nothing twice, no more
// than was asked for, and it is in order.
func TestSearch_neverPassesOnALie(t *testing.T) {
	const shards, k = 4, 10
	var stores [][]search.Store
	var list []shardmap.Shard
	for i := range shards {
		stores = append(stores, []search.Store{newLiar(uint64(i)), newLiar(uint64(100 + i))})
		list = append(list, shardmap.Shard{Name: fmt.Sprint("s", i)})
	}
	m, err := shardmap.New(list)
	if err != nil {
		t.Fatal(err)
	}
	r := newRouter(t, router.Config{SearchTimeout: time.Minute}, stores...)
	create(t, r, search.Collection{Name: "tenants", Dims: 2, Placement: search.Placement{By: search.ByTenant, Spread: 3}})
	answers := 0
	for i := range 600 {
		collection, tenant := "docs", ""
		if i%2 == 0 {
			collection, tenant = "tenants", "mine"
		}
		c, err := r.Collection(collection)
		if err != nil {
			t.Fatal(err)
		}
		leg := search.Leg{Dense: []float32{1, 0}, K: k}
		res, err := r.Search(t.Context(), search.Query{Collection: collection, Tenant: tenant, Legs: []search.Leg{leg, leg}})
		if err != nil && res.Lists == nil {
			continue
		}
		answers++
		for _, l := range res.Lists {
			seen := map[string]bool{}
			for j, h := range l.Hits {
				owner := m.Shards()[m.Owner(c, h.Key, nil)].Name
				switch {
				case h.Tenant != tenant || h.Collection != collection:
					t.Fatalf("a foreign hit passed: %+v", h)
				case h.Shard != owner:
					t.Fatalf("a hit of shard %s passed that %s owns: %+v", h.Shard, owner, h)
				case math.IsNaN(h.Score) || math.IsInf(h.Score, 0):
					t.Fatalf("score %v", h.Score)
				case seen[h.ID]:
					t.Fatalf("%q is there twice", h.ID)
				case j > 0 && h.Score > l.Hits[j-1].Score:
					t.Fatalf("not in order at %d: %v", j, l.Hits)
				case len(l.Hits) > k:
					t.Fatalf("%d hits of %d", len(l.Hits), k)
				}
				seen[h.ID] = true
			}
		}
	}
	if answers < 100 {
		t.Errorf("only %d answers: too little was tested", answers)
	}
}

// The largest filters that are read go to every shard and mean there what they mean here.
func TestRetrieve_largestFilters(t *testing.T) {
	r := newRouter(t, router.Config{SearchTimeout: time.Minute}, grid(t, 3, 1)...)
	upsert(t, r, "docs", "", numbered(300)...)
	wide := `{"$or":[` + strings.TrimSuffix(strings.Repeat(`{"n":7},{"n":-1},`, 4999), ",") + `]}`
	deep := strings.Repeat(`{"$and":[`, 48) + `{"n":{"$gte":290}}` + strings.Repeat(`]}`, 48)
	for text, want := range map[string]int{wide: 1, deep: 10} {
		f, err := search.ParseFilter([]byte(text))
		if err != nil {
			t.Fatalf("%.60s: %v", text, err)
		}
		res, err := r.Retrieve(t.Context(), router.Request{Collection: "docs", Vector: []float32{1, 0}, K: 50, Filter: f})
		if err != nil || len(res.Hits) != want {
			t.Errorf("%.60s: %d hits, want %d: %v", text, len(res.Hits), want, err)
		}
		if n, err := r.Count(t.Context(), "docs", "", f); n != want || err != nil {
			t.Errorf("%.60s: count %d, want %d: %v", text, n, want, err)
		}
	}
}

// A shard that lacks the collection is missing, with the reason mismatch, and the others' hits come with it.
func TestRetrieve_collectionMissingOnAShard(t *testing.T) {
	shards := grid(t, 3, 1)
	r := newRouter(t, router.Config{}, shards...)
	upsert(t, r, "docs", "", numbered(90)...)
	put(t, shards[1][0], search.Batch{Collection: "docs", Drop: true})
	res, err := r.Retrieve(t.Context(), router.Request{Collection: "docs", Vector: []float32{1, 0}, K: 90})
	var partial *router.PartialError
	if !errors.As(err, &partial) || len(res.Hits) == 0 {
		t.Fatalf("%d hits, %v", len(res.Hits), err)
	}
	if missing := res.Report.Missing; len(missing) != 1 || missing[0].Shard != "s1" || missing[0].Reason != search.Mismatch {
		t.Errorf("missing: %+v", missing)
	}
}
