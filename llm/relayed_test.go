package llm_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/lanewise/lanewise/balance"
	"github.com/lanewise/lanewise/fault"
	"github.com/lanewise/lanewise/llm"
	"github.com/lanewise/lanewise/llm/relay"
)

// TestRelay_silence holds how long an upstream may say nothing: another one answers
// where it has not begun, and the answer is an error where it has.
func TestRelay_silence(t *testing.T) {
	sound := &tape{events: []string{word, ended, mark}}
	for _, c := range []struct {
		name  string
		first *tape
		began time.Duration
		end   error
		took  time.Duration
	}{
		{"does not answer", &tape{deaf: true}, 20 * time.Second, io.EOF, 20 * time.Second},
		{"says only who it is", &tape{events: []string{begin}, silent: true}, 20 * time.Second, io.EOF, 20 * time.Second},
		{"stops later", &tape{events: []string{begin, word}, silent: true}, 0, fault.Unavailable, 5 * time.Second},
		{"is slow", &tape{events: []string{word, word, ended, mark}, pause: 4 * time.Second}, 4 * time.Second, io.EOF, 16 * time.Second},
	} {
		synctest.Test(t, func(t *testing.T) {
			g, start := relays(t, c.first, sound), time.Now()
			reply, err := g.Relay(t.Context(), ask(t, true))
			if err != nil {
				t.Fatal(err)
			}
			if took := time.Since(start); took != c.began {
				t.Errorf("%s: began after %v, want %v", c.name, took, c.began)
			}
			_, err = play(reply)
			if took := time.Since(start); !errors.Is(err, c.end) || took != c.took {
				t.Errorf("%s: ended with %v after %v, want %v after %v", c.name, err, took, c.end, c.took)
			}
			_ = reply.Stream.Close()
			over(t, g, c.first, sound)
		})
	}
}

// TestRelay_slowReader holds that an upstream does not pay for a client that is slow.
func TestRelay_slowReader(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &tape{events: []string{word, word, ended, mark}}
		g := relays(t, p)
		reply, err := g.Relay(t.Context(), ask(t, true))
		for i := 0; err == nil && i < 3; i++ {
			_, err = reply.Stream.Next()
			<-time.After(time.Minute)
		}
		if err != nil {
			t.Errorf("ended with %v", err)
		}
		_ = reply.Stream.Close()
		over(t, g, p)
	})
}

// TestRelay_load follows the load of a member through calls: the prompt and what
// answers of the model usually have, then what was reported.
func TestRelay_load(t *testing.T) {
	p := &tape{events: []string{begin, word, ended, billing, mark}, whole: `{"choices":[{}],"usage":{"prompt_tokens":30,"completion_tokens":20}}`}
	g := relays(t, p)
	load := func() int64 { return g.Snapshot().Members[0].Load }
	stream := func(c *relay.Call, want int64) {
		t.Helper()
		reply, err := g.Relay(t.Context(), c)
		if err != nil {
			t.Fatal(err)
		}
		if load() != want {
			t.Errorf("load %d, want %d", load(), want)
		}
		if _, err := play(reply); !errors.Is(err, io.EOF) || load() != 0 {
			t.Errorf("%v, load %d behind the end", err, load())
		}
		_ = reply.Stream.Close()
	}
	stream(ask(t, true), 256) // the prompt is read
	limited := ask(t, true)
	limited.MaxTokens, limited.Answers = 10, 3
	stream(limited, 30)
	for range 200 { // the model's answers have 20 tokens
		if _, err := g.Relay(t.Context(), ask(t, false)); err != nil || load() != 0 {
			t.Fatalf("%v, load %d", err, load())
		}
	}
	stream(ask(t, true), 20)
	absurd := ask(t, true)
	absurd.MaxTokens, absurd.Answers = 1<<60, 1<<60
	stream(absurd, 128*20)
	if m := g.Snapshot().Members[0]; m.Good != 204 {
		t.Errorf("%d good answers", m.Good)
	}
	over(t, g, p)
}

// TestRelay_route holds what an answer says about how it came about.
func TestRelay_route(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		bad, good := &tape{refuse: down}, &tape{events: []string{begin, word, ended, mark}, pause: time.Second}
		g := relays(t, bad, good)
		call := ask(t, true)
		call.Session = "s"
		reply, err := g.Relay(t.Context(), call)
		want := relay.Route{Upstream: "b", Model: "m", Why: "failover", Attempts: 2, First: 2 * time.Second}
		if err != nil || reply.Route != want {
			t.Errorf("%+v, %v, want %+v", reply.Route, err, want)
		}
		_ = reply.Stream.Close()
		alone := relays(t, good)
		if reply, err = alone.Relay(t.Context(), call); err != nil || reply.Route.Why != "affinity" {
			t.Errorf("%+v, %v, want one by affinity", reply.Route, err)
		}
		_ = reply.Stream.Close()
		over(t, alone, good)
		over(t, g, bad, good)
	})
}

func TestRelay_quotingUpstream(t *testing.T) {
	g := lane(t, &script{})
	if _, err := g.Relay(t.Context(), ask(t, true)); !errors.Is(err, fault.NotFound) || g.Relays() {
		t.Errorf("%v, want an upstream that quotes to take no call", err)
	}
	finish(t, g)
}

// TestRelay_judges holds what an answer's end says about its member.
func TestRelay_judges(t *testing.T) {
	for _, c := range []struct {
		name               string
		tape               *tape
		read               int // events, before Close
		good, unknown, bad uint64
	}{
		{"whole", &tape{events: []string{word, ended, mark}}, 9, 1, 0, 0},
		{"without its mark", &tape{events: []string{word, ended}}, 9, 1, 0, 0},
		{"cut off", &tape{events: []string{word}}, 9, 0, 0, 1},
		{"failed later", &tape{events: []string{word}, ends: down}, 9, 0, 0, 1},
		{"left by its reader", &tape{events: []string{word, word, ended, mark}}, 1, 0, 1, 0},
		{"never read", &tape{events: []string{word, ended, mark}}, 0, 0, 1, 0},
	} {
		g := relays(t, c.tape)
		reply, err := g.Relay(t.Context(), ask(t, true))
		if err != nil {
			t.Fatal(err)
		}
		for range c.read {
			_, _ = reply.Stream.Next()
		}
		_ = reply.Stream.Close()
		if m := g.Snapshot().Members[0]; m.Good != c.good || m.Unknown != c.unknown || m.Bad != c.bad {
			t.Errorf("%s: good %d, unknown %d, bad %d", c.name, m.Good, m.Unknown, m.Bad)
		}
		over(t, g, c.tape)
	}
}

// TestRelay_hedges holds that a silent start is covered where that is allowed, and
// that the loser is closed.
func TestRelay_hedges(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &tape{events: []string{word, ended, mark}, late: 10 * time.Second} // whichever upstream is asked first
		l, err := balance.NewLane(balance.LaneConfig{Name: "llm", HedgeDelay: 2 * time.Second})
		if err != nil {
			t.Fatal(err)
		}
		g := newLane(t, llm.Config{Lane: l, Hedge: true, Upstreams: []llm.Upstream{{Name: "a", Provider: p}, {Name: "b", Provider: p}}})
		reply, err := g.Relay(t.Context(), ask(t, true))
		if err != nil || reply.Route.Why != "hedge" || reply.Route.First != 2*time.Second {
			t.Fatalf("%+v, %v", reply, err)
		}
		_ = reply.Stream.Close()
		over(t, g, p)
	})
}

// TestRelay_leavesNothing runs random calls, at the same time and ended in every
// way, and holds that all load is given back and all streams are closed.
func TestRelay_leavesNothing(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		var tapes []*tape
		for range rapid.IntRange(1, 3).Draw(r, "upstreams") {
			tapes = append(tapes, &tape{
				refuse: rapid.SampledFrom([]error{nil, nil, nil, down}).Draw(r, "refuse"),
				events: rapid.SampledFrom([][]string{{begin, word, ended, billing, mark}, {begin}, {word}, {ended}, {": ping\n\n", word}, nil}).Draw(r, "events"),
				ends:   rapid.SampledFrom([]error{nil, down, fault.Busy(time.Microsecond, "full")}).Draw(r, "ends"),
				panics: rapid.IntRange(0, 9).Draw(r, "panics") == 0,
				whole:  `{"choices":[{}]}`,
			})
		}
		g := relays(t, tapes...)
		var calls sync.WaitGroup
		for range rapid.IntRange(1, 5).Draw(r, "calls") {
			reads := rapid.IntRange(0, 6).Draw(r, "reads")
			gone, stream := rapid.Bool().Draw(r, "gone"), rapid.Bool().Draw(r, "stream")
			calls.Go(func() {
				ctx, cancel := context.WithCancel(context.Background())
				defer cancel()
				reply, err := g.Relay(ctx, ask(t, stream))
				if err != nil || reply.Stream == nil {
					return
				}
				if gone {
					go cancel()
				}
				for range reads {
					_, _ = reply.Stream.Next()
				}
				_ = reply.Stream.Close()
			})
		}
		calls.Wait()
		over(t, g, tapes...)
	})
}

// TestRelay_resumes holds when an answer that broke off goes on elsewhere, with what
// that upstream is given and what the client reads.
func TestRelay_resumes(t *testing.T) {
	const more = `{"choices":[{"delta":{"content":"\\n b"}}]}`
	marked := `data: {"lanewise":{"resumed":"b"},` + more[1:] + "\n\n"
	plain := func(events ...string) (out string) {
		for _, e := range events {
			out += "data: " + e + "\n\n"
		}
		return out
	}
	for name, c := range map[string]struct {
		first *tape
		set   func(*relay.Call)
		want  string
		end   error
	}{
		"breaks off":        {&tape{events: []string{begin, word, more}}, nil, plain(begin, word, more) + marked + plain(ended, mark), io.EOF},
		"fails":             {&tape{events: []string{word}, ends: down}, nil, plain(word) + marked + plain(ended, mark), io.EOF},
		"is whole":          {&tape{events: []string{word, ended}}, nil, plain(word, ended, mark), io.EOF},
		"nobody asked":      {&tape{events: []string{word}}, func(c *relay.Call) { c.Resume = false }, plain(word), fault.Unavailable},
		"two answers":       {&tape{events: []string{word}}, func(c *relay.Call) { c.Answers = 2 }, plain(word), fault.Unavailable},
		"with tools":        {&tape{events: []string{word}}, func(c *relay.Call) { c.Tools = true }, plain(word), fault.Unavailable},
		"after reasoning":   {&tape{events: []string{`{"choices":[{"delta":{"reasoning":"hm"}}]}`, word}}, nil, plain(`{"choices":[{"delta":{"reasoning":"hm"}}]}`, word), fault.Unavailable},
		"the call is wrong": {&tape{events: []string{word}, ends: fault.New(fault.Invalid, "no")}, nil, plain(word), fault.Invalid},
	} {
		second := &tape{events: []string{begin, more, ended, mark}}
		g := relays(t, c.first, second)
		call := ask(t, true)
		call.Resume = true
		if c.set != nil {
			c.set(call)
		}
		reply, err := g.Relay(t.Context(), call)
		if err != nil {
			t.Fatal(err)
		}
		c.first.refuse = down // it is gone
		got, err := play(reply)
		if got != c.want || !errors.Is(err, c.end) {
			t.Errorf("%s: ended with %v\n%s, want %v\n%s", name, err, got, c.end, c.want)
		}
		if name == "breaks off" {
			want := `{"stream_options":{"include_usage":true},"continue_final_message":true,"add_generation_prompt":false,"model":"m","stream":true,` +
				`"messages":[{"role":"user","content":"why?"},{"role":"assistant","content":"a\\n b"}]}`
			if sent := string(second.last.Bytes(relay.Splice{Usage: true, Flags: true})); sent != want {
				t.Errorf("the second upstream was sent\n%s, want\n%s", sent, want)
			}
		}
		_ = reply.Stream.Close()
		over(t, g, c.first, second)
	}
}

// TestRelay_predicts holds that a prompt which begins as one before it is expected in
// the upstream's cache, as far as it does.
func TestRelay_predicts(t *testing.T) {
	p := &tape{whole: `{"choices":[{}]}`}
	g := relays(t, p)
	for i, want := range []int{0, 1024} {
		body := fmt.Sprintf(`{"messages":[{"role":"user","content":"%s%d"}]}`, strings.Repeat("x", 4100), i)
		c, err := relay.Parse(relay.Chat, []byte(body))
		if err != nil {
			t.Fatal(err)
		}
		reply, err := g.Relay(t.Context(), c)
		if err != nil || reply.Route.Cached != want {
			t.Errorf("call %d: %+v, %v, want %d tokens", i, reply, err, want)
		}
	}
	over(t, g, p)
}
