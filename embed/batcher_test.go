package embed_test

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/lanewise/lanewise/embed"
	"github.com/lanewise/lanewise/fault"
)

const ms = time.Millisecond

// sent is a call as the upstream saw it: when, and which texts.
func (f *fake) sent(start time.Time) (out []string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for i, b := range f.calls {
		out = append(out, fmt.Sprintf("%v %s", f.times[i].Sub(start), strings.Join(b.Texts, ",")))
	}
	return out
}

// ask embeds texts after a while, and says when the answer was there.
func ask(t *testing.T, e *embed.Embedder, after time.Duration, b embed.Batch) func() time.Duration {
	t.Helper()
	start := time.Now()
	took := make(chan time.Duration, 1)
	go func() {
		<-time.After(after)
		v, err := e.Embed(t.Context(), b)
		if err != nil {
			t.Error(err)
		} else {
			check(t, v, b.Texts, b.Task)
		}
		took <- time.Since(start)
	}()
	return func() time.Duration { return <-took }
}

func TestBatcher_loneCallerDoesNotWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fake{delay: 5 * ms}
		e := lane(t, embed.Config{}, f)
		for _, bulk := range []bool{false, true} {
			b := query("a")
			b.Bulk = bulk
			if took := ask(t, e, 0, b)(); took != 5*ms {
				t.Errorf("bulk %v: took %v, want 5ms", bulk, took)
			}
		}
	})
}

// script is what callers ask for at which time, and the calls that come of it.
type script struct {
	delay   time.Duration
	flush   embed.Limits
	limits  embed.Limits
	timeout time.Duration
	texts   map[time.Duration][]string
	want    []string
}

func flushes() map[string]script {
	long := strings.Repeat("word", 10) // 10 tokens, 40 bytes
	return map[string]script{
		"when the upstream is idle again": {delay: 2 * ms, want: []string{"0s a", "2ms b,c", "4ms d"},
			texts: map[time.Duration][]string{0: {"a"}, ms / 2: {"b"}, ms: {"c"}, 2*ms + ms/2: {"d"}}},
		"after 3 ms": {delay: 10 * ms, want: []string{"0s a", "4ms b,c", "7.5ms d"},
			texts: map[time.Duration][]string{0: {"a"}, ms: {"b"}, 2 * ms: {"c"}, 4*ms + ms/2: {"d"}}},
		"after a tenth of the time": {delay: 10 * ms, timeout: 12 * ms, want: []string{"0s a", "2.2ms b"},
			texts: map[time.Duration][]string{0: {"a"}, ms: {"b"}}},
		"by count": {delay: 10 * ms, flush: embed.Limits{Inputs: 2}, want: []string{"0s a", "2ms b,c", "5ms d"},
			texts: map[time.Duration][]string{0: {"a"}, ms: {"b"}, 2 * ms: {"c", "d"}}},
		"by tokens": {delay: 10 * ms, flush: embed.Limits{Tokens: 11}, want: []string{"0s a", "2ms b," + long, "5ms d"},
			texts: map[time.Duration][]string{0: {"a"}, ms: {"b"}, 2 * ms: {long, "d"}}},
		"by bytes": {delay: 10 * ms, flush: embed.Limits{Bytes: 41}, want: []string{"0s a", "2ms b," + long, "5ms d"},
			texts: map[time.Duration][]string{0: {"a"}, ms: {"b"}, 2 * ms: {long, "d"}}},
		"by the upstream's count": {delay: 10 * ms, limits: embed.Limits{Inputs: 2}, want: []string{"0s a", "1ms b,c", "1ms d,e"},
			texts: map[time.Duration][]string{0: {"a"}, ms: {"b", "c", "d", "e"}}},
	}
}

// TestBatcher_flushes holds that texts wait for company only while a call is
// under way: until it ends, for 3 ms, for a tenth of the caller's time, or until
// a call is full.
func TestBatcher_flushes(t *testing.T) {
	for name, c := range flushes() {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := &fake{delay: c.delay, limits: c.limits}
				e := lane(t, embed.Config{Flush: c.flush}, f)
				start := time.Now()
				var callers sync.WaitGroup
				for at, texts := range c.texts {
					callers.Go(func() {
						<-time.After(at)
						ctx, cancel := context.WithTimeout(t.Context(), cmp.Or(c.timeout, time.Minute))
						defer cancel()
						if v, err := e.Embed(ctx, query(texts...)); err != nil {
							t.Error(err)
						} else {
							check(t, v, texts, embed.QueryTask)
						}
					})
				}
				callers.Wait()
				got := f.sent(start)
				slices.Sort(got) // of calls at the same moment either may come first
				if !slices.Equal(got, c.want) {
					t.Errorf("calls %q, want %q", got, c.want)
				}
			})
		})
	}
}

func TestBatcher_keepsTasksApart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fake{delay: 2 * ms}
		e := lane(t, embed.Config{}, f)
		start := time.Now()
		ends := []func() time.Duration{
			ask(t, e, 0, query("a")),
			ask(t, e, ms/2, embed.Batch{Texts: []string{"b"}, Task: embed.DocumentTask}),
			ask(t, e, ms, query("c")),
		}
		for _, end := range ends {
			end()
		}
		if got, want := f.sent(start), []string{"0s a", "2ms b", "4ms c"}; !slices.Equal(got, want) {
			t.Errorf("calls %q, want %q", got, want)
		}
	})
}

// TestBatcher_leavesOutWhatNobodyWaitsFor holds that a text whose callers have
// all left is not sent, and that it costs the rest neither place nor order.
func TestBatcher_leavesOutWhatNobodyWaitsFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fake{delay: 10 * ms}
		e := lane(t, embed.Config{Flush: embed.Limits{Inputs: 2}}, f)
		start := time.Now()
		first := ask(t, e, 0, query("a"))
		ctx, cancel := context.WithTimeout(t.Context(), 31*ms) // a tenth is more than 3 ms
		go func() { <-time.After(ms); cancel() }()
		<-time.After(ms / 2)
		if _, err := e.Embed(ctx, query("gone")); !errors.Is(err, context.Canceled) {
			t.Errorf("error %v", err)
		}
		second := ask(t, e, 0, query("b"))
		first()
		second()
		if got, want := f.sent(start), []string{"0s a", "4ms b"}; !slices.Equal(got, want) {
			t.Errorf("calls %q, want %q", got, want)
		}
	})
}

// TestBatcher_bulkGivesWay holds that single texts are sent ahead of bulk that
// waits, and that bulk leaves an upstream with known slots one free, or as many
// as single texts have used of late.
func TestBatcher_bulkGivesWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fake{delay: 10 * ms}
		e := slotted(t, 3, f)
		ask(t, e, 0, query("there are queries, too"))()
		f.calls, f.times = nil, nil
		start := time.Now()
		bulk := ask(t, e, 0, embed.Batch{Texts: letters(10), Bulk: true, Task: embed.DocumentTask})
		one := ask(t, e, 5*ms, query("x"))
		if took := one(); took != 15*ms {
			t.Errorf("the single text took until %v, want 15ms", took)
		}
		if took := bulk(); took != 50*ms { // two at a time
			t.Errorf("bulk took %v, want 50ms", took)
		}
		if f.most != 3 {
			t.Errorf("%d calls at once, want 3 (%q)", f.most, f.sent(start))
		}
		// Two calls of single texts: bulk has one slot left.
		f.most = 0
		ends := []func() time.Duration{ask(t, e, 0, query("y")), ask(t, e, 0, query("z")), ask(t, e, ms, query("w"))}
		<-time.After(8 * ms)
		bulk = ask(t, e, 0, embed.Batch{Texts: letters(3), Bulk: true, Task: embed.DocumentTask})
		for _, end := range ends {
			end()
		}
		if took := bulk(); took != 30*ms {
			t.Errorf("bulk took %v beside single texts, want 30ms", took)
		}
	})
}

func letters(n int) []string {
	out := make([]string, n)
	for i := range out {
		out[i] = string(rune('a' + i))
	}
	return out
}

// slotted returns a lane over one upstream with known slots, one text a call.
func slotted(t *testing.T, slots int, p embed.Provider) *embed.Embedder {
	t.Helper()
	e, err := embed.New(embed.Config{CacheBytes: -1, Upstreams: []embed.Upstream{
		{Name: "a", Provider: p, Slots: slots, Limits: embed.Limits{Inputs: 1}},
	}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { finish(t, e) })
	return e
}

// TestBatcher_waitsWithBulk holds that a bulk caller does not see that the
// upstreams were busy for a while, unless it has no time to wait.
func TestBatcher_waitsWithBulk(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		f := &fake{answer: func(b embed.Batch) (embed.Vectors, error) {
			if time.Since(start) < 20*time.Second {
				return embed.Vectors{}, fault.Busy(20*time.Second, "quota")
			}
			return vectors(b), nil
		}}
		e := lane(t, embed.Config{}, f)
		if took := ask(t, e, 0, embed.Batch{Texts: []string{"a"}, Task: embed.DocumentTask, Bulk: true})(); took != 20*time.Second || f.asked() != 2 {
			t.Errorf("took %v and %d calls", took, f.asked())
		}
		start = time.Now()
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
		defer cancel()
		_, err := e.Embed(ctx, embed.Batch{Texts: []string{"a"}, Bulk: true})
		if took := time.Since(start); !errors.Is(err, fault.Overloaded) || fault.RetryAfter(err) != 20*time.Second || took != 0 {
			t.Errorf("took %v: %v, retry after %v", took, err, fault.RetryAfter(err))
		}
	})
}

// TestBatcher_bulkCallsAreBounded holds that a bulk call that hangs is given up,
// though its caller sets no deadline, and another upstream is asked.
func TestBatcher_bulkCallsAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := lane(t, embed.Config{Timeout: 7 * time.Second}, &fake{delay: time.Hour}, &fake{delay: time.Second})
		if took := ask(t, e, 0, embed.Batch{Texts: []string{"a"}, Task: embed.DocumentTask, Bulk: true})(); took != 8*time.Second {
			t.Errorf("took %v, want 8s", took)
		}
	})
}

// TestShare_laterDeadline holds that a caller with more time than the call that
// it joined is not handed that call's end.
func TestShare_laterDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fake{delay: 4 * time.Second}
		f.answer = func(b embed.Batch) (embed.Vectors, error) {
			f.delay = ms // the next call is quick
			return vectors(b), nil
		}
		e := lane(t, embed.Config{Timeout: 3 * time.Second}, f)
		first := make(chan error, 1)
		go func() {
			_, err := e.Embed(t.Context(), query("a"))
			first <- err
		}()
		<-time.After(2 * time.Second)
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		f.mu.Lock()
		f.delay = ms
		f.mu.Unlock()
		start := time.Now()
		v, err := e.Embed(ctx, query("a"))
		if err != nil {
			t.Fatalf("the later caller, who had a minute, got %v", err)
		}
		check(t, v, []string{"a"}, embed.QueryTask)
		if err := <-first; !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("the first caller got %v", err)
		}
		if took := time.Since(start); took != time.Second+ms {
			t.Errorf("took %v, want 1.001s", took)
		}
	})
}
