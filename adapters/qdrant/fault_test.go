package qdrant_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/lanewise/lanewise/adapters/qdrant"
	"github.com/lanewise/lanewise/fault"
	"github.com/lanewise/lanewise/internal/selfsigned"
	"github.com/lanewise/lanewise/search"
)

// nearest is a query that every test can ask.
func nearest(k int) search.Query {
	return search.Query{Collection: docs, Legs: []search.Leg{{Dense: []float32{1, 0}, K: k, Exact: true}}}
}

// refused asks for anything and checks the class of the error.
func refused(t *testing.T, s search.Searcher, class fault.Class) {
	t.Helper()
	if _, err := s.Search(t.Context(), nearest(1)); !errors.Is(err, class) {
		t.Errorf("got %v, want %s", err, class)
	}
}

func TestSearch_wrongKey(t *testing.T) {
	engine := newServer()
	engine.key = "right"
	address := engine.serve(t, "127.0.0.1:0", nil).address
	refused(t, open(t, qdrant.Config{Address: address, Key: "wrong"}), fault.Refused)
	refused(t, open(t, qdrant.Config{Address: address}), fault.Refused)
	refused(t, open(t, qdrant.Config{Address: address, Key: "right"}), fault.NotFound)
}

// identity is a certificate for 127.0.0.1 and the settings that trust it.
func identity(t *testing.T) (server, client *tls.Config) {
	t.Helper()
	c := selfsigned.Make(t, &x509.Certificate{NotAfter: time.Now().Add(time.Hour), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}})
	return &tls.Config{Certificates: []tls.Certificate{c}}, &tls.Config{RootCAs: selfsigned.Roots(c)}
}

func TestSearch_encryption(t *testing.T) {
	engine := newServer()
	server, client := identity(t)
	plain, secret := engine.serve(t, "127.0.0.1:0", nil).address, engine.serve(t, "127.0.0.1:0", server).address
	refused(t, open(t, qdrant.Config{Address: secret, TLS: client}), fault.NotFound) // it got through
	refused(t, open(t, qdrant.Config{Address: plain, TLS: client}), fault.Unavailable)
	refused(t, open(t, qdrant.Config{Address: secret}), fault.Unavailable)
	refused(t, open(t, qdrant.Config{Address: secret, TLS: &tls.Config{RootCAs: x509.NewCertPool()}}), fault.Unavailable)
}

func TestSearch_serverIsDown(t *testing.T) {
	engine := newServer()
	r := engine.serve(t, "127.0.0.1:0", nil)
	r.kill()
	refused(t, open(t, qdrant.Config{Address: r.address}), fault.Unavailable)
}

// A server that takes a call and holds its answer is left as soon as the caller
// leaves: the answer is held until the test has seen the call return.
func TestSearch_returnsBeforeAServerThatHoldsItsAnswer(t *testing.T) {
	s, engine := start(t)
	create(t, s)
	arrived, release := make(chan struct{}), make(chan struct{})
	engine.hook(func(context.Context) error { close(arrived); <-release; return nil })
	defer close(release)
	ctx, cancel := context.WithCancel(t.Context())
	go func() { <-arrived; cancel() }()
	if _, err := s.Search(ctx, nearest(1)); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want context.Canceled", err)
	}
}

func TestSearch_deadlineIsTheCallersOwn(t *testing.T) {
	s, engine := start(t)
	create(t, s)
	release := make(chan struct{})
	engine.hook(func(context.Context) error { <-release; return nil })
	defer close(release)
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Millisecond)
	defer cancel()
	if _, err := s.Search(ctx, nearest(1)); !errors.Is(err, context.DeadlineExceeded) || fault.Of(err) != "" {
		t.Errorf("got %v, want context.DeadlineExceeded", err)
	}
}

// A port that accepts connections and never says a word.
func TestSearch_serverHangsBeforeTheHandshake(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	s := open(t, qdrant.Config{Address: l.Addr().String(), DialTimeout: 50 * time.Millisecond})
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	if _, err := s.Search(ctx, nearest(1)); !errors.Is(err, fault.Unavailable) {
		t.Errorf("without a deadline: got %v, want unavailable", err)
	}
	cancel()
	if _, err := s.Search(ctx, nearest(1)); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: got %v", err)
	}
}

func TestSearch_reconnectsAfterARestart(t *testing.T) {
	engine := newServer()
	r := engine.serve(t, "127.0.0.1:0", nil)
	s := open(t, qdrant.Config{Address: r.address})
	create(t, s)
	put(t, s, at("a", 1))
	r.kill()
	refused(t, s, fault.Unavailable)
	engine.serve(t, r.address, nil)
	for t.Context().Err() == nil {
		res, err := s.Search(t.Context(), nearest(1))
		if err == nil {
			if len(res.Lists[0].Hits) != 1 {
				t.Errorf("got %+v", res)
			}
			return
		}
		if !errors.Is(err, fault.Unavailable) {
			t.Fatalf("while it comes back: got %v, want unavailable", err)
		}
		<-time.After(5 * time.Millisecond)
	}
}

func TestClose_underLoad(t *testing.T) {
	s := fresh(t)
	create(t, s)
	put(t, s, at("a", 1))
	var wg sync.WaitGroup
	started := make(chan struct{}, 16)
	for range 16 {
		wg.Go(func() {
			for first := true; ; first = false {
				_, err := s.Search(context.Background(), nearest(1))
				if first {
					started <- struct{}{}
				}
				if err != nil {
					if !errors.Is(err, fault.Unavailable) {
						t.Errorf("got %v, want unavailable", err)
					}
					return
				}
			}
		})
	}
	for range 16 {
		<-started
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	wg.Wait()
}

func TestClass_ofWhatQdrantSays(t *testing.T) {
	s, engine := start(t)
	create(t, s)
	for name, c := range map[string]struct {
		err   error
		class fault.Class
	}{
		"dropped":        {status.Error(codes.NotFound, "Not found: Collection `docs` doesn't exist!"), fault.NotFound},
		"precondition":   {status.Error(codes.FailedPrecondition, "collection `docs` doesn't exist"), fault.NotFound},
		"not ready":      {status.Error(codes.FailedPrecondition, "shard is being moved"), fault.Unavailable},
		"bad query":      {status.Error(codes.InvalidArgument, "Wrong input"), fault.Invalid},
		"no permission":  {status.Error(codes.PermissionDenied, "read only"), fault.Refused},
		"busy":           {status.Error(codes.ResourceExhausted, "Rate limiting exceeded"), fault.Overloaded},
		"too large":      {status.Error(codes.ResourceExhausted, "trying to send message larger than max (9 vs. 8)"), fault.Invalid},
		"over its limit": {status.Error(codes.OutOfRange, "decoded message length too large"), fault.Invalid},
		"its own time":   {status.Error(codes.DeadlineExceeded, "Operation timed out"), fault.Unavailable},
		"broken":         {status.Error(codes.Internal, "Service internal error"), fault.Unavailable},
		"other server":   {status.Error(codes.Unimplemented, "unknown service"), fault.Unavailable},
	} {
		t.Run(name, func(t *testing.T) {
			engine.hook(func(context.Context) error { return c.err })
			_, err := s.Count(t.Context(), docs, "", search.Filter{})
			if !errors.Is(err, c.class) || fault.Of(err) != c.class {
				t.Errorf("got %v of class %q, want %q", err, fault.Of(err), c.class)
			}
			engine.hook(nil)
			_, _ = s.Stats(t.Context(), docs) // a collection that was called missing is looked up again
		})
	}
}

func TestClass_rateLimitSaysWhen(t *testing.T) {
	s, engine := start(t)
	create(t, s)
	engine.hook(func(ctx context.Context) error {
		_ = grpc.SetTrailer(ctx, metadata.Pairs("retry-after", "7"))
		return status.Error(codes.ResourceExhausted, "Rate limiting exceeded: read")
	})
	_, err := s.Search(t.Context(), nearest(1))
	if !errors.Is(err, fault.Overloaded) || fault.RetryAfter(err) != 7*time.Second {
		t.Errorf("got %v after %v, want overloaded for 7 s", err, fault.RetryAfter(err))
	}
}

// Answers above gRPC's default of 4 MiB come through; those above the limit are
// not mistaken for a busy server.
func TestSearch_largeAnswers(t *testing.T) {
	c := somewhere(t)
	s := open(t, c)
	c.MaxMessage = 1 << 20
	narrow := open(t, c)
	create(t, s)
	for _, id := range []string{"a", "b", "c"} {
		p := at(id, 1)
		p.Text = strings.Repeat("0123456789", 300_000)
		put(t, s, p)
	}
	q := nearest(3)
	q.Fields.Text = true
	res, err := s.Search(t.Context(), q)
	if err != nil || len(res.Lists[0].Hits) != 3 || len(res.Lists[0].Hits[2].Text) != 3_000_000 {
		t.Errorf("9 MB of answer: got %d hits, %v", len(res.Lists), err)
	}
	if _, err := narrow.Search(t.Context(), q); !errors.Is(err, fault.Invalid) {
		t.Errorf("above the limit: got %v, want invalid", err)
	}
}

func TestNew_badConfig(t *testing.T) {
	for field, c := range map[string]qdrant.Config{
		"/address":     {Address: "nowhere"},
		"/consistency": {Address: "a:1", Consistency: "most"},
		"/shards":      {Address: "a:1", Shards: -1},
		"/remember":    {Address: "a:1", Remember: -1},
	} {
		if _, err := qdrant.New(c); !errors.Is(err, fault.Invalid) || fault.Field(err) != field {
			t.Errorf("%s: got %v", field, err)
		}
	}
}

func TestWrite_pointOverTheServersLimit(t *testing.T) {
	s, _ := start(t)
	create(t, s)
	p := at("a", 1)
	p.Text = strings.Repeat("0123456789", 4_000_000) // 40 MB, and this server takes 32 MiB
	if _, err := s.Write(t.Context(), search.Batch{Collection: docs, Upserts: []search.Point{p}}); !errors.Is(err, fault.Invalid) {
		t.Errorf("got %v, want invalid", err)
	}
	var many []search.Point
	for _, id := range []string{"a", "b", "c", "d", "e"} {
		p := at(id, 1)
		p.Text = strings.Repeat("0123456789", 900_000) // together 45 MB: sent in parts
		many = append(many, p)
	}
	if out := put(t, s, many...); out.Applied != 5 {
		t.Errorf("got %+v, want five applied", out)
	}
}
