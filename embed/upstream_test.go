package embed_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/lanewise/lanewise/balance"
	"github.com/lanewise/lanewise/embed"
	"github.com/lanewise/lanewise/fault"
)

// TestBatcher_learnsLimits holds that an upstream which refuses large calls gets
// smaller ones from then on, whatever it is that it counts.
func TestBatcher_learnsLimits(t *testing.T) {
	for name, c := range map[string]struct {
		large func(b embed.Batch) bool
		texts []string
	}{
		"texts": {func(b embed.Batch) bool { return len(b.Texts) > 10 }, letters(64)},
		"bytes": {func(b embed.Batch) bool { return len(strings.Join(b.Texts, "")) > 100 }, slices.Repeat([]string{"0123456789"}, 64)},
	} {
		f := &fake{}
		f.answer = func(b embed.Batch) (embed.Vectors, error) {
			if c.large(b) {
				return embed.Vectors{}, fault.New(fault.Invalid, "too large")
			}
			return vectors(b), nil
		}
		e := lane(t, embed.Config{}, f)
		refused := 0
		for round := range 3 {
			v, err := e.Embed(t.Context(), embed.Batch{Texts: c.texts, Bulk: true})
			if err != nil {
				t.Fatal(err)
			}
			check(t, v, c.texts, embed.DocumentTask)
			refused = 0
			for _, b := range f.calls {
				if c.large(b) {
					refused++
				}
			}
			f.calls = nil
			if round == 0 && refused == 0 {
				t.Errorf("%s: nothing was refused", name)
			}
		}
		if refused != 0 {
			t.Errorf("%s: %d calls are still too large", name, refused)
		}
	}
}

// TestBatcher_triesLargerCallsAgain holds that a limit which was learned is forgotten
// slowly: an upstream that takes more by now gets more, and one that does not is
// asked in vain no more than once in ten minutes.
func TestBatcher_triesLargerCallsAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		most := 8
		f := &fake{}
		f.answer = func(b embed.Batch) (embed.Vectors, error) {
			if len(b.Texts) > most {
				return embed.Vectors{}, fault.New(fault.Invalid, "too large")
			}
			return vectors(b), nil
		}
		e := lane(t, embed.Config{}, f)
		largest := func() (n int) {
			t.Helper()
			f.calls = nil
			if _, err := e.Embed(t.Context(), embed.Batch{Texts: letters(64), Bulk: true}); err != nil {
				t.Fatal(err)
			}
			for _, b := range f.calls {
				n = max(n, len(b.Texts))
			}
			return n
		}
		largest()
		largest()
		if got := largest(); got > most {
			t.Errorf("calls of %d texts, learned are %d", got, most)
		}
		<-time.After(relax + time.Minute)
		if got := largest(); got <= most || got > 2*most {
			t.Errorf("after a while calls of %d texts, want a little more than %d", got, most)
		}
		if got := largest(); got > most {
			t.Errorf("refused again, and calls of %d texts", got)
		}
		most = 1000
		<-time.After(24 * time.Hour)
		if got := largest(); got != 64 {
			t.Errorf("calls of %d texts to an upstream that takes all", got)
		}
	})
}

// relax is how long a learned limit is kept.
const relax = 10 * time.Minute

// TestAllDown: the error says which upstreams failed, why, and until when they are out of use.
func TestAllDown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := lane(t, embed.Config{CacheBytes: -1}, failing(fault.New(fault.Unavailable, "no route")), failing(fault.New(fault.Unavailable, "loading")))
		_, err := e.Embed(t.Context(), query("a"))
		says(t, err, fault.Unavailable, "embed/a: ", "no route", "embed/b: ", "loading")
		for range 20 {
			_, err = e.Embed(t.Context(), query("a"))
		}
		want := []string{"no route", "loading"}
		for _, m := range e.Snapshot().Members {
			if m.State != balance.Healthy { // one always stays in use
				want = append(want, m.Name+" until "+m.Until.UTC().Format(time.RFC3339))
			}
		}
		if len(want) < 3 {
			t.Error("no upstream is out of use")
		}
		says(t, err, fault.Unavailable, want...)
	})
}

// TestAllDown_busy: the same where they ask to be left alone.
func TestAllDown_busy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := lane(t, embed.Config{CacheBytes: -1}, failing(fault.Busy(7*time.Second, "rate limit")))
		until := time.Now().Add(7 * time.Second).UTC().Format(time.RFC3339)
		_, err := e.Embed(t.Context(), query("a"))
		says(t, err, fault.Overloaded, "rate limit", "a until "+until)
		if fault.RetryAfter(err) != 7*time.Second {
			t.Errorf("again in %v, want 7 s", fault.RetryAfter(err))
		}
	})
}

func failing(err error) *fake {
	return &fake{answer: func(embed.Batch) (embed.Vectors, error) { return embed.Vectors{}, err }}
}

// says checks the class of an error and what it tells.
func says(t *testing.T, err error, class fault.Class, want ...string) {
	t.Helper()
	if !errors.Is(err, class) {
		t.Errorf("%v is not %s", err, class)
		return
	}
	for _, text := range want {
		if !strings.Contains(err.Error(), text) {
			t.Errorf("%v: without %q", err, text)
		}
	}
}

// TestBatcher_isolatesPoison holds that a text which an upstream refuses fails
// only the one who asked for it, though it shared a call with others.
func TestBatcher_isolatesPoison(t *testing.T) {
	for _, bulk := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			f := &fake{delay: 10 * ms, answer: poisoned}
			e := lane(t, embed.Config{}, f)
			first := ask(t, e, 0, embed.Batch{Texts: []string{"first"}, Task: embed.QueryTask, Bulk: bulk})
			<-time.After(ms)
			var callers sync.WaitGroup
			for i := range 16 {
				callers.Go(func() {
					text := fmt.Sprint("text ", i)
					if i == 5 {
						text = "poison"
					}
					v, err := e.Embed(t.Context(), embed.Batch{Texts: []string{text}, Task: embed.QueryTask, Bulk: bulk})
					switch {
					case i == 5 && !errors.Is(err, fault.Invalid):
						t.Errorf("bulk %v: the poison's caller got %v", bulk, err)
					case i != 5 && err != nil:
						t.Errorf("bulk %v: an innocent caller got %v", bulk, err)
					case i != 5:
						check(t, v, []string{text}, embed.QueryTask)
					}
				})
			}
			first()
			callers.Wait()
			if f.asked() != 1+1+4*2 {
				t.Errorf("bulk %v: %d calls, want one of 16 and two for each halving", bulk, f.asked())
			}
		})
	}
}

func poisoned(b embed.Batch) (embed.Vectors, error) {
	if slices.Contains(b.Texts, "poison") {
		return embed.Vectors{}, fault.New(fault.Invalid, "cannot embed it")
	}
	return vectors(b), nil
}

// TestBatcher_givesUpOnTheHopeless holds that an upstream which refuses
// everything is not asked for every text alone.
func TestBatcher_givesUpOnTheHopeless(t *testing.T) {
	f := &fake{answer: func(embed.Batch) (embed.Vectors, error) {
		return embed.Vectors{}, fault.New(fault.Invalid, "no such model")
	}}
	e := lane(t, embed.Config{}, f)
	_, err := e.Embed(t.Context(), embed.Batch{Texts: letters(26), Bulk: true})
	if !errors.Is(err, fault.Invalid) || !strings.Contains(err.Error(), "no such model") || f.asked() > 14 {
		t.Errorf("%d calls, %v", f.asked(), err)
	}
}

func TestLong(t *testing.T) {
	text := strings.Repeat("word", 100)
	window := embed.Limits{Window: 50}
	for policy, want := range map[embed.Long]string{embed.Refuse: "", embed.Truncate: text[:200]} {
		whole := &fake{limits: window}
		e := lane(t, embed.Config{Long: policy}, whole)
		for _, bulk := range []bool{false, true} {
			v, err := e.Embed(t.Context(), embed.Batch{Texts: []string{"a", text}, Task: embed.DocumentTask, Bulk: bulk})
			if want == "" {
				if !errors.Is(err, fault.Invalid) || !strings.Contains(err.Error(), "text 1 is longer") || whole.asked() != 0 {
					t.Errorf("%v, asked %d times", err, whole.asked())
				}
				continue
			}
			if err != nil {
				t.Fatal(err)
			}
			check(t, v, []string{"a", want}, embed.DocumentTask)
			if !slices.Equal(v.Truncated, []int{1}) {
				t.Errorf("bulk %v: truncated %v", bulk, v.Truncated)
			}
		}
	}
}

// TestLong_upstreamKnowsBetter holds that a text which only the upstream finds
// too long is refused or shortened until it fits, and the answer says so, from
// the cache too.
func TestLong_upstreamKnowsBetter(t *testing.T) {
	f := &fake{answer: func(b embed.Batch) (embed.Vectors, error) {
		if slices.ContainsFunc(b.Texts, func(s string) bool { return len(s) > 500 }) {
			return embed.Vectors{}, fault.New(fault.Invalid, "more than 100 tokens")
		}
		return vectors(b), nil
	}}
	text := strings.Repeat("word", 200)
	if _, err := lane(t, embed.Config{}, f).Embed(t.Context(), query("a", text)); !errors.Is(err, fault.Invalid) {
		t.Errorf("refusing: %v", err)
	}
	e := lane(t, embed.Config{Long: embed.Truncate}, f)
	for range 2 {
		v, err := e.Embed(t.Context(), query("a", text))
		if err != nil {
			t.Fatal(err)
		}
		check(t, v, []string{"a", text[:448]}, embed.QueryTask)
		if !slices.Equal(v.Truncated, []int{1}) {
			t.Errorf("truncated %v", v.Truncated)
		}
	}
	if s := e.Stats(); s.Hits != 2 {
		t.Errorf("%+v", s)
	}
}

// tokenized is a provider that takes token ids, too.
type tokenized struct{ fake }

func (*tokenized) ReadsTokens() {}

// TestEmbed_tokenIDs holds that ids go through cache, batcher and halving as texts do.
func TestEmbed_tokenIDs(t *testing.T) {
	p := &tokenized{}
	p.answer = func(b embed.Batch) (embed.Vectors, error) {
		v := embed.Vectors{Dims: dims, Tokens: len(b.IDs)}
		for _, ids := range b.IDs {
			if slices.Contains(ids, 666) {
				return embed.Vectors{}, fault.New(fault.Invalid, "no such token")
			}
			v.Data = append(v.Data, float32(len(ids)), float32(ids[0]), 0, 0)
		}
		return v, nil
	}
	p.limits = embed.Limits{Inputs: 2, Window: 3}
	e := lane(t, embed.Config{Long: embed.Truncate}, p)
	batch := embed.Batch{IDs: [][]uint32{{7}, {8, 9}, {10, 11, 12, 13}}, Task: embed.QueryTask}
	for range 2 {
		v, err := e.Embed(t.Context(), batch)
		if err != nil {
			t.Fatal(err)
		}
		if want := []float32{1, 7, 0, 0, 2, 8, 0, 0, 3, 10, 0, 0}; !slices.Equal(v.Data, want) || !slices.Equal(v.Truncated, []int{2}) {
			t.Errorf("%v, truncated %v; want %v", v.Data, v.Truncated, want)
		}
	}
	if s := e.Stats(); s.Hits != 3 || s.Misses != 3 || len(batch.IDs[2]) != 4 {
		t.Errorf("%+v; the caller's ids %v", s, batch.IDs)
	}
	if _, err := e.Embed(t.Context(), embed.Batch{IDs: [][]uint32{{1}, {666}}, Bulk: true}); !errors.Is(err, fault.Invalid) {
		t.Errorf("an unknown token: %v", err)
	}
	if _, err := lane(t, embed.Config{}, &fake{}).Embed(t.Context(), batch); !errors.Is(err, fault.Invalid) || !strings.Contains(err.Error(), "no token ids") {
		t.Errorf("an upstream that takes texts only: %v", err)
	}
}
