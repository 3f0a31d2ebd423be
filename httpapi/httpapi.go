// Package httpapi serves a router, or a bare store, over HTTP: the native
// endpoints of lanewise, the replica protocol, and a page that documents both.
//
// Bodies are those of package search/wire, which reads them strictly. Errors are
// RFC 9457 problem documents; which error is which status is decided by the one
// table in problem.go. The contract, OpenAPI 3.1, is built from the same table
// of routes that the handlers are registered from, so that neither can have a
// route that the other lacks, and it is what ordinary bodies are validated
// against. Bodies that carry vectors are checked by search/wire alone, because
// validating them against a schema costs several times their parsing.
package httpapi

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/lanewise/lanewise/access"
	"github.com/lanewise/lanewise/access/meter"
	"github.com/lanewise/lanewise/balance"
	"github.com/lanewise/lanewise/embed"
	"github.com/lanewise/lanewise/httpapi/ui"
	"github.com/lanewise/lanewise/router"
	"github.com/lanewise/lanewise/search"
)

// DefaultMaxBody is the largest request body that is read, in bytes.
const DefaultMaxBody = 32 << 20

// The defaults of Clients.
const (
	DefaultBodyTime = 2 * time.Minute
	DefaultBodyRate = 4 << 10
	DefaultStall    = 30 * time.Second
	DefaultStreams  = 4096
)

// Clients bounds what slow clients may hold: memory, a connection, the slot of a model. Zero values mean the defaults.
type Clients struct {
	BodyTime time.Duration // in which a body has to arrive
	BodyRate int64         // bytes of it by the second, once ten seconds have passed
	Stall    time.Duration // for which an answer may be left unread: what the connection's buffers do not hold waits here, and in the upstream
	Streams  int           // answers that are streamed at one time
}

func (c Clients) withDefaults() Clients {
	return Clients{
		BodyTime: cmp.Or(c.BodyTime, DefaultBodyTime), BodyRate: cmp.Or(c.BodyRate, DefaultBodyRate),
		Stall: cmp.Or(c.Stall, DefaultStall), Streams: cmp.Or(c.Streams, DefaultStreams),
	}
}

// Config says what a server serves. At least one of Router and Store is needed.
type Config struct {
	// Router answers the native endpoints. Without one, only the replica
	// protocol, the health checks and the documentation are served.
	Router *router.Router

	// Store answers the replica protocol: a local store for a server that is a
	// replica, or a router for one that is a whole shard of another router. nil:
	// there is no replica protocol.
	Store search.Store

	// Embedders answer /v1/embeddings, each for its model. None: there is no such
	// endpoint.
	Embedders []embed.Provider

	// Models answers /v1/chat/completions and /v1/completions. nil: there are no such
	// endpoints.
	Models Models

	// Backups are the embedded stores of this server, by name and by folder, that clients on
	// this machine may copy.
	Backups map[string]Backuper

	// Shards opens the shards that join with /v1/admin/apply. nil: there is no such endpoint.
	Shards Shards

	// Keys are API keys that may do everything, in "Authorization: Bearer KEY"
	// or "X-Api-Key: KEY". The health checks and the documentation are always open.
	Keys []string

	// Access knows the callers by their keys, instead of Keys. nil, and no Keys: everybody may do everything.
	Access Access

	// Meter holds callers and tenants to what they may use. nil: there are no limits.
	Meter *meter.Meter

	// AnyName answers callers by whatever name they call this server. Without it, and without keys, only
	// addresses, localhost and names without dots are answered: a page of a foreign site that has its own
	// name resolved to this machine sends that name.
	AnyName bool

	// Ready reports why the server should get no traffic; nil means it always
	// may. It must not fail for one shard that is down: answers say what is missing.
	Ready func(ctx context.Context) error

	MaxBody int64        // bytes of a request body; 0: DefaultMaxBody
	Clients Clients      // what slow ones may hold
	Version string       // shown in the contract; "": "dev"
	Log     *slog.Logger // one line a request, at level Info, and defects; nil: none

	// Observer hears of every request. nil: nobody does.
	Observer Observer

	// Metrics answers GET /metrics. nil: there is no such endpoint.
	Metrics http.Handler

	// Pools returns the state of all lanes, for GET /v1/topology. nil: those of Router alone.
	Pools func() []balance.Snapshot

	// Lanes are what an operator may change, for /v1/admin/lanes. nil: there is no such endpoint.
	Lanes Lanes

	// Details are lines about the server's standing, for GET /readyz?verbose. nil: there are none.
	Details func() []string

	// LogTenant is how the log names a tenant; "": not at all. nil: by the beginning of
	// the SHA-256 of its name.
	LogTenant func(tenant string) string
}

// Access tells callers by the tokens that they show.
type Access interface {
	// Identify returns who shows a token; fault.Unauthorized: nobody who is known. Safe for concurrent use.
	Identify(ctx context.Context, token string) (access.Caller, error)
}

// server answers requests. It never changes after New, but for the failures that it has logged.
type server struct {
	router    *router.Router
	retrieve  func(ctx context.Context, q router.Request) (router.Response, error)
	store     search.Store
	embedders []embed.Provider
	models    Models
	backups   map[string]Backuper
	shards    Shards
	access    Access       // nil: everybody may do everything
	meter     *meter.Meter // nil: there are no limits
	anyName   bool         // that name this server
	ready     func(ctx context.Context) error
	maxBody   int64
	clients   Clients
	streams   atomic.Int64 // under way
	log       *slog.Logger
	logTenant func(tenant string) string
	repeats   repeats
	recent    recent
	observer  Observer
	metrics   http.Handler
	pools     func() []balance.Snapshot
	lanes     Lanes
	details   func() []string
	mux       *http.ServeMux
	contract  *contract
}

// New returns the handler. It is safe for concurrent use, keeps nothing between
// requests but which failures it has logged, and starts no goroutines that outlive one.
func New(c Config) (http.Handler, error) {
	s, err := newServer(c)
	if err != nil {
		return nil, err
	}
	return s, nil
}

func newServer(c Config) (*server, error) {
	if err := c.validate(); err != nil {
		return nil, err
	}
	s := &server{
		router: c.Router, store: c.Store, embedders: c.Embedders, models: c.Models, backups: c.Backups, shards: c.Shards, access: c.Access, anyName: c.AnyName, ready: c.Ready,
		maxBody: cmp.Or(c.MaxBody, DefaultMaxBody), clients: c.Clients.withDefaults(), log: c.Log, mux: http.NewServeMux(),
	}
	s.lanes, s.details = c.Lanes, c.Details
	s.observer, s.metrics, s.pools, s.logTenant, s.meter = c.Observer, c.Metrics, c.Pools, c.LogTenant, c.Meter
	if s.logTenant == nil {
		s.logTenant = hashed
	}
	if s.pools == nil && c.Router != nil {
		s.pools = func() []balance.Snapshot { return c.Router.State().Pools }
	}
	if s.log == nil {
		s.log = slog.New(slog.DiscardHandler)
	}
	if c.Router != nil {
		s.retrieve = c.Router.Retrieve
	}
	var err error
	if len(c.Keys) > 0 {
		if s.access, err = access.New(access.Config{Keys: plainKeys(c.Keys)}); err != nil {
			return nil, err
		}
	}
	routes := s.routes()
	if s.contract, err = newContract(cmp.Or(c.Version, "dev"), routes, s.access != nil); err != nil {
		return nil, fmt.Errorf("build the contract: %w", err)
	}
	for _, rt := range routes {
		s.mux.Handle(rt.method+" "+rt.pattern(), s.serve(rt))
	}
	s.mux.Handle("GET /ui/", s.serve(route{path: "/ui/", open: true, handle: showPage(ui.Handler("/ui/"))}))
	s.mux.Handle("GET /{$}", s.serve(route{path: "/", open: true, handle: s.welcome}))
	s.mux.Handle("/", s.serve(route{path: "/", open: true, handle: s.unknown}))
	return s, nil
}

func (c Config) validate() error {
	var errs []error
	if c.Router == nil && c.Store == nil {
		errs = append(errs, errors.New("router or store: one of them is needed"))
	}
	if c.MaxBody < 0 {
		errs = append(errs, fmt.Errorf("max_body: must not be negative, is %d", c.MaxBody))
	}
	for i, k := range c.Keys {
		if k == "" {
			errs = append(errs, fmt.Errorf("keys[%d]: must not be empty", i))
		}
	}
	if c.Access != nil && len(c.Keys) > 0 {
		errs = append(errs, errors.New("keys: cannot stand beside access"))
	}
	return errors.Join(errs...)
}

// plainKeys are keys that may do everything.
func plainKeys(secrets []string) []access.Key {
	out := make([]access.Key, len(secrets))
	for i, secret := range secrets {
		out[i] = access.Key{Name: fmt.Sprintf("keys/%d", i), Digest: access.DigestOf(secret), Scopes: access.All}
	}
	return out
}
