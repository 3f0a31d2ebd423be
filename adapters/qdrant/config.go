package qdrant

import (
	"cmp"
	"context"
	"crypto/tls"
	"maps"
	"net"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/qdrant/go-client/qdrant"
	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"

	"github.com/lanewise/lanewise/fault"
	"github.com/lanewise/lanewise/internal/inflight"
	"github.com/lanewise/lanewise/internal/tracing"
	"github.com/lanewise/lanewise/search"
)

// Config says where the server is and how it is used. Zero values mean the
// defaults stated.
type Config struct {
	Address string      // host:port of the gRPC service, such as "10.0.0.5:6334"; required
	Key     string      // API key; empty: none
	TLS     *tls.Config // encrypts the connection; nil: plain
	Prefix  string      // put before the names of collections in Qdrant; empty: none

	Vector      string // name of the dense vector in new collections; empty: "dense"
	Consistency string // of reads but searches: "majority", "quorum", "all" or a number of copies; empty: Qdrant's own
	ShardKey    string // custom shard key that all points are kept under; empty: Qdrant spreads them
	Shards      int    // of a new collection inside Qdrant; 0: its own default
	Copies      int    // of each of those shards; 0: Qdrant's own default

	// Index names metadata fields, as dotted paths, whose numbers get an index in
	// new collections: whole ones below 2^53 and fractions of up to 15 digits. Others are
	// found without it, and equality needs none.
	Index []string

	External []External // collections that are there already, read as they are

	Connections int           // gRPC connections, used in turn; 0: 2
	MaxMessage  int           // bytes of one answer; 0: 256 MiB
	DialTimeout time.Duration // of one attempt to connect; 0: 2 s
	Remember    time.Duration // how long a deletion's mark is kept; 0: 24 h
}

// Store is a Qdrant server. Safe for concurrent use.
type Store struct {
	config      Config
	client      *qdrant.Client
	consistency *qdrant.ReadConsistency
	shard       *qdrant.ShardKeySelector
	epoch       atomic.Uint64 // the highest seen

	known   sync.Map // name of a collection → *collection
	windows windows

	underWay inflight.Calls // Qdrant's client panics when it is closed under one
}

var _ search.Store = (*Store)(nil)

// New returns a store for the server at c.Address, with connections of its own.
// It does not connect yet.
func New(c Config) (*Store, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	host, port, err := c.address()
	if err != nil {
		return nil, err
	}
	consistency, err := readConsistency(c.Consistency)
	if err != nil {
		return nil, err
	}
	c.Vector = cmp.Or(c.Vector, "dense")
	c.Remember = cmp.Or(c.Remember, 24*time.Hour)
	client, err := qdrant.NewClient(&qdrant.Config{
		Host: host, Port: port, UseTLS: c.TLS != nil, TLSConfig: c.TLS,
		SkipCompatibilityCheck: true, // it would block for a minute on a server that hangs
		PoolSize:               uint(cmp.Or(c.Connections, 2)),
		GrpcOptions:            c.dialOptions(),
	})
	if err != nil {
		return nil, fault.BadField("/address", "%v", err)
	}
	s := &Store{config: c, client: client, consistency: consistency}
	if c.ShardKey != "" {
		s.shard = &qdrant.ShardKeySelector{ShardKeys: []*qdrant.ShardKey{qdrant.NewShardKey(c.ShardKey)}}
	}
	return s, nil
}

// Validate reports the first setting that cannot be, as fault.Invalid with its
// field. It contacts nobody.
func (c Config) Validate() error {
	if _, _, err := c.address(); err != nil {
		return err
	}
	if _, err := readConsistency(c.Consistency); err != nil {
		return err
	}
	if err := c.checkExternal(); err != nil {
		return err
	}
	for _, f := range []struct {
		field string
		value int64
	}{
		{"/shards", int64(c.Shards)}, {"/copies", int64(c.Copies)}, {"/connections", int64(c.Connections)},
		{"/max_message", int64(c.MaxMessage)}, {"/dial_timeout", int64(c.DialTimeout)}, {"/remember", int64(c.Remember)},
	} {
		if f.value < 0 {
			return fault.BadField(f.field, "must not be negative")
		}
	}
	return nil
}

func (c Config) address() (host string, port int, err error) {
	host, text, err := net.SplitHostPort(c.Address)
	if err == nil {
		port, err = strconv.Atoi(text)
	}
	if err != nil || host == "" || port < 1 || port > 65535 {
		return "", 0, fault.BadField("/address", "%q is not host:port, such as 10.0.0.5:6334", c.Address)
	}
	if strings.Contains(host, ":") {
		host = "[" + host + "]" // the client joins host and port by itself
	}
	return host, port, nil
}

func readConsistency(text string) (*qdrant.ReadConsistency, error) {
	switch text {
	case "":
		return nil, nil //nolint:nilnil // Qdrant's own default is the absence of a wish
	case "majority":
		return qdrant.NewReadConsistencyType(qdrant.ReadConsistencyType_Majority), nil
	case "quorum":
		return qdrant.NewReadConsistencyType(qdrant.ReadConsistencyType_Quorum), nil
	case "all":
		return qdrant.NewReadConsistencyType(qdrant.ReadConsistencyType_All), nil
	}
	n, err := strconv.ParseUint(text, 10, 16)
	if err != nil || n == 0 {
		return nil, fault.BadField("/consistency", "%q is none of majority, quorum, all and a number of copies", text)
	}
	return qdrant.NewReadConsistencyFactor(n), nil
}

// headers go with every call. They are not an interceptor, because that would take
// the place of the client's own.
type headers struct{ key string }

// dialOptions come after the client's own and win over them.
func (c Config) dialOptions() []grpc.DialOption {
	timeout := cmp.Or(c.DialTimeout, 2*time.Second)
	most := cmp.Or(c.MaxMessage, 256<<20)
	return []grpc.DialOption{
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(most), grpc.MaxCallSendMsgSize(most)),
		grpc.WithDisableRetry(), // attempts are the balancer's business
		grpc.WithDisableServiceConfig(),
		grpc.WithNoProxy(), // what the environment says is for the world outside
		grpc.WithConnectParams(grpc.ConnectParams{
			Backoff:           backoff.Config{BaseDelay: 50 * time.Millisecond, Multiplier: 1.6, Jitter: 0.2, MaxDelay: 200 * time.Millisecond},
			MinConnectTimeout: timeout,
		}),
		grpc.WithPerRPCCredentials(headers{key: c.Key}),
	}
}

// GetRequestMetadata adds the key, the caller's affinity and the trace to a call.
func (h headers) GetRequestMetadata(ctx context.Context, _ ...string) (map[string]string, error) {
	out := map[string]string{}
	if h.key != "" {
		out["api-key"] = h.key
	}
	if token, ok := ctx.Value(affinityKey{}).(string); ok {
		out["x-qdrant-route-affinity"] = token
	}
	maps.Copy(out, tracing.Metadata(ctx))
	return out, nil
}

// RequireTransportSecurity leaves it to the operator to send a key in the clear.
func (headers) RequireTransportSecurity() bool { return false }

type affinityKey struct{}

// WithAffinity asks Qdrant to answer all calls with the same token from the same
// copies, as far as it can. A token is printable ASCII.
func WithAffinity(ctx context.Context, token string) context.Context {
	return context.WithValue(ctx, affinityKey{}, token)
}

// Close waits for the calls under way and closes the connections. Calls that come
// later are fault.Unavailable.
func (s *Store) Close() error {
	if !s.underWay.End() {
		return nil
	}
	return s.client.Close()
}

// begin opens a call; every call that begins without an error ends with end.
func (s *Store) begin(ctx context.Context, doing string) error {
	if err := ctx.Err(); err != nil {
		return s.classify(ctx, doing, err)
	}
	if !s.underWay.Begin() {
		return fault.New(fault.Unavailable, "%s on %s: the store is closed", doing, s.config.Address)
	}
	return nil
}

func (s *Store) end() { s.underWay.Done() }

func (s *Store) points() qdrant.PointsClient           { return s.client.GetPointsClient() }
func (s *Store) collections() qdrant.CollectionsClient { return s.client.GetCollectionsClient() }
