package remote_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"

	"go.uber.org/goleak"

	"github.com/lanewise/lanewise/adapters/remote"
	"github.com/lanewise/lanewise/fault"
	"github.com/lanewise/lanewise/search"
	"github.com/lanewise/lanewise/search/wire"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// serve answers the replica protocol from a store, as a lanewise server does.
func serve(s search.Store) http.Handler {
	mux := http.NewServeMux()
	handle(mux, "search", func(ctx context.Context, q search.Query) (search.Result, error) {
		q.Complete, _ = ctx.Value(complete{}).(bool)
		return s.Search(ctx, q)
	})
	handle(mux, "write", s.Write)
	handle(mux, "get", func(ctx context.Context, k wire.Keys) ([]search.Point, error) {
		return s.Get(ctx, k.Collection, k.Keys, k.Fields)
	})
	handle(mux, "scroll", s.Scroll)
	handle(mux, "count", func(ctx context.Context, q search.Scan) (int, error) {
		return s.Count(ctx, q.Collection, q.Tenant, q.Filter)
	})
	handle(mux, "stats", func(ctx context.Context, q search.Scan) ([]search.Stats, error) { return s.Stats(ctx, q.Collection) })
	if counter, ok := s.(search.TermCounter); ok {
		handle(mux, "terms", counter.TermStats)
	}
	return mux
}

func handle[Q search.Query | search.Batch | wire.Keys | search.Scan | search.TermQuery, R search.Result | search.Written | []search.Point | search.Page | int | []search.Stats | search.TermStats](
	mux *http.ServeMux, op string, answer func(context.Context, Q) (R, error),
) {
	mux.HandleFunc("POST "+wire.ReplicaPath+op, func(w http.ResponseWriter, r *http.Request) {
		data, err := io.ReadAll(r.Body)
		if err != nil {
			return
		}
		q, err := wire.UnmarshalReplica[Q](data)
		var res R
		if err == nil {
			res, err = answer(context.WithValue(r.Context(), complete{}, r.Header.Get(wire.CompleteHeader) == "1"), q)
		}
		if err == nil {
			data, err = wire.MarshalReplica(res)
		}
		if err != nil {
			problem(w, err, http.StatusTeapot) // the class must survive any status
			return
		}
		w.Write(data) //nolint:errcheck // the test sees it
	})
}

// complete is the key of what a request's header says.
type complete struct{}

func problem(w http.ResponseWriter, err error, status int) {
	body, _ := wire.Encode(wire.NewProblem(err, status))
	w.Header().Set("Content-Type", "application/problem+json")
	w.WriteHeader(status)
	w.Write(body) //nolint:errcheck // the test sees it
}

// start runs a server and a store that talks to it.
func start(tb testing.TB, h http.Handler, c remote.Config) (*remote.Store, *httptest.Server) {
	tb.Helper()
	srv := httptest.NewServer(h)
	tb.Cleanup(srv.Close)
	c.URL = srv.URL
	s, err := remote.New(c)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := s.Close(); err != nil {
			tb.Error(err)
		}
	})
	return s, srv
}

// fake is a store that answers with what it holds and remembers what it was asked.
type fake struct {
	asked   any
	result  search.Result
	written search.Written
	points  []search.Point
	page    search.Page
	count   int
	stats   []search.Stats
	terms   search.TermStats
	err     error
	calls   atomic.Int64
}

var _ search.Store = (*fake)(nil)

func (f *fake) ask(x any) error {
	f.calls.Add(1)
	f.asked = x
	return f.err
}

func (f *fake) Search(_ context.Context, q search.Query) (search.Result, error) {
	return f.result, f.ask(q)
}

func (f *fake) Write(_ context.Context, b search.Batch) (search.Written, error) {
	return f.written, f.ask(b)
}

func (f *fake) Get(_ context.Context, collection string, keys []search.Key, fields search.Fields) ([]search.Point, error) {
	return f.points, f.ask(wire.Keys{Collection: collection, Keys: keys, Fields: fields})
}

func (f *fake) Scroll(_ context.Context, s search.Scan) (search.Page, error) { return f.page, f.ask(s) }

func (f *fake) Count(_ context.Context, collection, tenant string, filter search.Filter) (int, error) {
	return f.count, f.ask(search.Scan{Collection: collection, Tenant: tenant, Filter: filter})
}

func (f *fake) Stats(_ context.Context, collection string) ([]search.Stats, error) {
	return f.stats, f.ask(collection)
}

func (f *fake) TermStats(_ context.Context, q search.TermQuery) (search.TermStats, error) {
	return f.terms, f.ask(q)
}

// holding is a handler that reads the request, says so, and then answers only
// when the request's context ends.
func holding(entered, left chan<- struct{}) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body) //nolint:errcheck // the server watches the connection once the body is read
		entered <- struct{}{}
		<-r.Context().Done()
		left <- struct{}{}
		problem(w, errors.New("too late"), http.StatusInternalServerError)
	})
}

func classOf(err error) fault.Class { return fault.Of(err) }
