// Package abort finds out whether an upstream stops working for a call that is
// cancelled. What a hedge costs depends on it: where the loser goes on running
// unseen, hedging in an overload makes it worse.
//
// It is measured, not asked for: a call is begun, shows in the upstream's own gauge
// of what it has to do, is cancelled, and either disappears there soon or does not.
// That costs the upstream a few long calls, so it is done only where the operator
// names the gauge, and never where calls are billed.
package abort

import (
	"cmp"
	"context"
	"time"

	"github.com/lanewise/lanewise/fault"
)

// Gauge reads how many calls an upstream has, running and waiting, those of others
// among them. Safe for concurrent use.
type Gauge func(ctx context.Context) (float64, error)

// Probe says how to measure an upstream.
type Probe struct {
	Gauge Gauge
	// Call makes a call that takes several times Grace, and returns when ctx ends.
	Call func(ctx context.Context) error
	// Grace is how long the upstream has to stop. Default 1 s.
	Grace time.Duration
	// Poll is the time between two looks at the gauge. Default a twentieth of Grace.
	Poll time.Duration
	// Rounds is how often it is measured; all must agree. Default 3.
	Rounds int
}

// Measure reports whether the upstream stops working for cancelled calls. An error
// means that it could not be found out: the gauge cannot be read, does not show the
// calls, is moved too much by others, or the calls are over too soon. Its goroutine
// ends with Call.
func Measure(ctx context.Context, p Probe) (frees bool, err error) {
	p.Grace = cmp.Or(p.Grace, time.Second)
	p.Poll = cmp.Or(p.Poll, p.Grace/20)
	p.Rounds = cmp.Or(p.Rounds, 3)
	for round := range p.Rounds {
		now, err := p.round(ctx)
		if err != nil {
			return false, err
		}
		if round > 0 && now != frees {
			return false, fault.New(fault.Unavailable, "the upstream's gauge moves too much to say whether it stops cancelled calls")
		}
		frees = now
	}
	return frees, nil
}

// round measures once.
func (p Probe) round(ctx context.Context) (frees bool, err error) {
	before, err := p.Gauge(ctx)
	if err != nil {
		return false, err
	}
	calling, cancel := context.WithCancel(ctx)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = p.Call(calling) // how it ends does not matter
	}()
	defer func() { cancel(); <-ended }()
	if seen, err := p.within(ctx, 10*p.Grace, ended, func(now float64) bool { return now >= before+1 }); err != nil || !seen {
		return false, cmp.Or(err, fault.New(fault.Unavailable, "the upstream's gauge does not show a call that it was sent"))
	}
	gone, err := p.within(ctx, p.Grace, ended, func(now float64) bool { return now <= before })
	if err != nil || gone {
		return false, cmp.Or(err, fault.New(fault.Unavailable, "the call was over before it was cancelled, or others were: try while the upstream is calm"))
	}
	cancel()
	return p.within(ctx, p.Grace, nil, func(now float64) bool { return now <= before })
}

// within looks at the gauge until it is as wanted, or the time is up: once more then, since this process may
// not have run meanwhile. A call that ends meanwhile, if it must not, is an error.
func (p Probe) within(ctx context.Context, most time.Duration, ended <-chan struct{}, wanted func(float64) bool) (bool, error) {
	timer, tick := time.NewTimer(most), time.NewTicker(p.Poll)
	defer timer.Stop()
	defer tick.Stop()
	for {
		now, err := p.Gauge(ctx)
		if err != nil || wanted(now) {
			return err == nil, err
		}
		select {
		case <-tick.C:
		case <-timer.C:
			now, err := p.Gauge(ctx)
			return err == nil && wanted(now), err
		case <-ended:
			if ctx.Err() != nil { // which ended the call, too
				return false, context.Cause(ctx)
			}
			return false, fault.New(fault.Unavailable, "the call was over before it could be cancelled")
		case <-ctx.Done():
			return false, context.Cause(ctx)
		}
	}
}
