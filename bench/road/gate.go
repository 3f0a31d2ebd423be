package road

import (
	"context"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/lanewise/lanewise/bench"
	"github.com/lanewise/lanewise/fault"
)

// Script is what happens to parts of the town, in order of time.
type Script []Event

// Event happens to one part.
type Event struct {
	At    time.Duration
	Part  string // embed/0, s0/r0 or llm/0
	Do    Action
	Delay time.Duration // of Slow; 0: half a second
}

// Action is a kind of event.
type Action string

// The actions. Each ends what an earlier one did to its part.
const (
	Slow  Action = "slow"  // answers later
	Hang  Action = "hang"  // takes calls and never answers
	Busy  Action = "busy"  // answers 429 with Retry-After
	Error Action = "error" // answers 500
	Kill  Action = "kill"  // closes its connections, also those in mid-stream, and takes none
	Heal  Action = "heal"
)

func (s Script) check(t Town) error {
	parts := t.parts()
	for i, e := range s {
		switch e.Do {
		case Slow, Hang, Busy, Error, Kill, Heal:
		default:
			return fault.BadField("/script", "event %d: %q is not slow, hang, busy, error, kill or heal", i, e.Do)
		}
		if e.At < 0 || i > 0 && e.At < s[i-1].At || e.Delay < 0 {
			return fault.BadField("/script", "event %d: it is before the one above, or its delay is negative", i)
		}
		known := false
		for _, p := range parts {
			known = known || p == e.Part
		}
		if !known {
			return fault.BadField("/script", "event %d: there is no part %q, but %v", i, e.Part, parts)
		}
	}
	return nil
}

// Marks are the events as marks of a plot over seconds.
func (s Script) Marks() (marks []bench.Mark) {
	for _, e := range s {
		marks = append(marks, bench.Mark{At: e.At.Seconds(), Text: e.Part + " " + string(e.Do)})
	}
	return marks
}

// gate is an HTTP server on a socket of its own that a script can break.
type gate struct {
	name   string
	url    string
	server *http.Server
	ended  chan struct{}
	calls  atomic.Int64

	mu    sync.Mutex
	event Event
	conns map[net.Conn]struct{}
}

// open starts a server before a handler.
func open(ctx context.Context, name string, h http.Handler) (*gate, error) {
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	g := &gate{name: name, url: "http://" + l.Addr().String(), ended: make(chan struct{}), conns: map[net.Conn]struct{}{}}
	g.server = &http.Server{Handler: g.before(h), ConnState: g.watch, ReadHeaderTimeout: time.Minute}
	go func() {
		defer close(g.ended)
		_ = g.server.Serve(l) // until it is closed
	}()
	return g, nil
}

func (g *gate) close() {
	g.set(Event{Do: Kill}) // whoever hangs there shall end
	_ = g.server.Close()
	<-g.ended
}

// watch knows the open connections, and refuses new ones while the part is dead.
func (g *gate) watch(c net.Conn, s http.ConnState) {
	g.mu.Lock()
	defer g.mu.Unlock()
	switch s { //nolint:exhaustive // the others are neither the begin nor the end
	case http.StateNew:
		g.conns[c] = struct{}{}
		if g.event.Do == Kill {
			_ = c.Close()
		}
	case http.StateClosed, http.StateHijacked:
		delete(g.conns, c)
	}
}

func (g *gate) set(e Event) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.event = e
	if e.Do == Kill {
		for c := range g.conns {
			_ = c.Close()
		}
	}
}

func (g *gate) now() Event {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.event
}

// before does to a call what the script says.
func (g *gate) before(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		g.calls.Add(1)
		switch e := g.now(); e.Do {
		case Slow:
			delay := e.Delay
			if delay == 0 {
				delay = 500 * time.Millisecond
			}
			select {
			case <-time.After(delay):
			case <-r.Context().Done():
			}
		case Hang:
			<-r.Context().Done()
			return
		case Busy:
			w.Header().Set("Retry-After", "1")
			http.Error(w, `{"error": {"message": "too many requests", "type": "rate_limit_error"}}`, http.StatusTooManyRequests)
			return
		case Error:
			http.Error(w, `{"error": {"message": "broken", "type": "server_error"}}`, http.StatusInternalServerError)
			return
		case Kill, Heal:
		}
		h.ServeHTTP(w, r)
	})
}
