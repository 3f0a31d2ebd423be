package routes_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"go.uber.org/goleak"
	"pgregory.net/rapid"

	"github.com/lanewise/lanewise/fault"
	"github.com/lanewise/lanewise/llm"
	"github.com/lanewise/lanewise/llm/routes"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// letters embeds a text as how often it has each of the letters a to d: enough to tell subjects apart.
func letters(_ context.Context, texts []string) ([][]float32, error) {
	out := make([][]float32, len(texts))
	for i, text := range texts {
		for _, r := range "abcd" {
			out[i] = append(out[i], float32(strings.Count(text, string(r))))
		}
	}
	return out, nil
}

func subjects() routes.Config {
	return routes.Config{Embed: letters, Routes: []routes.Route{
		{Name: "apples", Examples: []string{"a", "aab"}, Threshold: 0.9, Target: llm.Target{Model: "small", Collection: "fruit"}},
		{Name: "both", Examples: []string{"ab"}, Threshold: 0.95, Target: llm.Target{Prompt: "careful"}},
		{Name: "cars", Examples: []string{"c"}, Target: llm.Target{Model: "large"}},
	}}
}

func table(t interface{ Fatal(args ...any) }, c routes.Config) *routes.Table {
	out, err := routes.New(c)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func TestPick(t *testing.T) {
	tab := table(t, subjects())
	for text, want := range map[string]string{
		"aaa":  "apples", // an example, times three
		"aab":  "apples", // nearer to its second example than to "both"
		"ab":   "both",   // 0.949 with apples, too
		"abc":  "cars",   // 0.577 with its example; the others are nearer, but below their thresholds
		"cccd": "cars",
		"cd":   "cars",
		"cddd": "", // 0.316
		"d":    "",
		"xyz":  "", // without a known word
	} {
		got, err := tab.Pick(t.Context(), text)
		if err != nil || got.Route != want || got.Failed != "" || len(got.Scores) != 3 {
			t.Errorf("%q goes to %+v, %v; want %q", text, got, err, want)
		}
		if !slices.IsSortedFunc(got.Scores, func(a, b llm.RouteScore) int { return int(math.Copysign(1, b.Score-a.Score)) }) {
			t.Errorf("%q: scores %v are not the best first", text, got.Scores)
		}
	}
	got, _ := tab.Pick(t.Context(), "aaa")
	if got.Target != (llm.Target{Model: "small", Collection: "fruit"}) || got.Scores[0] != (llm.RouteScore{Route: "apples", Score: 1, Threshold: 0.9}) {
		t.Errorf("%+v", got)
	}
	if got, _ := tab.Pick(t.Context(), "d"); got.Target != (llm.Target{}) {
		t.Errorf("no route has the target %+v", got.Target)
	}
}

// The score is the highest cosine with an example, and the choice the best of those that reach their thresholds.
func TestScore_againstAnOracle(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.StringMatching(`[abcdx]{1,6}`)
		var c routes.Config
		c.Embed = letters
		for i := range rapid.IntRange(1, 5).Draw(t, "routes") {
			c.Routes = append(c.Routes, routes.Route{
				Name: fmt.Sprint(i), Examples: rapid.SliceOfN(text, 1, 4).Draw(t, "examples"),
				Threshold: rapid.Float64Range(0.01, 1).Draw(t, "threshold"),
			})
		}
		question := text.Draw(t, "question")
		scores, err := table(t, c).Score(context.Background(), []string{"a", question})
		if err != nil {
			t.Fatal(err)
		}
		best, at := -1.0, ""
		for i, r := range c.Routes {
			want := -1.0
			for _, e := range r.Examples {
				want = max(want, cosine(question, e))
			}
			if math.Abs(scores[1][i]-want) > 1e-6 {
				t.Fatalf("route %d: %v, want %v", i, scores[1][i], want)
			}
			if scores[1][i] >= r.Threshold && scores[1][i] > best {
				best, at = scores[1][i], r.Name
			}
		}
		if got, err := table(t, c).Pick(context.Background(), question); got.Route != at || err != nil {
			t.Fatalf("%+v, %v; want %q", got, err, at)
		}
	})
}

func cosine(a, b string) float64 {
	v, _ := letters(context.Background(), []string{a, b})
	dot, x, y := 0.0, 0.0, 0.0
	for i := range v[0] {
		p, q := float64(v[0][i]), float64(v[1][i])
		dot, x, y = dot+p*q, x+p*p, y+q*q
	}
	if x == 0 || y == 0 {
		return 0
	}
	return dot / math.Sqrt(x*y)
}

func TestChoose(t *testing.T) {
	for _, c := range []struct {
		scores, thresholds []float64
		want               int
	}{
		{nil, nil, -1},
		{[]float64{0.4}, []float64{0.5}, -1},
		{[]float64{0.5}, []float64{0.5}, 0},
		{[]float64{0.9, 0.6}, []float64{0.95, 0.5}, 1},
		{[]float64{0.7, 0.7, 0.8}, []float64{0.5, 0.5, 0.9}, 0},
	} {
		if got := routes.Choose(c.scores, c.thresholds); got != c.want {
			t.Errorf("%v of %v: %d, want %d", c.scores, c.thresholds, got, c.want)
		}
	}
}

// The examples are embedded once, however many questions come at the beginning.
func TestPick_embedsTheExamplesOnce(t *testing.T) {
	c := subjects()
	var examples, questions atomic.Int64
	c.Embed = func(ctx context.Context, texts []string) ([][]float32, error) {
		if len(texts) > 1 {
			examples.Add(1)
		} else {
			questions.Add(1)
		}
		return letters(ctx, texts)
	}
	tab := table(t, c)
	var wait sync.WaitGroup
	for range 16 {
		wait.Go(func() {
			if got, err := tab.Pick(t.Context(), "a"); got.Route != "apples" || err != nil {
				t.Errorf("%+v, %v", got, err)
			}
		})
	}
	wait.Wait()
	if examples.Load() != 1 || questions.Load() != 16 {
		t.Errorf("the examples were embedded %d times, questions %d times", examples.Load(), questions.Load())
	}
}

// While the embedding fails questions go where they go that fit no route, and it is tried again.
func TestPick_withoutEmbedding(t *testing.T) {
	c := subjects()
	down := true
	c.Embed = func(ctx context.Context, texts []string) ([][]float32, error) {
		if down {
			return nil, fault.New(fault.Unavailable, "all embedders are down")
		}
		return letters(ctx, texts)
	}
	tab := table(t, c)
	got, err := tab.Pick(t.Context(), "a")
	if err != nil || got.Route != "" || !strings.Contains(got.Failed, "all embedders are down") {
		t.Errorf("%+v, %v", got, err)
	}
	if _, err := tab.Score(t.Context(), []string{"a"}); !errors.Is(err, fault.Unavailable) {
		t.Errorf("scores: %v", err)
	}
	down = false
	if got, err := tab.Pick(t.Context(), "a"); got.Route != "apples" || err != nil {
		t.Errorf("%+v, %v", got, err)
	}
}

// Whoever embeds the examples may hang: others leave when their own time is up.
func TestPick_timeIsUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := subjects()
		c.Embed = func(ctx context.Context, _ []string) ([][]float32, error) {
			<-ctx.Done()
			return nil, context.Cause(ctx)
		}
		tab := table(t, c)
		ctx, cancel := context.WithCancelCause(t.Context())
		for range 2 {
			go func() {
				if _, err := tab.Pick(ctx, "a"); !errors.Is(err, errEnough) {
					t.Errorf("error %v, want the context's", err)
				}
			}()
		}
		synctest.Wait()
		cancel(errEnough)
		synctest.Wait()
	})
}

var errEnough = errors.New("enough")

func TestScore_uselessVectors(t *testing.T) {
	for name, embed := range map[string]func(texts []string) [][]float32{
		"too few":     func([]string) [][]float32 { return make([][]float32, 1) },
		"other dims":  func(texts []string) [][]float32 { return ragged(len(texts)) },
		"not numbers": func(texts []string) [][]float32 { return slices.Repeat([][]float32{{float32(math.NaN())}}, len(texts)) },
	} {
		c := subjects()
		c.Embed = func(_ context.Context, texts []string) ([][]float32, error) { return embed(texts), nil }
		scores, err := table(t, c).Score(t.Context(), []string{"a", "b"})
		if name == "not numbers" {
			if err != nil || scores[0][0] != 0 {
				t.Errorf("%s: %v, %v; want nothing near to anything", name, scores, err)
			}
		} else if !errors.Is(err, fault.Unavailable) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// ragged returns vectors of which each has one number more than the one before.
func ragged(n int) [][]float32 {
	out := make([][]float32, n)
	for i := range out {
		out[i] = slices.Repeat([]float32{1}, i+1)
	}
	return out
}

func TestNew_refuses(t *testing.T) {
	for field, change := range map[string]func(*routes.Config){
		"/routes":             func(c *routes.Config) { c.Routes = nil },
		"/embed":              func(c *routes.Config) { c.Embed = nil },
		"/routes/1/name":      func(c *routes.Config) { c.Routes[1].Name = "apples" },
		"/routes/0/name":      func(c *routes.Config) { c.Routes[0].Name = "" },
		"/routes/2/examples":  func(c *routes.Config) { c.Routes[2].Examples = nil },
		"/routes/0/examples":  func(c *routes.Config) { c.Routes[0].Examples = []string{"a", ""} },
		"/routes/0/threshold": func(c *routes.Config) { c.Routes[0].Threshold = 1.1 },
		"/routes/1/threshold": func(c *routes.Config) { c.Routes[1].Threshold = math.NaN() },
	} {
		c := subjects()
		change(&c)
		if _, err := routes.New(c); !errors.Is(err, fault.Invalid) || fault.Field(err) != field {
			t.Errorf("%s: %v", field, err)
		}
	}
	if got := table(t, subjects()).Routes()[2].Threshold; got != routes.DefaultThreshold {
		t.Errorf("a route that states no threshold has %v", got)
	}
}

func BenchmarkPick(b *testing.B) {
	c := routes.Config{Embed: func(_ context.Context, texts []string) ([][]float32, error) {
		out := make([][]float32, len(texts))
		for i := range out {
			out[i] = slices.Repeat([]float32{float32(i + 1)}, 256)
		}
		return out, nil
	}}
	for i := range 10 {
		c.Routes = append(c.Routes, routes.Route{Name: fmt.Sprint(i), Examples: strings.Fields(strings.Repeat("x ", 20))})
	}
	tab := table(b, c)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := tab.Pick(b.Context(), "question"); err != nil {
			b.Fatal(err)
		}
	}
}

func ExampleTable_Pick() {
	t, err := routes.New(routes.Config{
		Embed: letters, // a real one asks a model
		Routes: []routes.Route{
			{Name: "apples", Examples: []string{"an apple a day", "a banana"}, Threshold: 0.9, Target: llm.Target{Model: "small"}},
			{Name: "cars", Examples: []string{"cc cd"}, Threshold: 0.9, Target: llm.Target{Model: "large", Collection: "manuals"}},
		},
	})
	if err != nil {
		panic(err)
	}
	r, err := t.Pick(context.Background(), "a cd of cc")
	if err != nil {
		panic(err)
	}
	fmt.Printf("route %q, model %q; %s scores %.2f\n", r.Route, r.Target.Model, r.Scores[0].Route, r.Scores[0].Score)
	r, _ = t.Pick(context.Background(), "a palm")
	fmt.Printf("route %q, model %q\n", r.Route, r.Target.Model)
	// Output:
	// route "cars", model "large"; cars scores 0.95
	// route "apples", model "small"
}
