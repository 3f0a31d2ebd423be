package httpapi

import (
	"context"
	"net/http"

	"github.com/lanewise/lanewise/access"
	"github.com/lanewise/lanewise/fault"
	"github.com/lanewise/lanewise/search"
	"github.com/lanewise/lanewise/search/wire"
)

// replicaRoutes serves a store, one endpoint for each of its methods.
func (s *server) replicaRoutes() []route {
	return []route{
		replicaRoute("search", "Rank points by vectors", s.replicaSearch),
		replicaRoute("write", "Apply a batch of writes",
			replicaHandler(s, s.store.Write, wire.UnmarshalReplica[search.Batch], wire.MarshalReplica[search.Written])),
		replicaRoute("get", "Read points by key",
			replicaHandler(s, s.replicaGet, wire.UnmarshalReplica[wire.Keys], wire.MarshalReplica[[]search.Point])),
		replicaRoute("scroll", "Read a page in key order",
			replicaHandler(s, s.store.Scroll, wire.UnmarshalReplica[search.Scan], wire.MarshalReplica[search.Page])),
		replicaRoute("count", "Count points exactly",
			replicaHandler(s, s.replicaCount, wire.UnmarshalReplica[search.Scan], wire.MarshalReplica[int])),
		replicaRoute("stats", "Describe what is stored",
			replicaHandler(s, s.replicaStats, wire.UnmarshalReplica[search.Scan], wire.MarshalReplica[[]search.Stats])),
		replicaRoute("terms", "Count how common words are",
			replicaHandler(s, s.replicaTerms, wire.UnmarshalReplica[search.TermQuery], wire.MarshalReplica[search.TermStats])),
	}
}

func replicaRoute(name, summary string, handle handlerFunc) route {
	return route{
		method: "POST", path: wire.ReplicaPath + name, id: "replica-" + name, tag: tagReplica, scope: access.Replica, summary: summary, handle: handle,
		detail: "For routers, not for applications: reaches the raw content of all tenants. The bodies are the types of the Go package search one to one, " +
			"as package search/wire writes them.",
		in: typeOf[opaque](), out: typeOf[opaque](),
	}
}

// replicaHandler serves one method of a store, with the codecs of its types.
func replicaHandler[In, Out any](
	s *server, f func(context.Context, In) (Out, error), read func([]byte) (In, error), write func(Out) ([]byte, error),
) handlerFunc {
	return func(w *recorder, r *http.Request) error {
		data, err := s.body(w, r)
		if err != nil {
			return err
		}
		in, err := read(data)
		if err != nil {
			return err
		}
		out, err := f(r.Context(), in)
		if err != nil {
			return err
		}
		if data, err = write(out); err != nil {
			return err
		}
		s.send(w, answer{}, data)
		return nil
	}
}

// replicaSearch takes a part of the query from a header.
func (s *server) replicaSearch(w *recorder, r *http.Request) error {
	read := func(data []byte) (search.Query, error) {
		q, err := wire.UnmarshalReplica[search.Query](data)
		q.Complete = r.Header.Get(wire.CompleteHeader) != ""
		return q, err //nolint:wrapcheck // it names its field
	}
	return replicaHandler(s, s.store.Search, read, wire.MarshalReplica[search.Result])(w, r)
}

func (s *server) replicaGet(ctx context.Context, k wire.Keys) ([]search.Point, error) {
	return s.store.Get(ctx, k.Collection, k.Keys, k.Fields)
}

func (s *server) replicaCount(ctx context.Context, q search.Scan) (int, error) {
	return s.store.Count(ctx, q.Collection, q.Tenant, q.Filter)
}

func (s *server) replicaStats(ctx context.Context, q search.Scan) ([]search.Stats, error) {
	return s.store.Stats(ctx, q.Collection)
}

func (s *server) replicaTerms(ctx context.Context, q search.TermQuery) (search.TermStats, error) {
	counter, ok := s.store.(search.TermCounter)
	if !ok {
		return search.TermStats{}, fault.New(fault.Invalid, "this store cannot count words")
	}
	return counter.TermStats(ctx, q)
}
