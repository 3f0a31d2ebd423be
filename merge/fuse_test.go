package merge_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/lanewise/lanewise/merge"
	"github.com/lanewise/lanewise/search"
)

// scored returns hits from "id=score" pairs given in order.
func scored(pairs ...any) (hits []search.Hit) {
	for i := 0; i < len(pairs); i += 2 {
		hits = append(hits, hit(pairs[i].(string), pairs[i+1].(float64)))
	}
	return hits
}

// table renders fused hits as id=score, to four digits.
func table(hits []search.Hit) (rows []string) {
	for _, h := range hits {
		rows = append(rows, fmt.Sprintf("%s=%.4f", h.ID, h.Score))
	}
	return rows
}

func TestFuse_completed(t *testing.T) {
	dense := merge.Ranking{Hits: scored("a", .8, "b", .4), Completed: scored("c", -.2, "zzz", 9.), Metric: search.Cosine}
	words := merge.Ranking{Hits: scored("c", 10., "a", 5.)} // b has no words of the query
	got := table(merge.Fuse(merge.Completed, []merge.Ranking{dense, words}))
	want := []string{
		"a=0.7500", // 0.5·0.8/0.8 + 0.5·5/10
		"c=0.5000", // a cosine below 0 counts as 0, + 0.5·10/10
		"b=0.2500", // 0.5·0.4/0.8
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Fatalf("-want +got:\n%s", diff)
	}
}

func TestFuse_scales(t *testing.T) {
	for name, c := range map[string]struct {
		method  merge.Method
		ranking merge.Ranking
		want    []string
	}{
		"euclidean is 1/(1+d) of the best":       {merge.Completed, merge.Ranking{Hits: scored("a", -1., "b", -3.), Metric: search.Euclidean}, []string{"a=1.0000", "b=0.5000"}},
		"dot starts at the union's lowest":       {merge.Completed, merge.Ranking{Hits: scored("a", 5., "b", 2.), Completed: scored("b", 9.), Metric: search.Dot}, []string{"a=1.0000", "b=0.0000"}},
		"dot of one candidate adds nothing":      {merge.Completed, merge.Ranking{Hits: scored("a", 5.), Metric: search.Dot}, []string{"a=0.0000"}},
		"cosines below 0 add nothing":            {merge.Completed, merge.Ranking{Hits: scored("a", -.1, "b", -.2), Metric: search.Cosine}, []string{"a=0.0000", "b=0.0000"}},
		"a weight scales a leg":                  {merge.Completed, merge.Ranking{Hits: scored("a", 4., "b", 1.), Weight: 2}, []string{"a=2.0000", "b=0.5000"}},
		"a score that is not finite is none":     {merge.Completed, merge.Ranking{Hits: scored("a", 4., "b", math.NaN())}, []string{"a=1.0000"}},
		"an unknown method completes":            {"", merge.Ranking{Hits: scored("a", 4., "b", 1.)}, []string{"a=1.0000", "b=0.2500"}},
		"rrf counts ranks":                       {merge.RRF, merge.Ranking{Hits: scored("a", 4., "b", 1.), Weight: 61}, []string{"a=1.0000", "b=0.9839"}},
		"dbsf counts deviations from the mean":   {merge.DBSF, merge.Ranking{Hits: scored("a", 3., "b", 2., "c", 1.)}, []string{"a=0.6667", "b=0.5000", "c=0.3333"}},
		"dbsf of one hit, or of equal ones, 1/2": {merge.DBSF, merge.Ranking{Hits: scored("a", 3., "b", 3.)}, []string{"a=0.5000", "b=0.5000"}},
	} {
		if diff := cmp.Diff(c.want, table(merge.Fuse(c.method, []merge.Ranking{c.ranking}))); diff != "" {
			t.Errorf("%s: -want +got:\n%s", name, diff)
		}
	}
}

func TestFuse_saysWhereEachHitCameFrom(t *testing.T) {
	stale, fresh := hit("a", .9), hit("a", 7)
	fresh.Version, fresh.Text, fresh.Legs = 2, "newer", []search.LegScore{{Leg: 9}}
	got := merge.Fuse(merge.Completed, []merge.Ranking{
		{Hits: []search.Hit{hit("b", 1), stale}, Metric: search.Cosine},
		{Hits: []search.Hit{fresh}, Completed: []search.Hit{hit("b", 3)}},
	})
	want := []search.LegScore{{Leg: 0, Rank: 2, Score: .9}, {Leg: 1, Rank: 1, Score: 7}}
	if got[0].ID != "a" || got[0].Text != "newer" || cmp.Diff(want, got[0].Legs) != "" {
		t.Errorf("first %+v, want a with its newest text and %v", got[0], want)
	}
	want = []search.LegScore{{Leg: 0, Rank: 1, Score: 1}, {Leg: 1, Score: 3}}
	if diff := cmp.Diff(want, got[1].Legs); diff != "" {
		t.Errorf("second, -want +got:\n%s", diff)
	}
}

func TestFuse_collectionsDoNotMix(t *testing.T) {
	one, two := hit("a", 1), hit("a", 1)
	one.Collection, two.Collection = "one", "two"
	rankings := []merge.Ranking{{Collection: "one", Hits: []search.Hit{one}}, {Collection: "two", Hits: []search.Hit{two}}}
	if got := merge.Fuse(merge.RRF, rankings); len(got) != 2 {
		t.Errorf("got %v: the same id in two collections is two points", table(got))
	}
	if got := merge.Missing(rankings); len(got[0])+len(got[1]) != 0 {
		t.Errorf("missing %v: nothing to complete across collections", got)
	}
}

func TestMissing_namesEachUnknownCandidateOnce(t *testing.T) {
	got := merge.Missing([]merge.Ranking{
		{Hits: scored("a", 1., "b", .5)},
		{Hits: scored("b", 9., "c", 8.), Completed: scored("a", 0.)},
		{Hits: scored("c", 3., "d", 2.)},
	})
	want := [][]search.Key{{{ID: "c"}, {ID: "d"}}, {{ID: "d"}}, {{ID: "a"}, {ID: "b"}}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Fatalf("-want +got:\n%s", diff)
	}
}

// Hits that bring all of their scores fuse as if those had been asked for.
func TestFuse_hitsBringTheirScores(t *testing.T) {
	dense := merge.Ranking{Hits: scored("a", .8, "b", .4), Metric: search.Cosine}
	dense.Hits[0].Legs = []search.LegScore{{Leg: 0, Score: .8}, {Leg: 1, Score: 5}}
	dense.Hits[1].Legs = []search.LegScore{{Leg: 0, Score: .4}}
	words := merge.Ranking{Hits: scored("c", 10., "a", 5.)}
	words.Hits[0].Legs = []search.LegScore{{Leg: 0, Score: -.2}, {Leg: 1, Score: 10}}
	if got := merge.Missing([]merge.Ranking{dense, words}); len(got[0])+len(got[1]) != 0 {
		t.Errorf("missing %v of rankings that bring everything", got)
	}
	hits := merge.Fuse(merge.Completed, []merge.Ranking{dense, words})
	if diff := cmp.Diff([]string{"a=0.7500", "c=0.5000", "b=0.2500"}, table(hits)); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	want := [][]search.LegScore{{{Leg: 0, Rank: 1, Score: .8}, {Leg: 1, Rank: 2, Score: 5}}, {{Leg: 0, Score: -.2}, {Leg: 1, Rank: 1, Score: 10}}, {{Leg: 0, Rank: 2, Score: .4}}}
	if diff := cmp.Diff(want, [][]search.LegScore{hits[0].Legs, hits[1].Legs, hits[2].Legs}); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

// TestFuse_completedEqualsTheFormula fuses what Missing asked for and compares it with the formula over the union.
func TestFuse_completedEqualsTheFormula(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 0))
		truth := make([]map[string]float64, 2) // by leg: every point's score
		rankings := make([]merge.Ranking, 2)
		rankings[0].Metric = search.Cosine
		points, depth := rapid.IntRange(1, 40).Draw(t, "points"), rapid.IntRange(1, 20).Draw(t, "depth")
		for leg := range truth {
			truth[leg] = make(map[string]float64)
			var hits []search.Hit
			for i := range points {
				h := hit(fmt.Sprint("p", i), r.Float64()*2-1)
				truth[leg][h.ID] = h.Score
				hits = append(hits, h)
			}
			slices.SortFunc(hits, merge.Better)
			rankings[leg].Hits = hits[:min(depth, len(hits))]
		}
		for leg, keys := range merge.Missing(rankings) {
			for _, key := range keys {
				rankings[leg].Completed = append(rankings[leg].Completed, hit(key.ID, truth[leg][key.ID]))
			}
		}
		for _, h := range merge.Fuse(merge.Completed, rankings) {
			want := 0.0
			for leg := range truth {
				if best := rankings[leg].Hits[0].Score; best > 0 {
					want += .5 * max(0, truth[leg][h.ID]) / best
				}
			}
			if math.Abs(h.Score-want) > 1e-12 || len(h.Legs) != 2 {
				t.Fatalf("%s: %v from %v, want %v", h.ID, h.Score, h.Legs, want)
			}
		}
	})
}

// A hit that only one leg knows can never survive a cut that a better one of that leg does not.
func TestFuse_keepsTheOrderWithinALeg(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 0))
		method := rapid.SampledFrom([]merge.Method{merge.Completed, merge.RRF, merge.DBSF}).Draw(t, "method")
		rankings := make([]merge.Ranking, rapid.IntRange(1, 4).Draw(t, "legs"))
		for leg := range rankings {
			for range r.IntN(30) {
				id := fmt.Sprint("p", r.IntN(20))
				if !slices.ContainsFunc(rankings[leg].Hits, func(h search.Hit) bool { return h.ID == id }) {
					rankings[leg].Hits = append(rankings[leg].Hits, hit(id, r.Float64()*9))
				}
			}
			slices.SortFunc(rankings[leg].Hits, merge.Better)
		}
		lowest := make(map[int]int) // by leg: the rank of the last hit that only it knows
		for _, h := range merge.Fuse(method, rankings) {
			if len(h.Legs) == 1 {
				if s := h.Legs[0]; s.Rank < lowest[s.Leg] {
					t.Fatalf("%s: rank %d of leg %d comes behind rank %d", method, s.Rank, s.Leg, lowest[s.Leg])
				}
				lowest[h.Legs[0].Leg] = h.Legs[0].Rank
			}
		}
	})
}

func BenchmarkFuse(b *testing.B) {
	for _, method := range []merge.Method{merge.Completed, merge.RRF, merge.DBSF} {
		b.Run(fmt.Sprintf("%s/legs=2/n=50", method), func(b *testing.B) {
			lists := disjoint(2, 50)
			for i := range 25 { // half of each is in both
				lists[1].Hits[i].ID = lists[0].Hits[i].ID
			}
			rankings := []merge.Ranking{{Hits: lists[0].Hits, Metric: search.Cosine}, {Hits: lists[1].Hits}}
			b.ReportAllocs()
			for b.Loop() {
				merge.Fuse(method, rankings)
			}
		})
	}
}
