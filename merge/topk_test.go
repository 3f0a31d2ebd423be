package merge_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/lanewise/lanewise/merge"
	"github.com/lanewise/lanewise/search"
)

// hit is a row of a list.
func hit(id string, score float64) search.Hit {
	return search.Hit{Point: search.Point{Key: search.Key{ID: id}}, Score: score, Raw: score}
}

// whole is a list of everything that a shard has.
func whole(hits ...search.Hit) search.List {
	return search.List{Hits: hits, Exhausted: true, Prefix: true}
}

// oracle is what TopK promises, by the shortest road: concatenate, drop, keep the newest, sort, cut.
func oracle(k int, lists ...search.List) (hits []search.Hit, dropped int, exhausted bool) {
	type point struct {
		collection string
		key        search.Key
	}
	best := make(map[point]search.Hit)
	exhausted = true
	for _, l := range lists {
		dropped += l.Dropped
		exhausted = exhausted && l.Exhausted
		for _, h := range l.Hits {
			if math.IsNaN(h.Score) || math.IsInf(h.Score, 0) {
				dropped++
				continue
			}
			p := point{h.Collection, h.Key}
			if old, ok := best[p]; !ok || h.Version > old.Version || h.Version == old.Version && merge.Better(h, old) < 0 {
				best[p] = h
			}
		}
	}
	for _, h := range best {
		hits = append(hits, h)
	}
	slices.SortFunc(hits, merge.Better)
	if len(hits) > max(k, 0) {
		return hits[:max(k, 0)], dropped, false
	}
	return hits, dropped, exhausted
}

// gen draws lists with ties, duplicates, versions, NaN, infinities, and some in no order.
func gen(seed uint64) (k int, lists []search.List) {
	r := rand.New(rand.NewPCG(seed, 1))
	ids, levels := 1+r.IntN(60), 1+r.IntN(40)
	lists = make([]search.List, r.IntN(9))
	for i := range lists {
		l := &lists[i]
		l.Exhausted, l.Prefix, l.Dropped = r.IntN(2) == 0, r.IntN(2) == 0, r.IntN(3)
		for range r.IntN(30) {
			h := hit(fmt.Sprint("d", r.IntN(ids)), float64(r.IntN(levels))/8)
			h.Version, h.Shard = search.Version(r.IntN(3)), fmt.Sprint("s", i)
			if r.IntN(20) == 0 {
				h.Score = []float64{math.NaN(), math.Inf(1), math.Inf(-1), math.Copysign(0, -1)}[r.IntN(4)]
				h.Raw = h.Score
			}
			if r.IntN(10) == 0 {
				h.Tenant, h.Collection = fmt.Sprint("t", r.IntN(2)), fmt.Sprint("c", r.IntN(2))
			}
			l.Hits = append(l.Hits, h)
		}
		if r.IntN(4) > 0 {
			slices.SortFunc(l.Hits, func(a, b search.Hit) int {
				if math.IsNaN(a.Score) || math.IsNaN(b.Score) {
					return 0
				}
				return merge.Better(a, b)
			})
		}
	}
	return r.IntN(40) - 1, lists
}

func compareWithOracle(t *testing.T, m *merge.Merger, seed uint64) {
	t.Helper()
	k, lists := gen(seed)
	before := fmt.Sprint(lists)
	runs := make([]merge.Run, len(lists))
	for i, l := range lists {
		runs[i].Check(l, nil)
	}
	got := m.Merge(nil, k, runs)
	hits, dropped, exhausted := oracle(k, lists...)
	if diff := cmp.Diff(hits, got.Hits, cmpopts.EquateEmpty()); diff != "" {
		t.Fatalf("seed %d, k %d: hits differ (-want +got):\n%s", seed, k, diff)
	}
	if got.Dropped != dropped || got.Exhausted != exhausted {
		t.Fatalf("seed %d, k %d: dropped %d, exhausted %t, want %d, %t", seed, k, got.Dropped, got.Exhausted, dropped, exhausted)
	}
	if fmt.Sprint(lists) != before {
		t.Fatalf("seed %d: the lists were changed", seed)
	}
}

func TestTopK_equalsOracle(t *testing.T) {
	var m merge.Merger // one for all: a used Merger must do as well as a new one
	for seed := range uint64(2000) {
		compareWithOracle(t, &m, seed)
	}
}

func FuzzTopK(f *testing.F) {
	for seed := range uint64(100) {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, seed uint64) { compareWithOracle(t, new(merge.Merger), seed) })
}

func TestTopK_anyOrderOfArrivalGivesTheSame(t *testing.T) {
	for seed := range uint64(500) {
		k, lists := gen(seed)
		want := merge.TopK(k, lists...)
		r := rand.New(rand.NewPCG(seed, 2))
		r.Shuffle(len(lists), func(i, j int) { lists[i], lists[j] = lists[j], lists[i] })
		if diff := cmp.Diff(want, merge.TopK(k, lists...)); diff != "" {
			t.Fatalf("seed %d: %s", seed, diff)
		}
	}
}

func TestTopK_newestVersionWinsFromBehindTheCut(t *testing.T) {
	stale, fresh := hit("a", .9), hit("a", .1)
	stale.Version, fresh.Version = 1, 2
	got := merge.TopK(1, whole(stale), whole(hit("b", .5), hit("c", .3), fresh))
	if len(got.Hits) != 1 || got.Hits[0].ID != "b" {
		t.Fatalf("got %v, want b: the copy of a with the high score is stale", got.Hits)
	}
}

func TestTopK_prefix(t *testing.T) {
	open := func(hits ...search.Hit) search.List { return search.List{Hits: hits, Prefix: true} }
	for name, c := range map[string]struct {
		lists []search.List
		want  bool
	}{
		"everything there":                {[]search.List{whole(hit("a", 3)), whole(hit("b", 2))}, true},
		"last row below the k-th":         {[]search.List{open(hit("a", 3), hit("x", 1)), whole(hit("b", 2))}, true},
		"last row is the k-th":            {[]search.List{open(hit("a", 3), hit("b", 2)), whole(hit("x", 1))}, true}, // two rows of it are there
		"last row ties with the k-th":     {[]search.List{open(hit("c", 2)), whole(hit("a", 3), hit("b", 2))}, false},
		"last row above the k-th":         {[]search.List{open(hit("a", 3)), whole(hit("b", 2), hit("c", 1))}, false},
		"too few hits, more may be there": {[]search.List{open(hit("a", 3)), whole()}, false},
		"empty but not exhausted":         {[]search.List{open(), whole(hit("a", 3), hit("b", 2))}, false},
		"a longer list would differ":      {[]search.List{{Hits: []search.Hit{hit("a", 3), hit("x", 1)}}, whole(hit("b", 2))}, false},
	} {
		if got := merge.TopK(2, c.lists...).Prefix; got != c.want {
			t.Errorf("%s: prefix %t, want %t", name, got, c.want)
		}
	}
}

func TestRun_countsWhatItRepairs(t *testing.T) {
	var r merge.Run
	odd := func(h *search.Hit) bool { return h.ID != "foreign" }
	r.Check(search.List{Hits: []search.Hit{hit("a", 1), hit("foreign", 5), hit("b", 2), hit("n", math.NaN())}, Dropped: 3}, odd)
	if got := r.Hits(); len(got) != 2 || got[0].ID != "b" || !r.Unsorted() || r.Dropped() != 5 {
		t.Fatalf("hits %v, unsorted %t, dropped %d", got, r.Unsorted(), r.Dropped())
	}
}

func TestMerger_allocatesNothing(t *testing.T) {
	lists := disjoint(16, 100)
	lists[3].Hits[7].ID = lists[9].Hits[50].ID // the slow road, too
	runs, m, dst := make([]merge.Run, len(lists)), new(merge.Merger), make([]search.Hit, 0, 100)
	work := func() {
		for i, l := range lists {
			runs[i].Check(l, nil)
		}
		m.Merge(dst, 100, runs)
	}
	work()
	if n := testing.AllocsPerRun(100, work); n != 0 {
		t.Fatalf("%v allocations a merge", n)
	}
}

// disjoint draws sorted lists of different points.
func disjoint(shards, rows int) []search.List {
	r := rand.New(rand.NewPCG(7, 7))
	lists := make([]search.List, shards)
	for i := range lists {
		lists[i].Prefix = true
		for j := range rows {
			h := hit(fmt.Sprintf("doc-%02d-%06d", i, j), r.Float64())
			h.Shard, h.Version = fmt.Sprint("s", i), search.Version(r.Uint64())
			lists[i].Hits = append(lists[i].Hits, h)
		}
		slices.SortFunc(lists[i].Hits, merge.Better)
	}
	return lists
}
