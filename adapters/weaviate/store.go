package weaviate

import (
	"context"
	"math"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/weaviate/weaviate-go-client/v5/weaviate/connection"
	"github.com/weaviate/weaviate-go-client/v5/weaviate/misc"
	"github.com/weaviate/weaviate-go-client/v5/weaviate/schema"
	pb "github.com/weaviate/weaviate/grpc/generated/protocol/v1"
	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/lanewise/lanewise/fault"
	"github.com/lanewise/lanewise/internal/inflight"
	"github.com/lanewise/lanewise/internal/keylock"
	"github.com/lanewise/lanewise/internal/tracing"
	"github.com/lanewise/lanewise/search"
)

// Store is a Weaviate server, or the classes with one prefix on it. Safe for
// concurrent use.
type Store struct {
	cfg   Config
	rest  *schema.API
	about *misc.API
	http  *http.Transport
	conn  *grpc.ClientConn // points and queries
	rpc   pb.WeaviateClient

	classes sync.Map      // name of a collection → *class
	locks   keylock.Locks // of ids that are being written
	adding  sync.Mutex    // held while a property is added
	tallies sync.Map      // class.born → *tally
	epoch   atomic.Uint64 // the highest one that this Store has seen

	underWay inflight.Calls
}

var _ search.Store = (*Store)(nil)

// New returns a store for the server at c.Address, with connections of its own. It
// does not connect yet: the first call does. A Config that cannot work is
// fault.Invalid.
func New(c Config) (*Store, error) {
	c = c.withDefaults()
	if err := c.check(); err != nil {
		return nil, err
	}
	conn, err := grpc.NewClient("passthrough:///"+c.GRPC, c.dialOptions()...)
	if err != nil {
		return nil, fault.BadField("/grpc", "makes no client: %v", err)
	}
	transport := &http.Transport{
		DialContext: (&net.Dialer{Timeout: c.DialTimeout}).DialContext, TLSHandshakeTimeout: c.DialTimeout, MaxIdleConnsPerHost: 4,
		IdleConnTimeout: time.Minute, ForceAttemptHTTP2: true,
	}
	if c.TLS != nil {
		transport.TLSClientConfig = c.TLS.Clone()
	}
	client := newClient(c, transport)
	return &Store{
		cfg: c, rest: schema.New(client), about: misc.New(client, nil), http: transport,
		conn: conn, rpc: pb.NewWeaviateClient(conn),
	}, nil
}

// newClient makes the part of the official client that is used. The client as a whole
// asks the server for its version when it is made, without a deadline; its gRPC
// connection accepts any certificate and cannot be closed.
func newClient(c Config, transport http.RoundTripper) *connection.Connection {
	scheme, headers := "http", map[string]string{}
	if c.TLS != nil {
		scheme = "https"
	}
	if c.Key != "" {
		headers["Authorization"] = "Bearer " + c.Key
	}
	kept := &rooted{RoundTripper: transport}
	kept.conn = connection.NewConnection(scheme, c.Address, &http.Client{Transport: kept}, 0, headers)
	return kept.conn
}

// rooted keeps the connection that uses it from being collected. The connection has a
// finalizer that never ends and would block every other one of the program; what is part
// of a circle with a finalizer is not collected.
type rooted struct {
	http.RoundTripper
	conn *connection.Connection
}

// dialOptions leave no attempt to gRPC: another replica may be the better one.
func (c Config) dialOptions() []grpc.DialOption {
	transport := insecure.NewCredentials()
	if c.TLS != nil {
		transport = credentials.NewTLS(c.TLS.Clone())
	}
	options := []grpc.DialOption{
		grpc.WithTransportCredentials(transport),
		grpc.WithPerRPCCredentials(tracing.Credentials{}),
		grpc.WithDisableRetry(), grpc.WithDisableServiceConfig(),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(math.MaxInt32), grpc.MaxCallSendMsgSize(math.MaxInt32)),
		grpc.WithConnectParams(grpc.ConnectParams{
			Backoff:           backoff.Config{BaseDelay: 100 * time.Millisecond, Multiplier: 1.6, Jitter: 0.2, MaxDelay: 200 * time.Millisecond},
			MinConnectTimeout: c.DialTimeout,
		}),
	}
	if c.Key != "" {
		options = append(options, grpc.WithPerRPCCredentials(bearer{c.Key, c.TLS != nil}))
	}
	return options
}

// bearer sends the key with every call.
type bearer struct {
	key    string
	secure bool
}

// GetRequestMetadata is the header of a call.
func (b bearer) GetRequestMetadata(context.Context, ...string) (map[string]string, error) {
	return map[string]string{"authorization": "Bearer " + b.key}, nil
}

// RequireTransportSecurity is true where there is any, so that the key never leaves it.
func (b bearer) RequireTransportSecurity() bool { return b.secure }

// Close waits for the calls under way, which their contexts end, and closes the
// connections. Calls that come later are fault.Unavailable. It may be called twice.
func (s *Store) Close() error {
	if !s.underWay.End() {
		return nil
	}
	s.http.CloseIdleConnections()
	return fault.Wrap(fault.Unavailable, "close the connection to "+s.cfg.GRPC, s.conn.Close())
}

// enter begins a call; leave ends it.
func (s *Store) enter(ctx context.Context, op string) error {
	if err := ctx.Err(); err != nil {
		return s.ended(op, err)
	}
	if !s.underWay.Begin() {
		return s.unavailable(op, "the store is closed")
	}
	return nil
}

func (s *Store) leave() { s.underWay.Done() }
