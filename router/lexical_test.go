package router_test

import (
	"context"
	"errors"
	"hash/fnv"
	"math"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/lanewise/lanewise/embed"
	"github.com/lanewise/lanewise/fault"
	"github.com/lanewise/lanewise/router"
	"github.com/lanewise/lanewise/search"
)

// spaces is a lexicon of the words between spaces, each weighed by its idf.
type spaces struct{}

func (spaces) Document(text string) search.Sparse { return wordsOf(text) }
func (spaces) Query(text string) search.Sparse    { return wordsOf(text) }

func lexicon(c search.Collection) (router.Lexicon, error) {
	if c.Language == "xx" {
		return nil, fault.BadField("/language", "nobody speaks xx")
	}
	return spaces{}, nil
}

func (spaces) Weigh(terms search.Sparse, stats search.TermStats) (search.Sparse, error) {
	out := search.Sparse{Index: terms.Index}
	for _, n := range stats.Counts {
		df := min(float64(n), float64(stats.Docs))
		out.Value = append(out.Value, float32(math.Log(1+(float64(stats.Docs)-df+0.5)/(df+0.5))))
	}
	return out, nil
}

func wordsOf(text string) (v search.Sparse) {
	counts := map[uint32]float32{}
	for word := range strings.FieldsSeq(text) {
		h := fnv.New32a()
		h.Write([]byte(word))
		counts[h.Sum32()]++
	}
	for i := range counts {
		v.Index = append(v.Index, i)
	}
	slices.Sort(v.Index)
	for _, i := range v.Index {
		v.Value = append(v.Value, counts[i])
	}
	return v
}

// wordy adds lexical legs to a store, by looking at every point that was written.
type wordy struct {
	search.Store
	mu     sync.Mutex
	points map[search.Key]search.Point
	mute   error // that it answers about terms with
	asked  int   // how often it was asked about terms
}

func withWords(s search.Store) *wordy { return &wordy{Store: s, points: map[search.Key]search.Point{}} }

func (w *wordy) Write(ctx context.Context, b search.Batch) (search.Written, error) {
	w.mu.Lock()
	for _, p := range b.Upserts {
		w.points[p.Key] = p
	}
	for _, d := range b.Deletes {
		delete(w.points, d.Key)
	}
	w.mu.Unlock()
	return w.Store.Write(ctx, b)
}

func (w *wordy) TermStats(_ context.Context, q search.TermQuery) (search.TermStats, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.asked++
	stats := search.TermStats{Counts: make([]uint64, len(q.Terms))}
	for _, p := range w.points {
		if p.Tenant != q.Tenant || len(p.Sparse.Index) == 0 {
			continue
		}
		stats.Docs++
		for i, term := range q.Terms {
			if slices.Contains(p.Sparse.Index, term) {
				stats.Counts[i]++
			}
		}
	}
	return stats, w.mute
}

func (w *wordy) Search(ctx context.Context, q search.Query) (search.Result, error) {
	dense := q
	dense.Complete = false // of a part of the legs it would not be
	dense.Legs = slices.DeleteFunc(slices.Clone(q.Legs), func(l search.Leg) bool { return len(l.Sparse.Index) > 0 })
	var res search.Result
	if len(dense.Legs) > 0 {
		var err error
		if res, err = w.Store.Search(ctx, dense); err != nil {
			return res, err
		}
	}
	for i, l := range q.Legs {
		if len(l.Sparse.Index) > 0 {
			res.Lists = slices.Insert(res.Lists, i, w.rank(q.Tenant, l))
		}
	}
	return res, nil
}

func (w *wordy) rank(tenant string, l search.Leg) search.List {
	w.mu.Lock()
	defer w.mu.Unlock()
	list := search.List{Prefix: true}
	for _, p := range w.points {
		score := product(l.Sparse, p.Sparse)
		if p.Tenant == tenant && (l.Only == nil && score > 0 || slices.Contains(l.Only, p.Key)) {
			list.Hits = append(list.Hits, search.Hit{Point: p, Score: score, Raw: score})
		}
	}
	slices.SortFunc(list.Hits, func(a, b search.Hit) int {
		if a.Score != b.Score {
			return map[bool]int{true: -1, false: 1}[a.Score > b.Score]
		}
		return a.Compare(b.Key)
	})
	list.Exhausted = len(list.Hits) <= l.K
	list.Hits = list.Hits[:min(l.K, len(list.Hits))]
	return list
}

func product(q, d search.Sparse) (sum float64) {
	for i, term := range q.Index {
		if j, ok := slices.BinarySearch(d.Index, term); ok {
			sum += float64(q.Value[i]) * float64(d.Value[j])
		}
	}
	return sum
}

// lexicalRouter has shards of one wordy replica each, and a lexical collection "notes" of letters.
func lexicalRouter(t *testing.T, c router.Config, shards int) (*router.Router, []*wordy) {
	t.Helper()
	var grid [][]search.Store
	var all []*wordy
	for _, s := range locals(t, shards) {
		all = append(all, withWords(s))
		grid = append(grid, []search.Store{all[len(all)-1]})
	}
	c.Embedders, c.Lexicon = []embed.Provider{letters{}}, lexicon
	r := newRouter(t, c, grid...)
	create(t, r, search.Collection{Name: "notes", Space: letters{}.Space().ID(), Lexical: true})
	return r, all
}

func note(id, text string) search.Point {
	return search.Point{Key: search.Key{ID: id}, Text: text}
}

// ids joins the ids of an answer.
func ids(res router.Response) string { return strings.Join(idsOf(res.Hits), " ") }

func TestRetrieve_modes(t *testing.T) {
	r, _ := lexicalRouter(t, router.Config{}, 3)
	upsert(t, r, "notes", "", note("near", "aab aab"), note("word", "zzz hh"), note("both", "aab zzz"), note("far", "gh gh"))
	for mode, want := range map[router.Mode]struct{ hits, said string }{
		"":             {"both", "hybrid"},
		router.Auto:    {"both", "hybrid"},
		router.Hybrid:  {"both", "hybrid"},
		router.Lexical: {"both", "lexical"},
		router.Dense:   {"both", "dense"},
	} {
		res := retrieve(t, r, router.Request{Collection: "notes", Text: "aab zzz", Mode: mode, K: 2})
		if got := ids(res); !strings.HasPrefix(got, want.hits) || res.Report.Mode != want.said || !res.Report.Complete {
			t.Errorf("mode %q: hits %q, mode %q", mode, got, res.Report.Mode)
		}
	}
	res := retrieve(t, r, router.Request{Collection: "notes", Text: "zzz"})
	if h := res.Hits[0]; len(h.Legs) != 2 || h.Legs[1].Rank == 0 || h.Legs[1].Score <= 0 {
		t.Errorf("no provenance: %+v", h.Legs)
	}
}

// A threshold on the dense leg holds for what words brought in, too, however the legs are fused.
func TestRetrieve_minScoreOfHybrid(t *testing.T) {
	r, _ := lexicalRouter(t, router.Config{}, 2)
	upsert(t, r, "notes", "", note("near", "aab aab"), note("word", "zzz hh"), note("both", "aab zzz"), note("far", "gh gh"))
	half := 0.5
	for _, fusion := range []router.Fusion{"completed", "rrf", "dbsf"} {
		res := retrieve(t, r, router.Request{Collection: "notes", Text: "aab zzz", MinScore: &half, Fusion: fusion})
		if got := ids(res); got != "both near" {
			t.Errorf("%s: got %q", fusion, got)
		}
	}
}

func TestRetrieve_textWithoutWords(t *testing.T) {
	r, _ := lexicalRouter(t, router.Config{}, 2)
	upsert(t, r, "notes", "", note("a", "ab"), note("b", "gh"))
	if res := retrieve(t, r, router.Request{Collection: "notes", Text: "  ", Mode: router.Lexical}); len(res.Hits) != 0 || !res.Report.Complete {
		t.Errorf("lexical: got %+v", res)
	}
	if res := retrieve(t, r, router.Request{Collection: "notes", Text: " \t", Mode: router.Hybrid}); len(res.Hits) != 2 {
		t.Errorf("hybrid: got %q", ids(res))
	}
}

func TestRetrieve_refusesWordsThatThereAreNot(t *testing.T) {
	r, _ := lexicalRouter(t, router.Config{}, 1)
	create(t, r, search.Collection{Name: "plain", Space: letters{}.Space().ID()})
	half := 0.5
	for name, c := range map[string]struct {
		q           router.Request
		field, text string
	}{
		"no lexical leg": {router.Request{Collection: "plain", Text: "a", Mode: router.Lexical}, "/mode", "lanewise reindex plain"},
		"hybrid":         {router.Request{Collection: "plain", Text: "a", Mode: router.Hybrid}, "/mode", "lanewise reindex plain"},
		"leg":            {router.Request{Collection: "plain", Legs: []router.Leg{{Text: "a", Using: router.Words}}}, "/legs/0/using", "reindex"},
		"vector":         {router.Request{Collection: "notes", Vector: make([]float32, 8), Mode: router.Hybrid}, "/mode", "needs a text"},
		"unknown":        {router.Request{Collection: "notes", Text: "a", Mode: "both"}, "/mode", "hybrid"},
		"other vector":   {router.Request{Collection: "notes", Legs: []router.Leg{{Text: "a", Using: "title"}}}, "/legs/0/using", "none of that name"},
		"threshold":      {router.Request{Collection: "notes", Text: "a", Mode: router.Lexical, MinScore: &half}, "/min_score", "dense"},
		"mode of legs":   {router.Request{Collection: "notes", Legs: []router.Leg{{Text: "a"}}, Mode: router.Hybrid}, "/mode", "legs"},
	} {
		_, err := r.Retrieve(t.Context(), c.q)
		if fault.Of(err) != fault.Invalid || fault.Field(err) != c.field || !strings.Contains(err.Error(), c.text) {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

func TestRetrieve_shardThatCannotCount(t *testing.T) {
	r, stores := lexicalRouter(t, router.Config{StatsAge: -1}, 3)
	upsert(t, r, "notes", "", note("a", "ab zz"), note("b", "gh zz"), note("c", "zz"))
	stores[1].mute = fault.New(fault.Unavailable, "no figures today")
	q := router.Request{Collection: "notes", Text: "zz", Mode: router.Lexical}
	if _, err := r.Retrieve(t.Context(), q); !errors.Is(err, fault.Partial) {
		t.Errorf("want partial, got %v", err)
	}
	q.OnPartial = router.ReturnPartial
	res := retrieve(t, r, q)
	if len(res.Report.Missing) != 1 || res.Report.Missing[0].Reason != search.Lexical || res.Report.Complete || len(res.Hits) == 0 {
		t.Errorf("got %+v", res.Report)
	}
	for _, s := range stores {
		s.mute = fault.New(fault.Unavailable, "no figures today")
	}
	if _, err := r.Retrieve(t.Context(), q); !errors.Is(err, fault.Unavailable) {
		t.Errorf("no shard counts: got %v", err)
	}
}

func TestRetrieve_remembersHowCommonWordsAre(t *testing.T) {
	r, stores := lexicalRouter(t, router.Config{}, 1)
	upsert(t, r, "notes", "", note("a", "ab zz"))
	for range 5 {
		retrieve(t, r, router.Request{Collection: "notes", Text: "zz ab"})
		retrieve(t, r, router.Request{Collection: "notes", Text: "ab"})
	}
	if stores[0].asked != 1 {
		t.Errorf("asked %d times about the same terms", stores[0].asked)
	}
}

func TestCreateCollection_lexicalLater(t *testing.T) {
	r, _ := lexicalRouter(t, router.Config{}, 2)
	c := create(t, r, search.Collection{Name: "plain", Space: letters{}.Space().ID()})
	c.Lexical, c.AvgLen, c.Language = true, 50, "en"
	create(t, r, c)
	if got, _ := r.Collection("plain"); got != c {
		t.Errorf("got %+v", got)
	}
	c.Lexical, c.AvgLen = false, 0
	if _, err := r.CreateCollection(t.Context(), c); !errors.Is(err, fault.Conflict) {
		t.Errorf("taking the words away: got %v", err)
	}
	wordless := newRouter(t, router.Config{Lexicon: lexicon}, []search.Store{failing(nil)})
	_, err := wordless.CreateCollection(t.Context(), search.Collection{Name: "x", Dims: 2, Lexical: true})
	if fault.Field(err) != "/lexical" || !strings.Contains(err.Error(), "s0/r0") {
		t.Errorf("got %v", err)
	}
}
