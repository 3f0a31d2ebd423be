package static

import (
	"cmp"
	"encoding/json"
	"flag"
	"os"
	"runtime"
	"slices"
	"testing"

	"github.com/lanewise/lanewise/internal/corpus"
	"github.com/lanewise/lanewise/internal/quality"
)

// goDocs reads the doc comments of the Go installation.
func goDocs(tb testing.TB) (docs []corpus.Document) {
	tb.Helper()
	root, err := corpus.GoRoot()
	if err != nil {
		tb.Fatal(err)
	}
	for d, err := range corpus.Godoc(root) {
		if err != nil {
			tb.Fatal(err)
		}
		docs = append(docs, d)
	}
	return docs
}

// writeCorpus writes the documents for distil/quality.py: a line with the
// version of Go, then a line for each document.
func writeCorpus(t *testing.T, path string, docs []corpus.Document) {
	t.Helper()
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	enc := json.NewEncoder(f)
	err = enc.Encode(map[string]string{"go": runtime.Version()})
	for _, d := range docs {
		err = cmp.Or(err, enc.Encode(map[string]string{"id": d.ID, "text": d.Text}))
	}
	if err != nil {
		t.Fatal(err)
	}
}

// rankAll compares the questions with every document and returns the places of
// their answers.
func rankAll(t *testing.T, questions []quality.Question, docs []corpus.Document) [][]int {
	t.Helper()
	p := newProvider(t)
	texts := make([]string, len(docs))
	for i, d := range docs {
		texts[i] = d.Text
	}
	rows := vectorsOf(t, p, true, texts...)
	ranks := make([][]int, len(questions))
	for i, q := range questions {
		ranks[i] = q.Ranks(ranking(docs, rows.Data, vectorsOf(t, p, false, q.Text).Data))
	}
	return ranks
}

// ranking returns the ids of the documents, the best first, equal ones by id.
func ranking(docs []corpus.Document, rows, query []float32) []string {
	type hit struct {
		id    string
		score float64
	}
	hits := make([]hit, len(docs))
	for i, d := range docs {
		hits[i] = hit{d.ID, product(rows[i*Dims:(i+1)*Dims], query)}
	}
	slices.SortFunc(hits, func(a, b hit) int { return cmp.Or(cmp.Compare(b.score, a.score), cmp.Compare(a.id, b.id)) })
	ids := make([]string, quality.Depth)
	for i := range ids {
		ids[i] = hits[i].id
	}
	return ids
}

// product is the cosine, since all vectors have length 1 (or 0).
func product(a, b []float32) (sum float64) {
	for i, x := range a {
		sum += float64(x) * float64(b[i])
	}
	return sum
}

var corpusFile = flag.String("corpus", "", "write the documents that TestQuality ranks to this file")

// TestQuality compares the model with the transformer that it was distilled
// from, on questions about Go's standard library, by brute force.
func TestQuality(t *testing.T) {
	questions, err := quality.Questions()
	if err != nil {
		t.Fatal(err)
	}
	full, err := quality.MiniLM()
	if err != nil {
		t.Fatal(err)
	}
	docs := goDocs(t)
	if *corpusFile != "" {
		writeCorpus(t, *corpusFile, docs)
	}
	if len(questions) != len(full.Ranks) {
		t.Fatalf("%d questions, %d in the recorded run: record it again", len(questions), len(full.Ranks))
	}
	ranks := rankAll(t, questions, docs)
	t.Logf("%d questions, %d documents (%s); recorded: %d (%s)", len(questions), len(docs), runtime.Version(), full.Documents, full.Go)
	t.Logf("%-10s %-18s %9s %8s %6s", "questions", "model", "recall@10", "nDCG@10", "MRR")
	for _, kind := range []quality.Kind{quality.Behaviour, quality.Name, ""} {
		logScores(t, kind, "static", scores(questions, ranks, kind))
		logScores(t, kind, full.Model, scores(questions, full.Ranks, kind))
	}
	got, want := quality.Judge(ranks).Recall, 0.75*quality.Judge(full.Ranks).Recall
	if got < want {
		t.Errorf("recall@10 is %.3f, want at least %.3f", got, want)
	}
}

// scores judges the questions of one kind, or all of them.
func scores(questions []quality.Question, ranks [][]int, kind quality.Kind) quality.Scores {
	var some [][]int
	for i, q := range questions {
		if kind == "" || q.Kind == kind {
			some = append(some, ranks[i])
		}
	}
	return quality.Judge(some)
}

func logScores(t *testing.T, kind quality.Kind, model string, s quality.Scores) {
	t.Helper()
	t.Logf("%-10s %-18s %9.3f %8.3f %6.3f", cmp.Or(kind, "all"), model, s.Recall, s.NDCG, s.MRR)
}
