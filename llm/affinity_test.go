package llm

import (
	"testing"
	"time"
)

// calls makes n calls whose upstreams report figures by the side, and returns how
// many of the last hundred went by their key.
func calls(a *affinity, n int, report func(side arm) (Usage, time.Duration)) (byKey int) {
	a.ask("", 7) // from now on it is known
	for i := range n {
		key, side := a.ask("", 7)
		if (key != "") != (side == kept) {
			panic("a key on the wrong side")
		}
		if key != "" && i >= n-100 {
			byKey++
		}
		used, first := report(side)
		a.learn(side, used, first)
	}
	return byKey
}

// TestAffinity_switchesOff holds that affinity stays where it gains, is switched off
// where it does not, and comes back.
func TestAffinity_switchesOff(t *testing.T) {
	hits := func(with, without int) func(arm) (Usage, time.Duration) {
		return func(side arm) (Usage, time.Duration) {
			u := Usage{PromptTokens: 1000, CachedTokens: with}
			if side == free {
				u.CachedTokens = without
			}
			return u, time.Second
		}
	}
	first := func(with, without time.Duration) func(arm) (Usage, time.Duration) {
		return func(side arm) (Usage, time.Duration) {
			if side == free {
				return Usage{PromptTokens: 1000}, without
			}
			return Usage{PromptTokens: 1000}, with
		}
	}
	for _, c := range []struct {
		name   string
		report func(arm) (Usage, time.Duration)
		want   int
	}{
		{"hits are gained", hits(900, 300), 98},
		{"warm everywhere", hits(940, 930), 2},
		{"worse than nothing", hits(300, 900), 2},
		{"no word of caches, faster", first(500*time.Millisecond, time.Second), 98},
		{"no word of caches, no faster", first(980*time.Millisecond, time.Second), 2},
		{"no word of anything", func(arm) (Usage, time.Duration) { return Usage{}, 0 }, 98},
		{"no time", first(0, 0), 98},
	} {
		var a affinity
		if got := calls(&a, 5000, c.report); got != c.want {
			t.Errorf("%s: %d of 100 calls go by their key, want %d", c.name, got, c.want)
		}
	}
	var a affinity
	calls(&a, 5000, hits(940, 930))
	if got := calls(&a, 60_000, hits(940, 300)); got != 98 {
		t.Errorf("%d of 100 calls go by their key again, want 98", got)
	}
}

func TestAffinity_sessionsAreKept(t *testing.T) {
	var a affinity
	calls(&a, 5000, func(arm) (Usage, time.Duration) { return Usage{PromptTokens: 10, CachedTokens: 5}, 0 })
	for range 100 {
		if key, side := a.ask("s", 7); key != "s" || side != unmeasured {
			t.Fatalf("key %q, side %d", key, side)
		}
	}
	if key, _ := a.ask("", 8); key != "" {
		t.Errorf("a prefix that nobody has read has the key %q", key)
	}
	if key, _ := a.ask("", 0); key != "" {
		t.Errorf("a prompt without a beginning has the key %q", key)
	}
}

func TestPrompt_prefix(t *testing.T) {
	base := Prompt{Model: "m", Tenant: "t", Messages: []Message{{Role: System, Content: "be brief"}, {Role: User, Content: "a b, why?"}}, Sources: []Source{{ID: "a"}, {ID: "b"}, {ID: "c"}}}
	change := func(f func(p *Prompt)) Prompt {
		p := base
		p.Messages, p.Sources = append([]Message{}, base.Messages...), append([]Source{}, base.Sources...)
		f(&p)
		return p
	}
	for name, p := range map[string]Prompt{
		"the question":    change(func(p *Prompt) { p.Messages[1].Content = "a b, how?" }),
		"a later source":  change(func(p *Prompt) { p.Sources[2].ID = "d" }),
		"the limit":       change(func(p *Prompt) { p.MaxTokens = 5 }),
		"the first texts": change(func(p *Prompt) { p.Sources[0].Text = "x" }),
	} {
		if p.prefix() != base.prefix() {
			t.Errorf("%s changes the key", name)
		}
	}
	for name, p := range map[string]Prompt{
		"the model":    change(func(p *Prompt) { p.Model = "n" }),
		"the tenant":   change(func(p *Prompt) { p.Tenant = "u" }),
		"the system":   change(func(p *Prompt) { p.Messages[0].Content = "be kind" }),
		"first source": change(func(p *Prompt) { p.Sources[0].ID = "x" }),
		"their order":  change(func(p *Prompt) { p.Sources[0], p.Sources[1] = p.Sources[1], p.Sources[0] }),
		"no sources":   change(func(p *Prompt) { p.Sources = nil }),
	} {
		if p.prefix() == base.prefix() {
			t.Errorf("%s does not change the key", name)
		}
	}
	if got := (Prompt{}).prefix(); got != 0 {
		t.Errorf("nothing has the key %d", got)
	}
}
