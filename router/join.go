package router

import (
	"cmp"
	"context"
	"errors"
	"io/fs"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/lanewise/lanewise/fault"
	"github.com/lanewise/lanewise/internal/sealed"
)

// A replica that joins, or lost data, must not answer: an empty one would
// certify an empty answer. The router therefore compares the replicas of each
// shard by their digests, at the start, from time to time, and when one answers
// that it does not know a collection. One that differs gets all writes but
// no reads until its digest is that of its shard again. One that was down from the beginning is
// not read either until it has said what it holds: it may have lost data meanwhile, or
// compare by another metric.
const (
	compareEvery   = 30 * time.Second
	compareSoon    = 5 * time.Second        // while a replica is not read, or not reached
	compareAtMost  = time.Second            // between comparisons that were asked for
	compareTwice   = 250 * time.Millisecond // a difference counts if it is the same after this time
	comparePatient = time.Second            // for writes under way to end
)

// ReplicaState is what the router knows of a replica's content.
type ReplicaState struct {
	Shard   string `json:"shard"`
	Replica string `json:"replica"`
	Lexical bool   `json:"lexical,omitempty"` // it is a lexical companion: reads are rankings by words
	// Reads says that the replica may answer searches. It gets writes in any case.
	Reads bool `json:"reads"`
	// Why tells what is wrong with the replica's content; empty: it is in step with its shard.
	// The last readable replica of a shard stays readable, whatever is wrong with it.
	Why   string    `json:"why,omitempty"`
	Since time.Time `json:"since"` // when the router came to this conclusion
	// Unreachable is why the replica could not be asked the last time; empty: it could.
	Unreachable string `json:"unreachable,omitempty"`
	Points      int    `json:"points"` // that it said to hold, of all collections

	met bool // it has answered since the router started, be it by a refusal
}

// registry is what the router knows of the replicas' content.
type registry struct {
	mu     sync.Mutex
	states map[string]*ReplicaState // by shard/replica
	file   string                   // that remembers who is not read; empty: none
	wake   chan struct{}
	stop   context.CancelFunc
	loop   sync.WaitGroup
}

// Replicas tells the state of every replica, in the order of the configuration's shards by name.
func (r *Router) Replicas() []ReplicaState {
	var out []ReplicaState
	r.registry.mu.Lock()
	defer r.registry.mu.Unlock()
	for _, s := range r.topo.Load().shards {
		for _, replica := range s.replicas {
			out = append(out, *r.registry.of(s, replica))
		}
	}
	return out
}

// of returns the state of a replica. The caller holds the lock.
func (y *registry) of(s *shard, replica Replica) *ReplicaState {
	name := s.name + "/" + replica.Name
	if y.states[name] == nil {
		y.states[name] = &ReplicaState{Shard: s.name, Replica: replica.Name, Reads: true, Since: time.Now()}
	}
	y.states[name].Lexical = replica.words
	return y.states[name]
}

// reset forgets what was known of the replicas of a shard of that name.
func (y *registry) reset(s Shard) {
	y.mu.Lock()
	defer y.mu.Unlock()
	for _, replica := range slices.Concat(s.Replicas, s.Lexical) {
		delete(y.states, s.Name+"/"+replica.Name)
	}
}

// hurry asks for a comparison soon.
func (y *registry) hurry() {
	select {
	case y.wake <- struct{}{}:
	default: // one is asked for already
	}
}

// compareFirst compares all replicas before the first query, and starts to do so from
// time to time.
func (r *Router) compareFirst() error {
	y := &r.registry
	y.states, y.wake = map[string]*ReplicaState{}, make(chan struct{}, 1)
	if r.cfg.MapPath != "" && r.cfg.MapStore == nil {
		y.file = r.cfg.MapPath + ".out"
	}
	t := r.topo.Load()
	if err := y.recall(); err != nil {
		return err
	}
	for _, s := range t.shards {
		if err := r.admitReaders(s); err != nil {
			return err
		}
	}
	ctx, stop := context.WithCancel(context.Background())
	y.stop = stop
	r.compare(ctx)
	y.loop.Go(func() { r.keepComparing(ctx) })
	if r.keep != nil {
		y.loop.Go(func() { r.keep.run(ctx) })
	}
	return nil
}

// recall reads who was not read when the router ended.
func (y *registry) recall() error {
	if y.file == "" {
		return nil
	}
	var out []ReplicaState
	if err := sealed.Read(y.file, &out); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err //nolint:wrapcheck // it names the file
	}
	for _, s := range out {
		s.Reads = false
		y.states[s.Shard+"/"+s.Replica] = &s
	}
	return nil
}

// remember stores who is not read, so that a router that starts while the good replicas
// are down does not take a bad one for good. The caller holds the lock.
func (y *registry) remember() error {
	if y.file == "" {
		return nil
	}
	out := []ReplicaState{}
	for _, s := range y.states {
		if !s.Reads && s.Why != "" { // who was never reached is not known for anything
			out = append(out, *s)
		}
	}
	slices.SortFunc(out, func(a, b ReplicaState) int {
		return cmp.Or(cmp.Compare(a.Shard, b.Shard), cmp.Compare(a.Replica, b.Replica))
	})
	return sealed.Write(y.file, out) //nolint:wrapcheck // it names the file
}

// keepComparing runs until ctx ends.
func (r *Router) keepComparing(ctx context.Context) {
	for ctx.Err() == nil {
		wait := time.NewTimer(r.compareIn())
		select {
		case <-ctx.Done():
		case <-wait.C:
		case <-r.registry.wake:
			wait.Reset(compareAtMost)
			r.compare(ctx)
			select { // many may ask at the same time
			case <-ctx.Done():
			case <-wait.C:
			}
			wait.Stop()
			continue
		}
		wait.Stop()
		r.compare(ctx)
	}
}

// compareIn is the time until the next comparison.
func (r *Router) compareIn() time.Duration {
	wait, readable := compareEvery, map[string]bool{}
	for _, s := range r.Replicas() {
		if readable[s.Shard] = readable[s.Shard] || s.Reads; s.Why != "" || !s.Reads || s.Unreachable != "" {
			wait = compareSoon
		}
	}
	for _, any := range readable {
		if !any { // the comparison is what brings the shard back
			wait = compareAtMost
		}
	}
	return wait
}

// compare compares the replicas of all shards and adapts who may answer.
func (r *Router) compare(ctx context.Context) {
	r.comparing.Lock()
	defer r.comparing.Unlock()
	t := r.topo.Load()
	scatter(len(t.shards), func(i int) struct{} {
		if err := r.compareShard(ctx, t, t.shards[i]); err != nil && ctx.Err() == nil {
			r.cfg.Log.ErrorContext(ctx, "replicas could not be compared", "shard", t.shards[i].name, "err", err)
		}
		return struct{}{}
	})
}

// compareShard compares the replicas of one shard. Who turns out to differ is
// asked a second time: a write of another router may be under way.
func (r *Router) compareShard(ctx context.Context, t *topology, s *shard) error {
	told, ok := r.rollCall(ctx, s)
	if !ok {
		return nil // writes never rest: the next time
	}
	found := judge(t.m.Collections(), told, s.acked.of)
	if r.accuses(s, found) {
		select {
		case <-time.After(compareTwice):
		case <-ctx.Done():
			return nil
		}
		if told, ok = r.rollCall(ctx, s); !ok {
			return nil
		}
		found = confirmed(found, judge(t.m.Collections(), told, s.acked.of), told)
	}
	for i := range found {
		if found[i].loose && r.underWay.Load() {
			told[i].err = errMoving
		}
	}
	if err := r.conclude(s, told, found); err != nil {
		return err
	}
	r.supply(ctx, t, s, found)
	return nil
}

// accuses reports whether a replica that may answer is at fault.
func (r *Router) accuses(s *shard, found []finding) bool {
	r.registry.mu.Lock()
	defer r.registry.mu.Unlock()
	for i, f := range found {
		if f.fault != "" && r.registry.of(s, s.replicas[i]).Reads {
			return true
		}
	}
	return false
}

// confirmed keeps the faults that were found twice in the same form. The replicas with another
// fault the second time are as if they had not been asked.
func confirmed(first, second []finding, told []holdings) []finding {
	for i := range second {
		if second[i].fault != "" && second[i].fault != first[i].fault && told[i].err == nil {
			told[i].err = errMoving
		}
	}
	return second
}

var errMoving = errors.New("its content is changing")

// conclude adapts the states of a shard's replicas to what was found.
func (r *Router) conclude(s *shard, told []holdings, found []finding) error {
	y := &r.registry
	y.mu.Lock()
	defer y.mu.Unlock()
	if !r.current(s) {
		return nil // it has other replicas by now
	}
	states := make([]*ReplicaState, len(told))
	before := make([]ReplicaState, len(told))
	for i := range told {
		states[i] = y.of(s, s.replicas[i])
		before[i] = *states[i]
	}
	vouched := vouched(before, told, found)
	for i, h := range told {
		states[i].heard(h, found[i], vouched)
	}
	keepOneReader(states)
	s.away.Store(away(states))
	if !changed(before, states) {
		return nil
	}
	for _, state := range states {
		r.cfg.Log.Warn("replicas of a shard were compared", "shard", s.name, "replica", state.Replica, "reads", state.Reads, "why", state.Why)
	}
	return errors.Join(y.remember(), r.admitReadersLocked(s))
}

// vouched reports whether a replica that could answer so far, or had nothing against it but
// that it was not reached, is without fault. Only then can
// others come back: those that are back alone would be compared with themselves.
func vouched(before []ReplicaState, told []holdings, found []finding) bool {
	for i := range told {
		if (before[i].Reads || before[i].unknown()) && !told[i].words && told[i].err == nil && found[i].fault == "" {
			return true
		}
	}
	return false
}

// unknown reports whether the replica was never reached, and nothing is remembered against it.
func (s *ReplicaState) unknown() bool { return !s.met && s.Why == "" }

// heard takes over what a replica said and what was found about it.
func (s *ReplicaState) heard(h holdings, f finding, vouched bool) {
	if errors.Is(h.err, errMoving) {
		return
	}
	if s.Unreachable = ""; h.err != nil {
		s.Unreachable = h.err.Error()
		s.met = s.met || !isAway(h.err)
		s.Reads = s.Reads && s.met
		return
	}
	fresh := s.unknown()
	s.met, s.Points = true, h.points()
	if f.fault == "" && !vouched && (s.Lexical && fresh || !s.Reads && !fresh) {
		s.Reads = false // a companion is held to the replicas first
		return
	}
	if (s.Why == "") != (f.fault == "") {
		s.Since = time.Now()
	}
	s.Why, s.Reads = f.fault, f.fault == ""
}

// away says why none of the replicas may answer; nil where one may.
func away(states []*ReplicaState) *string {
	var why []string
	for _, s := range states {
		switch {
		case s.Lexical:
			continue
		case s.Reads:
			return nil
		}
		why = append(why, s.Replica+": "+cmp.Or(s.Unreachable, s.Why))
	}
	return new("no replica was reached that may answer: " + strings.Join(why, "; "))
}

// isAway reports whether nobody is there. One that refuses to tell, or takes too long, may
// well answer searches.
func isAway(err error) bool {
	return errors.Is(err, fault.Unavailable) && !errors.Is(err, context.DeadlineExceeded)
}

// changed reports whether more or less is known against a replica, or who may answer.
func changed(before []ReplicaState, now []*ReplicaState) bool {
	for i := range before {
		if before[i].Reads != now[i].Reads || (before[i].Why == "") != (now[i].Why == "") {
			return true
		}
	}
	return false
}

// keepOneReader lets the best replica of a shard answer if none else may, and none is still
// to be heard that may be a good one: a shard is never shut off altogether, but its lexical leg may be. One that says what
// it holds is better than one that does not, and a fuller one is better.
func keepOneReader(states []*ReplicaState) {
	states = slices.DeleteFunc(slices.Clone(states), func(s *ReplicaState) bool { return s.Lexical }) // their leg may be missing
	if slices.ContainsFunc(states, func(s *ReplicaState) bool { return s.Reads || s.unknown() }) {
		return
	}
	best := slices.MaxFunc(states, func(a, b *ReplicaState) int {
		return cmp.Or(strings.Compare(b.Unreachable, "")-strings.Compare(a.Unreachable, ""), a.Points-b.Points)
	})
	best.Reads = true
}
