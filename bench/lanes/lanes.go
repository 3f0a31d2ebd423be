// Package lanes compares what a router does to latencies under faults: the real router, with its own policy and
// with others, over fake replicas that listen on real sockets and do what a script says.
//
// The replicas are fakes: they hold no points, and their service times are drawn (log-normal, σ 0.5).
package lanes

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/lanewise/lanewise/balance"
	"github.com/lanewise/lanewise/bench"
	"github.com/lanewise/lanewise/fault"
	"github.com/lanewise/lanewise/router"
	"github.com/lanewise/lanewise/search"
)

// Plaza is a router's shards and replicas. Zero values mean the defaults.
type Plaza struct {
	Shards   int           // 0: 2
	Replicas int           // of each shard; 0: 3
	Slots    int           // calls that a replica works on at a time; 0: 4
	Service  time.Duration // mean service time; 0: 10 ms
	Deadline time.Duration // of a search; 0: 1 s
	Ignore   bool          // replicas go on with work that was cancelled
	Seed     uint64
	Script   Script // times are those of the measured part
}

// Check fills in the defaults, and refuses a plaza that cannot be: fault.Invalid with the field's pointer.
func (p *Plaza) Check() error {
	for _, n := range []struct {
		field string
		have  *int
		usual int
	}{{"/shards", &p.Shards, 2}, {"/replicas", &p.Replicas, 3}, {"/slots", &p.Slots, 4}} {
		if *n.have < 0 || *n.have > 1000 {
			return fault.BadField(n.field, "must be 1 to 1000")
		}
		if *n.have == 0 {
			*n.have = n.usual
		}
	}
	if p.Service < 0 || p.Deadline < 0 {
		return fault.BadField("/service", "a time must not be negative")
	}
	if p.Service == 0 {
		p.Service = 10 * time.Millisecond
	}
	if p.Deadline == 0 {
		p.Deadline = time.Second
	}
	return p.Script.check(*p)
}

// Policy is a way to choose replicas.
type Policy struct {
	Name   string
	Picker balance.Picker // nil: the router's own
	Hedged bool
}

// Policies are those that are compared. All of them fail over, and put replicas aside that only fail: that is the
// router's and not the policy's.
func Policies() []Policy {
	return []Policy{
		{Name: "random", Picker: balance.Random{}},
		{Name: "round-robin", Picker: balance.RoundRobin{}},
		{Name: "power of two", Picker: balance.TwoChoices{}},
		{Name: "lanewise without hedges"},
		{Name: "lanewise", Hedged: true},
	}
}

// Result is what became of a load under one policy.
type Result struct {
	bench.Result
	Extra  float64      // hedges and failovers, as a share of the first attempts
	Shares []bench.Line // of its shard's calls that each replica got, over seconds
}

// Figures are those of the load, with the extra attempts.
func (r Result) Figures() []bench.Figure {
	return append(r.Result.Figures(), bench.Figure{Name: "extra", Unit: "%", Better: bench.Lower, Rounds: []float64{100 * r.Extra}})
}

// counter counts attempts in the measured part, and for each replica by the second.
type counter struct {
	start time.Time

	mu           sync.Mutex
	first, extra int
	calls        map[string][]int // by shard/replica
}

func (c *counter) started(a balance.Attempt) {
	if a.Start.Before(c.start) {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if a.Reason == balance.First {
		c.first++
	} else {
		c.extra++
	}
	name, second := a.Pool+"/"+a.Member, int(a.Start.Sub(c.start)/time.Second)
	for len(c.calls[name]) <= second {
		c.calls[name] = append(c.calls[name], 0)
	}
	c.calls[name][second]++
}

func (c *counter) shares() (out []bench.Line) {
	c.mu.Lock()
	defer c.mu.Unlock()
	whole := map[string][]int{} // by shard
	for name, calls := range c.calls {
		shard, _, _ := strings.Cut(name, "/")
		for second, n := range calls {
			for len(whole[shard]) <= second {
				whole[shard] = append(whole[shard], 0)
			}
			whole[shard][second] += n
		}
	}
	for _, name := range slices.Sorted(maps.Keys(c.calls)) {
		shard, _, _ := strings.Cut(name, "/")
		line := bench.Line{Name: name}
		for second, all := range whole[shard] {
			n := 0
			if second < len(c.calls[name]) {
				n = c.calls[name][second]
			}
			line.Points = append(line.Points, [2]float64{float64(second), float64(n) / float64(max(all, 1))})
		}
		out = append(out, line)
	}
	return out
}

// Run makes a load under one policy, on replicas of its own. The script begins with the measured part.
func (p Plaza) Run(ctx context.Context, l bench.Load, by Policy) (result Result, err error) {
	if err := p.Check(); err != nil {
		return Result{}, err
	}
	fakes, err := p.open(ctx)
	if err != nil {
		return Result{}, err
	}
	defer func() { err = errors.Join(err, fakes.Close()) }()
	n := &counter{calls: map[string][]int{}, start: time.Now().Add(l.Warmup)}
	r, err := p.router(fakes, by, n) //nolint:contextcheck // the router outlives the call that makes it
	if err != nil {
		return Result{}, err
	}
	defer func() { err = errors.Join(err, r.Close()) }()
	playing, stop := context.WithCancel(ctx)
	played := make(chan struct{})
	go func() {
		defer close(played)
		fakes.play(playing, p.Script, l.Warmup)
	}()
	loaded, err := l.Run(ctx, func(ctx context.Context, _ bench.Turn) error {
		_, err := r.Search(ctx, search.Query{Collection: "docs", Legs: []search.Leg{{Dense: []float32{1}, K: 1}}})
		return err
	})
	stop()
	<-played
	return Result{Result: loaded, Extra: float64(n.extra) / float64(max(n.first, 1)), Shares: n.shares()}, err
}

func (p Plaza) router(f *fakes, by Policy, n *counter) (*router.Router, error) {
	c := router.Config{
		SearchTimeout: p.Deadline, Picker: by.Picker, Lane: balance.LaneConfig{Seed: p.Seed}, Trace: &balance.Trace{Started: n.started},
	}
	if !by.Hedged {
		c.Lane.HedgeDelay = -1
	}
	for i := range p.Shards {
		shard := router.Shard{Name: fmt.Sprint("s", i)}
		for j := range p.Replicas {
			shard.Replicas = append(shard.Replicas, router.Replica{Name: fmt.Sprint("r", j), Store: f.store(i, j), Aborts: !p.Ignore})
		}
		c.Shards = append(c.Shards, shard)
	}
	r, err := router.New(c)
	if err != nil {
		return nil, err
	}
	if _, err := r.CreateCollection(context.Background(), search.Collection{Name: "docs", Dims: 1}); err != nil {
		return nil, errors.Join(err, r.Close())
	}
	return r, nil
}
