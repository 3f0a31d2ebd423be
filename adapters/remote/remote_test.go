package remote_test

import (
	"context"
	"encoding/json"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/lanewise/lanewise/adapters/remote"
	"github.com/lanewise/lanewise/fault"
	"github.com/lanewise/lanewise/search"
	"github.com/lanewise/lanewise/search/wire"
)

func TestStore_carriesEveryMethod(t *testing.T) {
	filter, err := search.ParseFilter([]byte(`{"year":{"$gte":2020}}`))
	if err != nil {
		t.Fatal(err)
	}
	ctx := t.Context()
	point := search.Point{Key: search.Key{Tenant: "t", ID: "a"}, Version: 7, Dense: []float32{1, 2}, Text: "x", Meta: json.RawMessage(`{"a":1}`)}
	f := &fake{
		result: search.Result{
			Lists:  []search.List{{Hits: []search.Hit{{Point: point, Score: 0.1, Raw: 0.2, Shard: "s0"}}, Prefix: true}},
			Report: search.Report{Complete: true, Took: 3 * time.Millisecond},
		},
		written: search.Written{Applied: 2, Newer: 9, Lag: time.Second}, points: []search.Point{point},
		page: search.Page{Points: []search.Point{point}, More: true}, count: 42,
		stats: []search.Stats{{Collection: search.Collection{Name: "docs", Dims: 2, Metric: search.Dot}, Points: 1}},
	}
	s, _ := start(t, serve(f), remote.Config{})

	check := func(name string, err error, asked, got, want any) {
		t.Helper()
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if diff := cmp.Diff(asked, f.asked, cmpopts.EquateEmpty()); diff != "" {
			t.Errorf("%s (-asked +arrived):\n%s", name, diff)
		}
		if diff := cmp.Diff(want, got, cmpopts.EquateEmpty()); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
	q := search.Query{Collection: "docs", Tenant: "t", Legs: []search.Leg{{Dense: []float32{1, 2}, K: 10}}, Filter: filter, Epoch: 3}
	res, err := s.Search(ctx, q)
	check("search", err, q, res, f.result)
	q.Complete = true
	res, err = s.Search(ctx, q)
	check("complete search", err, q, res, f.result)
	b := search.Batch{Collection: "docs", Upserts: []search.Point{point}, Deletes: []search.Tombstone{{Key: point.Key, Version: 8}}}
	written, err := s.Write(ctx, b)
	check("write", err, b, written, f.written)
	k := wire.Keys{Collection: "docs", Keys: []search.Key{point.Key}, Fields: search.Fields{Text: true}}
	points, err := s.Get(ctx, k.Collection, k.Keys, k.Fields)
	check("get", err, k, points, f.points)
	scan := search.Scan{Collection: "docs", AllTenants: true, Filter: filter, After: point.Key, Limit: 5}
	page, err := s.Scroll(ctx, scan)
	check("scroll", err, scan, page, f.page)
	n, err := s.Count(ctx, "docs", "t", filter)
	check("count", err, search.Scan{Collection: "docs", Tenant: "t", Filter: filter}, n, f.count)
	stats, err := s.Stats(ctx, "docs")
	check("stats", err, "docs", stats, f.stats)
}

func TestStore_sendsKeyAndDeadline(t *testing.T) {
	var seen http.Header
	h := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		seen = r.Header
		w.Write([]byte(`{"count":1}`)) //nolint:errcheck // the client sees it
	})
	s, _ := start(t, h, remote.Config{Key: "s3cret"})

	if _, err := s.Count(t.Context(), "docs", "", search.Filter{}); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{
		"Authorization": "Bearer s3cret", "Content-Type": "application/json", wire.TimeoutHeader: "", "Idempotency-Key": "", "Accept-Encoding": "",
	} {
		if got := seen.Get(name); got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}

	ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
	defer cancel()
	if _, err := s.Count(ctx, "docs", "", search.Filter{}); err != nil {
		t.Fatal(err)
	}
	left, err := strconv.Atoi(seen.Get(wire.TimeoutHeader))
	if err != nil || left > 3_600_000 || left < 3_000_000 {
		t.Errorf("%s: %q for an hour", wire.TimeoutHeader, seen.Get(wire.TimeoutHeader))
	}
}

func TestStore_cancellationReachesTheServer(t *testing.T) {
	entered, left := make(chan struct{}, 1), make(chan struct{}, 1)
	s, _ := start(t, holding(entered, left), remote.Config{})
	ctx, cancel := context.WithCancelCause(t.Context())
	done := make(chan error, 1)
	go func() {
		_, err := s.Search(ctx, search.Query{})
		done <- err
	}()
	<-entered
	cancel(errors.New("another replica was faster"))
	if err := <-done; !errors.Is(err, context.Canceled) || classOf(err) != "" {
		t.Errorf("cancelled call: %v, class %q", err, classOf(err))
	}
	<-left // the server's request context ended as well
}

func TestStore_deadlineEndsACall(t *testing.T) {
	entered, left := make(chan struct{}, 1), make(chan struct{}, 1)
	s, _ := start(t, holding(entered, left), remote.Config{})
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if _, err := s.Search(ctx, search.Query{}); !errors.Is(err, context.DeadlineExceeded) || classOf(err) != "" {
		t.Errorf("late answer: %v, class %q", err, classOf(err))
	}
}

func TestStore_doesNotCallWithAContextThatHasEnded(t *testing.T) {
	f := &fake{}
	s, _ := start(t, serve(f), remote.Config{})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := s.Search(ctx, search.Query{}); !errors.Is(err, context.Canceled) || f.calls.Load() != 0 {
		t.Errorf("%v after %d calls", err, f.calls.Load())
	}
}

func TestStore_doesNotSendWhatJSONCannotCarry(t *testing.T) {
	f := &fake{}
	s, _ := start(t, serve(f), remote.Config{})
	_, err := s.Write(t.Context(), search.Batch{Upserts: []search.Point{{Meta: json.RawMessage(`{`)}}})
	if !errors.Is(err, fault.Invalid) || f.calls.Load() != 0 {
		t.Errorf("%v after %d calls", err, f.calls.Load())
	}
}

func TestStore_serverThatIsNotThere(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := l.Addr().String()
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	s, err := remote.New(remote.Config{URL: "http://" + address})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close() //nolint:errcheck // never fails
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	_, err = s.Search(ctx, search.Query{})
	if !errors.Is(err, fault.Unavailable) || !strings.Contains(err.Error(), address) || !fault.Elsewhere(err) {
		t.Errorf("%v", err)
	}
}

// One connection serves any number of calls, failed ones included: their bodies
// are read to the end.
func TestStore_reusesItsConnection(t *testing.T) {
	f := &fake{}
	var opened atomic.Int64
	srv := httptest.NewUnstartedServer(serve(f))
	srv.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			opened.Add(1)
		}
	}
	srv.Start()
	defer srv.Close()
	s, err := remote.New(remote.Config{URL: srv.URL + "/"})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close() //nolint:errcheck // never fails
	for i := range 20 {
		f.err = nil
		if i%2 == 1 {
			f.err = fault.New(fault.NotFound, "no collection %s", strings.Repeat("x", 5_000))
		}
		if _, err := s.Search(t.Context(), search.Query{}); (err == nil) != (f.err == nil) {
			t.Fatal(err)
		}
	}
	if n := opened.Load(); n != 1 {
		t.Errorf("%d connections for 20 calls", n)
	}
}

// A server that was restarted has closed the idle connections: that is no error
// of the call.
func TestStore_survivesClosedIdleConnections(t *testing.T) {
	f := &fake{count: 3}
	s, srv := start(t, serve(f), remote.Config{})
	for range 20 {
		if n, err := s.Count(t.Context(), "docs", "", search.Filter{}); n != 3 || err != nil {
			t.Fatal(n, err)
		}
		srv.CloseClientConnections()
	}
}

func TestStore_callsBeyondMaxConnsWait(t *testing.T) {
	var inside, most atomic.Int64
	h := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		most.Store(max(most.Load(), inside.Add(1)))
		runtime.Gosched()
		inside.Add(-1)
		w.Write([]byte(`{"count":1}`)) //nolint:errcheck // the client sees it
	})
	s, _ := start(t, h, remote.Config{MaxConns: 1})
	var wg sync.WaitGroup
	for range 16 {
		wg.Go(func() {
			for range 20 {
				if _, err := s.Count(t.Context(), "docs", "", search.Filter{}); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	if most.Load() != 1 {
		t.Errorf("%d calls at once over one connection", most.Load())
	}
}

// A call that waits for a connection still ends with its context.
func TestStore_waitingForAConnectionEndsWithTheContext(t *testing.T) {
	entered, left := make(chan struct{}, 1), make(chan struct{}, 1)
	s, _ := start(t, holding(entered, left), remote.Config{MaxConns: 1})
	first, cancelFirst := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		s.Search(first, search.Query{}) //nolint:errcheck // cancelled below
	}()
	<-entered
	second, cancelSecond := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancelSecond()
	if _, err := s.Search(second, search.Query{}); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("%v", err)
	}
	cancelFirst()
	<-done
}

// An answer that is given up gives its connection back.
func TestStore_givenUpAnswersFreeTheirConnection(t *testing.T) {
	answers := make(chan string, 2)
	h := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Write([]byte(<-answers)) //nolint:errcheck // the client may hang up
	})
	s, _ := start(t, h, remote.Config{MaxConns: 1, MaxResponse: 100})
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	answers <- strings.Repeat(" ", 1<<20)
	if _, err := s.Count(ctx, "docs", "", search.Filter{}); !errors.Is(err, fault.Unavailable) {
		t.Errorf("too large an answer: %v", err)
	}
	answers <- `{"count":7}`
	if n, err := s.Count(ctx, "docs", "", search.Filter{}); n != 7 || err != nil {
		t.Errorf("the next answer: %d, %v", n, err)
	}
}

func TestClose_closesTheConnections(t *testing.T) {
	closed := make(chan struct{}, 1)
	srv := httptest.NewUnstartedServer(serve(&fake{}))
	srv.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateClosed {
			closed <- struct{}{}
		}
	}
	srv.Start()
	defer srv.Close()
	s, err := remote.New(remote.Config{URL: srv.URL})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Stats(t.Context(), ""); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	<-closed // before the server does
}

func TestClose_waitsAndRefusesLaterCalls(t *testing.T) {
	entered, release := make(chan struct{}), make(chan struct{})
	h := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		entered <- struct{}{}
		<-release
		w.Write([]byte(`{"count":5}`)) //nolint:errcheck // the client sees it
	})
	s, _ := start(t, h, remote.Config{})
	counted, closed := make(chan int, 1), make(chan error, 1)
	go func() {
		n, err := s.Count(context.Background(), "docs", "", search.Filter{})
		if err != nil {
			t.Error(err)
		}
		counted <- n
	}()
	<-entered
	go func() { closed <- s.Close() }()
	for { // Close has begun once calls are refused
		if _, err := s.Count(canceled(), "docs", "", search.Filter{}); errors.Is(err, fault.Unavailable) {
			break
		}
	}
	if len(closed) > 0 {
		t.Error("Close did not wait for the call under way")
	}
	close(release)
	if n := <-counted; n != 5 {
		t.Errorf("the call under way: %d", n)
	}
	if err := <-closed; err != nil {
		t.Error(err)
	}
}

// canceled is a context with which a call never reaches the server.
func canceled() context.Context {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	return ctx
}

func TestNew_refuses(t *testing.T) {
	for raw, says := range map[string]string{
		"":                              "must start with http",
		"10.0.0.5:7700":                 "not a URL",
		"ftp://10.0.0.5":                "must start with http",
		"http://":                       "name a server",
		"http://user:hunter2@10.0.0.5":  "user or password",
		"http://user:hunter2@10.0.0.5:": "user or password",
		"http://u:hunter2@h\x7f/":       "not a URL",
		"http://10.0.0.5?key=hunter2":   "query or a fragment",
		"http://10.0.0.5#hunter2":       "query or a fragment",
	} {
		_, err := remote.New(remote.Config{URL: raw})
		if !errors.Is(err, fault.Invalid) || fault.Field(err) != "/url" || !strings.Contains(err.Error(), says) || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%q: %v; want %q", raw, err, says)
		}
	}
}

func TestNew_keepsAPathPrefix(t *testing.T) {
	var path string
	h := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		path = r.URL.Path
		w.Write([]byte(`{"count":1}`)) //nolint:errcheck // the client sees it
	})
	srv := httptest.NewServer(h)
	defer srv.Close()
	s, err := remote.New(remote.Config{URL: srv.URL + "/tree/eu/"})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close() //nolint:errcheck // never fails
	if _, err := s.Count(t.Context(), "docs", "", search.Filter{}); err != nil || path != "/tree/eu/v1/replica/count" {
		t.Errorf("%s, %v", path, err)
	}
}

func TestTermStats(t *testing.T) {
	f := &fake{terms: search.TermStats{Docs: 9, Counts: []uint64{4, 0}}}
	s, _ := start(t, serve(f), remote.Config{})
	q := search.TermQuery{Collection: "docs", Tenant: "acme", Terms: []uint32{7, 1}}
	got, err := s.TermStats(t.Context(), q)
	if err != nil || cmp.Diff(f.terms, got) != "" || cmp.Diff(any(q), f.asked) != "" {
		t.Errorf("asked %+v, got %+v, %v", f.asked, got, err)
	}
	q.Terms = q.Terms[:1]
	if _, err := s.TermStats(t.Context(), q); !errors.Is(err, fault.Unavailable) {
		t.Errorf("two counts for one term: %v, want unavailable", err)
	}
}
