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
	"slices"
	"sync"
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
	mu         sync.Mutex // guards closers
	shutdown   time.Duration
	closers    []func() error            // in the order of opening
	followers  followers                 // of those who tell members
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
	o.Log = r.withoutSecrets(o.Log)
	s := &System{log: calmed(discard(o.Log)), served: o.Served, Listen: r.Listen, shutdown: r.Timeouts.Shutdown, backups: map[string]httpapi.Backuper{}, stores: r.Stores, external: r.Collections}
	s.openCrowd(r)
	defer func() {
		if err != nil {
			err = errors.Join(err, s.Close())
		}
	}()
	s.openCluster(r.Cluster)
	if err := s.openTraces(ctx, r.Traces, o.Version); err != nil {
		return nil, err
	}
	if err := s.openMetrics(r.Metrics, o.Version); err != nil {
		return nil, err
	}
	if r.Store != "" {
		s.store, err = s.openLocal(bareStore, r.Store)
	} else {
		err = s.openRouter(ctx, r, o)
	}
	if err != nil {
		return nil, err
	}
	surface := httpapi.Config{
		Router: s.Router, Store: s.store, Embedders: s.embedders, Backups: s.backups, Shards: &joining{system: s}, AnyName: r.Open || r.guarded(),
		MaxBody: int64(r.Limits.Body), Clients: httpapi.Clients{BodyTime: r.Timeouts.Body, BodyRate: int64(r.Limits.BodyRate), Stall: r.Timeouts.Stall, Streams: r.Limits.Streams}, Version: o.Version, Log: o.Log,
	}
	if s.models != nil && s.models.Relays() {
		surface.Models = s.models
	}
	if s.Router != nil {
		surface.Lanes = plaza{s}
	}
	s.watched(&surface, r)
	if err = s.guard(&surface, r, o); err != nil {
		return nil, err
	}
	if err = s.openMeter(&surface, r, o); err != nil {
		return nil, err
	}
	s.Handler, err = httpapi.New(surface)
	if err != nil {
		return nil, fmt.Errorf("build the HTTP surface: %w", err)
	}
	return s, nil
}

// Close closes everything in the reverse order of opening. Requests under way
// should have ended.
func (s *System) Close() error {
	var errs []error
	s.mu.Lock()
	closers := s.closers
	s.closers = nil
	s.mu.Unlock()
	for _, closer := range slices.Backward(closers) {
		errs = append(errs, closer())
	}
	return errors.Join(errs...)
}

// opened has something closed at the end.
func (s *System) opened(closer func() error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closers = append(s.closers, closer)
}

func (s *System) openRouter(ctx context.Context, c *Config, o Options) error {
	if file := c.MapFile(); file != "" {
		if err := os.MkdirAll(filepath.Dir(file), 0o750); err != nil {
			return fmt.Errorf("make the folder of the shard map: %w", err)
		}
	}
	shards, fleets, err := s.openShards(ctx, c.Shards)
	if err != nil {
		return err
	}
	if err := s.openQuotas(c.Quotas); err != nil {
		return fmt.Errorf("quota.redis: %w", err)
	}
	embedders, err := s.openEmbedders(ctx, c.Embed)
	if err != nil {
		return err
	}
	s.embedders = embedders
	if s.reranker, err = s.openReranker(c.Rerank); err != nil { //nolint:contextcheck // what finds its members outlives the start
		return err
	}
	if err := s.openRoutes(c.LLM, embedders[0]); err != nil {
		return err
	}
	s.extra = c.Limits.ExtraAttempts
	s.models, err = s.openGenerator(c.LLM, embedders[0]) //nolint:contextcheck // the leases outlive the start
	if err != nil {
		return err
	}
	prompts, err := openPrompts(c.LLM.Prompts)
	if err != nil {
		return err
	}
	settings := router.Config{
		Shards: shards, MapPath: c.MapFile(), Embedders: embedders, Lexicon: lexicon, Reranker: s.reranker, Generator: s.models, Routes: s.routing(), AnswerFloor: max(c.LLM.Floor, 0),
		Prompts: prompts, ContextOrder: prompt.Order(c.LLM.ContextOrder), Rephrase: c.LLM.SearchText == byModel, Lane: c.Hedge.lane(),
		SearchTimeout: c.Timeouts.Search, AnswerTimeout: c.Timeouts.Answer, WriteTimeout: c.Timeouts.Write,
		ExtraAttempts: c.Limits.ExtraAttempts, CursorKey: []byte(c.CursorKey), Admission: admit.Config{Most: c.Limits.Searches}, Limit: c.Limits.replica(), Trace: s.trace(), Log: s.log,
	}
	if err := s.shareMap(c, &settings); err != nil { //nolint:contextcheck // it bounds itself
		return err
	}
	if s.Router, err = router.New(settings); err != nil { //nolint:contextcheck // it bounds its own first questions to the replicas
		return fmt.Errorf("build the router: %w", err)
	}
	s.opened(s.Router.Close)
	for i, f := range fleets {
		s.opened(f.moor)                                               // before the router, which it changes
		if err := f.embark(s.Router, shards[i].Replicas); err != nil { //nolint:contextcheck // it bounds itself
			return fmt.Errorf("shards[%d]: %w", i, err)
		}
	}
	if c.AsShard {
		s.store = s.Router
	}
	return nil
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

func (h Hedge) lane() balance.LaneConfig {
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
		return s.openLocal(name, r.Path)
	}
	store, err := openServer(r, s.external)
	if err != nil {
		return nil, err
	}
	s.opened(store.Close)
	return store, nil
}

func (s *System) openLocal(name, path string) (search.Store, error) {
	store, err := local.Open(local.Config{Path: path, Index: s.stores.Index, MemoryLimit: int64(s.stores.Memory)})
	if err != nil {
		return nil, err
	}
	s.opened(store.Close)
	s.backups[name] = store
	return store, nil
}
