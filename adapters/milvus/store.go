package milvus

import (
	"context"
	"math"
	"sync"
	"sync/atomic"
	"time"

	grpc_retry "github.com/grpc-ecosystem/go-grpc-middleware/retry"
	"github.com/milvus-io/milvus-proto/go-api/v2/milvuspb"
	"github.com/milvus-io/milvus-sdk-go/v2/client"
	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/keepalive"

	"github.com/lanewise/lanewise/fault"
	"github.com/lanewise/lanewise/internal/inflight"
	"github.com/lanewise/lanewise/internal/tracing"
	"github.com/lanewise/lanewise/search"
)

// Store is a Milvus server, or one database on it. Safe for concurrent use.
type Store struct {
	cfg    Config
	client client.Client
	// rpc is the stub below the SDK's methods. They drop the server's error codes,
	// cache schemas for ever and shift answers by a query where one is broken.
	rpc      milvuspb.MilvusServiceClient
	schemas  schemas
	outlines sync.Map // name of an external collection → *outline
	guard    *guard
	session  session
	epoch    atomic.Uint64 // the highest one that this Store has seen

	underWay inflight.Calls
}

var _ search.Store = (*Store)(nil)

// New returns a store for the server at c.Address, with a connection of its own. It
// does not connect yet: the first call does.
func New(c Config) (*Store, error) {
	c = c.withDefaults()
	if err := c.check(); err != nil {
		return nil, err
	}
	made, err := client.NewClient(context.Background(), client.Config{
		Address:        c.Address,
		Username:       c.User,
		Password:       c.Password,
		APIKey:         c.Key,
		DBName:         c.Database,
		DialOptions:    c.dialOptions(),
		RetryRateLimit: &client.RetryRateLimitOption{MaxRetry: 0},
		DisableConn:    true, // its call at the start would block, and tells the server nothing that it needs
	})
	if err != nil {
		return nil, fault.Wrap(fault.Invalid, "milvus client for "+c.Address, err)
	}
	grpcClient, ok := made.(*client.GrpcClient)
	if !ok {
		return nil, fault.New(fault.Unavailable, "the milvus client is a %T", made)
	}
	s := &Store{cfg: c, client: made, rpc: grpcClient.Service, guard: newGuard(2 * c.Lag)}
	s.session.start = time.Now()
	return s, nil
}

// dialOptions replace the SDK's: without blocking, without retries. A server that
// accepts a connection and never answers on it is given up after DialTimeout.
func (c Config) dialOptions() []grpc.DialOption {
	transport := insecure.NewCredentials()
	if c.TLS != nil {
		transport = credentials.NewTLS(c.TLS.Clone())
	}
	return []grpc.DialOption{
		grpc.WithTransportCredentials(transport),
		grpc.WithPerRPCCredentials(tracing.Credentials{}),
		grpc.WithDefaultCallOptions(grpc_retry.Disable(), grpc.MaxCallRecvMsgSize(math.MaxInt32)),
		grpc.WithKeepaliveParams(keepalive.ClientParameters{Time: 10 * time.Second, Timeout: 5 * time.Second}),
		grpc.WithConnectParams(grpc.ConnectParams{
			Backoff:           backoff.Config{BaseDelay: 100 * time.Millisecond, Multiplier: 1.6, Jitter: 0.2, MaxDelay: 200 * time.Millisecond},
			MinConnectTimeout: c.DialTimeout,
		}),
	}
}

// Close waits for the calls under way, which their contexts and a dead connection's
// keepalive end, and closes the connection. Calls that come later are
// fault.Unavailable.
func (s *Store) Close() error {
	if !s.underWay.End() {
		return nil
	}
	return fault.Wrap(fault.Unavailable, "close the connection to "+s.cfg.Address, s.client.Close())
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
