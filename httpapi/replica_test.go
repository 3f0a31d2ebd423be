package httpapi

import (
	"context"
	"errors"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/lanewise/lanewise/adapters/remote"
	"github.com/lanewise/lanewise/fault"
	"github.com/lanewise/lanewise/search"
)

// dial serves a store and returns a client of it.
func dial(t *testing.T, store search.Store) *remote.Store {
	t.Helper()
	server := httptest.NewServer(mustServer(t, Config{Store: store, Keys: []string{"key"}}))
	t.Cleanup(server.Close)
	client, err := remote.New(remote.Config{URL: server.URL, Key: "key"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = client.Close() })
	return client
}

// TestReplica_isTheStoreItself: over HTTP every method answers as the store
// behind it does.
func TestReplica_isTheStoreItself(t *testing.T) {
	store := newStore(t)
	far, ctx := dial(t, store), t.Context()
	docs := search.Collection{Name: "docs", Dims: 2, Metric: search.Dot, Placement: search.Placement{By: search.ByID}}
	if _, err := far.Write(ctx, search.Batch{Collection: "docs", Create: &docs}); err != nil {
		t.Fatal(err)
	}
	points := []search.Point{
		{Key: search.Key{Tenant: "t", ID: "a"}, Version: 1 << 60, Dense: []float32{1, 0.1}, Text: "ä", Meta: []byte(`{"n":1}`), Sparse: search.Sparse{Index: []uint32{7}, Value: []float32{1}}},
		{Key: search.Key{Tenant: "t", ID: "b"}, Version: 1<<60 + 1, Dense: []float32{0.3, 2}, Meta: []byte(`{"n":2}`)},
	}
	written, err := far.Write(ctx, search.Batch{Collection: "docs", Upserts: points})
	if err != nil || written.Applied != 2 {
		t.Fatalf("written %+v, %v", written, err)
	}
	all := search.Fields{Text: true, Meta: true, Vector: true}
	same(t, "search", store, far, func(s search.Store) (any, error) {
		res, err := s.Search(ctx, search.Query{Collection: "docs", Tenant: "t", Fields: all, Legs: []search.Leg{{Dense: []float32{0.1, 0.7}, K: 5}}})
		res.Report.Took = 0
		return res, err
	})
	same(t, "complete search", store, far, func(s search.Store) (any, error) {
		legs := []search.Leg{{Dense: []float32{0.1, 0.7}, K: 1}, {Dense: []float32{1, 0}, K: 1}}
		res, err := s.Search(ctx, search.Query{Collection: "docs", Tenant: "t", Legs: legs, Complete: true})
		if err == nil && len(res.Lists[0].Hits[0].Legs) != 2 {
			t.Errorf("a hit brings the scores %v, want those of both legs", res.Lists[0].Hits[0].Legs)
		}
		res.Report.Took = 0
		return res, err
	})
	same(t, "get", store, far, func(s search.Store) (any, error) {
		return s.Get(ctx, "docs", []search.Key{{Tenant: "t", ID: "b"}, {Tenant: "t", ID: "none"}}, all)
	})
	same(t, "scroll", store, far, func(s search.Store) (any, error) {
		return s.Scroll(ctx, search.Scan{Collection: "docs", Tenant: "t", Limit: 1, Fields: all})
	})
	same(t, "count", store, far, func(s search.Store) (any, error) {
		f, err := search.ParseFilter([]byte(`{"n": {"$gt": 1}}`))
		if err != nil {
			return nil, err
		}
		return s.Count(ctx, "docs", "t", f)
	})
	same(t, "stats", store, far, func(s search.Store) (any, error) { return s.Stats(ctx, "") })
	same(t, "terms", store, far, func(s search.Store) (any, error) {
		return s.(search.TermCounter).TermStats(ctx, search.TermQuery{Collection: "docs", Tenant: "t", Terms: []uint32{7, 1}})
	})
	for _, s := range []search.Store{store, far} {
		if _, err := s.Search(ctx, search.Query{Collection: "none", Legs: []search.Leg{{Dense: []float32{1, 1}, K: 1}}}); !errors.Is(err, fault.NotFound) {
			t.Errorf("%T: unknown collection: %v, want not found", s, err)
		}
	}
}

// A store without an index of words says so, in a class that nobody retries.
func TestReplica_termsOfAStoreThatCannotCountThem(t *testing.T) {
	far := dial(t, struct{ search.Store }{newStore(t)})
	if _, err := far.TermStats(t.Context(), search.TermQuery{Collection: "docs", Terms: []uint32{1}}); !errors.Is(err, fault.Invalid) {
		t.Errorf("got %v, want invalid", err)
	}
}

// same compares what two stores answer.
func same(t *testing.T, name string, near, far search.Store, ask func(search.Store) (any, error)) {
	t.Helper()
	want, err := ask(near)
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	got, err := ask(far)
	if err != nil {
		t.Fatalf("%s over HTTP: %v", name, err)
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("%s (-near +far):\n%s", name, d)
	}
}

// TestReplica_ofARouter: a router behind a server is a store as well.
func TestReplica_ofARouter(t *testing.T) {
	far := dial(t, newRouter(t, nil))
	res, err := far.Search(t.Context(), search.Query{Collection: "docs", Legs: []search.Leg{{Dense: []float32{1, 0}, K: 2}}})
	if err != nil || len(res.Lists) != 1 || len(res.Lists[0].Hits) != 2 || res.Lists[0].Hits[0].ID != "one" {
		t.Errorf("%+v, %v", res, err)
	}
}

// TestReplica_cancelReachesTheStore: the store's context ends when the caller leaves.
func TestReplica_cancelReachesTheStore(t *testing.T) {
	asked, over := make(chan struct{}), make(chan error, 1)
	slow := &slowStore{Store: newStore(t), search: func(ctx context.Context) {
		close(asked)
		<-ctx.Done()
		over <- ctx.Err()
	}}
	far := dial(t, slow)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() {
		_, err := far.Search(ctx, search.Query{Collection: "docs", Legs: []search.Leg{{Dense: []float32{1, 0}, K: 2}}})
		done <- err
	}()
	<-asked
	cancel()
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Errorf("the caller got %v", err)
	}
	if err := <-over; err == nil {
		t.Error("the store's context did not end")
	}
}

// slowStore searches by a function.
type slowStore struct {
	search.Store
	search func(ctx context.Context)
}

func (s *slowStore) Search(ctx context.Context, _ search.Query) (search.Result, error) {
	s.search(ctx)
	return search.Result{}, ctx.Err()
}

// TestServer_ofAStoreAlone has the replica protocol, health and docs, no more.
func TestServer_ofAStoreAlone(t *testing.T) {
	s := mustServer(t, Config{Store: newStore(t)})
	for path, want := range map[string]int{
		"GET /healthz": 200, "GET /docs": 200, "GET /openapi.json": 200, "POST /v1/replica/stats": 415,
		"POST /v1/search": 404, "GET /v1/collections": 404,
	} {
		method, target, _ := strings.Cut(path, " ")
		if w := do(s, newRequest(method, target, "")); w.Code != want {
			t.Errorf("%s: %d, want %d", path, w.Code, want)
		}
	}
}

// endless searches its store over and over, as one would be searched that has many
// more points, and says why it stopped.
type endless struct {
	search.Store
	begun   chan struct{}
	stopped chan error
}

func (e endless) Search(ctx context.Context, q search.Query) (search.Result, error) {
	close(e.begun)
	for {
		if _, err := e.Store.Search(ctx, q); err != nil {
			e.stopped <- err
			return search.Result{}, err
		}
	}
}

// TestReplica_stopsAScanThatIsCancelled: a remote lanewise server over a store of its own aborts what
// nobody waits for any more, so that aborts may be declared for it.
func TestReplica_stopsAScanThatIsCancelled(t *testing.T) {
	e := endless{Store: newStore(t), begun: make(chan struct{}), stopped: make(chan error, 1)}
	docs := search.Collection{Name: "docs", Dims: 2, Metric: search.Dot, Placement: search.Placement{By: search.ByID}}
	point := search.Point{Key: search.Key{ID: "a"}, Version: 1, Dense: []float32{1, 0}}
	for _, b := range []search.Batch{{Collection: "docs", Create: &docs}, {Collection: "docs", Upserts: []search.Point{point}}} {
		if _, err := e.Write(t.Context(), b); err != nil {
			t.Fatal(err)
		}
	}
	far := dial(t, e)
	ctx, cancel := context.WithCancel(t.Context())
	answered := make(chan error, 1)
	go func() {
		_, err := far.Search(ctx, search.Query{Collection: "docs", Legs: []search.Leg{{Dense: []float32{1, 0}, K: 1}}})
		answered <- err
	}()
	<-e.begun
	cancel()
	if err := <-answered; !errors.Is(err, context.Canceled) {
		t.Errorf("the caller: %v, want its cancel", err)
	}
	if err := <-e.stopped; !errors.Is(err, context.Canceled) {
		t.Errorf("the server's scan: %v, want it cancelled", err)
	}
}
