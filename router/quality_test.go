package router_test

import (
	"testing"
	"time"

	"github.com/lanewise/lanewise/embed"
	"github.com/lanewise/lanewise/embed/bm25"
	"github.com/lanewise/lanewise/embed/static"
	"github.com/lanewise/lanewise/internal/corpus"
	"github.com/lanewise/lanewise/internal/quality"
	"github.com/lanewise/lanewise/router"
	"github.com/lanewise/lanewise/search"
)

// TestQuality_wordsAndMeaning asks the questions about the Go standard library in all modes. Words and
// meaning together put the answers higher than a full transformer does, whose run is recorded, and
// find about as many of them; each alone does neither.
func TestQuality_wordsAndMeaning(t *testing.T) {
	if testing.Short() {
		t.Skip("embeds and indexes the whole corpus")
	}
	if underRace {
		t.Skip("skipped under -race, where it takes as long as all others: run without it; what it calls has race tests of its own")
	}
	model, err := static.New()
	if err != nil {
		t.Fatal(err)
	}
	c := router.Config{Embedders: []embed.Provider{model}, SearchTimeout: time.Minute, WriteTimeout: time.Minute, Lexicon: func(c search.Collection) (router.Lexicon, error) {
		return bm25.New(bm25.Config{Language: c.Language, AvgLen: c.AvgLen})
	}}
	r := newRouter(t, c, grid(t, 2, 1)...)
	create(t, r, search.Collection{Name: "go", Space: model.Space().ID(), Lexical: true, Language: "en"})
	root, err := corpus.GoRoot()
	if err != nil {
		t.Fatal(err)
	}
	var points []search.Point
	for d, err := range corpus.Godoc(root) {
		if err != nil {
			t.Fatal(err)
		}
		points = append(points, search.Point{Key: search.Key{ID: d.ID}, Text: d.Text})
	}
	for len(points) > 0 {
		n := min(1000, len(points))
		upsert(t, r, "go", "", points[:n]...)
		points = points[n:]
	}
	questions, err := quality.Questions()
	if err != nil {
		t.Fatal(err)
	}
	full, err := quality.MiniLM()
	if err != nil {
		t.Fatal(err)
	}
	best := quality.Judge(full.Ranks)
	t.Logf("%-14s recall@10 %.3f  nDCG@10 %.3f  MRR %.3f", "MiniLM", best.Recall, best.NDCG, best.MRR)
	scores := map[router.Mode]quality.Scores{}
	for _, mode := range []router.Mode{router.Dense, router.Lexical, router.Hybrid} {
		var ranks [][]int
		for _, q := range questions {
			res := retrieve(t, r, router.Request{Collection: "go", Text: q.Text, Mode: mode, K: quality.Depth})
			ranks = append(ranks, q.Ranks(idsOf(res.Hits)))
		}
		s := quality.Judge(ranks)
		scores[mode] = s
		t.Logf("%-14s recall@10 %.3f  nDCG@10 %.3f  MRR %.3f", mode, s.Recall, s.NDCG, s.MRR)
	}
	if h := scores[router.Hybrid]; h.NDCG <= best.NDCG || h.MRR <= best.MRR || h.Recall <= best.Recall {
		t.Errorf("hybrid falls behind the transformer: %+v, %+v", h, best)
	}
	tellApart(t, r, questions)
	for _, alone := range []router.Mode{router.Dense, router.Lexical} {
		if s := scores[alone]; s.NDCG >= scores[router.Hybrid].NDCG || s.Recall >= scores[router.Hybrid].Recall {
			t.Errorf("%s alone is as good as hybrid: %+v", alone, s)
		}
	}
}

// tellApart holds the default of llm.floor to what it is for: the best dense score tells questions that the
// documents answer from questions about anything else.
func tellApart(t *testing.T, r *router.Router, questions []quality.Question) {
	t.Helper()
	const floor = 0.35
	above := func(text string) bool {
		res := retrieve(t, r, router.Request{Collection: "go", Text: text, Mode: router.Dense, K: 1})
		return res.Hits[0].Score >= floor
	}
	ours, strange := 0, 0
	for _, q := range questions {
		if above(q.Text) {
			ours++
		}
	}
	for _, text := range quality.Strange() {
		if above(text) {
			strange++
		}
	}
	t.Logf("floor %.2f: %d of %d questions pass, and %d of %d strange ones", floor, ours, len(questions), strange, len(quality.Strange()))
	if 100*ours < 95*len(questions) || 100*strange > 20*len(quality.Strange()) {
		t.Error("the floor does not tell them apart")
	}
}
