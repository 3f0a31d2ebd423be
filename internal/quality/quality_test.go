package quality

import (
	"fmt"
	"math"
	"slices"
	"testing"

	"github.com/lanewise/lanewise/internal/corpus"
)

func TestQuestions_areComplete(t *testing.T) {
	questions, err := Questions()
	if err != nil {
		t.Fatal(err)
	}
	kinds, texts := map[Kind]int{}, map[string]bool{}
	for _, q := range questions {
		kinds[q.Kind]++
		if q.Text == "" || len(q.Symbols) == 0 || texts[q.Text] {
			t.Errorf("question %q with %d symbols: empty, or asked twice", q.Text, len(q.Symbols))
		}
		texts[q.Text] = true
		if sorted := slices.Sorted(slices.Values(q.Symbols)); len(slices.Compact(sorted)) != len(q.Symbols) {
			t.Errorf("question %q names a symbol twice", q.Text)
		}
	}
	if len(questions) < 100 || kinds[Behaviour] < 30 || kinds[Name] < 30 || len(kinds) != 2 {
		t.Errorf("%d questions of kinds %v, want at least 100 of two kinds", len(questions), kinds)
	}
}

// TestQuestions_haveAnswers holds the symbols against the documents.
func TestQuestions_haveAnswers(t *testing.T) {
	root, err := corpus.GoRoot()
	if err != nil {
		t.Fatal(err)
	}
	ids := map[string]bool{}
	for d, err := range corpus.Godoc(root) {
		if err != nil {
			t.Fatal(err)
		}
		ids[d.ID] = true
	}
	questions, err := Questions()
	if err != nil {
		t.Fatal(err)
	}
	for _, q := range questions {
		for _, s := range q.Symbols {
			if !ids[s] {
				t.Errorf("question %q: no document %s", q.Text, s)
			}
		}
	}
}

func TestMiniLM_fitsTheQuestions(t *testing.T) {
	questions, err := Questions()
	if err != nil {
		t.Fatal(err)
	}
	r, err := MiniLM()
	if err != nil {
		t.Fatal(err)
	}
	if len(r.Ranks) != len(questions) || r.Model == "" || r.Go == "" || r.Documents < 7000 {
		t.Fatalf("%q, %s, %d documents, %d ranks for %d questions", r.Model, r.Go, r.Documents, len(r.Ranks), len(questions))
	}
	for i, q := range questions {
		if len(r.Ranks[i]) != len(q.Symbols) {
			t.Errorf("question %q: %d ranks for %d symbols", q.Text, len(r.Ranks[i]), len(q.Symbols))
		}
		for _, rank := range r.Ranks[i] {
			if rank < 0 || rank > Depth {
				t.Errorf("question %q: rank %d", q.Text, rank)
			}
		}
	}
}

func TestRanks_placesFromOne(t *testing.T) {
	q := Question{Symbols: []string{"b", "missing", "a", "late"}}
	ranking := []string{"a", "x", "b", "a"}
	for len(ranking) < Depth {
		ranking = append(ranking, "y")
	}
	ranking = append(ranking, "late")
	if got := q.Ranks(ranking); !slices.Equal(got, []int{3, 0, 1, 0}) {
		t.Errorf("ranks %v", got)
	}
	if got := q.Ranks(nil); !slices.Equal(got, []int{0, 0, 0, 0}) {
		t.Errorf("ranks %v in an empty ranking", got)
	}
}

func TestJudge_byHand(t *testing.T) {
	eleven := []int{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11}
	for _, c := range []struct {
		ranks [][]int
		want  Scores
	}{
		{nil, Scores{}},
		{[][]int{{1}}, Scores{1, 1, 1}},
		{[][]int{{0}}, Scores{}},
		{[][]int{{10}}, Scores{1, 1 / math.Log2(11), 0.1}},
		{[][]int{{11}}, Scores{0, 0, 1.0 / 11}},
		{[][]int{{3, 0}}, Scores{0.5, 0.5 / (1 + 1/math.Log2(3)), 1.0 / 3}},
		{[][]int{{2, 1}, {0, 0}}, Scores{0.5, 0.5, 0.5}},
		{[][]int{eleven}, Scores{1, 1, 1}}, // ten places cannot hold more
	} {
		got := Judge(c.ranks)
		for _, d := range []float64{got.Recall - c.want.Recall, got.NDCG - c.want.NDCG, got.MRR - c.want.MRR} {
			if math.Abs(d) > 1e-12 {
				t.Errorf("%v: %+v, want %+v", c.ranks, got, c.want)
			}
		}
	}
}

func ExampleJudge() {
	q := Question{Text: "read a whole file", Symbols: []string{"os.ReadFile"}, Kind: Behaviour}
	ranks := q.Ranks([]string{"io.ReadAll", "os.ReadFile", "os.WriteFile"})
	fmt.Println(ranks)
	fmt.Println(Judge([][]int{ranks}).MRR)
	// Output:
	// [2]
	// 0.5
}
