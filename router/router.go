// Package router is the engine of lanewise: it carries a request from text to
// ranked hits, and on to an answer, over balanced lanes.
//
// [Router.Retrieve] is the table of contents: plan, admit, vectorize, search,
// rank. Each of its lines is a file of this package. [Router.Search] is the
// part below the text, vectors in and ranked lists out; with it a router is a
// [search.Store] like the replicas that it asks, so routers can stand behind
// routers.
//
// A Router is safe for concurrent use. It reads its topology through one atomic
// pointer, and a query keeps the topology that it started with.
package router

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/lanewise/lanewise/balance"
	"github.com/lanewise/lanewise/balance/admit"
	"github.com/lanewise/lanewise/internal/tokens"
	"github.com/lanewise/lanewise/llm/prompt"
	"github.com/lanewise/lanewise/merge"
	"github.com/lanewise/lanewise/search"
	"github.com/lanewise/lanewise/shardmap"
)

// Router answers searches and questions, and accepts writes.
//
// What is configured may be exchanged while it works: see [Router.With].
type Router struct {
	cfg Config
	*engine
}

// engine is what all routers share that follow each other.
type engine struct {
	topo       atomic.Pointer[topology]
	change     lock   // held while the topology is replaced, and what keeps its map is asked
	keep       keeper // nil: the map lives in memory
	clock      clock
	gate       *admit.Gate
	quota      merge.Quota
	gathers    gathers
	payloads   payloads
	cursors    cursors
	fence      prompt.Fence
	builtIn    *prompt.Template
	ratios     tokens.Ratios // of what models count to what is estimated
	lane       *balance.Lane
	writes     sync.WaitGroup // writes to replicas that are still under way
	vocabulary vocabulary
	registry   registry     // which replicas are in step
	comparing  sync.Mutex   // held by the one comparison of replicas that is under way
	reads      turnstile    // questions that keep a topology
	commits    turnstile    // writes that keep a topology
	follows    followers    // what is written to collections while others are made of them
	moving     sync.Mutex   // held by the one move or repair that is under way
	underWay   atomic.Bool  // a move is: replicas differ while copies are made and removed
	retired    []*shard     // that have left the map
	canary     atomic.Int64 // when it was last tried to store one, as Unix nanoseconds; 0: not, or it was stored
}

// topology is what a query sees of the world: immutable, replaced as a whole.
type topology struct {
	m      *shardmap.Map
	shards []*shard // in the map's order
	counts *counts
	mixed  bool  // shards may hold copies of points that they do not own
	move   *move // that is under way; nil: none
}

// shard is a disjoint part of every collection.
type shard struct {
	name       string
	pool       *balance.Pool[Replica] // the replicas that may answer reads
	replicas   []Replica              // all replicas, companions last: a write goes to each
	companions *balance.Pool[Replica] // rank by words instead of the replicas; nil: there are none
	mute       atomic.Bool            // no companion may answer
	able       []able                 // what they declare
	writes     *turnstile             // writes to the replicas that are under way
	acked      *ledger
	hurry      func()                 // has the replicas compared soon
	away       atomic.Pointer[string] // why no replica may answer; nil: one may
}

// New checks the configuration, opens the shard map and returns a router. The
// caller keeps the stores and closes them after the router.
func New(c Config) (*Router, error) {
	c = c.withDefaults()
	if err := c.validate(); err != nil {
		return nil, err
	}
	gate, err := newGate(c)
	if err != nil {
		return nil, fmt.Errorf("admission: %w", err)
	}
	r := &Router{cfg: c, engine: &engine{change: make(lock, 1), gate: gate, cursors: newCursors(c.CursorKey), fence: prompt.NewFence(c.CursorKey)}}
	if r.builtIn, err = prompt.Parse(prompt.Text{}); err != nil {
		return nil, err
	}
	t, err := r.openMap()
	if err != nil {
		return nil, err
	}
	if r.lane, err = balance.NewLane(c.Lane); err != nil {
		return nil, errors.Join(fmt.Errorf("lane %s: %w", c.Lane.Name, err), r.closeMap())
	}
	if t.shards, err = r.buildShards(t.m); err != nil {
		return nil, errors.Join(err, r.closeMap())
	}
	t.counts = newCounts(t.m.Shards())
	r.topo.Store(t)
	if err := r.adopt(); err != nil {
		return nil, errors.Join(err, r.Close())
	}
	if err := r.holdEmbedders(); err != nil {
		return nil, errors.Join(err, r.Close())
	}
	if err := r.compareFirst(); err != nil {
		return nil, errors.Join(err, r.Close())
	}
	return r, nil
}

// buildShards makes a pool for each shard, in the order of the map.
func (r *Router) buildShards(m *shardmap.Map) ([]*shard, error) {
	byName := map[string]Shard{}
	for _, s := range r.cfg.Shards {
		byName[s.Name] = s
	}
	var shards []*shard
	for _, ms := range m.Shards() {
		s, err := r.buildShard(byName[ms.Name])
		if err != nil {
			return nil, err
		}
		shards = append(shards, s)
	}
	return shards, nil
}

func (r *Router) buildShard(c Shard) (*shard, error) {
	c.Lexical = companionsOf(c)
	s := &shard{name: c.Name, replicas: slices.Concat(c.Replicas, c.Lexical), able: declared(c), writes: &turnstile{}, acked: &ledger{}, hurry: r.registry.hurry}
	var err error
	if s.pool, err = r.newPool(s.name, c.Replicas); err == nil && len(c.Lexical) > 0 {
		s.companions, err = r.newPool(s.name+" (words)", c.Lexical)
	}
	if err != nil {
		return nil, fmt.Errorf("shard %s: %w", s.name, errors.Join(err, s.close()))
	}
	return s, nil
}

func (r *Router) newPool(name string, replicas []Replica) (*balance.Pool[Replica], error) {
	var members []balance.Member[Replica]
	for _, replica := range replicas {
		members = append(members, member(replica))
	}
	return balance.NewPool(balance.Config{Name: name, Lane: r.lane, Picker: r.cfg.Picker, Limit: r.cfg.Limit, Trace: r.cfg.Trace}, members...)
}

// close waits for the questions to the replicas.
func (s *shard) close() error {
	var errs []error
	for _, pool := range []*balance.Pool[Replica]{s.pool, s.companions} {
		if pool != nil {
			errs = append(errs, pool.Close())
		}
	}
	return errors.Join(errs...)
}

// member is a replica's place in its shard's pool.
func member(r Replica) balance.Member[Replica] {
	return balance.Member[Replica]{Name: r.Name, Weight: r.Weight, Aborts: r.Aborts, Target: r}
}

// Retrieve finds the best hits for a text or a vector.
//
// Errors: fault.Invalid and fault.NotFound for the request, fault.Overloaded
// where it was shed, context.DeadlineExceeded; a *PartialError, together with
// the hits that were found, where shards are missing and the request did not
// allow it.
func (r *Router) Retrieve(ctx context.Context, q Request) (Response, error) {
	start := time.Now()
	ctx, rec := record(ctx, r.cfg.ExtraAttempts, q.Explain)
	res, err := r.retrieve(ctx, q, rec)
	rec.report(&res, time.Since(start))
	return res, err
}

// Close waits for attempts that are still under way and gives the map's lock
// back. It does not close the replicas' stores.
func (r *Router) Close() error {
	if r.registry.stop != nil {
		r.registry.stop()
		r.registry.loop.Wait()
	}
	var errs []error
	t := r.topo.Load()
	for _, s := range append(r.retired, t.shards...) {
		errs = append(errs, s.close())
	}
	t.counts.wait()
	r.writes.Wait()
	return errors.Join(append(errs, r.closeMap())...)
}

var _ search.Store = (*Router)(nil)
