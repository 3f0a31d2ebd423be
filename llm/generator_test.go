package llm_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"
	"pgregory.net/rapid"

	"github.com/lanewise/lanewise/balance"
	"github.com/lanewise/lanewise/fault"
	"github.com/lanewise/lanewise/llm"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestGenerate(t *testing.T) {
	for _, c := range []struct {
		name  string
		first *script
		want  []llm.Chunk // of the answer, "b" being {hello, stop}
		end   error
	}{
		{"answers", &script{chunks: []llm.Chunk{role, hello, world, stop}}, []llm.Chunk{hello, world, stop}, io.EOF},
		{"refuses", &script{refuse: down}, []llm.Chunk{hello, stop}, io.EOF},
		{"fails before its first words", &script{chunks: []llm.Chunk{role}, end: down}, []llm.Chunk{hello, stop}, io.EOF},
		{"ends before its first words", &script{chunks: []llm.Chunk{role}}, []llm.Chunk{hello, stop}, io.EOF},
		{"panics before its first words", &script{chunks: []llm.Chunk{role}, panics: true}, []llm.Chunk{hello, stop}, io.EOF},
		{"fails after its first words", &script{chunks: []llm.Chunk{hello, world}, end: down}, []llm.Chunk{hello, world}, down},
		{"gives an empty answer", &script{chunks: []llm.Chunk{role, stop}}, []llm.Chunk{stop}, io.EOF},
		{"only cites", &script{chunks: []llm.Chunk{{Citations: []llm.Citation{{N: 1}}}, stop}}, []llm.Chunk{{Citations: []llm.Citation{{N: 1}}}, stop}, io.EOF},
	} {
		t.Run(c.name, func(t *testing.T) {
			second := &script{chunks: []llm.Chunk{hello, stop}}
			g := lane(t, c.first, second)
			s, err := g.Generate(t.Context(), prompt)
			if err != nil {
				t.Fatal(err)
			}
			got, err := drain(s)
			if diff := cmp.Diff(c.want, got); diff != "" || err != c.end { //nolint:errorlint // it must come as it is
				t.Errorf("ended with %v, want %v\n%s", err, c.end, diff)
			}
			if _, again := s.Next(); again != err { //nolint:errorlint // the same one
				t.Errorf("ended with %v, then with %v", err, again)
			}
			if err := s.Close(); err != nil {
				t.Error(err)
			}
			finish(t, g, c.first, second)
		})
	}
}

func TestGenerate_invalidIsNotTriedElsewhere(t *testing.T) {
	first, second := &script{refuse: fault.New(fault.Invalid, "context too long")}, &script{chunks: []llm.Chunk{hello, stop}}
	g := lane(t, first, second)
	_, err := g.Generate(t.Context(), prompt)
	if !errors.Is(err, fault.Invalid) || len(second.asked) != 0 {
		t.Errorf("error %v; the second was asked %d times", err, len(second.asked))
	}
	finish(t, g, first, second)
}

func TestGenerate_allDown(t *testing.T) {
	first, second := &script{refuse: down}, &script{chunks: []llm.Chunk{role}, end: fault.Busy(time.Second, "full")}
	g := lane(t, first, second)
	_, err := g.Generate(t.Context(), prompt)
	for _, part := range []string{"generate: ", "a: down", "b: full"} {
		if err == nil || !strings.Contains(err.Error(), part) {
			t.Errorf("error %v, without %q", err, part)
		}
	}
	if fault.RetryAfter(err) != time.Second {
		t.Errorf("retry after %v", fault.RetryAfter(err))
	}
	finish(t, g, first, second)
}

func TestGenerate_model(t *testing.T) {
	p := &script{chunks: []llm.Chunk{stop}}
	g := newLane(t, llm.Config{Upstreams: []llm.Upstream{{Name: "a", Provider: p, Model: "own"}}})
	for _, model := range []string{"", "asked"} {
		asked := prompt
		asked.Model = model
		s, err := g.Generate(t.Context(), asked)
		if err != nil {
			t.Fatal(err)
		}
		_ = s.Close()
	}
	if p.asked[0].Model != "own" || p.asked[1].Model != "asked" {
		t.Errorf("models %q, %q", p.asked[0].Model, p.asked[1].Model)
	}
	finish(t, g, p)
}

// TestGenerate_aLimitBeyondReasonIsNoLoad asks for more tokens than an int64 adds up.
func TestGenerate_aLimitBeyondReasonIsNoLoad(t *testing.T) {
	p := &script{chunks: []llm.Chunk{hello, stop}}
	g := lane(t, p)
	asked := prompt
	asked.MaxTokens = math.MaxInt
	s, err := g.Generate(t.Context(), asked)
	if err != nil {
		t.Fatal(err)
	}
	if snapshot := g.Snapshot(); snapshot.Members[0].Load != 131_072 || snapshot.MeanCost != 131_077 { // the prompt is read
		t.Errorf("load %d, mean cost %v, want 131,072 and 131,077", snapshot.Members[0].Load, snapshot.MeanCost)
	}
	_ = s.Close()
	finish(t, g, p)
}

// TestGenerate_load follows the load of a member through an answer, in tokens.
func TestGenerate_load(t *testing.T) {
	p := &script{chunks: []llm.Chunk{hello, stop}}
	g := lane(t, p)
	asked := prompt
	asked.MaxTokens = 100
	s, err := g.Generate(t.Context(), asked)
	if err != nil {
		t.Fatal(err)
	}
	if m := g.Snapshot().Members[0]; m.Load != 100 || m.Inflight != 1 || g.Snapshot().MeanCost != 105 { // 1 and 4 for the message, which is read, and 100
		t.Errorf("load %d of %d attempts, want 100 of 1", m.Load, m.Inflight)
	}
	if _, err := drain(s); !errors.Is(err, io.EOF) {
		t.Fatal(err)
	}
	if m := g.Snapshot().Members[0]; m.Load != 0 || m.Good != 1 { // even before Close
		t.Errorf("load %d, %d good answers behind the end", m.Load, m.Good)
	}
	finish(t, g, p)
}

// TestGenerate_judges holds what an answer's end says about its member.
func TestGenerate_judges(t *testing.T) {
	for _, c := range []struct {
		name               string
		script             *script
		read               int // chunks, before Close
		good, unknown, bad uint64
	}{
		{"whole", &script{chunks: []llm.Chunk{hello, stop}}, 3, 1, 0, 0},
		{"failed later", &script{chunks: []llm.Chunk{hello}, end: down}, 3, 0, 0, 1},
		{"left by its reader", &script{chunks: []llm.Chunk{hello, world, stop}}, 1, 0, 1, 0},
		{"never read", &script{chunks: []llm.Chunk{hello, world, stop}}, 0, 0, 1, 0},
	} {
		g := lane(t, c.script)
		s, err := g.Generate(t.Context(), prompt)
		if err != nil {
			t.Fatal(err)
		}
		for range c.read {
			_, _ = s.Next()
		}
		_ = s.Close()
		if m := g.Snapshot().Members[0]; m.Good != c.good || m.Unknown != c.unknown || m.Bad != c.bad {
			t.Errorf("%s: good %d, unknown %d, bad %d", c.name, m.Good, m.Unknown, m.Bad)
		}
		finish(t, g, c.script)
	}
}

func TestStream_closeWhileReading(t *testing.T) {
	p := &script{chunks: []llm.Chunk{hello}, hang: true}
	g := lane(t, p)
	s, err := g.Generate(t.Context(), prompt)
	if err != nil {
		t.Fatal(err)
	}
	_, _ = s.Next()
	ended := make(chan error)
	go func() {
		_, err := s.Next()
		ended <- err
	}()
	_ = s.Close()
	if err := <-ended; err == nil || errors.Is(err, io.EOF) || !strings.Contains(err.Error(), "closed") {
		t.Errorf("Next ended with %v", err)
	}
	if _, err := s.Next(); err == nil {
		t.Error("a closed stream goes on")
	}
	finish(t, g, p)
}

// TestStream_abandoned holds that an answer which nobody reads or closes gives
// its lease back when its context ends.
func TestStream_abandoned(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &script{chunks: []llm.Chunk{hello}, hang: true}
		g := lane(t, p)
		ctx, cancel := context.WithCancelCause(t.Context())
		why := errors.New("the client left")
		s, err := g.Generate(ctx, prompt)
		if err != nil {
			t.Fatal(err)
		}
		cancel(why)
		synctest.Wait()
		if m := g.Snapshot().Members[0]; m.Inflight != 0 || p.left() != 0 {
			t.Errorf("%d attempts, %d streams are left", m.Inflight, p.left())
		}
		if _, err := s.Next(); !errors.Is(err, why) {
			t.Errorf("Next ended with %v", err)
		}
		finish(t, g, p)
	})
}

// TestGenerate_hedges holds that a slow start is covered only where that is
// allowed, and that the loser's stream is closed.
func TestGenerate_hedges(t *testing.T) {
	for _, allowed := range []bool{true, false} {
		synctest.Test(t, func(t *testing.T) {
			// Whichever upstream is asked first is slow.
			p := &script{chunks: []llm.Chunk{hello, stop}, delay: time.Second, firstDelay: 10 * time.Second}
			l, err := balance.NewLane(balance.LaneConfig{Name: "llm", HedgeDelay: 2 * time.Second})
			if err != nil {
				t.Fatal(err)
			}
			g := newLane(t, llm.Config{Lane: l, Hedge: allowed, Upstreams: []llm.Upstream{
				{Name: "a", Provider: p}, {Name: "b", Provider: p},
			}})
			start, want := time.Now(), 3*time.Second
			if !allowed {
				want = 10 * time.Second
			}
			s, err := g.Generate(t.Context(), prompt)
			if err != nil {
				t.Fatal(err)
			}
			if took := time.Since(start); took != want {
				t.Errorf("hedge %v: began after %v, want %v", allowed, took, want)
			}
			_ = s.Close()
			finish(t, g, p)
		})
	}
}

func TestNew_refuses(t *testing.T) {
	p := &script{}
	for _, c := range []struct {
		config llm.Config
		says   string
	}{
		{llm.Config{}, "/upstreams: must not be empty"},
		{llm.Config{Upstreams: []llm.Upstream{{Name: "a", Provider: p}, {Name: "b"}}}, "/upstreams/1/provider: is missing"},
		{llm.Config{Upstreams: []llm.Upstream{{Name: "a", Provider: p}, {Name: "a", Provider: p}}}, `"a"`},
		{llm.Config{Upstreams: []llm.Upstream{{Provider: p}}}, "name"},
	} {
		if _, err := llm.New(c.config); !errors.Is(err, fault.Invalid) || !strings.Contains(err.Error(), c.says) {
			t.Errorf("error %v, want one about %q", err, c.says)
		}
	}
}

// TestGenerate_leavesNothing runs random answers, at the same time and ended in
// every way, and holds that all load is given back and all streams are closed.
func TestGenerate_leavesNothing(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		var providers []*script
		for range rapid.IntRange(1, 3).Draw(r, "upstreams") {
			providers = append(providers, &script{
				refuse: rapid.SampledFrom([]error{nil, nil, nil, down}).Draw(r, "refuse"),
				chunks: rapid.SampledFrom([][]llm.Chunk{{hello, world, stop}, {role}, {hello}, nil}).Draw(r, "chunks"),
				end:    rapid.SampledFrom([]error{nil, down, fault.Busy(time.Microsecond, "full")}).Draw(r, "end"),
			})
		}
		g := lane(t, providers...)
		var calls sync.WaitGroup
		for range rapid.IntRange(1, 5).Draw(r, "calls") {
			reads := rapid.IntRange(0, 4).Draw(r, "reads")
			gone, closed := rapid.Bool().Draw(r, "gone"), rapid.Bool().Draw(r, "closed")
			calls.Go(func() {
				ctx, cancel := context.WithCancel(context.Background())
				defer cancel()
				s, err := g.Generate(ctx, prompt)
				if err != nil {
					return
				}
				if gone {
					go cancel()
				}
				for range reads {
					_, _ = s.Next()
				}
				if closed || !gone {
					_ = s.Close()
				} else {
					<-ctx.Done()
					_ = s.Close() // waits for the one that settles
				}
			})
		}
		calls.Wait()
		finish(t, g, providers...)
	})
}

func Example() {
	broken := &script{chunks: []llm.Chunk{role}, end: fault.New(fault.Unavailable, "out of memory")}
	sound := &script{chunks: []llm.Chunk{{Content: "Take"}, {Content: " lane 3."}, {Finish: "stop"}}}
	g, err := llm.New(llm.Config{Upstreams: []llm.Upstream{
		{Name: "gpu-0", Provider: broken},
		{Name: "gpu-1", Provider: sound, Tier: 1},
	}})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer g.Close() //nolint:errcheck // an example
	s, err := g.Generate(context.Background(), llm.Prompt{Messages: []llm.Message{{Role: llm.User, Content: "Which lane?"}}})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer s.Close() //nolint:errcheck // an example
	for {
		c, err := s.Next()
		if err != nil {
			break
		}
		fmt.Print(c.Content)
	}
	fmt.Println()
	// Output: Take lane 3.
}
