package sim

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/lanewise/lanewise/balance"
	"github.com/lanewise/lanewise/fault"
)

// Model describes a run.
type Model struct {
	Seed     uint64
	Shards   int
	Replicas int     // of each shard
	Slots    int     // calls that a replica works on at a time
	Routers  int     // that share the servers and know nothing of each other
	Load     float64 // share of the capacity of healthy servers
	Slow     float64 // times the service time of the first replica of the first shard; 1: healthy
	Stall    float64 // share of the calls that stall
	Markov   bool    // exponential service times of the same mean, and no stalls: for comparison with theory
	Server   Cancel
	Queries  int
	Deadline time.Duration
	Policy   Policy
	Events   []Event // in order of time
}

// Event changes the first replica of the first shard while the model runs.
type Event struct {
	At     time.Duration
	Factor float64 // times the service time
	Down   bool
}

// Policy says how the replicas of a shard are chosen.
type Policy struct {
	Name   string
	Hedged bool
	Picker balance.Picker // nil: the default
	Oracle bool           // pick by the work that the servers really have; ignores Picker
	Plain  bool           // without the router: pools and a loop around them
	Gated  bool           // searches are admitted before they are scattered
	rule   rule           // without the balancer; ignores the others
}

// standard is the model of the goals.
func standard() Model {
	return Model{
		Seed: 1, Shards: 16, Replicas: 3, Slots: 4, Routers: 1, Load: 0.6, Slow: 1, Stall: 0.01,
		Server: Drop, Queries: 4000, Deadline: time.Second, Policy: Policy{Name: "lanewise", Hedged: true},
	}
}

// validate names everything that is wrong with the model, by the names of the
// tests' flags.
func (m Model) validate() error {
	var errs []error
	check := func(ok bool, name, must string, is any) {
		if !ok {
			errs = append(errs, fault.New(fault.Invalid, "%s: must be %s, is %v", name, must, is))
		}
	}
	check(m.Shards > 0, "shards", "at least 1", m.Shards)
	check(m.Replicas > 0, "replicas", "at least 1", m.Replicas)
	check(m.Slots > 0, "workers", "at least 1", m.Slots)
	check(m.Routers > 0, "routers", "at least 1", m.Routers)
	check(m.Queries > 0, "queries", "at least 1", m.Queries)
	check(m.Load > 0 && m.Load <= 100, "load", "above 0 and at most 100, a share of the capacity", m.Load)
	check(m.Slow > 0 && m.Slow <= 1e6, "slow", "above 0 and at most a million, a factor", m.Slow)
	check(m.Stall >= 0 && m.Stall <= 1, "stall", "a share from 0 to 1", m.Stall)
	check(m.Server == Abort || m.Server == Drop || m.Server == Ignore, "server", "abort, drop or ignore", fmt.Sprintf("%q", m.Server))
	check(m.Deadline > 0, "deadline", "above 0", m.Deadline)
	return errors.Join(errs...)
}

// mean is the mean service time of a healthy server.
func (m Model) mean() time.Duration {
	if m.Markov {
		return meanService
	}
	return meanWith(m.Stall)
}

// service draws a service time.
func (m Model) service(s stream) time.Duration {
	if m.Markov {
		return s.exponential(meanService)
	}
	return s.service(m.Stall)
}

// query is a query on its way: it names the draws of its attempts.
type query struct {
	id       uint64
	attempts []atomic.Uint32 // by shard
}

type queryKey struct{}

// plaza is servers and the routers before them.
type plaza struct {
	model   Model
	servers [][]*server // by shard
	routers []searcher
	tally   *tally
	start   time.Time
}

// searcher answers a query, whose state is in ctx.
type searcher interface {
	search(ctx context.Context) error
	Close() error
}

func newPlaza(m Model) (*plaza, error) {
	p := &plaza{model: m, tally: newTally(m.Shards), start: time.Now()}
	for range m.Shards {
		replicas := make([]*server, m.Replicas)
		for i := range replicas {
			replicas[i] = newServer(m.Slots, m.Server)
		}
		p.servers = append(p.servers, replicas)
	}
	p.servers[0][0].set(m.Slow, false)
	for range m.Routers {
		open := p.openRouter
		if m.Policy.Plain || m.Policy.Oracle {
			open = p.openPools
		}
		r, err := open()
		if err == nil && m.Policy.Gated {
			r, err = gate(r, m.Deadline)
		}
		if err != nil {
			return nil, fmt.Errorf("policy %s: %w", m.Policy.Name, err)
		}
		p.routers = append(p.routers, r)
	}
	return p, nil
}

// serve is one attempt of the query in ctx, at one replica.
func (p *plaza) serve(ctx context.Context, shard, replica int) error {
	roomy()
	q, ok := ctx.Value(queryKey{}).(*query)
	if !ok {
		return fault.New(fault.Invalid, "not a query of the model")
	}
	nth := q.attempts[shard].Add(1)
	s := draws(p.model.Seed, q.id, uint64(shard), uint64(nth)) //nolint:gosec // small
	sort := count{first: 1}
	if nth > 1 {
		sort = count{extra: 1}
	}
	p.tally.add(time.Since(p.start), shard, sort)
	return p.servers[shard][replica].serve(ctx, p.model.service(s))
}

// Run makes the model's queries at their times, whether the ones before have
// been answered or not, and returns what became of them. Its error is
// fault.Invalid and names everything that is wrong with the model.
func Run(m Model) (Result, error) {
	if err := m.validate(); err != nil {
		return Result{}, err
	}
	if m.Policy.rule != nil {
		return runPlain(m), nil
	}
	p, err := newPlaza(m)
	if err != nil {
		return Result{}, err
	}
	timers := p.schedule()
	latencies := make([]time.Duration, m.Queries)
	gap := time.Duration(float64(m.mean()) / (m.Load * float64(m.Replicas*m.Slots)))
	arrivals := draws(m.Seed, 1<<40)
	var wg sync.WaitGroup
	due := time.Duration(0)
	for i := range m.Queries {
		due += arrivals.exponential(gap)
		time.Sleep(due - time.Since(p.start))
		at, router := due, p.routers[int(arrivals.uniform()*float64(len(p.routers)))]
		wg.Go(func() { latencies[i] = p.ask(router, uint64(i), at) }) //nolint:gosec // not negative
	}
	wg.Wait()
	for _, t := range timers {
		t.Stop()
	}
	for _, r := range p.routers {
		if err := r.Close(); err != nil {
			return Result{}, err
		}
	}
	return p.result(latencies), nil
}

// schedule arms the model's events.
func (p *plaza) schedule() []*time.Timer {
	timers := make([]*time.Timer, len(p.model.Events))
	for i, e := range p.model.Events {
		timers[i] = time.AfterFunc(e.At, func() {
			p.servers[0][0].set(e.Factor, e.Down)
			p.tally.mark(p.servers[0])
		})
	}
	return timers
}

// failed is the latency of a query that was not answered.
const failed = -1

// allowance is the router's default number of extra attempts for a request.
const allowance = 8

// ask makes one query and returns its latency from the time at which it was due.
func (p *plaza) ask(s searcher, id uint64, due time.Duration) time.Duration {
	q := &query{id: id, attempts: make([]atomic.Uint32, p.model.Shards)}
	ctx, cancel := context.WithTimeout(context.WithValue(context.Background(), queryKey{}, q), p.model.Deadline)
	defer cancel()
	if err := s.search(balance.WithAllowance(ctx, allowance)); err != nil {
		return failed
	}
	return time.Since(p.start) - due
}
