package config

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"sync/atomic"
	"time"

	"github.com/lanewise/lanewise/access/meter"
	"github.com/lanewise/lanewise/adapters/local"
	"github.com/lanewise/lanewise/balance"
	"github.com/lanewise/lanewise/balance/admit"
	"github.com/lanewise/lanewise/balance/limit"
	"github.com/lanewise/lanewise/embed"
	"github.com/lanewise/lanewise/embed/bm25"
	"github.com/lanewise/lanewise/httpapi"
	"github.com/lanewise/lanewise/llm"
	"github.com/lanewise/lanewise/llm/models"
	"github.com/lanewise/lanewise/llm/prompt"
	"github.com/lanewise/lanewise/llm/routes"
	"github.com/lanewise/lanewise/rerank"
	"github.com/lanewise/lanewise/router"
	"github.com/lanewise/lanewise/search"
)

// Options are what a program adds to a configuration.
type Options struct {
	Log     *slog.Logger // nil: none
	Version string       // of the program, shown in the API's contract
	// Served is told of every request to a model, at its end: who answered, tokens, cost.
	// It must be quick and safe for concurrent use. nil: not.
	Served func(models.Served)

	Unguarded bool // ask nobody for keys: for a system that is served to nobody but this process

	// Ready reports why the server should get no traffic; nil: it always may.
	Ready func(ctx context.Context) error
	// Details are lines for GET /readyz?verbose; nil: none.
	Details func() []string
}

// System is what a configuration describes, wired and open. It must be closed.
type System struct {
	Router  *router.Router // nil for a bare replica
	Handler http.Handler   // the whole HTTP surface
	Listen  string         // the address to serve on
	Routes  *routes.Table  // nil: none are configured

	embedders  []embed.Provider
	tls        *tls.Config  // of the listener; nil: it is not encrypted
	store      search.Store // of a bare replica, or of a router that is a shard
	backups    map[string]httpapi.Backuper
	stores     Stores     // settings of the embedded ones
	external   []External // collections of the engines
	shutdown   time.Duration
	closing    *closing                  // what ends with this system
	lasting    *closing                  // what goes on with the next one
	parts      map[string]*part          // of what ends with it, that the next one may go on with
	prev       *System                   // that it follows, while it is built; nil: none
	road       *road                     // the shards
	joining    *joining                  // shards that join
	live       *atomic.Pointer[System]   // the newest one of those that follow each other
	followers  *followers                // of those who tell members
	orders     *orders                   // of an operator
	urls       map[string]string         // of the upstreams, by section and name
	quotas     quotas                    // of the upstreams
	generators map[string]*llm.Generator // the lane of each model, by its name
	models     *models.Set               // nil for a bare replica
	served     func(models.Served)
	extra      int             // attempts that a request may cost
	reranker   rerank.Provider // nil: none
	observing  observing
	crowd      *crowd // of clients
	timeouts   Timeouts
	maxHeader  int
	meter      *meter.Meter // of keys and tenants; nil: they have no limits
	clustered  clustered
	log        *slog.Logger
}

// Build opens the stores and wires everything. It asks no upstream anything, except
// that those which name their metrics are measured in the background. The
// router asks its replicas what they hold, within the search timeout; those that
// do not answer are passed over.
func (c *Config) Build(ctx context.Context, o Options) (_ *System, err error) {
	if err := c.Validate(); err != nil { //nolint:contextcheck // it connects to nobody
		return nil, err
	}
	r := c.Resolved()
	events, stop, err := r.Cluster.openEvents(r.withoutSecrets(o.Log)) //nolint:contextcheck // Events are told until they are closed
	if err != nil {
		return nil, err
	}
	o.Log = r.withoutSecrets(eventful(o.Log, events))
	s := newSystem(r, o)
	s.clustered.events = events
	s.lasting.add(stop)
	defer func() {
		if err != nil {
			err = errors.Join(err, s.Close())
		}
	}()
	if err := s.openLasting(ctx, r, o); err != nil {
		return nil, err
	}
	return s, s.openRest(ctx, r, o)
}

// newSystem returns a system of which nothing is open.
func newSystem(c *Config, o Options) *System {
	s := &System{
		log: calmed(discard(o.Log)), served: o.Served, Listen: c.Listen, shutdown: c.Timeouts.Shutdown, backups: map[string]httpapi.Backuper{}, stores: c.Stores, external: c.Collections,
		closing: &closing{}, lasting: &closing{}, parts: map[string]*part{}, road: newRoad(), live: &atomic.Pointer[System]{}, followers: &followers{},
		orders: &orders{}, urls: c.urls(),
	}
	s.joining = &joining{system: s}
	s.openCrowd(c)
	s.live.Store(s)
	return s
}

// openLasting opens what outlives the configuration, as long as the process runs.
func (s *System) openLasting(ctx context.Context, c *Config, o Options) (err error) {
	s.closing, s.lasting = s.lasting, s.closing
	defer func() { s.closing, s.lasting = s.lasting, s.closing }()
	s.openCluster(c.Cluster)
	if err := s.openTraces(ctx, c.Traces, o.Version); err != nil {
		return err
	}
	if err := s.openMetrics(c.Metrics, o.Version); err != nil {
		return err
	}
	if s.tls, err = c.TLS.open(o.Log); err != nil {
		return err
	}
	if c.Store != "" {
		s.store, err = s.openLocal(bareStore, c.Store)
		return err
	}
	return s.openRoad(ctx, c)
}

// openRest opens what belongs to one configuration, or goes on with what the system before it has of that.
func (s *System) openRest(ctx context.Context, r *Config, o Options) (err error) {
	if r.Store == "" {
		if err := s.openRouter(ctx, r); err != nil {
			return err
		}
	}
	surface := httpapi.Config{
		Router: s.Router, Store: s.store, Embedders: s.embedders, Backups: s.backups, Shards: s.joining, AnyName: r.Open || r.guarded(),
		MaxBody: int64(r.Limits.Body), Clients: httpapi.Clients{BodyTime: r.Timeouts.Body, BodyRate: int64(r.Limits.BodyRate), Stall: r.Timeouts.Stall, Streams: r.Limits.Streams}, Version: o.Version, Log: o.Log,
		Ready: o.Ready, Details: o.Details,
	}
	if s.models != nil && s.models.Relays() {
		surface.Models = s.models
	}
	if s.Router != nil {
		surface.Lanes = plaza{s}
	}
	s.watched(&surface, r)
	if err = s.guard(&surface, r, o); err != nil {
		return err
	}
	if err = s.openMeter(&surface, r, o); err != nil {
		return err
	}
	s.Handler, err = httpapi.New(surface)
	if err != nil {
		return fmt.Errorf("build the HTTP surface: %w", err)
	}
	return nil
}

// Close closes everything. Requests under way should have ended.
func (s *System) Close() error { return errors.Join(s.closing.close(), s.lasting.close()) }

// opened has something closed at the end.
func (s *System) opened(closer func() error) { s.closing.add(closer) }

// openRoad opens the shards, and the router over them that knows nothing else yet.
func (s *System) openRoad(ctx context.Context, c *Config) error {
	if file := c.MapFile(); file != "" {
		if err := os.MkdirAll(filepath.Dir(file), 0o750); err != nil {
			return fmt.Errorf("make the folder of the shard map: %w", err)
		}
	}
	s.opened(s.road.close)
	shards, fleets, err := s.openShards(ctx, c.Shards)
	if err != nil {
		return err
	}
	settings := router.Config{
		Shards: shards, MapPath: c.MapFile(), Lane: c.Hedge.lane(), CursorKey: []byte(c.CursorKey), Admission: admit.Config{Most: c.Limits.Searches}, Limit: c.Limits.replica(),
		SearchTimeout: c.Timeouts.Search, WriteTimeout: c.Timeouts.Write, Trace: s.trace(), Log: s.log,
	}
	if err := s.shareMap(c, &settings); err != nil { //nolint:contextcheck // it bounds itself
		return err
	}
	if s.Router, err = router.New(settings); err != nil { //nolint:contextcheck // it bounds its own first questions to the replicas
		return fmt.Errorf("build the router: %w", err)
	}
	s.opened(s.Router.Close)
	for i, f := range fleets {
		s.opened(f.moor) // before the router, which it changes
		s.road.launch(f)
		if err := f.embark(s.Router, shards[i].Replicas); err != nil { //nolint:contextcheck // it bounds itself
			return fmt.Errorf("shards[%d]: %w", i, err)
		}
	}
	return nil
}

// openRouter has the router take text, too.
func (s *System) openRouter(ctx context.Context, c *Config) error {
	if err := s.openStages(ctx, c); err != nil {
		return err
	}
	prompts, err := openPrompts(c.LLM.Prompts)
	if err != nil {
		return err
	}
	s.Router, err = s.Router.With(router.Config{
		Embedders: s.embedders, Lexicon: lexicon, Reranker: s.reranker, Generator: s.models, Routes: s.routing(), AnswerFloor: max(c.LLM.Floor, 0),
		Prompts: prompts, ContextOrder: prompt.Order(c.LLM.ContextOrder), Rephrase: c.LLM.SearchText == byModel,
		SearchTimeout: c.Timeouts.Search, AnswerTimeout: c.Timeouts.Answer, WriteTimeout: c.Timeouts.Write, ExtraAttempts: c.Limits.ExtraAttempts, Log: s.log,
	})
	if err != nil {
		return fmt.Errorf("build the router: %w", err)
	}
	if c.AsShard {
		s.store = s.Router
	}
	return nil
}

// openStages opens what comes before and after the shards.
func (s *System) openStages(ctx context.Context, c *Config) error {
	if err := s.keep("quota", c.Quotas, func(p *System) { s.quotas.config, s.quotas.client = p.quotas.config, p.quotas.client }, func() error { return s.openQuotas(c.Quotas) }); err != nil {
		return fmt.Errorf("quota.redis: %w", err)
	}
	err := s.keep("embed", []any{c.Embed, c.Quotas}, func(p *System) { s.embedders = p.embedders }, func() (err error) {
		s.embedders, err = s.openEmbedders(ctx, c.Embed)
		return err
	})
	if err != nil {
		return err
	}
	err = s.keep("rerank", c.Rerank, func(p *System) { s.reranker = p.reranker }, func() (err error) { //nolint:contextcheck // what finds its members outlives the start
		s.reranker, err = s.openReranker(c.Rerank)
		return err
	})
	if err != nil {
		return err
	}
	s.extra = c.Limits.ExtraAttempts
	generate := func() (err error) { //nolint:contextcheck // the leases outlive the start
		if err := s.openRoutes(c.LLM, s.embedders[0]); err != nil {
			return err
		}
		s.models, err = s.openGenerator(c.LLM, s.embedders[0])
		return err
	}
	return s.keep("llm", []any{c.LLM, c.Embed, c.Quotas, s.extra, c.Timeouts.FirstContent, c.Timeouts.Silence}, func(p *System) { s.Routes, s.models, s.generators = p.Routes, p.models, p.generators }, generate)
}

// lexicon takes the texts of a collection by their words.
func lexicon(c search.Collection) (router.Lexicon, error) {
	return bm25.New(bm25.Config{Language: c.Language, AvgLen: c.AvgLen})
}

// replica bounds what a replica gets at a time.
func (l Limits) replica() limit.Config {
	most := cmp.Or(l.Replica, 4096)
	return limit.Config{Off: most < 0, Least: min(4, max(most, 1)), Start: min(64, max(most, 1)), Most: max(most, 1)}
}

func (h hedging) lane() balance.LaneConfig {
	if h.Off {
		return balance.LaneConfig{HedgeDelay: -1}
	}
	return balance.LaneConfig{HedgeDelay: h.Delay, HedgeQuantile: h.Quantile, HedgeShare: h.Share}
}

func (s *System) openShards(ctx context.Context, shards []Shard) ([]router.Shard, []*fleet, error) {
	out, fleets := make([]router.Shard, len(shards)), make([]*fleet, len(shards))
	for i, shard := range shards {
		var err error
		if out[i], fleets[i], err = s.openShard(ctx, shard); err != nil {
			return nil, nil, fmt.Errorf("shards[%d].%w", i, err)
		}
	}
	return out, fleets, nil
}

func (s *System) openReplica(name string, r Replica) (search.Store, error) {
	if r.Path != "" {
		store, err := s.openLocal(name, r.Path)
		if err != nil {
			return nil, err
		}
		s.road.moor(name, r, store)
		return store, nil
	}
	store, err := openServer(r, s.external)
	if err != nil {
		return nil, err
	}
	s.road.moor(name, r, store)
	return store, nil
}

func (s *System) openLocal(name, path string) (*local.Store, error) {
	folder, err := filepath.Abs(path)
	if err != nil {
		return nil, err
	}
	store, err := local.Open(local.Config{Path: path, Index: s.stores.Index, MemoryLimit: int64(s.stores.Memory)})
	if err != nil {
		return nil, err
	}
	if name == bareStore {
		s.opened(store.Close)
	}
	s.backups[name], s.backups[folder] = store, store
	return store, nil
}
