// Package adapter is a complete adapter in small, to read beside docs/new-adapter.md:
// it makes a search.Store of an engine that keeps JSON rows behind HTTP, gives out
// a collection as a whole, and knows nothing of vectors. All ranking and filtering is
// done here, which is right and slow; an adapter of a real engine hands both down.
package adapter

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/lanewise/lanewise/fault"
	"github.com/lanewise/lanewise/search"
)

// Config says where the engine is.
type Config struct {
	URL string // such as "http://10.0.0.5:8000"; required
	Key string // that the engine asks for; empty: none
}

// Store is an engine. Safe for concurrent use.
type Store struct {
	config    Config
	transport *http.Transport

	mu     sync.RWMutex // read-locked while a call is under way
	closed bool
}

var _ search.Store = (*Store)(nil)

// New returns a store with connections of its own. It does not connect yet: a server
// that is down must not keep a router from starting.
func New(c Config) (*Store, error) {
	if !strings.HasPrefix(c.URL, "http://") && !strings.HasPrefix(c.URL, "https://") {
		return nil, fault.BadField("/url", "must start with http:// or https://")
	}
	return &Store{config: c, transport: &http.Transport{
		MaxIdleConnsPerHost: 64, TLSHandshakeTimeout: 2 * time.Second, DisableCompression: true,
	}}, nil
}

// Capabilities are what the suite holds the store to.
func (*Store) Capabilities() search.Capabilities {
	return search.Capabilities{Engine: "rows", Prefix: true, Exact: true, MaxDims: 4096, MaxText: 1 << 20, MaxMeta: 1 << 20, MaxID: 1024}
}

// Close waits for the calls under way. Later ones are fault.Unavailable. It may be
// called twice.
func (s *Store) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	s.transport.CloseIdleConnections()
	return nil
}

// call sends a body to a route, such as "GET /docs", and reads the answer, if one is wanted.
func (s *Store) call(ctx context.Context, route string, body, answer any) error {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if s.closed {
		return fault.New(fault.Unavailable, "the store on %s is closed", s.config.URL)
	}
	data, err := json.Marshal(body)
	if err != nil {
		return fault.Wrap(fault.Invalid, "write the request", err)
	}
	method, path, _ := strings.Cut(route, " ")
	req, err := http.NewRequestWithContext(ctx, method, s.config.URL+path, bytes.NewReader(data))
	if err != nil {
		return fault.Wrap(fault.Invalid, "make the request", err)
	}
	req.Header.Set("Key", s.config.Key)
	resp, err := s.transport.RoundTrip(req)
	if err != nil {
		return s.broken(ctx, err)
	}
	defer resp.Body.Close() //nolint:errcheck // it was read or given up
	data, err = io.ReadAll(io.LimitReader(resp.Body, 1<<30))
	switch {
	case err != nil:
		return s.broken(ctx, err)
	case resp.StatusCode != http.StatusOK:
		return s.refusal(resp.StatusCode, data)
	case answer == nil:
		return nil
	}
	if err := json.Unmarshal(data, answer); err != nil {
		return s.broken(ctx, err) // half an answer, or somebody else's
	}
	return nil
}

// broken judges an error of the connection. The end of the caller's context comes back as
// what it is; everything else is the engine's, also a timeout of its own, so of such an error
// only the text is kept.
func (s *Store) broken(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return fmt.Errorf("engine %s: %w", s.config.URL, ctx.Err())
	}
	return fault.New(fault.Unavailable, "engine %s: %v", s.config.URL, err)
}

// refusal gives what the engine said its class.
func (s *Store) refusal(status int, text []byte) error {
	class := fault.Unavailable
	switch status {
	case http.StatusBadRequest, http.StatusRequestEntityTooLarge:
		class = fault.Invalid
	case http.StatusUnauthorized, http.StatusForbidden:
		class = fault.Refused // our key, not the client's
	case http.StatusNotFound:
		class = fault.NotFound
	case http.StatusConflict:
		class = fault.Conflict
	case http.StatusTooManyRequests:
		class = fault.Overloaded
	}
	return fault.New(class, "engine %s: %d %.200s", s.config.URL, status, bytes.TrimSpace(text))
}
