package weaviate

import (
	"cmp"
	"crypto/tls"
	"net"
	"net/url"
	"regexp"
	"strings"
	"time"

	"github.com/lanewise/lanewise/fault"
)

// Index is how vectors are found.
type Index string

// The kinds of index that Create makes.
const (
	Flat Index = "flat" // scans all vectors: exact
	HNSW Index = "hnsw" // approximate; an exact leg is fault.Invalid
)

// Config says where the server is and how it is used. Zero values mean the
// defaults stated.
type Config struct {
	Address string      // of REST, "host:8080"; required
	GRPC    string      // of gRPC, "host:50051"; empty: port 50051 of the same machine
	Key     string      // API key or token, sent as a bearer token to both
	TLS     *tls.Config // of both; nil: plain text. RootCAs is where a custom authority goes
	// Prefix begins the names of this Store's classes, so that several can share a server:
	// a capital and then letters and digits; empty: "Lanewise".
	Prefix      string
	DialTimeout time.Duration // for one attempt to connect, until which calls wait; 0: 5 s
	Index       Index         // of new collections; empty: Flat
	// MaxRows is the server's QUERY_MAXIMUM_RESULTS, the longest list it gives; 0: 10,000,
	// its default.
	MaxRows int
	// MaxOrdered is how many fields of a collection's metadata can be compared by order: the
	// first ones that are written. Each takes up to two properties; 0: 128.
	MaxOrdered int
	// NoDigest leaves digests out of new collections: Stats has none then, so copies are
	// compared by their counts alone.
	NoDigest bool
	// Lag is how long the server may take to index a vector; 0: none. It is for servers that
	// run with ASYNC_INDEXING.
	Lag time.Duration
	// External lists classes that are there already.
	External []External
	// WriteTimeout ends a write whose caller has gone. Until then the ids in it are
	// locked; 0: 30 s.
	WriteTimeout time.Duration
}

func (c Config) withDefaults() Config {
	if at, _, err := net.SplitHostPort(c.Address); err == nil {
		c.GRPC = cmp.Or(c.GRPC, net.JoinHostPort(at, "50051"))
	}
	c.Prefix = cmp.Or(c.Prefix, "Lanewise")
	c.DialTimeout = cmp.Or(c.DialTimeout, 5*time.Second)
	c.Index = cmp.Or(c.Index, Flat)
	c.MaxRows = cmp.Or(c.MaxRows, 10_000)
	c.MaxOrdered = cmp.Or(c.MaxOrdered, 128)
	c.WriteTimeout = cmp.Or(c.WriteTimeout, 30*time.Second)
	return c
}

func (c Config) check() error {
	switch {
	case !isAddress(c.Address):
		return fault.BadField("/address", "must be HOST:PORT, without a scheme, path, user or password")
	case !isAddress(c.GRPC):
		return fault.BadField("/grpc", "must be HOST:PORT, without a scheme, path, user or password")
	case strings.ContainsAny(c.Key, "\r\n"):
		return fault.BadField("/key", "must not have a line break")
	case !regexp.MustCompile(`^[A-Z][A-Za-z0-9]{0,63}$`).MatchString(c.Prefix):
		return fault.BadField("/prefix", "%q must be a capital and then at most 63 letters and digits", c.Prefix)
	case c.Index != Flat && c.Index != HNSW:
		return fault.BadField("/index", "%q is neither flat nor hnsw", c.Index)
	case c.MaxRows < 2:
		return fault.BadField("/max_rows", "is %d, it must be at least 2", c.MaxRows)
	case c.MaxOrdered < 0:
		return fault.BadField("/max_ordered", "must not be negative")
	case c.DialTimeout < 0 || c.Lag < 0 || c.WriteTimeout < 0:
		return fault.New(fault.Invalid, "dial timeout, lag and write timeout must not be negative")
	}
	return c.checkExternal()
}

func isAddress(s string) bool {
	u, err := url.Parse("tcp://" + s)
	return err == nil && u.User == nil && u.Host == s && u.Hostname() != "" && u.Port() != ""
}
