package embed_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/lanewise/lanewise/embed"
	"github.com/lanewise/lanewise/fault"
)

func query(texts ...string) embed.Batch { return embed.Batch{Texts: texts, Task: embed.QueryTask} }

func TestCache_hits(t *testing.T) {
	f := &fake{}
	e := lane(t, embed.Config{}, f)
	for range 3 {
		v, err := e.Embed(t.Context(), query("a", "b"))
		if err != nil {
			t.Fatal(err)
		}
		check(t, v, []string{"a", "b"}, embed.QueryTask)
		if v.Tokens != 20 {
			t.Errorf("%d tokens, want 20: the cache keeps them", v.Tokens)
		}
		clear(v.Data) // the caller's own
	}
	if s := e.Stats(); f.asked() != 1 || s.Hits != 4 || s.Misses != 2 || s.Bytes == 0 {
		t.Errorf("asked %d times, %+v", f.asked(), s)
	}
}

func TestCache_tellsTasksApart(t *testing.T) {
	f := &fake{}
	e := lane(t, embed.Config{}, f)
	for _, task := range []embed.Task{embed.QueryTask, embed.DocumentTask} {
		v, err := e.Embed(t.Context(), embed.Batch{Texts: []string{"a"}, Task: task})
		if err != nil {
			t.Fatal(err)
		}
		check(t, v, []string{"a"}, task)
	}
}

func TestCache_leavesBulkOut(t *testing.T) {
	f := &fake{}
	e := lane(t, embed.Config{}, f)
	for range 2 {
		if _, err := e.Embed(t.Context(), embed.Batch{Texts: []string{"a"}, Bulk: true}); err != nil {
			t.Fatal(err)
		}
	}
	if s := e.Stats(); f.asked() != 2 || s != (embed.Stats{}) {
		t.Errorf("asked %d times, %+v", f.asked(), s)
	}
}

func TestCache_off(t *testing.T) {
	f := &fake{}
	e := lane(t, embed.Config{CacheBytes: -1}, f)
	for range 2 {
		if _, err := e.Embed(t.Context(), query("a")); err != nil {
			t.Fatal(err)
		}
	}
	if f.asked() != 2 {
		t.Errorf("asked %d times", f.asked())
	}
}

func TestCache_bounded(t *testing.T) {
	const limit = 20_000
	e := lane(t, embed.Config{CacheBytes: limit}, &fake{})
	for i := range 2000 {
		if _, err := e.Embed(t.Context(), query(fmt.Sprint(i))); err != nil {
			t.Fatal(err)
		}
	}
	if s := e.Stats(); s.Bytes == 0 || s.Bytes > limit {
		t.Errorf("the cache holds %d bytes, limit %d", s.Bytes, limit)
	}
}

func TestCache_neverAnError(t *testing.T) {
	fails := true
	f := &fake{answer: func(b embed.Batch) (embed.Vectors, error) {
		if fails {
			return embed.Vectors{}, fault.New(fault.Unavailable, "restarting")
		}
		return vectors(b), nil
	}}
	e := lane(t, embed.Config{}, f)
	if _, err := e.Embed(t.Context(), query("a")); !errors.Is(err, fault.Unavailable) {
		t.Fatal(err)
	}
	fails = false
	if _, err := e.Embed(t.Context(), query("a")); err != nil {
		t.Errorf("the error stayed: %v", err)
	}
}

// TestShare_equalTexts holds that callers who ask for the same text at the same
// time cost one call, also where their batches overlap in part.
func TestShare_equalTexts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fake{delay: time.Second}
		e := lane(t, embed.Config{}, f)
		var callers sync.WaitGroup
		for _, texts := range [][]string{{"a", "b"}, {"b", "c"}, {"c", "a", "d"}, {"a"}, {"a"}} {
			callers.Go(func() {
				v, err := e.Embed(t.Context(), query(texts...))
				if err != nil {
					t.Error(err)
					return
				}
				check(t, v, texts, embed.QueryTask)
			})
		}
		callers.Wait()
		if s := e.Stats(); f.texts() != 4 || s.Misses != 4 || s.Shared != 5 {
			t.Errorf("%d texts were embedded, %+v; want 4, shared 5", f.texts(), s)
		}
	})
}

// TestShare_callerLeaves holds that a caller who leaves gets its own error at
// once and fails nobody else, whether it began the call or joined it.
func TestShare_callerLeaves(t *testing.T) {
	for name, leaver := range map[string]int{"the first": 0, "a later one": 1} {
		synctest.Test(t, func(t *testing.T) {
			f := &fake{delay: 5 * time.Second}
			e := lane(t, embed.Config{}, f)
			ctx, cancel := context.WithCancelCause(t.Context())
			why := errors.New("the client left")
			errs := make([]error, 3)
			var callers sync.WaitGroup
			for i := range errs {
				callers.Go(func() {
					mine := t.Context()
					if i == leaver {
						mine = ctx
					}
					_, errs[i] = e.Embed(mine, query("a"))
					if i == leaver && !errors.Is(errs[i], why) {
						t.Errorf("%s left with %v", name, errs[i])
					}
				})
				synctest.Wait()
			}
			start := time.Now()
			cancel(why)
			synctest.Wait()
			if errs[leaver] == nil || time.Since(start) != 0 {
				t.Errorf("%s did not leave at once", name)
			}
			callers.Wait()
			for i, err := range errs {
				if i != leaver && err != nil {
					t.Errorf("%s left, caller %d failed: %v", name, i, err)
				}
			}
			if f.asked() != 1 {
				t.Errorf("%s left, %d calls", name, f.asked())
			}
		})
	}
}

// TestShare_lastCallerLeaves holds that a call which nobody waits for is
// cancelled, and that one who comes after it is not handed its end.
func TestShare_lastCallerLeaves(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fake{delay: 5 * time.Second}
		e := lane(t, embed.Config{}, f)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := e.Embed(ctx, query("a")); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("error %v", err)
		}
		if v, err := e.Embed(t.Context(), query("a")); err != nil {
			t.Errorf("the next caller: %v", err)
		} else {
			check(t, v, []string{"a"}, embed.QueryTask)
		}
		synctest.Wait()
		if f.atOnce != 0 || f.asked() != 2 {
			t.Errorf("%d calls still run, of %d", f.atOnce, f.asked())
		}
	})
}

// TestShare_poison holds that a text which is refused fails only those who
// asked for it.
func TestShare_poison(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fake{delay: time.Second, answer: func(b embed.Batch) (embed.Vectors, error) {
			if strings.Contains(strings.Join(b.Texts, " "), "poison") {
				return embed.Vectors{}, fault.New(fault.Invalid, "too long")
			}
			return vectors(b), nil
		}}
		e := lane(t, embed.Config{}, f)
		var callers sync.WaitGroup
		callers.Go(func() {
			if _, err := e.Embed(t.Context(), query("a", "poison")); !errors.Is(err, fault.Invalid) {
				t.Errorf("the one who asked: %v", err)
			}
		})
		synctest.Wait()
		callers.Go(func() {
			if v, err := e.Embed(t.Context(), query("b", "a")); err != nil {
				t.Errorf("another: %v", err)
			} else {
				check(t, v, []string{"b", "a"}, embed.QueryTask)
			}
		})
		callers.Go(func() {
			if _, err := e.Embed(t.Context(), query("poison")); !errors.Is(err, fault.Invalid) {
				t.Errorf("one who asked too: %v", err)
			}
		})
		callers.Wait()
	})
}

// TestShare_hang holds that a call which hangs ends by itself, though one caller
// after the other waits for it.
func TestShare_hang(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fake{delay: time.Hour}
		e := lane(t, embed.Config{Timeout: 3 * time.Second}, f)
		start := time.Now()
		if _, err := e.Embed(t.Context(), query("a")); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("error %v", err)
		}
		if took := time.Since(start); took != 3*time.Second {
			t.Errorf("took %v", took)
		}
		later, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		defer cancel()
		start = time.Now()
		_, _ = e.Embed(later, query("a"))
		if took := time.Since(start); took != 20*time.Second {
			t.Errorf("with a later deadline it took %v, want 20s", took)
		}
	})
}

func TestClose_endsCalls(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fake{delay: time.Hour}
		e := lane(t, embed.Config{Timeout: time.Minute}, f)
		ended := make(chan error, 1)
		go func() {
			_, err := e.Embed(t.Context(), query("a"))
			ended <- err
		}()
		synctest.Wait()
		if err := e.Close(); err != nil {
			t.Error(err)
		}
		if err := <-ended; !errors.Is(err, fault.Unavailable) || !strings.Contains(err.Error(), "closed") {
			t.Errorf("the call ended with %v", err)
		}
		for _, bulk := range []bool{false, true} {
			if _, err := e.Embed(t.Context(), embed.Batch{Texts: []string{"b"}, Bulk: bulk}); !errors.Is(err, fault.Unavailable) {
				t.Errorf("behind Close, bulk %v: %v", bulk, err)
			}
		}
	})
}

// TestShare_race hammers one lane with overlapping batches, failures and leaving
// callers; the race detector and finish look on.
func TestShare_race(t *testing.T) {
	n := 0
	var mu sync.Mutex
	f := &fake{answer: func(b embed.Batch) (embed.Vectors, error) {
		mu.Lock()
		defer mu.Unlock()
		if n++; n%7 == 0 {
			return embed.Vectors{}, fault.New(fault.Invalid, "now and then")
		}
		return vectors(b), nil
	}}
	e := lane(t, embed.Config{CacheBytes: 2000}, f)
	var callers sync.WaitGroup
	for c := range 8 {
		callers.Go(func() {
			for i := range 200 {
				ctx, cancel := context.WithCancel(t.Context())
				if i%5 == 0 {
					go cancel()
				}
				texts := []string{fmt.Sprint(i % 20), fmt.Sprint((i + c) % 20), fmt.Sprint(i % 3)}
				if v, err := e.Embed(ctx, query(texts...)); err == nil {
					check(t, v, texts, embed.QueryTask)
				}
				cancel()
			}
		})
	}
	callers.Wait()
}

func BenchmarkEmbed(b *testing.B) {
	for _, c := range []struct {
		name  string
		cache int64
		same  bool
	}{{"hit", 0, true}, {"miss", -1, false}} {
		b.Run(c.name, func(b *testing.B) {
			e := lane(b, embed.Config{CacheBytes: c.cache}, &quick{})
			batch := query("read a file line by line")
			b.ReportAllocs()
			for b.Loop() {
				if _, err := e.Embed(b.Context(), batch); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
	b.Run("direct", func(b *testing.B) {
		batch := query("read a file line by line")
		for b.Loop() {
			if _, err := (&quick{}).Embed(b.Context(), batch); err != nil {
				b.Fatal(err)
			}
		}
	})
}

// quick is a provider that costs next to nothing.
type quick struct{}

func (*quick) Space() embed.Space { return embed.Space{Model: "quick", Dims: 256, Normalized: true} }

func (*quick) Embed(_ context.Context, b embed.Batch) (embed.Vectors, error) {
	v := embed.Vectors{Dims: 256, Data: make([]float32, 256*len(b.Texts)), Tokens: 1}
	for i := range v.Rows() {
		v.Row(i)[0] = 1
	}
	return v, nil
}
