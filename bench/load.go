package bench

import (
	"context"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/lanewise/lanewise/fault"
)

// Load says when calls are due: an open loop. Zero values mean the defaults.
type Load struct {
	Rate     float64       // calls a second, above 0
	To       float64       // the rate at the end, which is approached evenly; 0: Rate throughout
	Constant bool          // evenly spaced; else the gaps are exponential, as of many independent callers
	Warmup   time.Duration // calls before its end are made and not recorded
	Duration time.Duration // of what is recorded, above 0
	Seed     uint64        // of the gaps
	// Limit bounds the calls under way at the same time; 0: 4096. While it is reached no
	// call begins, and the generator is late.
	Limit int
}

// Turn is one call that is due.
type Turn struct {
	Index    int       // from 0, warm-up included
	Due      time.Time // when it had to begin; latencies count from here
	Recorded bool      // not in the warm-up
}

// Call makes one call. Its context ends only when the whole run is cut short.
type Call func(ctx context.Context, t Turn) error

// check refuses a load that cannot be made.
func (l Load) check() error {
	switch {
	case !(l.Rate > 0) || l.Rate > 1e9:
		return fault.BadField("/rate", "must be above 0 and at most 1e9 calls a second")
	case !(l.To >= 0) || l.To > 1e9:
		return fault.BadField("/to", "must be 0 to 1e9 calls a second")
	case l.Duration <= 0:
		return fault.BadField("/duration", "must be above 0")
	case l.Warmup < 0:
		return fault.BadField("/warmup", "must not be negative")
	case l.Limit < 0:
		return fault.BadField("/limit", "must not be negative")
	}
	return nil
}

// Run makes the calls and returns when the last one has ended. When ctx ends earlier no further
// call begins, those under way are cancelled and not counted, and the result says that it was cut.
func (l Load) Run(ctx context.Context, call Call) (Result, error) {
	if err := l.check(); err != nil {
		return Result{}, err
	}
	if l.Limit == 0 {
		l.Limit = 4096
	}
	if l.To == 0 {
		l.To = l.Rate
	}
	g := &generator{
		load: l, call: call, rng: rand.New(rand.NewPCG(l.Seed, 1)),
		gate: make(chan struct{}, 1), timer: time.NewTimer(time.Hour), latency: NewRecorder(l.Duration), lateness: NewRecorder(0),
	}
	defer g.timer.Stop()
	g.gate <- struct{}{}
	g.start = time.Now()
	g.add(ctx)
	g.senders.Wait()
	return g.result(ctx.Err() != nil), nil
}

// generator makes the calls of one run. A sender waits at the gate for the next call that is due, lets another one
// to the gate, and makes the call itself. So there is always one that watches the clock, and no call is handed over.
type generator struct {
	load    Load
	call    Call
	start   time.Time
	senders sync.WaitGroup
	number  atomic.Int64 // of senders
	waiting atomic.Int64 // senders before or at the gate

	gate  chan struct{} // holds one token, which guards what follows
	timer *time.Timer
	rng   *rand.Rand
	at    float64 // seconds from the start at which the latest call was due
	made  int

	latency, lateness *Recorder
}

// add starts one more sender.
func (g *generator) add(ctx context.Context) {
	g.number.Add(1)
	g.waiting.Add(1)
	g.senders.Go(func() {
		for {
			turn, ok := g.next(ctx)
			if !ok {
				return
			}
			g.make(ctx, turn)
			g.waiting.Add(1)
		}
	})
}

// next waits until a call is due; false: there are no more.
func (g *generator) next(ctx context.Context) (Turn, bool) {
	<-g.gate
	defer func() { g.gate <- struct{}{} }()
	after, ok := g.draw()
	turn := Turn{Index: g.made, Due: g.start.Add(after), Recorded: after >= g.load.Warmup}
	if !ok || !g.wait(ctx, turn.Due) {
		return Turn{}, false
	}
	g.made++
	if g.waiting.Add(-1) == 0 && g.number.Load() < int64(g.load.Limit) {
		g.add(ctx)
	}
	return turn, true
}

// draw returns when the next call is due, from the start.
func (g *generator) draw() (after time.Duration, ok bool) {
	whole := (g.load.Warmup + g.load.Duration).Seconds()
	gap := 1.0
	if !g.load.Constant {
		gap = g.rng.ExpFloat64()
	}
	next := g.at + gap/(g.load.Rate+(g.load.To-g.load.Rate)*g.at/whole)
	if next >= whole { // the next sender shall find the end as well
		return 0, false
	}
	g.at = next
	return time.Duration(next * float64(time.Second)), true
}

func (g *generator) wait(ctx context.Context, due time.Time) bool {
	left := time.Until(due)
	if left <= 0 {
		return ctx.Err() == nil
	}
	g.timer.Reset(left)
	select {
	case <-g.timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

func (g *generator) make(ctx context.Context, t Turn) {
	late := time.Since(t.Due)
	err := g.call(ctx, t)
	if !t.Recorded || err != nil && ctx.Err() != nil {
		return
	}
	took := time.Since(t.Due)
	g.lateness.Record(0, late)
	g.latency.Outcome(t.Due.Sub(g.start)-g.load.Warmup, took, err)
}

func (g *generator) result(cut bool) Result {
	return Result{
		Latency: g.latency.distribution(), Lateness: g.lateness.distribution(), Errors: g.latency.errors,
		Series: g.latency.series(), Took: time.Since(g.start) - g.load.Warmup, Planned: g.load.Duration, Cut: cut,
	}
}
