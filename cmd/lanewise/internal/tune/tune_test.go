package tune_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/lanewise/lanewise/cmd/lanewise/internal/tune"
)

func TestRead(t *testing.T) {
	got, err := tune.Read(strings.NewReader("{\"text\": \"boil\", \"route\": \"b\"}\n\n  {\"route\": \"\", \"text\": \"x\"}\n"), []string{"a", "b"})
	if err != nil || len(got) != 2 || got[0].Line != 1 || got[0].Want != 1 || got[1].Line != 3 || got[1].Want != -1 || got[1].Text != "x" {
		t.Errorf("%+v, %v", got, err)
	}
}

func TestRead_namesWhatIsWrong(t *testing.T) {
	for line, want := range map[string]string{
		"":                          "no lines",
		"boil":                      "line 1: is not",
		`{"text": 5, "route": "a"}`: "line 1: is not",
		`{"text": "x"}`:             "line 1: has no route",
		`{"text": "", "route": ""}`: "line 1: has no text",
		`{"text": "x", "rout": ""}`: `unknown field "rout"`,
		`{"text": "x", "route": ""}` + "\n" + `{"text": "x", "route": "c"}`: `line 2: names the route "c", which there is not: a, b`,
	} {
		if _, err := tune.Read(strings.NewReader(line), []string{"a", "b"}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %s", line, err, want)
		}
	}
}

// some are samples of two routes.
func some() []tune.Sample {
	return []tune.Sample{
		{Want: 0, Scores: []float64{0.9, 0.1}},
		{Want: 0, Scores: []float64{0.4, 0.1}}, // below its threshold
		{Want: 1, Scores: []float64{0.2, 0.7}},
		{Want: 1, Scores: []float64{0.8, 0.6}}, // nearer to the other
		{Want: -1, Scores: []float64{0.3, 0.2}},
		{Want: -1, Scores: []float64{0.1, 0.55}}, // near to one all the same
	}
}

func TestJudge(t *testing.T) {
	got := tune.Judge(some(), []float64{0.5, 0.5})
	want := [][]int{{1, 0, 1}, {1, 1, 0}, {0, 1, 1}}
	if got.Right != 3 || got.Samples != 6 || got.Accuracy() != 0.5 || !slices.Equal(got.Missed, []int{1, 3, 5}) || fmt.Sprint(got.Taken) != fmt.Sprint(want) {
		t.Errorf("%+v, want %v taken", got, want)
	}
}

func TestBest(t *testing.T) {
	got := tune.Best(some(), []float64{0.5, 0.5})
	// The first threshold between 0.3 and 0.4 takes the second sample in; the second between 0.55 and 0.7 leaves the last out.
	if r := tune.Judge(some(), got); r.Right != 5 || got[0] < 0.3 || got[0] > 0.4 || got[1] < 0.55 || got[1] > 0.7 {
		t.Errorf("%v sort %d of 6 right, want 5", got, r.Right)
	}
	if got[0] != 0.35 || got[1] != 0.625 {
		t.Errorf("%v are not in the middle of where they may be", got)
	}
}

// The thresholds found are never worse than those given, and with one route they are the best there are.
func TestBest_againstAllThresholds(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(1, 3).Draw(t, "routes")
		samples := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) tune.Sample {
			s := tune.Sample{Want: rapid.IntRange(-1, n-1).Draw(t, "want")}
			for range n {
				s.Scores = append(s.Scores, float64(rapid.IntRange(-5, 20).Draw(t, "score"))/20)
			}
			return s
		}), 1, 30).Draw(t, "samples")
		given := make([]float64, n)
		for i := range given {
			given[i] = float64(rapid.IntRange(1, 20).Draw(t, "threshold")) / 20
		}
		got := tune.Best(samples, given)
		right := tune.Judge(samples, got).Right
		if right < tune.Judge(samples, given).Right {
			t.Fatalf("%v sort %d right, fewer than %v", got, right, given)
		}
		for _, x := range got {
			if !(x > 0 && x <= 1) {
				t.Fatalf("%v is no threshold", x)
			}
		}
		for i := 1; n == 1 && i <= 40; i++ {
			if other := tune.Judge(samples, []float64{float64(i) / 40}).Right; other > right {
				t.Fatalf("%v sorts %d right, %v sorts %d", got, right, float64(i)/40, other)
			}
		}
	})
}
