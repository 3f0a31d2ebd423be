package adaptertest

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/lanewise/lanewise/fault"
	"github.com/lanewise/lanewise/search"
)

// Wire is the network between a store and its engine. The suite puts a proxy on it
// that hangs, dies and comes back, so that the engine itself need not.
type Wire struct {
	// Address is the engine's, as host:port.
	Address string
	// Open returns a store on the same engine that reaches it at another address. All
	// stores of one Wire see the same collections, of which there are none at first.
	Open func(t *testing.T, address string) search.Store
	// Refused is as Open, with credentials that the engine refuses. nil: it asks for none.
	Refused func(t *testing.T, address string) search.Store
	// Encrypted is as Open, and wants TLS, which the proxy does not speak. nil: the
	// adapter knows no TLS.
	Encrypted func(t *testing.T, address string) search.Store
}

var wireChecks = []check{ //nolint:gochecknoglobals // a constant table
	{name: "goroutines end although the server hangs", alone: true, bare: true, run: wired(wireGoroutines)},
	{name: "a call returns before a server that holds its answer", bare: true, run: wired(wireHung)},
	{name: "a server that never says a word", bare: true, run: wired(wireSilent)},
	{name: "a server that dies under its calls, and returns", bare: true, run: wired(wireDies)},
	{name: "a server that dies in the middle of an answer", bare: true, run: wired(wireTorn)},
	{name: "right answers or none while a server dies under load", bare: true, run: wired(wireLoad)},
	{name: "an unreachable server is unavailable", bare: true, run: wired(wireUnreachable)},
	{name: "a server of another kind is unavailable", bare: true, run: wired(wireStranger)},
	{name: "refused credentials", bare: true, run: wired(wireRefused)},
	{name: "TLS against a server that speaks plain text", bare: true, run: wired(wirePlain)},
}

// line is a test with a proxy between its store and the engine.
type line struct {
	*bench
	*proxy
	to Wire
}

// wired makes a check of a test on the wire.
func wired(run func(*line)) func(*bench) {
	return func(b *bench) {
		if b.Wire == nil {
			b.Skip("not applicable: no network lies between this store and its engine (Suite.Wire)")
		}
		to := b.Wire(b.T)
		p := newProxy(b.T, to.Address)
		b.store = to.Open(b.T, p.address)
		defer p.thaw()
		run(&line{b, p, to})
	}
}

// steady is the tenant whose points the tests on the wire do not touch.
const steady = "steady"

// fill makes the collection, and makes every call once.
func (l *line) fill() {
	l.Helper()
	l.create(docs, 2, search.Dot)
	for i := range 5 {
		l.put(docs, search.Point{Key: search.Key{Tenant: steady, ID: fmt.Sprint(i)}, Version: 1, Dense: []float32{float32(i), 1}})
	}
	for call, err := range l.calls(l.Context(), docs) {
		if err != nil {
			l.Fatalf("%s: %v", call, err)
		}
	}
}

// outcome is how a call ended.
type outcome struct {
	call string
	err  error
}

// start makes all calls at once.
func (l *line) start(ctx context.Context) (ended <-chan outcome, calls int) {
	operations := l.operations(docs)
	out := make(chan outcome, len(operations))
	for call, do := range operations {
		go func() { out <- outcome{call, do(ctx)} }()
	}
	return out, len(operations)
}

// patience is how long the suite waits for what must happen: so long that only what
// never happens takes longer.
const patience = 30 * time.Second

// await receives, or fails the test.
func await[T any](t *testing.T, from <-chan T, what string) T {
	t.Helper()
	select {
	case x := <-from:
		return x
	case <-time.After(patience):
		t.Fatalf("waited %v for %s", patience, what)
		panic("unreachable")
	}
}

// allEnd waits for calls, each of which must end with an error of a kind.
func (l *line) allEnd(ended <-chan outcome, calls int, want error) {
	l.Helper()
	for range calls {
		if o := await(l.T, ended, "a call to return"); !errors.Is(o.err, want) {
			l.Errorf("%s: got %v, want %v", o.call, o.err, want)
		}
	}
}

// recovers waits until every call succeeds again, and checks that nothing is lost.
func (l *line) recovers() {
	l.Helper()
	for call, do := range l.operations(docs) {
		l.succeeds(call, func() error { return do(l.Context()) })
	}
	if got := l.ids(steady, []float32{1, 0}, 3); fmt.Sprint(got) != "[4 3 2]" {
		l.Errorf("after the server's return: got %v, want [4 3 2]", got)
	}
}

// succeeds repeats a call until the server is there again.
func (l *line) succeeds(call string, do func() error) {
	l.Helper()
	again := time.NewTicker(20 * time.Millisecond)
	defer again.Stop()
	late := time.After(patience)
	for err := do(); err != nil; err = do() {
		if !errors.Is(err, fault.Unavailable) {
			l.Fatalf("%s, while the server returns: got %v, want unavailable", call, err)
		}
		select {
		case <-again.C:
		case <-late:
			l.Fatalf("%s does not succeed again: %v", call, err)
		}
	}
}

func wireHung(l *line) {
	l.fill()
	for _, way := range []error{context.Canceled, context.DeadlineExceeded} {
		l.freeze()
		ctx, cancel := context.WithCancel(l.Context())
		if way == context.DeadlineExceeded { //nolint:errorlint // one of the two above
			ctx, cancel = context.WithTimeout(l.Context(), 100*time.Millisecond)
		}
		ended, calls := l.start(ctx)
		await(l.T, l.held, "a request")
		if way == context.Canceled { //nolint:errorlint // see above
			cancel()
		}
		l.allEnd(ended, calls, way)
		cancel()
		l.thaw()
		l.recovers()
	}
}

func wireSilent(l *line) {
	l.fill()
	l.freeze()
	l.store = l.to.Open(l.T, l.address) // its first connection gets no answer
	ctx, cancel := context.WithCancel(l.Context())
	ended, calls := l.start(ctx)
	await(l.T, l.held, "a request")
	cancel()
	l.allEnd(ended, calls, context.Canceled)
	ctx, cancel = context.WithTimeout(l.Context(), 100*time.Millisecond)
	defer cancel()
	ended, calls = l.start(ctx)
	l.allEnd(ended, calls, context.DeadlineExceeded)
	l.thaw()
	l.recovers()
}

func wireDies(l *line) {
	l.fill()
	for range 2 {
		l.freeze()
		ended, calls := l.start(l.Context())
		await(l.T, l.held, "a request")
		l.kill()
		l.allEnd(ended, calls, fault.Unavailable)
		ended, calls = l.start(l.Context())
		l.allEnd(ended, calls, fault.Unavailable)
		l.restart(l.T)
		l.recovers()
	}
}

func wireTorn(l *line) {
	l.fill()
	points := vectors(12, 300, 2)
	keys := make([]search.Key, len(points))
	for i := range points {
		points[i].Tenant = "torn"
		keys[i] = points[i].Key
	}
	l.put(docs, points...)
	ask := search.Query{Collection: docs, Tenant: "torn", Legs: []search.Leg{{Dense: []float32{1, 1}, K: 300}}, Fields: everything}
	reads := map[string]func() (int, error){
		"search": func() (int, error) {
			res, err := l.store.Search(l.Context(), ask)
			return len(append(res.Lists, search.List{})[0].Hits), err
		},
		"get": func() (int, error) {
			got, err := l.store.Get(l.Context(), docs, keys, everything)
			return len(got), err
		},
		"scroll": func() (int, error) {
			page, err := l.store.Scroll(l.Context(), search.Scan{Collection: docs, Tenant: "torn", Limit: 300, Fields: everything})
			return len(page.Points), err
		},
	}
	for call, read := range reads {
		for _, bytes := range []int{0, 3000} { // the whole answer has more than 8,000
			l.cut(bytes)
			if n, err := read(); !errors.Is(err, fault.Unavailable) {
				l.Errorf("%s, cut after %d bytes: got %d rows and %v, want unavailable", call, bytes, n, err)
			}
			l.kill()
			l.restart(l.T)
			l.succeeds(call, func() error { _, err := read(); return err })
		}
	}
	l.recovers()
}

func wireUnreachable(l *line) {
	l.kill()
	ended, calls := l.start(l.Context())
	l.allEnd(ended, calls, fault.Unavailable)
}

// wireStranger asks a server that speaks first and speaks something else.
func wireStranger(l *line) {
	stranger, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // closed below
	if err != nil {
		l.Fatal(err)
	}
	var serving sync.WaitGroup
	serving.Go(func() {
		for {
			conn, err := stranger.Accept()
			if err != nil {
				return
			}
			serving.Go(func() {
				defer conn.Close()                              //nolint:errcheck // it has come to its end
				_, _ = conn.Write([]byte("220 mail ready\r\n")) // and leaves without a reset: all was read
				_ = conn.SetReadDeadline(time.Now().Add(time.Second))
				_, _ = conn.Read(make([]byte, 4096))
			})
		}
	})
	defer func() {
		_ = stranger.Close()
		serving.Wait()
	}()
	l.store = l.to.Open(l.T, stranger.Addr().String())
	ended, calls := l.start(l.Context())
	l.allEnd(ended, calls, fault.Unavailable)
}

func wireRefused(l *line) {
	if l.to.Refused == nil {
		l.Skip("not applicable: this engine asks for no credentials (Wire.Refused)")
	}
	l.fill()
	l.store = l.to.Refused(l.T, l.address)
	ended, calls := l.start(l.Context())
	l.allEnd(ended, calls, fault.Refused)
}

func wirePlain(l *line) {
	if l.to.Encrypted == nil {
		l.Skip("not applicable: this adapter knows no TLS (Wire.Encrypted)")
	}
	l.fill()
	l.store = l.to.Encrypted(l.T, l.address)
	ended, calls := l.start(l.Context())
	l.allEnd(ended, calls, fault.Unavailable)
}

// wireLoad has callers at work while the server dies and returns.
func wireLoad(l *line) {
	const callers, enough = 16, 100
	l.fill()
	points := vectors(13, 60, 2)
	for i := range points {
		points[i].Tenant = "load"
	}
	l.put(docs, points...)
	q := search.Query{Collection: docs, Tenant: "load", Legs: []search.Leg{{Dense: query(5, 2), K: 7, Exact: true}}}
	want := brute(search.Dot, points, q, q.Legs[0])
	answers := l.keepAsking(callers, func() error {
		res, err := l.store.Search(l.Context(), q)
		if err != nil {
			return err
		}
		return l.judge(res.Lists[0], q.Legs[0].K, want)
	})
	until := func(up bool) { // enough calls have ended as they must
		for n := 0; n < enough; {
			err := await(l.T, answers, "a call to return")
			if err != nil && !errors.Is(err, fault.Unavailable) {
				l.Fatalf("got %v, want a right answer or unavailable", err)
			}
			if (err == nil) == up {
				n++
			}
		}
	}
	until(true)
	l.kill()
	until(false)
	l.restart(l.T)
	until(true)
}

// keepAsking has callers repeat a call until the test ends. Each outcome must be
// received before that caller asks again.
func (b *bench) keepAsking(callers int, call func() error) <-chan error {
	outcomes, done := make(chan error), make(chan struct{})
	var asking sync.WaitGroup
	for range callers {
		asking.Go(func() {
			for {
				select {
				case outcomes <- call():
				case <-done:
					return
				}
			}
		})
	}
	b.Cleanup(func() {
		close(done)
		asking.Wait()
	})
	return outcomes
}

// wireGoroutines gives up calls that a server holds, and closes the store.
func wireGoroutines(l *line) {
	l.fill()
	l.T.Run("given up and closed", func(t *testing.T) {
		before := goleak.IgnoreCurrent()
		inner := &line{&bench{T: t, Suite: l.Suite, store: l.to.Open(t, l.address)}, l.proxy, l.to}
		l.freeze()
		ctx, cancel := context.WithCancel(t.Context())
		ended, calls := inner.start(ctx)
		await(t, l.held, "a request")
		cancel()
		inner.allEnd(ended, calls, context.Canceled)
		l.kill()
		inner.close()
		goleak.VerifyNone(t, before)
	})
}
