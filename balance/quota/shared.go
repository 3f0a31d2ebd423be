package quota

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"time"

	"github.com/lanewise/lanewise/fault"
)

// Store hands out slices of quotas that several routers share.
type Store interface {
	// Exchange gives back what is left of a lease and takes another one of up to
	// Want. The store refills the quota of key by its limit, by its own clock,
	// and never grants what is not there. Safe for concurrent use.
	Exchange(ctx context.Context, key string, limit Limit, t Trade) (Amount, error)
}

// Trade is what an exchange gives back and asks for.
type Trade struct{ Give, Want Amount }

// SharedConfig describes a quota that several routers share.
type SharedConfig struct {
	Key     string // of the quota in the store
	Limit   Limit
	Store   Store
	Routers int           // that share it: what a router takes without the store is the limit over this
	Period  time.Duration // of a lease; default 1 s
	Log     *slog.Logger  // changes of state; nil: none
}

// Shared is a bucket that is filled by leases from a store. It owns a goroutine
// and must be closed.
type Shared struct {
	*Bucket
	config SharedConfig
	cancel context.CancelFunc
	done   chan struct{}
	alone  bool   // the store is away; guarded by mu
	ask    Amount // that the bucket should hold; guarded by mu
}

// NewShared returns a quota that leases from the store, the first time at once
// and in the background: until then it is empty. Its error is fault.Invalid and names
// every field that is wrong.
func NewShared(c SharedConfig) (*Shared, error) {
	c.Limit = c.Limit.withDefaults()
	c.Period = cmp.Or(c.Period, time.Second)
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if err := c.validate(); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(context.Background())
	s := &Shared{Bucket: &Bucket{at: time.Now()}, config: c, cancel: cancel, done: make(chan struct{})}
	s.set(c.Limit, 1/float64(c.Routers))
	s.refillByLeases()
	go s.run(ctx)
	return s, nil
}

func (c SharedConfig) validate() error {
	errs := []error{c.Limit.validate()}
	if c.Key == "" {
		errs = append(errs, fault.New(fault.Invalid, "key: must not be empty"))
	}
	if c.Store == nil {
		errs = append(errs, fault.New(fault.Invalid, "store: must be set"))
	}
	if c.Routers < 1 {
		errs = append(errs, fault.New(fault.Invalid, "routers: must be at least 1, is %d", c.Routers))
	}
	if c.Period < 0 {
		errs = append(errs, fault.New(fault.Invalid, "period: must be positive, is %v", c.Period))
	}
	return errors.Join(errs...)
}

// Alone reports whether the store is away, and the router has fallen back to its
// own share of the limit.
func (s *Shared) Alone() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.alone
}

// Close ends the leases: what is left goes back to the store.
func (s *Shared) Close() error {
	s.cancel()
	<-s.done
	ctx, cancel := context.WithTimeout(context.Background(), s.config.Period)
	defer cancel()
	_, err := s.config.Store.Exchange(ctx, s.config.Key, s.config.Limit, Trade{Give: s.surrender()})
	if err != nil {
		return fmt.Errorf("return the lease of quota %s: %w", s.config.Key, err)
	}
	return nil
}

// run exchanges leases until ctx ends.
func (s *Shared) run(ctx context.Context) {
	defer close(s.done)
	ticker := time.NewTicker(s.config.Period)
	defer ticker.Stop()
	for {
		s.exchange(ctx)
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return
		}
	}
}

// exchange tops the bucket up to what the next period will need, or gives back
// what is beyond that. What is in the bucket stays in use meanwhile, so that no
// call waits for the store.
func (s *Shared) exchange(ctx context.Context) {
	limited, cancel := context.WithTimeout(ctx, s.config.Period)
	defer cancel()
	got, err := s.config.Store.Exchange(limited, s.config.Key, s.config.Limit, s.demand())
	switch {
	case ctx.Err() != nil:
	case err != nil:
		s.goAlone(err)
	default:
		s.accept(got)
	}
}

// surrender takes what is left of the leases out of the bucket.
func (s *Shared) surrender() Amount {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.alone {
		return Amount{} // what is in the bucket did not come from the store
	}
	give := Amount{max(s.requests.level, 0), max(s.tokens.level, 0)}
	s.requests.take(give.Requests)
	s.tokens.take(give.Tokens)
	return give
}

// headroom is how much more than the last period's use the bucket should hold.
const headroom = 1.5

// demand says what the bucket has too much, which it takes out, and too little.
// It should hold more than the last period used, twice as much as before where
// that did not suffice, and never less than the router's own share of a period.
func (s *Shared) demand() (t Trade) {
	s.mu.Lock()
	defer s.mu.Unlock()
	least, most := s.ownShare(), s.config.Limit.most(1)
	need := Amount{s.used.Requests * headroom, s.used.Tokens * headroom}
	if s.refused {
		need = Amount{max(need.Requests, 2*s.ask.Requests), max(need.Tokens, 2*s.ask.Tokens)}
	}
	s.ask = Amount{min(max(need.Requests, least.Requests), most.Requests), min(max(need.Tokens, least.Tokens), most.Tokens)}
	s.used, s.refused = Amount{}, false
	if s.alone { // what is in the bucket did not come from the store
		return Trade{Want: s.ask}
	}
	t.Give.Requests, t.Want.Requests = s.requests.toReach(s.ask.Requests)
	t.Give.Tokens, t.Want.Tokens = s.tokens.toReach(s.ask.Tokens)
	return t
}

// toReach takes out what is above a level, and says what is missing below it.
func (d *dimension) toReach(level float64) (above, missing float64) {
	if !d.limited {
		return 0, 0
	}
	above, missing = max(d.level-level, 0), max(level-d.level, 0)
	d.level -= above
	return above, missing
}

// ownShare is the router's part of the limit for one period: at least one call.
func (s *Shared) ownShare() Amount {
	a := s.config.Limit.scaled(s.config.Period.Seconds() / float64(s.config.Routers))
	return Amount{max(a.Requests, 1), max(a.Tokens, 1)}
}

// accept fills the bucket with a lease.
func (s *Shared) accept(got Amount) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.alone {
		s.alone = false
		s.config.Log.Info("the quota store is back", "quota", s.config.Key)
		s.requests.level, s.tokens.level = min(s.requests.level, 0), min(s.tokens.level, 0)
	}
	s.refillByLeases()
	s.requests.give(got.Requests)
	s.tokens.give(got.Tokens)
}

// refillByLeases makes leases the only source of the bucket. The caller holds
// mu, or is alone.
func (s *Shared) refillByLeases() {
	s.refill()
	s.requests.rate, s.tokens.rate = 0, 0
	s.requests.most, s.tokens.most = math.MaxFloat64, math.MaxFloat64
}

// goAlone falls back to the router's own share of the limit.
func (s *Shared) goAlone(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.alone {
		return
	}
	s.refill() // at the old rate, which was none
	s.alone = true
	s.set(s.config.Limit, 1/float64(s.config.Routers))
	s.requests.level, s.tokens.level = min(s.requests.level, s.requests.most), min(s.tokens.level, s.tokens.most)
	s.config.Log.Warn("the quota store is away: this router takes its own share of the limit",
		"quota", s.config.Key, "routers", s.config.Routers, "err", err)
}
