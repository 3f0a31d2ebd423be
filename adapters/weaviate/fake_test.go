package weaviate

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/weaviate/weaviate/entities/models"
	pb "github.com/weaviate/weaviate/grpc/generated/protocol/v1"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/lanewise/lanewise/fault"
	"github.com/lanewise/lanewise/search"
)

// fake is a Weaviate that has one class and answers as a test tells it to.
type fake struct {
	pb.UnimplementedWeaviateServer
	searches, batches, schemas atomic.Int32
	status                     int // of REST; 0: 200
	key                        string
	search                     func(ctx context.Context) (*pb.SearchReply, error)
	batch                      func(ctx context.Context) (*pb.BatchObjectsReply, error)
}

func (f *fake) Search(ctx context.Context, _ *pb.SearchRequest) (*pb.SearchReply, error) {
	f.searches.Add(1)
	if md, _ := metadata.FromIncomingContext(ctx); f.key != "" && strings.Join(md.Get("authorization"), "") != "Bearer "+f.key {
		return nil, status.Error(codes.Unauthenticated, "wrong key")
	}
	return f.search(ctx)
}

func (f *fake) BatchObjects(ctx context.Context, _ *pb.BatchObjectsRequest) (*pb.BatchObjectsReply, error) {
	f.batches.Add(1)
	return f.batch(ctx)
}

// ServeHTTP tells the one class.
func (f *fake) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	f.schemas.Add(1)
	if f.status != 0 {
		http.Error(w, "told to", f.status)
		return
	}
	if f.key != "" && r.Header.Get("Authorization") != "Bearer "+f.key {
		http.Error(w, "wrong key", http.StatusUnauthorized)
		return
	}
	about, err := json.Marshal(descriptor{Lanewise: layout, Collection: search.Collection{Name: "docs", Dims: 2, Metric: search.Dot}, Index: Flat, Born: "x"})
	if err == nil {
		err = json.NewEncoder(w).Encode(&models.Class{Class: "Lanewise_docs", Description: string(about)})
	}
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
	}
}

// serve starts the fake and opens a store on it, with TLS where c has it.
func serve(t *testing.T, f *fake, c Config) *Store {
	t.Helper()
	rest := httptest.NewUnstartedServer(f)
	var opts []grpc.ServerOption
	if c.TLS != nil {
		rest.StartTLS()
		opts = append(opts, grpc.Creds(credentials.NewServerTLSFromCert(&rest.TLS.Certificates[0])))
		if c.TLS.RootCAs != nil {
			c.TLS.RootCAs.AddCert(rest.Certificate())
		}
	} else {
		rest.Start()
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	srv := grpc.NewServer(opts...)
	pb.RegisterWeaviateServer(srv, f)
	var served sync.WaitGroup
	served.Go(func() { _ = srv.Serve(l) })
	c.Address, c.GRPC = rest.Listener.Addr().String(), l.Addr().String()
	s, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
		srv.Stop()
		rest.Close()
		served.Wait()
	})
	return s
}

var query = search.Query{Collection: "docs", Legs: []search.Leg{{Dense: []float32{1, 0}, K: 3}}}

func empty(context.Context) (*pb.SearchReply, error) { return &pb.SearchReply{}, nil }

func TestSearch_classifiesWithoutRetrying(t *testing.T) {
	for name, c := range map[string]struct {
		err  error
		want fault.Class
	}{
		"unavailable":    {status.Error(codes.Unavailable, "x"), fault.Unavailable},
		"exhausted":      {status.Error(codes.ResourceExhausted, "x"), fault.Overloaded},
		"key":            {status.Error(codes.Unauthenticated, "x"), fault.Refused},
		"permission":     {status.Error(codes.PermissionDenied, "x"), fault.Refused},
		"their deadline": {status.Error(codes.DeadlineExceeded, "x"), fault.Unavailable},
		"internal":       {status.Error(codes.Internal, "x"), fault.Unavailable},
		"no class":       {errors.New("could not find class Lanewise_docs in schema"), fault.NotFound},
		"no property":    {errors.New("no such prop with name 'n' found in class"), fault.Invalid},
		"too many rows":  {errors.New("query maximum results exceeded"), fault.Invalid},
		"dims":           {errors.New("3 vs 2: vector lengths don't match"), fault.Invalid},
		"memory":         {errors.New("not enough memory"), fault.Overloaded},
		"anonymous":      {errors.New("anonymous access not enabled"), fault.Refused},
		"anything":       {errors.New("it broke"), fault.Unavailable},
	} {
		t.Run(name, func(t *testing.T) {
			f := &fake{search: func(context.Context) (*pb.SearchReply, error) { return nil, c.err }}
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

func TestDescribe_classifiesWithoutRetrying(t *testing.T) {
	for code, want := range map[int]fault.Class{
		401: fault.Refused, 403: fault.Refused, 404: fault.NotFound, 422: fault.Invalid, 429: fault.Overloaded, 500: fault.Unavailable, 503: fault.Unavailable,
	} {
		f := &fake{status: code}
		_, err := serve(t, f, Config{}).Search(t.Context(), query)
		if fault.Of(err) != want || f.schemas.Load() != 1 {
			t.Errorf("status %d: got %v of class %q after %d requests, want %q after one", code, err, fault.Of(err), f.schemas.Load(), want)
		}
	}
}

func TestStore_keyAndCertificates(t *testing.T) {
	trusting := func() *tls.Config { return &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: x509.NewCertPool()} }
	for name, c := range map[string]struct {
		config Config
		want   fault.Class
	}{
		"right key":           {Config{Key: "k"}, ""},
		"wrong key":           {Config{Key: "x"}, fault.Refused},
		"no key":              {Config{}, fault.Refused},
		"custom authority":    {Config{Key: "k", TLS: trusting()}, ""},
		"unknown certificate": {Config{Key: "k", TLS: &tls.Config{MinVersion: tls.VersionTLS12}}, fault.Unavailable},
	} {
		t.Run(name, func(t *testing.T) {
			s := serve(t, &fake{key: "k", search: empty}, c.config)
			if _, err := s.Search(t.Context(), query); fault.Of(err) != c.want {
				t.Errorf("got %v, want class %q", err, c.want)
			}
			s.classes.Store("docs", &class{Collection: search.Collection{Name: "docs", Dims: 2, Metric: search.Dot}, engine: "Lanewise_docs"})
			if _, err := s.Search(t.Context(), query); fault.Of(err) != c.want { // gRPC alone
				t.Errorf("gRPC: got %v, want class %q", err, c.want)
			}
		})
	}
}

func TestSearch_refusesAMalformedAnswer(t *testing.T) {
	row := func(dense []byte, key string) *pb.SearchReply {
		return &pb.SearchReply{Results: []*pb.SearchResult{{
			Metadata: &pb.MetadataResult{VectorBytes: dense},
			Properties: &pb.PropertiesResult{NonRefProps: &pb.Properties{Fields: map[string]*pb.Value{
				keyProperty: {Kind: &pb.Value_TextValue{TextValue: key}},
			}}},
		}}}
	}
	for name, answer := range map[string]*pb.SearchReply{
		"no vector": row(nil, "!61"), "another length": row(make([]byte, 12), "!61"), "a foreign key": row(make([]byte, 8), "zz"),
	} {
		f := &fake{search: func(context.Context) (*pb.SearchReply, error) { return answer, nil }}
		if _, err := serve(t, f, Config{}).Search(t.Context(), query); !errors.Is(err, fault.Unavailable) {
			t.Errorf("%s: got %v, want unavailable", name, err)
		}
	}
}

func TestReply_isCutShort(t *testing.T) {
	whole := []byte{replyResults<<3 | 2, 2, resultMetadata<<3 | 2, 0}
	for n := range whole {
		if err := new(reply).read(whole[:n]); n > 0 && !errors.Is(err, fault.Unavailable) {
			t.Errorf("after %d bytes: got %v, want unavailable", n, err)
		}
	}
	if err := new(reply).read(whole); err != nil {
		t.Error(err)
	}
}

// A write whose caller has left holds its ids until the server is done.
func TestWrite_locksItsIDsAlthoughTheCallerIsGone(t *testing.T) {
	reached, answer := make(chan struct{}, 4), make(chan struct{})
	f := &fake{search: empty, batch: func(context.Context) (*pb.BatchObjectsReply, error) {
		reached <- struct{}{}
		<-answer
		return &pb.BatchObjectsReply{}, nil
	}}
	s := serve(t, f, Config{})
	batch := search.Batch{Collection: "docs", Upserts: []search.Point{{Key: search.Key{ID: "a"}, Version: 1, Dense: []float32{1, 0}}}}
	ctx, leave := context.WithCancel(t.Context())
	first := make(chan error, 1)
	go func() {
		_, err := s.Write(ctx, batch)
		first <- err
	}()
	<-reached
	leave()
	if err := <-first; !errors.Is(err, context.Canceled) {
		t.Errorf("the caller who left: got %v", err)
	}
	short, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := s.Write(short, batch); !errors.Is(err, context.DeadlineExceeded) || f.batches.Load() != 1 {
		t.Errorf("a second write of the id: got %v after %d batches, want it to wait", err, f.batches.Load())
	}
	close(answer)
	if _, err := s.Write(t.Context(), batch); err != nil {
		t.Errorf("after the first one is done: %v", err)
	}
}

// Versions are read where one of them may be newer than the write, and only there.
func TestWrite_readsVersionsWhereOneMayBeNewer(t *testing.T) {
	f := &fake{search: empty, batch: func(context.Context) (*pb.BatchObjectsReply, error) { return &pb.BatchObjectsReply{}, nil }}
	s := serve(t, f, Config{})
	for _, step := range []struct {
		version search.Version
		reads   int32
	}{{5, 1}, {6, 1}, {6, 2}, {2, 2}, {7, 1}} {
		before := f.searches.Load()
		_, err := s.Write(t.Context(), search.Batch{Collection: "docs", Upserts: []search.Point{{Key: search.Key{ID: "a"}, Version: step.version, Dense: []float32{1, 0}}}})
		if reads := f.searches.Load() - before; err != nil || reads != step.reads {
			t.Errorf("version %d: %d reads, want %d; %v", step.version, reads, step.reads, err)
		}
	}
}

func TestWrite_namesWhatTheServerRefused(t *testing.T) {
	for text, want := range map[string]fault.Class{
		"insert called with a vector of the wrong size: 3": fault.Invalid, "not enough memory": fault.Overloaded, "disk is gone": fault.Unavailable,
	} {
		f := &fake{search: empty, batch: func(context.Context) (*pb.BatchObjectsReply, error) {
			return &pb.BatchObjectsReply{Errors: []*pb.BatchObjectsReply_BatchError{{Index: 0, Error: text}}}, nil
		}}
		batch := search.Batch{Collection: "docs", Upserts: []search.Point{{Key: search.Key{ID: "a"}, Version: 1, Dense: []float32{1, 0}}}}
		if _, err := serve(t, f, Config{}).Write(t.Context(), batch); fault.Of(err) != want || !strings.Contains(err.Error(), text) {
			t.Errorf("%s: got %v", text, err)
		}
	}
}

// The client's finalizer would block all others of the program.
func TestStore_leavesFinalizersAlone(t *testing.T) {
	s, err := New(Config{Address: "127.0.0.1:1"})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = nil //nolint:ineffassign,wastedassign // so that it can be collected
	runtime.GC()
	ran := make(chan struct{})
	runtime.SetFinalizer(&struct{ p *int }{new(int)}, func(*struct{ p *int }) { close(ran) })
	for range 500 {
		runtime.GC()
		select {
		case <-ran:
			return
		default:
		}
	}
	t.Error("a finalizer does not run")
}
