package router

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"time"

	"github.com/lanewise/lanewise/fault"
	"github.com/lanewise/lanewise/search"
	"github.com/lanewise/lanewise/shardmap"
)

// Move says what to move, and at what pace.
type Move struct {
	Plan      []byte  // the JSON form of a shardmap.Plan for the router's map
	Shards    []Shard // with the stores of those that join; the others are passed over
	PerSecond int     // points to copy a second, at most; 0: as fast as it goes
}

// Moved is what a move did.
type Moved struct {
	Epoch   uint64 `json:"epoch"`   // of the map in force now
	Copied  int64  `json:"copied"`  // points
	Already int64  `json:"already"` // points that an earlier attempt had copied
	Undone  int64  `json:"undone"`  // copies of an earlier attempt that were out of date
	Cleaned int64  `json:"cleaned"` // copies removed from where the points were, of all replicas
}

// move is a move that is under way, as queries and writes see it.
type move struct {
	plan  *shardmap.Plan
	from  []shardmap.Shard // of the old map
	to    []shardmap.Shard // of the new one
	pace  *pace
	total int64 // points to copy, about; 0: not counted yet
	done  atomic.Int64
	start time.Time
}

// The least and the most that a writer is told to wait for the end of a move.
const (
	shortWait = time.Second
	longWait  = 10 * time.Minute
)

// left estimates the time until the move is over.
func (m *move) left() time.Duration {
	done, took := m.done.Load(), time.Since(m.start)
	if m.total == 0 || done == 0 {
		return shortWait
	}
	rate := float64(done) / took.Seconds()
	left := time.Duration(float64(max(0, m.total-done)) / rate * float64(time.Second))
	return min(max(left, shortWait), longWait)
}

// refuse says that something has to wait for the end of the move.
func (m *move) refuse(format string, args ...any) error {
	return &fault.Error{
		Class: fault.Unavailable, RetryAfter: m.left(),
		Message: fmt.Sprintf(format, args...) + fmt.Sprintf(" while points move to epoch %d (%d of %d are copied)",
			m.plan.Next().Epoch(), m.done.Load(), m.total),
	}
}

// check refuses a batch that touches a point which moves. Under placement by key a write
// touches all shards, so all of them have to wait.
func (m *move) check(c search.Collection, b search.Batch) error {
	if c.Placement.By == search.ByKey {
		return m.refuse("collection %s is placed by key and cannot be written to", c.Name)
	}
	check := func(k search.Key) error {
		from, to, moves := m.plan.Moves(c, k, nil)
		if !moves {
			return nil
		}
		return m.refuse("point %q cannot be written on its way from shard %s to shard %s", k.ID, m.from[from].Name, m.to[to].Name)
	}
	for i := range b.Upserts {
		if err := check(b.Upserts[i].Key); err != nil {
			return err
		}
	}
	for i := range b.Deletes {
		if err := check(b.Deletes[i].Key); err != nil {
			return err
		}
	}
	return nil
}

// Apply carries out a plan: it copies what moves to its new shards, compares the copies with
// the originals, puts the new map in force with one durable step, and removes the points from
// where they were. Until that step reads are answered from the old shards, and writes to points
// that move are fault.Unavailable with the time to wait. Shards that leave keep their data,
// for their stores to be taken away.
//
// Apply may end, or be ended, at any moment: called again with the same plan it goes on where
// it was. Errors: fault.Conflict for a plan that does not fit the map, or while another
// move or repair is under way; fault.Invalid for shards that are missing.
func (r *Router) Apply(ctx context.Context, how Move) (Moved, error) {
	if r.keep == nil {
		return Moved{}, fault.New(fault.Invalid, "the shard map is in memory only: name a file for it in the configuration")
	}
	if !r.moving.TryLock() {
		return Moved{}, errBusy()
	}
	defer r.moving.Unlock()
	r.underWay.Store(true)
	defer r.underWay.Store(false)
	j := &journey{r: r, how: how}
	err := j.run(ctx)
	if err != nil {
		r.change.Lock()
		defer r.change.Unlock()
		r.keep.abandon()
	}
	return j.moved, err
}

func errBusy() error {
	return fault.New(fault.Conflict, "another move or repair is under way")
}

// journey is one call of Apply.
type journey struct {
	r     *Router
	how   Move
	move  *move
	old   *topology
	next  []*shard // in the order of the new map
	joins []*shard // those of them that are new
	moved Moved
}

// run carries the points to their new shards, or goes on after that.
func (j *journey) run(ctx context.Context) error {
	applied, err := shardmap.Applied(j.r.topo.Load().m, j.how.Plan)
	switch {
	case err != nil:
		return err //nolint:wrapcheck // Invalid: it says what it read
	case applied:
		_, err = j.begin(j.r.topo.Load().m)
	default:
		err = j.carry(ctx)
	}
	if err != nil {
		return err
	}
	j.moved.Epoch = j.r.topo.Load().m.Epoch()
	if err := j.clean(ctx); err != nil {
		return fmt.Errorf("the points are moved; remove the old ones: %w", err)
	}
	return nil
}

// carry takes the points to their new shards, up to the moment from which they are read there.
func (j *journey) carry(ctx context.Context) (err error) {
	r := j.r
	m := r.topo.Load().m
	plan, err := shardmap.ReadPlan(m, j.how.Plan)
	if err != nil {
		return err //nolint:wrapcheck // it says what is wrong with the plan
	}
	if err := j.build(plan); err != nil {
		return err
	}
	defer func() {
		if err != nil {
			for _, s := range j.joins {
				err = errors.Join(err, s.close())
			}
		}
	}()
	j.move = &move{
		plan: plan, from: r.topo.Load().m.Shards(), to: plan.Next().Shards(),
		start: time.Now(), pace: newPace(j.how.PerSecond), total: counted(j.how.Plan),
	}
	if j.old, err = j.begin(m); err != nil {
		return err
	}
	if err := j.quiesce(ctx); err != nil {
		return fmt.Errorf("wait for writes under way: %w", err)
	}
	for _, c := range j.old.m.Collections() {
		if c.Placement.By == search.ByExternal {
			continue
		}
		if err := j.collection(ctx, c); err != nil {
			return fmt.Errorf("move collection %s: %w", c.Name, err)
		}
	}
	return j.flip(ctx, plan.Next())
}

// counted is how many points a stored plan said to move.
func counted(plan []byte) int64 {
	var stored struct {
		Points int64 `json:"points"`
	}
	_ = json.Unmarshal(plan, &stored) // it was read before
	return stored.Points
}

// build makes the shards of the new map: those that stay as they are, and those that join.
func (j *journey) build(plan *shardmap.Plan) error {
	t := j.r.topo.Load()
	for _, ms := range plan.Next().Shards() {
		if i := slices.IndexFunc(t.shards, func(s *shard) bool { return s.name == ms.Name }); i >= 0 {
			j.next = append(j.next, t.shards[i])
			continue
		}
		i := slices.IndexFunc(j.how.Shards, func(s Shard) bool { return s.Name == ms.Name })
		if i < 0 || len(j.how.Shards[i].Replicas) == 0 {
			return fault.New(fault.Invalid, "shard %s joins, and the configuration has no replicas for it", ms.Name)
		}
		j.r.registry.reset(j.how.Shards[i])
		s, err := j.r.buildShard(j.how.Shards[i])
		if err != nil {
			return err
		}
		j.next, j.joins = append(j.next, s), append(j.joins, s)
	}
	return nil
}

// begin has the move known before it begins.
func (j *journey) begin(m *shardmap.Map) (*topology, error) {
	r := j.r
	r.change.Lock()
	defer r.change.Unlock()
	if err := r.keep.begin(m, j.how.Plan); err != nil {
		return nil, err
	}
	return r.publish(func(t *topology) { t.move, t.mixed = j.move, true }), nil
}

// quiesce waits until no write is under way that does not know of the move, from this router or another.
func (j *journey) quiesce(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 3*j.r.cfg.WriteTimeout)
	defer cancel()
	if err := j.r.commits.drain(ctx); err != nil {
		return err
	}
	for _, s := range j.old.shards {
		if err := s.writes.drain(ctx); err != nil {
			return fmt.Errorf("shard %s: %w", s.name, err)
		}
	}
	return j.r.keep.settle(ctx, j.old)
}

// flip puts the new map in force. Queries that began with the old one end before
// anything is removed.
func (j *journey) flip(ctx context.Context, next *shardmap.Map) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	r := j.r
	r.change.Lock()
	defer r.change.Unlock()
	if err := r.keep.flip(next, j.joins); err != nil {
		return err
	}
	j.joins = nil // they are not ours to close any more
	r.cfg.Log.Info("points have moved, and the new shard map is in force", "epoch", r.topo.Load().m.Epoch(), "copied", j.moved.Copied)
	return nil
}

// clean removes from every shard what it does not own any more.
func (j *journey) clean(ctx context.Context) error {
	r := j.r
	if err := r.reads.drain(ctx); err != nil {
		return err
	}
	if j.old != nil {
		j.old.counts.wait()
	}
	t := r.topo.Load()
	if err := r.keep.settle(ctx, t); err != nil {
		return err
	}
	pace := newPace(j.how.PerSecond)
	for _, c := range t.m.Collections() {
		if c.Placement.By == search.ByExternal {
			continue
		}
		for i, s := range t.shards {
			for _, replica := range s.replicas {
				n, err := r.sweep(ctx, sweeping{topo: t, c: c, shard: i, replica: replica, pace: pace})
				j.moved.Cleaned += n
				if err != nil {
					return fmt.Errorf("replica %s/%s: %w", s.name, replica.Name, err)
				}
			}
		}
	}
	r.change.Lock()
	defer r.change.Unlock()
	if err := r.keep.finish(); err != nil {
		return err
	}
	r.registry.hurry()
	return nil
}
