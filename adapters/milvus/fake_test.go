package milvus

import (
	"context"
	"encoding/json"
	"errors"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/milvus-io/milvus-proto/go-api/v2/commonpb"
	"github.com/milvus-io/milvus-proto/go-api/v2/milvuspb"
	"github.com/milvus-io/milvus-proto/go-api/v2/schemapb"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/lanewise/lanewise/fault"
	"github.com/lanewise/lanewise/search"
)

// fake is a Milvus that has one collection and answers as a test tells it to.
type fake struct {
	milvuspb.UnimplementedMilvusServiceServer
	searches atomic.Int32
	describe func() (search.Collection, int64) // the collection and its id
	search   func(ctx context.Context, q *milvuspb.SearchRequest) (*milvuspb.SearchResults, error)
	upsert   func(ctx context.Context) (*milvuspb.MutationResult, error)
	query    func(q *milvuspb.QueryRequest) *milvuspb.QueryResults
}

func (f *fake) DescribeCollection(context.Context, *milvuspb.DescribeCollectionRequest) (*milvuspb.DescribeCollectionResponse, error) {
	c, id := search.Collection{Name: "docs", Dims: 2, Metric: search.Dot}, int64(1)
	if f.describe != nil {
		c, id = f.describe()
	}
	about, err := json.Marshal(descriptor{Lanewise: 1, Collection: c, Index: Flat})
	return &milvuspb.DescribeCollectionResponse{
		Status: &commonpb.Status{}, CollectionID: id, Schema: &schemapb.CollectionSchema{Description: string(about)},
	}, err
}

func (f *fake) Search(ctx context.Context, q *milvuspb.SearchRequest) (*milvuspb.SearchResults, error) {
	f.searches.Add(1)
	return f.search(ctx, q)
}

func (f *fake) Upsert(ctx context.Context, _ *milvuspb.UpsertRequest) (*milvuspb.MutationResult, error) {
	return f.upsert(ctx)
}

func (f *fake) Query(_ context.Context, q *milvuspb.QueryRequest) (*milvuspb.QueryResults, error) {
	return f.query(q), nil
}

// serve starts the fake and opens a store on it.
func serve(t *testing.T, f *fake, c Config, opts ...grpc.ServerOption) *Store {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	srv := grpc.NewServer(opts...)
	milvuspb.RegisterMilvusServiceServer(srv, f)
	var served sync.WaitGroup
	served.Go(func() { _ = srv.Serve(l) })
	c.Address = l.Addr().String()
	s, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
		srv.Stop()
		served.Wait()
	})
	return s
}

var query = search.Query{Collection: "docs", Legs: []search.Leg{{Dense: []float32{1, 0}, K: 3}}}

func refusal(code int32, old commonpb.ErrorCode, reason string) *milvuspb.SearchResults {
	return &milvuspb.SearchResults{Status: &commonpb.Status{Code: code, ErrorCode: old, Reason: reason}} //nolint:staticcheck // what older servers send
}

func TestSearch_classifiesWithoutRetrying(t *testing.T) {
	for name, c := range map[string]struct {
		answer *milvuspb.SearchResults
		err    error
		want   fault.Class
	}{
		"no collection":       {refusal(100, 4, "collection not found"), nil, fault.NotFound},
		"not loaded":          {refusal(101, 1, "collection not loaded"), nil, fault.Unavailable},
		"rate limit":          {refusal(8, 49, "rate limit exceeded"), nil, fault.Overloaded},
		"denied":              {refusal(9, 48, "deny to write"), nil, fault.Overloaded},
		"parameter":           {refusal(1100, 5, "invalid parameter"), nil, fault.Invalid},
		"privilege":           {refusal(1401, 3, "not permitted"), nil, fault.Refused},
		"channel":             {refusal(503, 1, "channel not available"), nil, fault.Unavailable},
		"not ready":           {refusal(1, 56, "service not ready"), nil, fault.Unavailable},
		"by text: parse":      {refusal(65535, 1, "cannot parse expression: x"), nil, fault.Invalid},
		"by text: dims":       {refusal(65535, 1, "vector dimension mismatch"), nil, fault.Invalid},
		"by text: anything":   {refusal(65535, 1, "it broke"), nil, fault.Unavailable},
		"old: no collection":  {refusal(0, 4, ""), nil, fault.NotFound},
		"old: rate limit":     {refusal(0, 49, ""), nil, fault.Overloaded},
		"old: topk":           {refusal(0, 10, ""), nil, fault.Invalid},
		"grpc unavailable":    {nil, status.Error(codes.Unavailable, "x"), fault.Unavailable},
		"grpc exhausted":      {nil, status.Error(codes.ResourceExhausted, "x"), fault.Overloaded},
		"grpc key":            {nil, status.Error(codes.Unauthenticated, "x"), fault.Refused},
		"grpc their deadline": {nil, status.Error(codes.DeadlineExceeded, "x"), fault.Unavailable},
		"grpc internal":       {nil, status.Error(codes.Internal, "x"), fault.Unavailable},
	} {
		t.Run(name, func(t *testing.T) {
			f := &fake{search: func(context.Context, *milvuspb.SearchRequest) (*milvuspb.SearchResults, error) {
				return c.answer, c.err
			}}
			_, err := serve(t, f, Config{}).Search(t.Context(), query)
			if fault.Of(err) != c.want || errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("got %v of class %q, want %q", err, fault.Of(err), c.want)
			}
			if n := f.searches.Load(); n != 1 {
				t.Errorf("the server was asked %d times, want once", n)
			}
		})
	}
}

func found(queries int64, topks []int64, ids []string, scores []float32, versions ...int64) *milvuspb.SearchResults {
	return &milvuspb.SearchResults{Status: &commonpb.Status{}, Results: &schemapb.SearchResultData{
		NumQueries: queries, Topks: topks, Scores: scores,
		Ids: &schemapb.IDs{IdField: &schemapb.IDs_StrId{StrId: &schemapb.StringArray{Data: ids}}},
		FieldsData: []*schemapb.FieldData{{FieldName: "version", Field: &schemapb.FieldData_Scalars{Scalars: &schemapb.ScalarField{
			Data: &schemapb.ScalarField_LongData{LongData: &schemapb.LongArray{Data: versions}},
		}}}},
	}}
}

func TestSearch_refusesAnAnswerThatDoesNotFit(t *testing.T) {
	ids, scores := []string{"\x01a", "\x01b"}, []float32{2, 1}
	for name, answer := range map[string]*milvuspb.SearchResults{
		"two queries":    found(2, []int64{1, 1}, ids, scores, 1, 1),
		"no counts":      found(1, nil, ids, scores, 1, 1),
		"short of ids":   found(1, []int64{2}, ids[:1], scores, 1, 1),
		"short of rows":  found(1, []int64{1}, ids, scores, 1, 1),
		"a column short": found(1, []int64{2}, ids, scores, 1),
		"a foreign key":  found(1, []int64{2}, []string{"a", "b"}, scores, 1, 1),
		"no status":      nil,
	} {
		f := &fake{search: func(context.Context, *milvuspb.SearchRequest) (*milvuspb.SearchResults, error) { return answer, nil }}
		if got, err := serve(t, f, Config{}).Search(t.Context(), query); !errors.Is(err, fault.Unavailable) {
			t.Errorf("%s: got %+v, %v, want unavailable", name, got, err)
		}
	}
	f := &fake{search: func(context.Context, *milvuspb.SearchRequest) (*milvuspb.SearchResults, error) {
		return found(1, []int64{2}, ids, scores, 1, 1), nil
	}}
	if got, err := serve(t, f, Config{}).Search(t.Context(), query); err != nil || len(got.Lists[0].Hits) != 2 {
		t.Errorf("a good answer: got %+v, %v", got, err)
	}
}

// A collection that somebody dropped and made again with other dims is described again.
func TestSearch_noticesAnotherSchema(t *testing.T) {
	dims := atomic.Int64{}
	dims.Store(2)
	f := &fake{
		describe: func() (search.Collection, int64) {
			return search.Collection{Name: "docs", Dims: int(dims.Load()), Metric: search.Dot}, dims.Load()
		},
		search: func(_ context.Context, q *milvuspb.SearchRequest) (*milvuspb.SearchResults, error) {
			return found(1, []int64{1}, []string{"\x01a"}, []float32{1}, 1), nil
		},
	}
	s := serve(t, f, Config{})
	if _, err := s.Search(t.Context(), query); err != nil {
		t.Fatal(err)
	}
	dims.Store(3)
	wide := search.Query{Collection: "docs", Legs: []search.Leg{{Dense: []float32{1, 0, 0}, K: 3}}}
	if _, err := s.Search(t.Context(), wide); err != nil {
		t.Errorf("with the new dims: %v", err)
	}
	if _, err := s.Search(t.Context(), query); !errors.Is(err, fault.Invalid) {
		t.Errorf("with the old dims: got %v, want invalid", err)
	}
}

func TestSearch_returnsBeforeAServerThatHolds(t *testing.T) {
	asked := make(chan struct{})
	f := &fake{search: func(ctx context.Context, _ *milvuspb.SearchRequest) (*milvuspb.SearchResults, error) {
		close(asked)
		<-ctx.Done() // the end of the call reaches the server
		return nil, ctx.Err()
	}}
	s := serve(t, f, Config{})
	ctx, cancel := context.WithCancel(t.Context())
	go func() { <-asked; cancel() }()
	if _, err := s.Search(ctx, query); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want context.Canceled", err)
	}
}

// A write whose caller has left keeps its ids until the server is done with it.
func TestWrite_locksItsIdsUntilItEnds(t *testing.T) {
	begun, release := make(chan struct{}, 2), make(chan struct{})
	var order atomic.Int32
	f := &fake{
		query: func(*milvuspb.QueryRequest) *milvuspb.QueryResults {
			return &milvuspb.QueryResults{Status: &commonpb.Status{}}
		},
		upsert: func(ctx context.Context) (*milvuspb.MutationResult, error) {
			if order.Add(1) == 1 {
				begun <- struct{}{}
				<-release
				return &milvuspb.MutationResult{Status: &commonpb.Status{}, Timestamp: 1}, ctx.Err()
			}
			return &milvuspb.MutationResult{Status: &commonpb.Status{}, Timestamp: 2}, nil
		},
	}
	s := serve(t, f, Config{})
	write := func(ctx context.Context, v search.Version) (search.Written, error) {
		p := search.Point{Key: search.Key{ID: "a"}, Version: v, Dense: []float32{1, 1}}
		return s.Write(ctx, search.Batch{Collection: "docs", Upserts: []search.Point{p}})
	}
	ctx, cancel := context.WithCancel(t.Context())
	go func() { <-begun; cancel() }()
	if _, err := write(ctx, 2); !errors.Is(err, context.Canceled) {
		t.Fatalf("got %v, want context.Canceled", err)
	}
	second := make(chan search.Written, 1)
	go func() {
		out, err := write(t.Context(), 1)
		if err != nil {
			t.Error(err)
		}
		second <- out
	}()
	select {
	case out := <-second:
		t.Errorf("an older write passed one under way: %+v", out)
	default:
	}
	close(release)
	if out := <-second; out.Applied != 0 || out.Newer != 2 || order.Load() != 1 {
		t.Errorf("got %+v after %d upserts, want the older write to be stopped by version 2", out, order.Load())
	}
}

// A server that takes the connection and says nothing is given up in time.
func TestSearch_givesUpAServerThatIsHung(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close() //nolint:errcheck // at the end of the test
	s, err := New(Config{Address: l.Addr().String(), DialTimeout: 50 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close() //nolint:errcheck // nothing was written
	if _, err := s.Search(t.Context(), query); !errors.Is(err, fault.Unavailable) {
		t.Errorf("got %v, want unavailable", err)
	}
	s2, err := New(Config{Address: l.Addr().String(), DialTimeout: time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	defer s2.Close() //nolint:errcheck // nothing was written
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if _, err := s2.Search(ctx, query); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v, want context.DeadlineExceeded", err)
	}
}

func TestClose_underLoad(t *testing.T) {
	f := &fake{search: func(context.Context, *milvuspb.SearchRequest) (*milvuspb.SearchResults, error) {
		return found(1, []int64{1}, []string{"\x01a"}, []float32{1}, 1), nil
	}}
	s := serve(t, f, Config{})
	var wg sync.WaitGroup
	running := make(chan struct{}, 16)
	for range 16 {
		wg.Go(func() {
			for first := true; ; first = false {
				_, err := s.Search(t.Context(), query)
				if first {
					running <- struct{}{}
				}
				if errors.Is(err, fault.Unavailable) {
					return
				}
				if err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	for range 16 {
		<-running
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	wg.Wait()
}

func TestNew_refusesAConfigThatDoesNotFit(t *testing.T) {
	for name, c := range map[string]Config{
		"no address": {}, "no port": {Address: "host"}, "a URL": {Address: "http://host:1"}, "a user": {Address: "u:p@host:1"},
		"two credentials": {Address: "h:1", Key: "k", User: "u"}, "consistency": {Address: "h:1", Consistency: "often"},
		"index": {Address: "h:1", Index: "IVF"}, "lag": {Address: "h:1", Lag: -1},
	} {
		if _, err := New(c); !errors.Is(err, fault.Invalid) {
			t.Errorf("%s: got %v, want invalid", name, err)
		}
	}
}
