package models_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/lanewise/lanewise/balance/quota"
	"github.com/lanewise/lanewise/fault"
	"github.com/lanewise/lanewise/llm"
	"github.com/lanewise/lanewise/llm/models"
)

// long is a conversation of about n tokens.
func long(n int) []llm.Message {
	return []llm.Message{{Role: llm.User, Content: strings.Repeat("word", n-4)}}
}

// A prompt that is too long by estimate goes to the model for such prompts without a call.
func TestGenerate_windowBeforeTheCall(t *testing.T) {
	f := newFamily("small", "middle", "large")
	for i, context := range []int{1000, 10_000, 0} {
		f.config.Models[i].Window.Context = context
	}
	s := f.set(t)
	for tokens, want := range map[int]string{100: "small", 740: "small", 760: "middle", 9_700: "middle", 9_800: "large", 1e6: "large"} {
		f.log.asked = nil
		_, _, choice, err := ask(t.Context(), s, llm.Prompt{Messages: long(tokens)})
		if choice.Model != want || err != nil || len(f.log.asked) != 1 {
			t.Errorf("%d tokens: %s answers, %v, %v were asked; want %s alone", tokens, choice.Model, err, f.log.asked, want)
		}
		for _, p := range choice.Passed {
			if !errors.As(p.Err, new(*fault.WindowError)) {
				t.Errorf("%d tokens: %s was passed over for %v", tokens, p.Model, p.Err)
			}
		}
	}
}

// The answer's room counts, no more of it than the model writes.
func TestGenerate_windowWithTheAnswer(t *testing.T) {
	f := newFamily("small", "large")
	f.config.Models[0].Window = llm.Window{Context: 1000, Output: 500}
	s := f.set(t)
	for _, c := range []struct {
		prompt, limit int
		want          string
		sent          int // as the limit
	}{{400, 0, "small", 500}, {400, 100, "small", 100}, {400, 100_000, "small", 500}, {600, 450, "large", 450}, {600, 300, "small", 300}} {
		f.log.prompts = nil
		_, _, choice, err := ask(t.Context(), s, llm.Prompt{Messages: long(c.prompt), MaxTokens: c.limit})
		if choice.Model != c.want || err != nil || f.log.prompts[0].MaxTokens != c.sent {
			t.Errorf("%d+%d: %s, %v, asked for %d; want %s and %d", c.prompt, c.limit, choice.Model, err, f.log.prompts[0].MaxTokens, c.want, c.sent)
		}
	}
}

// An estimate is no reason to refuse: without another model the prompt is sent.
func TestGenerate_estimateAlone(t *testing.T) {
	f := newFamily("small")
	f.config.Models[0].Window.Context = 100
	if text, _, _, err := ask(t.Context(), f.set(t), llm.Prompt{Messages: long(500)}); text != "I am small" || err != nil {
		t.Errorf("%q, %v", text, err)
	}
}

// A prompt that can be laid out again is, for each model, and once more for one that finds it too long.
func TestGenerate_refits(t *testing.T) {
	f := newFamily("large", "small")
	f.config.Models[0].Window, f.config.Models[1].Window = llm.Window{Context: 8000}, llm.Window{Context: 1000, Output: 200}
	f.pools["large"].err = fault.New(fault.Unavailable, "down")
	var windows []llm.Window
	p := llm.Prompt{Messages: long(7000), Session: "s"}
	p.Refit = func(w llm.Window) (llm.Prompt, error) {
		windows = append(windows, w)
		return llm.Prompt{Messages: long(w.Context - 300), Session: "s", MaxTokens: 50}, nil
	}
	_, _, choice, err := ask(t.Context(), f.set(t), p)
	if choice.Model != "small" || err != nil || !slices.Equal(windows, []llm.Window{{Context: 8000, Model: "large"}, {Context: 1000, Output: 200, Model: "small"}}) {
		t.Errorf("%s, %v, laid out for %v", choice.Model, err, windows)
	}
	if last := f.log.prompts[1]; last.Tokens() != 700 || last.MaxTokens != 50 || last.Session != "s" || !last.Extra {
		t.Errorf("small was asked with %d tokens, a limit of %d, session %q, extra %v", last.Tokens(), last.MaxTokens, last.Session, last.Extra)
	}
}

func TestGenerate_refitsWhatIsTooLong(t *testing.T) {
	for name, c := range map[string]struct {
		stated, said int
		want         []int // windows that the prompt is laid out for
	}{
		"the model says":        {8000, 4000, []int{8000, 3000}},
		"the model says more":   {8000, 16000, []int{8000, 6000}},
		"the model says none":   {8000, 0, []int{8000, 6000}},
		"only the model says":   {0, 4000, []int{0, 3000}},
		"nobody knows a window": {0, 0, []int{0, 153}}, // half of 50 tokens and their answer
	} {
		f := newFamily("a")
		f.config.Models[0].Window.Context = c.stated
		f.pools["a"].err = &fault.WindowError{Limit: c.said, Message: "too long"}
		var windows []int
		_, _, _, err := ask(t.Context(), f.set(t), llm.Prompt{Refit: func(w llm.Window) (llm.Prompt, error) {
			windows = append(windows, w.Context)
			return llm.Prompt{Messages: long(50)}, nil
		}})
		if !errors.As(err, new(*fault.WindowError)) || !slices.Equal(windows, c.want) {
			t.Errorf("%s: %v, laid out for %v, want %v", name, err, windows, c.want)
		}
	}
}

// A window that an upstream has named is kept in mind, unless it is nonsense.
func TestGenerate_remembersTheWindow(t *testing.T) {
	f := newFamily("a")
	f.config.Models[0].Window.Context = 8000
	s := f.set(t)
	var windows []int
	p := llm.Prompt{Refit: func(w llm.Window) (llm.Prompt, error) {
		windows = append(windows, w.Context)
		return llm.Prompt{Messages: long(50)}, nil
	}}
	for _, said := range []int{10_000, 4000, 0, 6000, 2, 1} {
		f.pools["a"].err = &fault.WindowError{Limit: said, Message: "too long"}
		_, _, _, _ = ask(t.Context(), s, p)
	}
	if want := []int{8000, 6000, 8000, 3000, 4000, 3000, 4000, 3000, 4000, 1, 4000}; !slices.Equal(windows, want) {
		t.Errorf("laid out for %v, want %v", windows, want)
	}
}

func TestGenerate_refitFails(t *testing.T) {
	f := newFamily("a", "b")
	wrong := fault.BadField("/question", "is too long for any model")
	_, _, _, err := ask(t.Context(), f.set(t), llm.Prompt{Refit: func(llm.Window) (llm.Prompt, error) { return llm.Prompt{}, wrong }})
	if !errors.Is(err, wrong) || len(f.log.asked) != 0 {
		t.Errorf("%v, %v were asked", err, f.log.asked)
	}
}

// A model that hangs leaves half of the time to the one that stands in for it.
func TestGenerate_slowToBegin(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFamily("a", "b", "c")
		f.pools["a"].hang, f.pools["b"].hang = true, true
		ctx, cancel := context.WithTimeout(t.Context(), 8*time.Second)
		defer cancel()
		start := time.Now()
		_, _, choice, err := ask(ctx, f.set(t), llm.Prompt{})
		if took := time.Since(start); choice.Model != "c" || err != nil || took != 6*time.Second {
			t.Errorf("%s, %v after %v; want c after 6s", choice.Model, err, took)
		}
		f.pools["c"].hang = true // and nobody stands in for it
		_, _, _, err = ask(ctx, f.set(t), llm.Prompt{})
		if took := time.Since(start); !errors.Is(err, context.DeadlineExceeded) || took != 8*time.Second {
			t.Errorf("%v after %v; want the deadline's after 8s", err, took)
		}
	})
}

// The half is for the beginning alone: an answer may use all of the time.
func TestGenerate_slowToEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFamily("a", "b")
		ctx, cancel := context.WithTimeout(t.Context(), 8*time.Second)
		defer cancel()
		stream, err := f.set(t).Generate(ctx, llm.Prompt{})
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(7 * time.Second)
		if c, err := stream.Next(); c.Content != "I am " || err != nil {
			t.Errorf("%+v, %v", c, err)
		}
		_ = stream.Close()
	})
}

func TestGenerate_cost(t *testing.T) {
	f := newFamily("a", "b")
	f.pools["a"].err = fault.New(fault.Unavailable, "down")
	f.pools["b"].usage = &llm.Usage{PromptTokens: 2000, CompletionTokens: 100, CachedTokens: 1000}
	f.config.Models[0].Price = llm.Price{Prompt: 1000, Completion: 1000}
	f.config.Models[1].Price = llm.Price{Prompt: 2, Completion: 8, Cached: 1}
	var served []models.Served
	f.config.Served = func(s models.Served) { served = append(served, s) }
	_, last, _, err := ask(t.Context(), f.set(t), llm.Prompt{Tenant: "acme"})
	const want = (1000*2 + 1000*1 + 100*8) / 1e6
	if err != nil || last.Usage == nil || math.Abs(last.Usage.Cost-want) > 1e-12 || last.Usage.PromptTokens != 2000 {
		t.Errorf("%v, usage %+v; want a cost of %v", err, last.Usage, want)
	}
	if f.pools["b"].usage.Cost != 0 {
		t.Error("the upstream's own usage was written to")
	}
	if len(served) != 1 || served[0].Model != "b" || served[0].Tenant != "acme" || served[0].Usage != *last.Usage || served[0].Err != nil || len(served[0].Passed) != 1 {
		t.Errorf("told of %+v", served)
	}
}

// budget is a family whose tenants have 10,000 tokens a minute.
func budget(t *testing.T) (*family, *quota.Tenants) {
	t.Helper()
	f := newFamily("a")
	tenants, err := quota.NewTenants(quota.TenantsConfig{Limit: quota.Limit{Tokens: 10_000, Burst: 1}})
	if err != nil {
		t.Fatal(err)
	}
	f.config.Tenants = tenants
	return f, tenants
}

func TestGenerate_settlesTheAllowance(t *testing.T) {
	down := fault.New(fault.Unavailable, "down")
	for name, c := range map[string]struct {
		change func(*pool)
		used   float64
		err    error // of the answer, or its beginning
	}{
		"as reported":     {func(p *pool) { p.usage = &llm.Usage{PromptTokens: 120, CompletionTokens: 30} }, 150, nil},
		"not reported":    {func(*pool) {}, 100 + 2 + 1, nil}, // "I am " and "a"
		"nobody answered": {func(p *pool) { p.err = down }, 0, down},
		"broken off":      {func(p *pool) { p.later = down }, 100 + 2 + 1, down},
	} {
		synctest.Test(t, func(t *testing.T) {
			f, tenants := budget(t)
			c.change(f.pools["a"])
			var served []models.Served
			f.config.Served = func(s models.Served) { served = append(served, s) }
			_, _, _, err := ask(t.Context(), f.set(t), llm.Prompt{Messages: long(100), Tenant: "acme", MaxTokens: 9000})
			if !errors.Is(err, c.err) || tenants.Left("acme").Tokens != 10_000-c.used {
				t.Errorf("%s: %v, %v left; want %v used", name, err, tenants.Left("acme").Tokens, c.used)
			}
			if len(served) != 1 || !errors.Is(served[0].Err, c.err) || float64(served[0].Usage.PromptTokens+served[0].Usage.CompletionTokens) != c.used {
				t.Errorf("%s: told of %+v", name, served)
			}
		})
	}
}

// While an answer is being written its estimate is taken; a reader that leaves, or whose time ends, pays for what was written.
func TestGenerate_settlesOnce(t *testing.T) {
	for name, leave := range map[string]func(llm.Stream, context.CancelFunc){
		"closed":       func(s llm.Stream, _ context.CancelFunc) { _ = s.Close() },
		"closed twice": func(s llm.Stream, _ context.CancelFunc) { _, _ = s.Close(), s.Close() },
		"cancelled":    func(_ llm.Stream, cancel context.CancelFunc) { cancel() },
		"both":         func(s llm.Stream, cancel context.CancelFunc) { cancel(); _ = s.Close() },
	} {
		synctest.Test(t, func(t *testing.T) {
			f, tenants := budget(t)
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			s, err := f.set(t).Generate(ctx, llm.Prompt{Messages: long(100), MaxTokens: 400, Tenant: "acme"})
			if err != nil {
				t.Fatal(err)
			}
			if left := tenants.Left("acme").Tokens; left != 9500 {
				t.Errorf("%s: %v left at the beginning, want 9500", name, left)
			}
			_, _ = s.Next() // "I am "
			leave(s, cancel)
			synctest.Wait()
			if left := tenants.Left("acme").Tokens; left != 9898 {
				t.Errorf("%s: %v left, want 9898", name, left)
			}
			_ = s.Close()
		})
	}
}

func TestGenerate_allowanceUsedUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, _ := budget(t)
		f.pools["a"].usage = &llm.Usage{PromptTokens: 9_900, CompletionTokens: 100}
		s := f.set(t)
		if _, _, _, err := ask(t.Context(), s, llm.Prompt{Tenant: "acme"}); err != nil {
			t.Fatal(err)
		}
		_, _, _, err := ask(t.Context(), s, llm.Prompt{Messages: long(744), Tenant: "acme"}) // 1,000 with its answer
		if wait := fault.RetryAfter(err); !errors.Is(err, fault.Overloaded) || wait != 6*time.Second || len(f.log.asked) != 1 {
			t.Errorf("%v, after %v, %v were asked; want overloaded, for 6s", err, wait, f.log.asked)
		}
		if _, _, _, err := ask(t.Context(), s, llm.Prompt{Tenant: "other"}); err != nil {
			t.Errorf("another tenant: %v", err)
		}
	})
}

func Example() {
	small := &pool{name: "small", err: fault.New(fault.Unavailable, "no upstream is healthy"), log: &log{}}
	large := &pool{name: "large", words: []string{"Blue."}, usage: &llm.Usage{PromptTokens: 9, CompletionTokens: 2}, log: &log{}}
	s, err := models.New(models.Config{Models: []models.Model{
		{Name: "small", Aliases: []string{"default"}, Provider: small, Fallbacks: []models.Fallback{{Model: "large"}}},
		{Name: "large", Provider: large, Price: llm.Price{Prompt: 2, Completion: 8}},
	}})
	if err != nil {
		panic(err)
	}
	stream, err := s.Generate(context.Background(), llm.Prompt{Model: "default"})
	if err != nil {
		panic(err)
	}
	defer stream.Close() //nolint:errcheck // an example
	words, _ := stream.Next()
	last, _ := stream.Next()
	choice := stream.(llm.Chosen).Choice()
	fmt.Printf("%s %s answered instead of %s, for %.6f\n", words.Content, choice.Model, choice.Passed[0].Model, last.Usage.Cost)
	// Output: Blue. large answered instead of small, for 0.000034
}

// No more is reserved for an answer than the model writes.
func TestGenerate_reservesWhatTheModelWrites(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, tenants := budget(t)
		f.config.Models[0].Window.Output = 50
		s, err := f.set(t).Generate(t.Context(), llm.Prompt{Messages: long(100), MaxTokens: 9000})
		if err != nil {
			t.Fatal(err)
		}
		if left := tenants.Left("").Tokens; left != 10_000-150 {
			t.Errorf("%v left, want 9850", left)
		}
		_ = s.Close()
	})
}

// A request without an allowance of its own has the set's.
func TestGenerate_allowanceOfExtraAttempts(t *testing.T) {
	for extra, want := range map[int]string{-1: "", 1: "b", 0: "b"} {
		synctest.Test(t, func(t *testing.T) {
			f := newFamily("a", "b")
			f.pools["a"].err = fault.New(fault.Unavailable, "down")
			f.config.Extra = extra
			for i, name := range []string{"a", "b"} {
				lane, err := llm.New(llm.Config{Upstreams: []llm.Upstream{{Name: name, Provider: f.pools[name]}}})
				if err != nil {
					t.Fatal(err)
				}
				defer lane.Close() //nolint:errcheck // it has none
				f.config.Models[i].Provider = lane
			}
			_, _, choice, err := ask(t.Context(), f.set(t), llm.Prompt{})
			if choice.Model != want || (err == nil) != (want != "") {
				t.Errorf("%d extra attempts: %q answers, %v; want %q", extra, choice.Model, err, want)
			}
		})
	}
}
