package merge_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"

	"github.com/lanewise/lanewise/merge"
	"github.com/lanewise/lanewise/search"
)

// store is a shard of a test: all its rows in the order in which it would return them.
type store struct {
	rows    []search.Hit
	silent  bool // never says that it is exhausted
	inexact bool // no Prefix
}

// ask returns the best k rows, as an adapter does.
func (s store) ask(k int) search.List {
	k = min(k, len(s.rows))
	return search.List{Hits: s.rows[:k], Exhausted: !s.silent && k == len(s.rows), Prefix: !s.inexact}
}

// cluster is a drawn topology, with every row's owner.
type cluster struct {
	stores []store
	owner  map[string]int // id to shard; rows elsewhere are stale copies
}

// keep is the router's check of ownership.
func (c cluster) keep(shard int) func(*search.Hit) bool {
	return func(h *search.Hit) bool { return c.owner[h.ID] == shard }
}

// gather runs the loop that the router runs, with instant shards.
func (c cluster) gather(k int, rows []int) (search.List, merge.Tally, int) {
	var g merge.Gather
	g.Start(k, rows)
	for i, s := range c.stores {
		g.Put(i, s.ask(rows[i]), c.keep(i))
	}
	rounds := 0
	for again := g.Next(); len(again) > 0; again = g.Next() {
		for _, r := range again {
			g.Put(r.Shard, c.stores[r.Shard].ask(r.Rows), c.keep(r.Shard))
		}
		rounds++
	}
	return g.List(), g.Tally(), rounds
}

// truth is what one store with every owned row would answer.
func (c cluster) truth(k int) []search.Hit {
	var lists []search.List
	for i, s := range c.stores {
		l := search.List{Exhausted: true}
		for _, h := range s.rows {
			if c.keep(i)(&h) {
				l.Hits = append(l.Hits, h)
			}
		}
		lists = append(lists, l)
	}
	hits, _, _ := oracle(k, lists...)
	return hits
}

// drawCluster draws clustered data, skewed and tiny shards, ties, NaN, repeated rows and stale copies.
func drawCluster(t *rapid.T) cluster {
	r := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 0))
	n := rapid.SampledFrom([]int{1, 2, 3, 8, 16}).Draw(t, "shards")
	c := cluster{stores: make([]store, n), owner: make(map[string]int)}
	clustered, skew := rapid.Bool().Draw(t, "clustered"), rapid.SampledFrom([]float64{0, 1, 3}).Draw(t, "skew")
	levels := rapid.SampledFrom([]int{2, 50, 1 << 30}).Draw(t, "levels") // few levels: many ties
	noise := rapid.SampledFrom([]int{0, 0, 10, 90}).Draw(t, "noise")     // percent of useless copies
	for i := range rapid.IntRange(0, 2000).Draw(t, "points") {
		shard := int(math.Pow(r.Float64(), 1+skew) * float64(n))
		h := hit(fmt.Sprint("d", i), float64(r.IntN(levels))/float64(levels))
		if clustered { // each shard has its own range of scores
			h.Score += float64(shard)
		}
		h.Version = 5
		c.owner[h.ID] = shard
		c.stores[shard].rows = append(c.stores[shard].rows, h)
		if r.IntN(100) < noise {
			c.clutter(r, h, shard)
		}
	}
	for i := range c.stores {
		slices.SortStableFunc(c.stores[i].rows, func(a, b search.Hit) int {
			if math.IsNaN(a.Score) || math.IsNaN(b.Score) {
				return int(b.Version) - int(a.Version) // NaN first, as some engines have it
			}
			return merge.Better(a, b)
		})
		for j := range c.stores[i].rows {
			c.stores[i].rows[j].Shard = fmt.Sprint("s", i)
		}
	}
	return c
}

// clutter adds a copy of a row that must not count: stale and better on another shard, the same row again, or
// one without a score.
func (c cluster) clutter(r *rand.Rand, h search.Hit, shard int) {
	switch r.IntN(3) {
	case 0:
		shard = r.IntN(len(c.stores))
		h.Score, h.Version = h.Score+1, 4
		if shard == c.owner[h.ID] {
			return
		}
	case 1: // the same row twice
	case 2:
		h.ID += "-nan"
		h.Score, h.Version = math.NaN(), 9
		c.owner[h.ID] = shard
	}
	c.stores[shard].rows = append(c.stores[shard].rows, h)
}

func TestGather_equalsBruteForce(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c := drawCluster(t)
		k := rapid.SampledFrom([]int{1, 2, 10, 100}).Draw(t, "k")
		rows := merge.Rows(k, equal(len(c.stores)), 0)
		if rapid.Bool().Draw(t, "starved") { // whatever the first requests were, the answer is exact
			for i := range rows {
				rows[i] = rapid.IntRange(1, k).Draw(t, "rows")
			}
		}
		list, tally, _ := c.gather(k, rows)
		if diff := cmp.Diff(c.truth(k), list.Hits, cmpopts.EquateEmpty()); diff != "" {
			t.Fatalf("-want +got:\n%s", diff)
		}
		if len(tally.Uncertain) > 0 || !list.Prefix {
			t.Fatalf("not certified: %+v, prefix %t", tally, list.Prefix)
		}
	})
}

func TestGather_refillsAreRareOnRandomPlacement(t *testing.T) {
	if testing.Short() {
		t.Skip("a thousand queries over 16 shards")
	}
	r := rand.New(rand.NewPCG(3, 4))
	const queries, shards, k = 1000, 16, 100
	refilled, asked := 0, 0
	for range queries {
		c := cluster{stores: make([]store, shards), owner: make(map[string]int)}
		for i := range 1200 { // only the best rows matter
			shard := r.IntN(shards)
			h := hit(fmt.Sprint(i), 1-float64(i)/4000)
			c.owner[h.ID] = shard
			c.stores[shard].rows = append(c.stores[shard].rows, h)
		}
		_, tally, _ := c.gather(k, merge.Rows(k, equal(shards), 0))
		asked += tally.RowsAsked
		refilled += min(1, tally.Refills)
	}
	share := float64(asked) / (queries * shards * k)
	t.Logf("%d of %d queries refilled, %.4f of the rows of asking each shard for k", refilled, queries, share)
	if refilled > queries/100 || share > 0.22 {
		t.Errorf("want at most 1 %% refilled and 0.22 of the rows")
	}
}

// fixed returns a cluster that owns everything it holds.
func fixed(stores ...store) cluster {
	c := cluster{stores: stores, owner: make(map[string]int)}
	for i, s := range stores {
		for _, h := range s.rows {
			c.owner[h.ID] = i
		}
	}
	return c
}

// series is n rows with scores from high downwards by step.
func series(name string, n int, high, step float64) []search.Hit {
	rows := make([]search.Hit, n)
	for i := range rows {
		rows[i] = hit(fmt.Sprintf("%s%03d", name, i), high-float64(i)*step)
	}
	return rows
}

func TestGather_asksOnlyTheShardThatMayHide(t *testing.T) {
	c := fixed(store{rows: series("a", 50, 9, .1)}, store{rows: series("b", 50, 1, .01)}, store{rows: series("c", 50, 1, .01)})
	list, tally, rounds := c.gather(10, []int{4, 4, 4})
	want := merge.Tally{RowsAsked: 22, RowsSaved: 8, Refills: 1}
	if diff := cmp.Diff(want, tally); diff != "" || rounds != 1 || list.Hits[9].ID != "a009" {
		t.Fatalf("rounds %d, tally -want +got:\n%s", rounds, diff)
	}
}

func TestGather_doublesWhileRowsAreLost(t *testing.T) {
	c := fixed(store{rows: append(series("x", 60, 9, .01), series("a", 40, 1, .01)...)}, store{rows: series("b", 5, .5, .01)})
	for i := range 60 {
		c.owner[fmt.Sprintf("x%03d", i)] = 1 // foreign rows, better than all others
	}
	list, tally, rounds := c.gather(10, []int{4, 4})
	if rounds != 4 || tally.RowsAsked != 8+(14+28+56+112)+10 || list.Dropped != 60 {
		t.Fatalf("rounds %d, tally %+v, dropped %d", rounds, tally, list.Dropped)
	}
	if diff := cmp.Diff(c.truth(10), list.Hits); diff != "" {
		t.Fatal(diff)
	}
}

func TestGather_aShardThatNeverSaysItIsExhausted(t *testing.T) {
	c := fixed(store{rows: series("a", 3, 9, .1), silent: true}, store{rows: series("b", 30, 1, .01)})
	list, tally, rounds := c.gather(10, []int{5, 10})
	if diff := cmp.Diff(c.truth(10), list.Hits); diff != "" {
		t.Fatal(diff)
	}
	if rounds != 1 || !slices.Equal(tally.Uncertain, []int{0}) {
		t.Fatalf("rounds %d, tally %+v: want one more try, then doubt", rounds, tally)
	}
}

func TestGather_aShardOfNothingButUselessRows(t *testing.T) {
	c := fixed(store{rows: series("a", 1<<16, 9, 0)}, store{rows: series("b", 30, 1, .01)})
	for id := range c.owner {
		c.owner[id] = 1
	}
	_, tally, _ := c.gather(10, []int{5, 10})
	if tally.RowsAsked > 3000 || !slices.Equal(tally.Uncertain, []int{0}) {
		t.Fatalf("tally %+v: want it given up before its whole collection was asked for", tally)
	}
}

func TestGather_anApproximateShardIsAskedForAll(t *testing.T) {
	c := fixed(store{rows: series("a", 50, .5, .01), inexact: true}, store{rows: series("b", 50, 9, .01)})
	list, tally, rounds := c.gather(10, []int{4, 10})
	if rounds != 1 || tally.RowsAsked != 24 || len(tally.Uncertain) != 0 || list.Prefix {
		t.Fatalf("rounds %d, tally %+v, prefix %t: want one refill of 10 rows and no claim", rounds, tally, list.Prefix)
	}
}

func TestGather_failedRefillLeavesDoubt(t *testing.T) {
	var g merge.Gather
	g.Start(10, []int{4, 4, 4})
	g.Put(0, store{rows: series("a", 50, 9, .1)}.ask(4), nil)
	g.Put(1, store{rows: series("b", 50, 1, .1)}.ask(4), nil)
	g.Fail(2)
	if again := g.Next(); len(again) != 2 {
		t.Fatalf("again %v, want shards 0 and 1", again)
	}
	g.Fail(0)
	g.Put(1, store{rows: series("b", 50, 1, .1)}.ask(10), nil)
	if again := g.Next(); len(again) != 0 {
		t.Fatalf("again %v after the failure", again)
	}
	list, tally := g.List(), g.Tally()
	if len(list.Hits) != 10 || list.Prefix || list.Exhausted || !slices.Equal(tally.Uncertain, []int{0}) {
		t.Fatalf("list %+v, tally %+v", list, tally)
	}
}

// A row that a newer version elsewhere displaces does not count as one of the shard's k.
func TestGather_displacedRowsCertifyNothing(t *testing.T) {
	fresh := hit("x", 1)
	fresh.Version = 2
	var g merge.Gather
	g.Start(2, []int{2, 2})
	a := store{rows: scored("x", 9., "y", 8., "z", 7.)}
	g.Put(0, a.ask(2), nil)
	g.Put(1, whole(fresh), nil)
	again := g.Next()
	if !slices.Equal(again, []merge.Refill{{Shard: 0, Rows: 3}}) {
		t.Fatalf("again %v, want shard 0 for a row more", again)
	}
	g.Put(0, a.ask(3), nil)
	if again := g.Next(); len(again) != 0 || !slices.Equal(ids(g.List().Hits), []string{"y", "z"}) {
		t.Fatalf("again %v, hits %v", again, ids(g.List().Hits))
	}
}

func TestGather_doesNotBelieveAnUnsortedList(t *testing.T) {
	var g merge.Gather
	g.Start(3, []int{2, 3})
	g.Put(0, search.List{Hits: scored("a", 1., "b", 9.), Prefix: true}, nil)
	g.Put(1, store{rows: series("c", 5, 8, 1)}.ask(3), nil)
	if again := g.Next(); !slices.Equal(again, []merge.Refill{{Shard: 0, Rows: 3}}) || g.Tally().Unsorted != 1 {
		t.Fatalf("again %v, tally %+v: want all of shard 0", again, g.Tally())
	}
}

// Equal scores in any order are no disorder: nothing needs to be asked again.
func TestGather_tiesMayComeInAnyOrder(t *testing.T) {
	var g merge.Gather
	g.Start(2, []int{3, 3})
	g.Put(0, search.List{Hits: scored("b", 9., "a", 9., "x", 1.), Prefix: true}, nil)
	g.Put(1, whole(), nil)
	if again := g.Next(); len(again) != 0 || g.Tally().Unsorted != 0 || !slices.Equal(ids(g.List().Hits), []string{"a", "b"}) {
		t.Fatalf("again %v, tally %+v, hits %v", again, g.Tally(), ids(g.List().Hits))
	}
}

func TestGather_forgottenAnswersCountAsFailed(t *testing.T) {
	var g merge.Gather
	g.Start(10, []int{4, 4})
	g.Put(0, whole(hit("a", 1)), nil)
	if again := g.Next(); len(again) != 0 || len(g.List().Hits) != 1 || g.List().Exhausted {
		t.Fatalf("again %v, list %+v", again, g.List())
	}
}

func BenchmarkGather(b *testing.B) {
	for _, n := range []int{1, 4, 16, 64, 256} {
		b.Run(fmt.Sprintf("shards=%d/k=100", n), func(b *testing.B) {
			rows := merge.Rows(100, equal(n), 0)
			lists := disjoint(n, 100)
			for i := range lists {
				lists[i].Hits = lists[i].Hits[:rows[i]]
			}
			var g merge.Gather
			b.ReportAllocs()
			for b.Loop() {
				g.Start(100, rows)
				for i, l := range lists {
					g.Put(i, l, nil)
				}
				g.Next()
			}
		})
	}
}
