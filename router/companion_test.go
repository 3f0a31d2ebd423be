package router_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/lanewise/lanewise/embed"
	"github.com/lanewise/lanewise/fault"
	"github.com/lanewise/lanewise/router"
	"github.com/lanewise/lanewise/search"
)

// unworded is a store without sparse vectors.
type unworded struct{ search.Store }

func (u unworded) Capabilities() search.Capabilities {
	return search.Capabilities{Engine: "unworded", Prefix: true, Versions: true, Exact: true}
}

func (u unworded) Search(ctx context.Context, q search.Query) (search.Result, error) {
	for i, leg := range q.Legs {
		if len(leg.Sparse.Index) > 0 {
			return search.Result{}, fault.BadField(fmt.Sprintf("/legs/%d/sparse", i), "cannot rank by words")
		}
	}
	return u.Store.Search(ctx, q)
}

// breakable is a store that counts terms, until it is broken.
type breakable struct {
	search.Store
	broken atomic.Bool
}

var errBroken = fault.New(fault.Unavailable, "broken")

func (c *breakable) Search(ctx context.Context, q search.Query) (search.Result, error) {
	if c.broken.Load() {
		return search.Result{}, errBroken
	}
	return c.Store.Search(ctx, q)
}

func (c *breakable) TermStats(ctx context.Context, q search.TermQuery) (search.TermStats, error) {
	if c.broken.Load() {
		return search.TermStats{}, errBroken
	}
	return c.Store.(search.TermCounter).TermStats(ctx, q)
}

func (c *breakable) Write(ctx context.Context, b search.Batch) (search.Written, error) {
	if c.broken.Load() {
		return search.Written{}, errBroken
	}
	return c.Store.Write(ctx, b)
}

// accompanied are shards of unworded stores with a companion each.
func accompanied(t *testing.T, n int) (shards []router.Shard, companions []*breakable) {
	t.Helper()
	for i := range n {
		stores := locals(t, 2)
		companions = append(companions, &breakable{Store: stores[1]})
		shards = append(shards, router.Shard{
			Name: fmt.Sprintf("s%d", i), Replicas: []router.Replica{{Name: "r0", Store: unworded{stores[0]}}},
			Lexical: []router.Replica{{Name: "l0", Store: companions[i]}},
		})
	}
	return shards, companions
}

// talkOver is a router over some shards with sayings, of which some were updated and some deleted.
func talkOver(t *testing.T, shards []router.Shard) *router.Router {
	t.Helper()
	r := newRouter(t, router.Config{Embedders: []embed.Provider{letters{}}, Lexicon: words, StatsAge: -1, SearchTimeout: time.Minute, WriteTimeout: time.Minute, Shards: shards})
	create(t, r, search.Collection{Name: "talk", Space: letters{}.Space().ID(), Lexical: true, AvgLen: 15})
	rng := rand.New(rand.NewPCG(1, 2)) //nolint:gosec // repeatable
	for round := range 2 {
		var points []search.Point
		for i, text := range sayings(rng, 300/(1+round)) {
			p := note(fmt.Sprintf("%03d", i), text)
			p.Meta = fmt.Appendf(nil, `{"third": %d}`, i%3)
			points = append(points, p)
		}
		upsert(t, r, "talk", "", points...)
	}
	if _, err := r.Delete(t.Context(), router.Delete{Collection: "talk", IDs: []string{"000", "007", "100"}}); err != nil {
		t.Fatal(err)
	}
	return r
}

// Over stores that cannot rank by words, with companions that can, the answers are those of stores that can.
func TestCompanion_changesNoAnswer(t *testing.T) {
	shards, companions := accompanied(t, 3)
	one, many := talkOver(t, []router.Shard{{Name: "s0", Replicas: []router.Replica{{Name: "r0", Store: locals(t, 1)[0]}}}}), talkOver(t, shards)
	if c := create(t, many, search.Collection{Name: "fresh", Dims: 2, Lexical: many.SearchesWords()}); !c.Lexical {
		t.Error("the router does not say that it searches by words")
	}
	compareModes(t, "", one, many)
	lambda := 0.5
	third, err := search.ParseFilter([]byte(`{"third": {"$in": [0, 2]}}`))
	if err != nil {
		t.Fatal(err)
	}
	for _, q := range []router.Request{
		{Fields: search.Fields{Text: true, Meta: true, Vector: true}},
		{Fields: search.Fields{Vector: true}, Mode: router.Lexical},
		{MMR: &lambda},
		{Group: &router.Group{By: "third", Size: 2}},
		{Filter: third},
	} {
		q.Collection, q.Text, q.K = "talk", sayings(rand.New(rand.NewPCG(5, 5)), 1)[0], 20 //nolint:gosec // repeatable
		a, b := retrieve(t, one, q), retrieve(t, many, q)
		for j := range b.Hits {
			b.Hits[j].Shard, b.Hits[j].Version = "s0", 0
		}
		for j := range a.Hits {
			a.Hits[j].Version = 0
		}
		if d := cmp.Diff(a.Hits, b.Hits); d != "" || len(a.Hits) == 0 || b.Report.Mode != a.Report.Mode {
			t.Fatalf("%+v (-local +companions):\n%s", q, d)
		}
	}
	for i, c := range companions {
		page, err := c.Scroll(t.Context(), search.Scan{Collection: "talk", Limit: 1000, Fields: search.Fields{Vector: true}})
		if err != nil || len(page.Points) < 50 {
			t.Fatalf("companion %d holds %d points: %v", i, len(page.Points), err)
		}
		for _, p := range page.Points {
			if len(p.Dense) > 0 || len(p.Sparse.Index) == 0 {
				t.Fatalf("companion %d holds %+v", i, p)
			}
		}
	}
}

func TestCompanion_missingIsTheLexicalLegOfItsShard(t *testing.T) {
	shards, companions := accompanied(t, 3)
	r := talkOver(t, shards)
	text := sayings(rand.New(rand.NewPCG(5, 5)), 1)[0] //nolint:gosec // repeatable
	ask := func(mode router.Mode, on router.OnPartial) (router.Response, error) {
		return r.Retrieve(t.Context(), router.Request{Collection: "talk", Text: text, Mode: mode, OnPartial: on})
	}
	for broken := range companions {
		companions[broken].broken.Store(true)
		if _, err := ask(router.Hybrid, router.FailPartial); !errors.Is(err, fault.Partial) {
			t.Errorf("%d broken: got %v", broken+1, err)
		}
		res, err := ask(router.Hybrid, router.ReturnPartial)
		if err != nil || len(res.Hits) != 10 || res.Report.Complete || len(res.Report.Missing) != broken+1 || res.Report.ShardsAnswered != 2-broken {
			t.Errorf("%d broken: %d hits, %+v, %v", broken+1, len(res.Hits), res.Report, err)
		}
		for _, m := range res.Report.Missing {
			if m.Reason != search.Lexical {
				t.Errorf("missing: %+v", m)
			}
		}
		if res, err = ask(router.Dense, router.FailPartial); err != nil || !res.Report.Complete {
			t.Errorf("dense: %v", err)
		}
	}
	if _, err := ask(router.Lexical, router.ReturnPartial); err == nil || errors.Is(err, fault.Partial) {
		t.Errorf("words alone: got %v", err)
	}
}

// A companion that is lost after it told how common the words are takes no more with it than its leg.
func TestCompanion_lostWithTheWordsKnown(t *testing.T) {
	shards, companions := accompanied(t, 1)
	r := newRouter(t, router.Config{Embedders: []embed.Provider{letters{}}, Lexicon: words, StatsAge: time.Hour, SearchTimeout: time.Minute, Shards: shards})
	create(t, r, search.Collection{Name: "talk", Space: letters{}.Space().ID(), Lexical: true})
	upsert(t, r, "talk", "", note("a", "abc def"), note("b", "abc ghi"))
	q := router.Request{Collection: "talk", Text: "abc ghi", OnPartial: router.ReturnPartial}
	if res := retrieve(t, r, q); !res.Report.Complete || res.Report.Mode != "hybrid" {
		t.Fatalf("%+v", res.Report)
	}
	companions[0].broken.Store(true)
	res := retrieve(t, r, q)
	if len(res.Hits) != 2 || len(res.Report.Missing) != 1 || res.Report.Missing[0].Reason != search.Lexical || res.Report.ShardsAnswered != 0 {
		t.Errorf("%d hits, %+v", len(res.Hits), res.Report)
	}
	q.OnPartial = router.FailPartial
	if _, err := r.Retrieve(t.Context(), q); !errors.Is(err, fault.Partial) {
		t.Errorf("got %v", err)
	}
}

func TestCompanion_countsInTheAcknowledgement(t *testing.T) {
	shards, companions := accompanied(t, 1)
	r := talkOver(t, shards)
	companions[0].broken.Store(true)
	_, err := r.Upsert(t.Context(), router.Upsert{Collection: "talk", Points: []search.Point{note("new", "words")}})
	var write *router.WriteError
	if !errors.As(err, &write) || cmp.Diff(write.Points, map[string][]string{"new": {"s0/r0"}}) != "" || !strings.Contains(err.Error(), "s0/l0") {
		t.Errorf("got %v", err)
	}
}

// A companion that lost its points, missed a deletion or has what was never acknowledged does not rank until it is mended.
func TestCompanion_isMended(t *testing.T) {
	shards, companions := accompanied(t, 1)
	text := sayings(rand.New(rand.NewPCG(5, 5)), 1)[0] //nolint:gosec // repeatable
	q := router.Request{Collection: "talk", Text: text, Mode: router.Hybrid, K: 50, OnPartial: router.ReturnPartial}
	before := idsOf(retrieve(t, talkOver(t, shards), q).Hits)
	key := search.Key{ID: before[0]}
	gone := search.Key{ID: before[1]}
	later := search.Version(1 << 62)
	for _, c := range []struct {
		what  string
		spoil search.Batch // what happens to the companion alone
		lacks search.Key   // afterwards, everywhere
	}{
		{"empty", search.Batch{Drop: true}, search.Key{}},
		{"newer", search.Batch{Upserts: []search.Point{{Key: key, Version: later, Text: "x"}}}, search.Key{}},
		{"stray", search.Batch{Upserts: []search.Point{{Key: search.Key{ID: "stray"}, Version: later, Text: text, Sparse: wordsOf(text)}}}, search.Key{}},
		{"deleted", search.Batch{Deletes: []search.Tombstone{{Key: gone, Version: later + 1<<40}}}, gone}, // as between replicas: the newest counts
	} {
		t.Run(c.what, func(t *testing.T) {
			c.spoil.Collection = "talk"
			if _, err := companions[0].Store.Write(t.Context(), c.spoil); err != nil {
				t.Fatal(err)
			}
			r := newRouter(t, router.Config{Embedders: []embed.Provider{letters{}}, Lexicon: words, StatsAge: -1, SearchTimeout: time.Minute, WriteTimeout: time.Minute, Shards: shards}) // it compares at the start
			res := retrieve(t, r, q)
			if len(res.Report.Missing) != 1 || res.Report.Missing[0].Reason != search.Lexical {
				t.Errorf("before: %+v", res.Report)
			}
			if state := r.Replicas(); len(state) != 2 || !state[0].Reads || state[0].Why != "" || !state[1].Lexical || state[1].Reads || state[1].Why == "" {
				t.Errorf("replicas: %+v", state)
			}
			if _, err := r.Repair(t.Context(), router.Repair{}); err != nil {
				t.Fatal(err)
			}
			res = retrieve(t, r, q)
			if c.lacks.ID != "" {
				if got, err := r.Get(t.Context(), "talk", []search.Key{c.lacks}, search.Fields{}); err != nil || len(got) > 0 || !res.Report.Complete {
					t.Errorf("after: %+v, %v, %+v", got, err, res.Report)
				}
				return
			}
			if d := cmp.Diff(before, idsOf(res.Hits)); d != "" || !res.Report.Complete {
				t.Errorf("after: %+v\n%s", res.Report, d)
			}
		})
	}
}

func TestCompanion_isRefusedWhereItCannotRank(t *testing.T) {
	stores := locals(t, 2)
	for what, l := range map[string]router.Replica{
		"no sparse vectors": {Name: "l0", Store: unworded{stores[1]}},
		"no counts":         {Name: "l0", Store: failing(errBroken)},
		"twice":             {Name: "r0", Store: stores[1]},
		"no store":          {Name: "l0"},
	} {
		_, err := router.New(router.Config{Shards: []router.Shard{{
			Name: "s0", Replicas: []router.Replica{{Name: "r0", Store: stores[0]}}, Lexical: []router.Replica{l},
		}}})
		if !errors.Is(err, fault.Invalid) || !strings.Contains(err.Error(), "shards[0].lexical[0]") {
			t.Errorf("%s: got %v", what, err)
		}
	}
}
