package embed_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"
	"pgregory.net/rapid"

	"github.com/lanewise/lanewise/balance"
	"github.com/lanewise/lanewise/embed"
	"github.com/lanewise/lanewise/fault"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const dims = 4

// fake is a provider whose vectors say what was embedded: length, first and last
// byte of the text, and the task.
type fake struct {
	space  embed.Space
	limits embed.Limits
	delay  time.Duration
	answer func(b embed.Batch) (embed.Vectors, error) // nil: as it should be

	mu     sync.Mutex
	calls  []embed.Batch
	times  []time.Time
	atOnce int // calls that run now
	most   int
}

func (f *fake) Space() embed.Space {
	if f.space == (embed.Space{}) {
		return embed.Space{Model: "fake", Dims: dims, Normalized: true}
	}
	return f.space
}

func (f *fake) Limits() embed.Limits { return f.limits }

func (f *fake) Embed(ctx context.Context, b embed.Batch) (embed.Vectors, error) {
	f.mu.Lock()
	f.calls, f.times = append(f.calls, b), append(f.times, time.Now())
	delay := f.delay
	f.atOnce++
	f.most = max(f.most, f.atOnce)
	f.mu.Unlock()
	defer func() {
		f.mu.Lock()
		defer f.mu.Unlock()
		f.atOnce--
	}()
	if delay > 0 {
		select {
		case <-time.After(delay):
		case <-ctx.Done():
			return embed.Vectors{}, ctx.Err()
		}
	}
	if f.answer != nil {
		return f.answer(b)
	}
	return vectors(b), nil
}

func (f *fake) asked() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.calls)
}

// texts returns how many texts were embedded.
func (f *fake) texts() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	n := 0
	for _, b := range f.calls {
		n += len(b.Texts)
	}
	return n
}

func row(text string, task embed.Task) []float32 {
	return []float32{float32(len(text)), float32((text + "\x00")[0]), float32(("\x00" + text)[len(text)]), float32(len(task))}
}

func vectors(b embed.Batch) embed.Vectors {
	v := embed.Vectors{Dims: dims, Tokens: 10 * len(b.Texts)}
	for _, text := range b.Texts {
		v.Data = append(v.Data, row(text, b.Task)...)
	}
	return v
}

// lane returns an Embedder over providers named "a", "b" and so on, tried in
// that order.
func lane(tb testing.TB, c embed.Config, providers ...embed.Provider) *embed.Embedder {
	tb.Helper()
	for i, p := range providers {
		c.Upstreams = append(c.Upstreams, embed.Upstream{Name: string(rune('a' + i)), Provider: p, Tier: i})
	}
	e, err := embed.New(c)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { finish(tb, e) })
	return e
}

// finish closes a lane and checks that nothing is left of its calls.
func finish(tb testing.TB, e *embed.Embedder) {
	tb.Helper()
	if err := e.Close(); err != nil {
		tb.Error(err)
	}
	for _, m := range e.Snapshot().Members {
		if m.Inflight != 0 || m.Load != 0 {
			tb.Errorf("member %s is left with %d attempts of load %d", m.Name, m.Inflight, m.Load)
		}
	}
}

func check(tb testing.TB, v embed.Vectors, texts []string, task embed.Task) {
	tb.Helper()
	if v.Rows() != len(texts) {
		tb.Fatalf("%d rows for %d texts", v.Rows(), len(texts))
	}
	for i, text := range texts {
		if want := row(text, task); !slices.Equal(v.Row(i), want) {
			tb.Errorf("row %d, of %q, is %v, want %v", i, text, v.Row(i), want)
		}
	}
}

func TestEmbed(t *testing.T) {
	f := &fake{}
	e := lane(t, embed.Config{}, f)
	for _, b := range []embed.Batch{
		{Texts: []string{"a", "bb"}},
		{Texts: []string{"a"}, Task: embed.QueryTask},
		{Texts: []string{"a", "bb", "a", ""}, Task: embed.DocumentTask},
		{Texts: []string{"a", "bb"}, Bulk: true},
		{},
	} {
		v, err := e.Embed(t.Context(), b)
		if err != nil || v.Dims != dims {
			t.Fatalf("%+v: %v, dims %d", b, err, v.Dims)
		}
		task := b.Task
		if task == "" {
			task = embed.DocumentTask
		}
		check(t, v, b.Texts, task)
	}
	if e.Space() != f.Space() {
		t.Errorf("space %+v", e.Space())
	}
}

// TestEmbed_property holds that every batch comes back in order and complete,
// whatever the limits, the cache and the repeated texts in it.
func TestEmbed_property(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		limits := embed.Limits{
			Inputs: rapid.IntRange(0, 4).Draw(r, "inputs"),
			Tokens: rapid.IntRange(0, 6).Draw(r, "tokens"),
			Bytes:  rapid.IntRange(0, 12).Draw(r, "bytes"),
		}
		f := &fake{limits: limits}
		e, err := embed.New(embed.Config{
			CacheBytes: rapid.SampledFrom([]int64{-1, 1, 1 << 20}).Draw(r, "cache"),
			Upstreams:  []embed.Upstream{{Name: "a", Provider: f}},
		})
		if err != nil {
			r.Fatal(err)
		}
		for range rapid.IntRange(1, 3).Draw(r, "batches") {
			texts := rapid.SliceOfN(rapid.SampledFrom([]string{"a", "bb", "ccccc", "日本", "dddddddddddddddd"}), 1, 12).Draw(r, "texts")
			v, err := e.Embed(context.Background(), embed.Batch{Texts: texts, Task: embed.QueryTask, Bulk: rapid.Bool().Draw(r, "bulk")})
			if err != nil {
				r.Fatal(err)
			}
			check(t, v, texts, embed.QueryTask)
		}
		for _, b := range f.calls {
			bytes := 0
			for _, text := range b.Texts {
				bytes += len(text)
			}
			if len(b.Texts) == 0 {
				r.Error("a call with no texts")
			}
			if len(b.Texts) > 1 && (limits.Inputs > 0 && len(b.Texts) > limits.Inputs || limits.Bytes > 0 && bytes > limits.Bytes) {
				r.Errorf("call with %q exceeds %+v", b.Texts, limits)
			}
		}
		finish(t, e)
	})
}

// TestEmbed_splitsByTheUpstreamsLimits holds that an upstream gets no more than
// it takes, whatever the others take, and that the parts come together in order.
func TestEmbed_splitsByTheUpstreamsLimits(t *testing.T) {
	down := false
	wide, tight := &fake{limits: embed.Limits{Inputs: 4, Bytes: 1000}}, &fake{limits: embed.Limits{Inputs: 3}}
	wide.answer = func(b embed.Batch) (embed.Vectors, error) {
		if down {
			return embed.Vectors{}, fault.New(fault.Unavailable, "down")
		}
		return vectors(b), nil
	}
	e := lane(t, embed.Config{}, wide, tight)
	texts := strings.Split("a b c d e f g h i j", " ")
	for n, want := range [][2]int{{3, 0}, {6, 5}} { // 4+4+2; then each of these parts as 3+1, 3+1, 2
		v, err := e.Embed(t.Context(), embed.Batch{Texts: texts, Bulk: true})
		if err != nil {
			t.Fatal(err)
		}
		check(t, v, texts, embed.DocumentTask)
		if wide.asked() != want[0] || tight.asked() != want[1] || v.Tokens != 100 {
			t.Errorf("round %d: %d and %d calls, %d tokens; want %v and 100", n, wide.asked(), tight.asked(), v.Tokens, want)
		}
		down = true
	}
}

func TestEmbed_boundsConcurrency(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fake{limits: embed.Limits{Inputs: 1}, delay: time.Second}
		e := lane(t, embed.Config{Parallel: 3}, f)
		start := time.Now()
		if _, err := e.Embed(t.Context(), embed.Batch{Texts: make([]string, 10), Bulk: true}); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(start); f.most != 3 || took != 4*time.Second {
			t.Errorf("%d calls at once, %v; want 3 and 4s", f.most, took)
		}
	})
}

func TestEmbed_partFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fake{limits: embed.Limits{Inputs: 1}, delay: time.Second, answer: func(b embed.Batch) (embed.Vectors, error) {
			if b.Texts[0] == "poison" {
				return embed.Vectors{}, fault.New(fault.Invalid, "too long")
			}
			return vectors(b), nil
		}}
		e := lane(t, embed.Config{Parallel: 1}, f)
		start := time.Now()
		_, err := e.Embed(t.Context(), embed.Batch{Texts: []string{"a", "poison", "b", "c", "d"}, Bulk: true})
		if !errors.Is(err, fault.Invalid) || !strings.Contains(err.Error(), "embed 5 texts: ") {
			t.Errorf("error %v", err)
		}
		if took := time.Since(start); took != 2*time.Second {
			t.Errorf("took %v: the caller waited for what is of no use to it", took)
		}
		<-time.After(time.Minute)
		if f.asked() > 3 {
			t.Errorf("%d calls: the parts behind the failure were not saved", f.asked())
		}
	})
}

// TestEmbed_wrongAnswers holds that an answer which does not fit is its
// upstream's failure, and another one is asked.
func TestEmbed_wrongAnswers(t *testing.T) {
	nan, inf := float32(math.NaN()), float32(math.Inf(-1))
	for name, v := range map[string]embed.Vectors{
		"too few rows":   {Dims: dims, Data: make([]float32, dims)},
		"too many rows":  {Dims: dims, Data: make([]float32, 3*dims)},
		"half a row":     {Dims: dims, Data: make([]float32, 2*dims-1)},
		"other dims":     {Dims: 2, Data: make([]float32, 2*2)},
		"nothing":        {},
		"zeros":          {Dims: dims, Data: []float32{0, 0, 0, 1, 0, 0, 0, 0}},
		"not a number":   {Dims: dims, Data: []float32{0, 0, 0, 0, 0, 0, nan, 0}},
		"not finite":     {Dims: dims, Data: []float32{0, 0, inf, 0, 0, 0, 0, 0}},
		"dims unstated":  {Data: make([]float32, 2*dims)},
		"negative space": {Dims: -dims, Data: make([]float32, 2*dims)},
	} {
		t.Run(name, func(t *testing.T) {
			wrong := &fake{answer: func(embed.Batch) (embed.Vectors, error) { return v, nil }}
			right := &fake{}
			texts := []string{"a", "bb"}
			got, err := lane(t, embed.Config{}, wrong, right).Embed(t.Context(), embed.Batch{Texts: texts})
			if err != nil {
				t.Fatal(err)
			}
			check(t, got, texts, embed.DocumentTask)
			if wrong.asked() != 1 || right.asked() != 1 {
				t.Errorf("asked %d and %d times", wrong.asked(), right.asked())
			}
			_, err = lane(t, embed.Config{}, wrong).Embed(t.Context(), embed.Batch{Texts: texts})
			if !errors.Is(err, fault.Unavailable) {
				t.Errorf("alone: %v", err)
			}
		})
	}
}

func TestEmbed_failsOver(t *testing.T) {
	for name, c := range map[string]struct {
		err  error
		over bool
	}{
		"down":    {fault.New(fault.Unavailable, "down"), true},
		"busy":    {fault.Busy(time.Second, "full"), true},
		"key":     {fault.New(fault.Refused, "key"), true},
		"invalid": {fault.New(fault.Invalid, "too long"), false},
	} {
		first := &fake{answer: func(embed.Batch) (embed.Vectors, error) { return embed.Vectors{}, c.err }}
		second := &fake{}
		_, err := lane(t, embed.Config{}, first, second).Embed(t.Context(), embed.Batch{Texts: []string{"a"}})
		if c.over != (err == nil) || c.over != (second.asked() == 1) || !c.over && !errors.Is(err, c.err) {
			t.Errorf("%s: %v, second asked %d times", name, err, second.asked())
		}
	}
}

func TestEmbed_settlesTheRealCost(t *testing.T) {
	var during int64
	var e *embed.Embedder
	f := &fake{}
	f.answer = func(b embed.Batch) (embed.Vectors, error) {
		during = e.Snapshot().Members[0].Load
		return vectors(b), nil
	}
	e = lane(t, embed.Config{}, f)
	if _, err := e.Embed(t.Context(), embed.Batch{Texts: []string{strings.Repeat("word", 25)}}); err != nil {
		t.Fatal(err)
	}
	if during != 25 {
		t.Errorf("load was %d during the call, want the estimate, 25", during)
	}
}

func TestNew_refuses(t *testing.T) {
	ok := &fake{}
	other := &fake{space: embed.Space{Model: "other", Dims: dims}}
	for _, c := range []struct {
		config embed.Config
		class  fault.Class
		says   []string
	}{
		{embed.Config{}, fault.Invalid, []string{"/upstreams: must not be empty"}},
		{embed.Config{Upstreams: []embed.Upstream{{Name: "a", Provider: ok}, {Name: "b"}}}, fault.Invalid, []string{"/upstreams/1/provider: is missing"}},
		{embed.Config{Upstreams: []embed.Upstream{{Name: "a", Provider: ok}, {Name: "a", Provider: ok}}}, fault.Invalid, []string{`"a"`}},
		{embed.Config{Long: "shrink", Upstreams: []embed.Upstream{{Name: "a", Provider: ok}}}, fault.Invalid, []string{"/long", "truncate"}},
		{embed.Config{Parallel: -1, Timeout: -1, CacheTTL: -1, Upstreams: []embed.Upstream{{Name: "a", Provider: ok}}}, fault.Invalid, []string{"/parallel", "/timeout", "/cache_ttl"}},
		{embed.Config{Upstreams: []embed.Upstream{{Name: "a", Provider: &fake{space: embed.Space{Model: "x"}}}}}, fault.Invalid, []string{"0 dims"}},
		{embed.Config{Upstreams: []embed.Upstream{{Name: "a", Provider: ok}, {Name: "b", Provider: other}}}, fault.Conflict,
			[]string{`"fake-4"`, `"other-4-raw"`, `"a"`, `"b"`, "/upstreams/1/provider"}},
	} {
		_, err := embed.New(c.config)
		if !errors.Is(err, c.class) {
			t.Errorf("error %v, want class %s", err, c.class)
			continue
		}
		for _, text := range c.says {
			if !strings.Contains(err.Error(), text) {
				t.Errorf("error %v, without %s", err, text)
			}
		}
	}
}

func TestEmbed_traced(t *testing.T) {
	var mu sync.Mutex
	var seen []string
	trace := &balance.Trace{Ended: func(a balance.Attempt) {
		mu.Lock()
		defer mu.Unlock()
		seen = append(seen, fmt.Sprintf("%s/%s %s %v", a.Pool, a.Member, a.Reason, a.Won))
	}}
	broken := &fake{answer: func(embed.Batch) (embed.Vectors, error) { return embed.Vectors{}, fault.New(fault.Unavailable, "x") }}
	e := lane(t, embed.Config{}, broken, &fake{})
	if _, err := e.Embed(balance.WithTrace(t.Context(), trace), embed.Batch{Texts: []string{"a"}}); err != nil {
		t.Fatal(err)
	}
	if want := []string{"embed/a first false", "embed/b failover true"}; !slices.Equal(seen, want) {
		t.Errorf("attempts %q, want %q: a request's trace must reach a shared call", seen, want)
	}
}
