package eval_test

import (
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/lanewise/lanewise/cmd/lanewise/internal/eval"
)

func file(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestRead_everyForm(t *testing.T) {
	want := []eval.Query{
		{ID: "q1", Text: "first one", Gains: map[string]float64{"a": 2, "b": 1}},
		{ID: "q2", Text: "second", Gains: map[string]float64{"c": 1}},
	}
	for name, queries := range map[string]string{
		"beir": `{"_id": "q1", "text": "first one", "metadata": {}}` + "\n\n" + `{"_id": "q2", "text": "second"}` + "\n" + `{"_id": "q3", "text": "unjudged"}`,
		"tsv":  "qid\ttext\nq1\tfirst one\r\nq2\tsecond\nq3\tunjudged\n",
		"bom":  "\ufeffq1\tfirst one\nq2\tsecond\nq3\tunjudged",
	} {
		for form, qrels := range map[string]string{
			"trec": "q1 0 a 2\nq1 0 b 1\nq1 0 z 0\nq2 Q0 c 1\n",
			"beir": "query-id\tcorpus-id\tscore\nq1\ta\t2\nq1\tb\t1\nq1\tz\t-1\nq2\tc\t1",
		} {
			got, skipped, err := eval.Read(file(t, queries), file(t, qrels))
			if d := cmp.Diff(want, got); d != "" || skipped != 1 || err != nil {
				t.Errorf("%s, %s: %d skipped, %v\n%s", name, form, skipped, err, d)
			}
		}
	}
}

func TestRead_namesTheLine(t *testing.T) {
	const fine, judged = "q1\tx", "q1 0 a 1"
	for _, c := range []struct{ queries, qrels, want string }{
		{"q1", judged, ":1: neither"},
		{"q1\tx\nq1\ty", judged, `:2: query "q1" is there twice`},
		{`{"_id": "q1"}`, judged, `:1: query "q1" has no text`},
		{`{"text": "x"}`, judged, ":1: the query has no id"},
		{`{"_id"`, judged, ":1: unexpected end"},
		{fine, "q1 a", ":1: 2 fields"},
		{fine, "q1 0 a 1\nq1 0 a much", `:2: relevance "much" is no number`},
		{fine, "q2 0 a 1", "judges none of the queries"},
		{strings.Repeat("x", 5<<20), judged, ":1: "},
	} {
		if _, _, err := eval.Read(file(t, c.queries), file(t, c.qrels)); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%.20q, %q: got %v, want %q", c.queries, c.qrels, err, c.want)
		}
	}
	if _, _, err := eval.Read(filepath.Join(t.TempDir(), "none"), file(t, judged)); !os.IsNotExist(err) {
		t.Errorf("got %v", err)
	}
}

func TestJudge_byHand(t *testing.T) {
	queries := []eval.Query{
		{ID: "q1", Gains: map[string]float64{"a": 2, "b": 1, "c": 1}},
		{ID: "q2", Gains: map[string]float64{"d": 1}},
	}
	s := eval.Judge("dense", queries, [][]string{{"x", "a", "b", "c"}, {"x", "y", "z", "d"}}, 3)
	dcg := 2/math.Log2(3) + 1/math.Log2(4)
	ideal := 2 + 1/math.Log2(3) + 1/math.Log2(4)
	if want := dcg / ideal / 2; math.Abs(s.NDCG.Mean-want) > 1e-12 {
		t.Errorf("nDCG is %v, want %v", s.NDCG.Mean, want)
	}
	if s.Recall.Mean != (2.0/3)/2 || s.MRR.Mean != (0.5+0.25)/2 || s.Queries != 2 {
		t.Errorf("got %+v", s)
	}
	if empty := eval.Judge("", queries, [][]string{nil, nil}, 3); empty.NDCG.Mean != 0 || empty.MRR.High != 0 {
		t.Errorf("nothing found: got %+v", empty)
	}
}

// The interval of a mean of coin tosses is known: 1.96 standard errors to either side.
func TestJudge_intervals(t *testing.T) {
	var queries []eval.Query
	var ranked [][]string
	for i := range 400 {
		queries = append(queries, eval.Query{ID: fmt.Sprint(i), Gains: map[string]float64{"a": 1}})
		ranked = append(ranked, [][]string{{"a"}, {"b"}}[i%2])
	}
	s := eval.Judge("", queries, ranked, 10)
	half := 1.96 * 0.5 / math.Sqrt(400)
	if f := s.Recall; f.Mean != 0.5 || math.Abs(f.Low-(0.5-half)) > 0.01 || math.Abs(f.High-(0.5+half)) > 0.01 {
		t.Errorf("got %+v, want 0.5 ± %.3f", f, half)
	}
	if again := eval.Judge("", queries, ranked, 10); again != s {
		t.Errorf("the same rankings give %+v, then %+v", s, again)
	}
}

func ExampleJudge() {
	q := []eval.Query{{ID: "q1", Text: "toll", Gains: map[string]float64{"lanes": 1}}}
	s := eval.Judge("hybrid", q, [][]string{{"roads", "lanes"}}, 10)
	fmt.Printf("%.2f %.2f %.2f\n", s.NDCG.Mean, s.Recall.Mean, s.MRR.Mean)
	// Output: 0.63 1.00 0.50
}
