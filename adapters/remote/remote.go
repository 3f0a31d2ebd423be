// Package remote makes another lanewise server a [search.Store]: a replica of a
// shard, or, where that server is a router itself, a whole shard of a fan-out
// tree. It speaks the replica protocol of package wire over HTTP.
//
// A call carries the caller's deadline to the server and is cancelled there as
// soon as its context ends. Errors have the class that the server gave them,
// with one exception: where the server refuses the key, that is
// fault.Refused, because it is this program's credential and not the client's.
// A server that cannot be reached, answers garbage, or runs out of its own time
// is fault.Unavailable. The end of the caller's context comes back as
// context.Canceled or context.DeadlineExceeded.
package remote

import (
	"cmp"
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/lanewise/lanewise/fault"
	"github.com/lanewise/lanewise/internal/inflight"
	"github.com/lanewise/lanewise/search"
	"github.com/lanewise/lanewise/search/wire"
)

// Config says where the server is. Zero values mean the defaults stated.
type Config struct {
	URL         string        // of the server, such as "http://10.0.0.5:7700"; required
	Key         string        // sent as a bearer token; empty: none
	MaxConns    int           // open at the same time, further calls wait; 0: 256
	DialTimeout time.Duration // 0: 2 s
	MaxResponse int64         // bytes of an answer, larger ones are refused; 0: 256 MiB
	TLS         *tls.Config   // of https URLs; nil: the system's roots
}

// Store is a remote store. Safe for concurrent use.
type Store struct {
	transport   *http.Transport
	calls       map[string]*http.Request // one template per operation
	address     string                   // names the server in errors
	maxResponse int64

	underWay inflight.Calls
}

var (
	_ search.Store       = (*Store)(nil)
	_ search.TermCounter = (*Store)(nil)
)

// New returns a store for the server at c.URL, with connections of its own. It
// does not connect yet.
func New(c Config) (*Store, error) {
	base, err := parseURL(c.URL)
	if err != nil {
		return nil, err
	}
	s := &Store{
		transport:   c.transport(),
		calls:       make(map[string]*http.Request),
		address:     base.Host,
		maxResponse: cmp.Or(c.MaxResponse, 256<<20),
	}
	for _, op := range []string{"search", "write", "get", "scroll", "count", "stats", "terms"} {
		target := *base
		target.Path = strings.TrimSuffix(base.Path, "/") + wire.ReplicaPath + op
		s.calls[op] = &http.Request{Method: http.MethodPost, URL: &target, Host: base.Host, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, Header: c.headers()}
	}
	whole := *s.calls["search"]
	whole.Header = c.headers()
	whole.Header[wire.CompleteHeader] = []string{"1"}
	s.calls[completeSearch] = &whole
	return s, nil
}

func parseURL(raw string) (*url.URL, error) {
	base, err := url.Parse(raw)
	switch {
	case err != nil: // its text would repeat the URL, which may hold a password
		return nil, fault.BadField("/url", "not a URL")
	case base.Scheme != "http" && base.Scheme != "https", base.Host == "":
		return nil, fault.BadField("/url", "must start with http:// or https:// and name a server")
	case base.User != nil:
		return nil, fault.BadField("/url", "must not hold a user or password: use the key")
	case base.RawQuery != "" || base.Fragment != "":
		return nil, fault.BadField("/url", "must not have a query or a fragment")
	}
	return base, nil
}

func (c Config) transport() *http.Transport {
	conns := cmp.Or(c.MaxConns, 256)
	dialer := net.Dialer{Timeout: cmp.Or(c.DialTimeout, 2*time.Second), KeepAlive: 15 * time.Second}
	return &http.Transport{
		DialContext:         dialer.DialContext,
		TLSClientConfig:     c.TLS,
		TLSHandshakeTimeout: cmp.Or(c.DialTimeout, 2*time.Second),
		MaxConnsPerHost:     conns,
		MaxIdleConnsPerHost: conns,
		IdleConnTimeout:     90 * time.Second,
		DisableCompression:  true, // vectors do not compress, and a packed answer could exceed every bound
		WriteBufferSize:     16 << 10,
		ReadBufferSize:      16 << 10,
	}
}

func (c Config) headers() http.Header {
	h := http.Header{
		"Content-Type": {"application/json"},
		"User-Agent":   {"lanewise"},
		// Not sent: tells net/http that a call on a connection that turns out
		// to be closed may be repeated on a fresh one. Every call is safe to
		// repeat, writes by their versions.
		"Idempotency-Key": {},
	}
	if c.Key != "" {
		h["Authorization"] = []string{"Bearer " + c.Key}
	}
	return h
}

// Close waits for the calls under way and closes the connections. Calls that
// come later are fault.Unavailable.
func (s *Store) Close() error {
	if s.underWay.End() {
		s.transport.CloseIdleConnections()
	}
	return nil
}

// completeSearch is a search that asks for the scores of all legs.
const completeSearch = "complete search"

// Search answers a query on the server.
func (s *Store) Search(ctx context.Context, q search.Query) (search.Result, error) {
	if q.Complete {
		return call[search.Query, search.Result](ctx, s, completeSearch, q)
	}
	return call[search.Query, search.Result](ctx, s, "search", q)
}

// Write stores a batch on the server.
func (s *Store) Write(ctx context.Context, b search.Batch) (search.Written, error) {
	return call[search.Batch, search.Written](ctx, s, "write", b)
}

// Get fetches points by key.
func (s *Store) Get(ctx context.Context, collection string, keys []search.Key, f search.Fields) ([]search.Point, error) {
	return call[wire.Keys, []search.Point](ctx, s, "get", wire.Keys{Collection: collection, Keys: keys, Fields: f})
}

// Scroll fetches a page of a collection.
func (s *Store) Scroll(ctx context.Context, scan search.Scan) (search.Page, error) {
	return call[search.Scan, search.Page](ctx, s, "scroll", scan)
}

// Count counts a tenant's points that match a filter.
func (s *Store) Count(ctx context.Context, collection, tenant string, f search.Filter) (int, error) {
	return call[search.Scan, int](ctx, s, "count", search.Scan{Collection: collection, Tenant: tenant, Filter: f})
}

// Stats describes a collection, or all of them where collection is empty.
func (s *Store) Stats(ctx context.Context, collection string) ([]search.Stats, error) {
	return call[search.Scan, []search.Stats](ctx, s, "stats", search.Scan{Collection: collection})
}

// TermStats counts the points of a tenant that have the terms. It is fault.Invalid
// where the store behind the server cannot count words.
func (s *Store) TermStats(ctx context.Context, q search.TermQuery) (search.TermStats, error) {
	stats, err := call[search.TermQuery, search.TermStats](ctx, s, "terms", q)
	if err == nil && len(stats.Counts) != len(q.Terms) {
		return search.TermStats{}, s.unavailable("terms", fmt.Sprintf("%d counts for %d terms", len(stats.Counts), len(q.Terms)))
	}
	return stats, err
}
