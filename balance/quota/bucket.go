package quota

import (
	"errors"
	"math"
	"sync"
	"time"

	"github.com/lanewise/lanewise/fault"
)

// Amount is a number of requests and tokens.
type Amount struct{ Requests, Tokens float64 }

// Limit is what an upstream allows by the minute. A zero field is no limit.
type Limit struct {
	Requests float64
	Tokens   float64
	// Burst is how much of a minute's allowance may be used at once, from 0 to 1;
	// 0: 1/6, ten seconds' worth.
	Burst float64
}

const defaultBurst = 1.0 / 6

func (l Limit) withDefaults() Limit {
	if l.Burst == 0 {
		l.Burst = defaultBurst
	}
	return l
}

func (l Limit) validate() error {
	var errs []error
	check := func(field string, v, most float64) {
		if !(v >= 0 && v <= most) {
			errs = append(errs, fault.New(fault.Invalid, "%s: must be from 0 to %v, is %v", field, most, v))
		}
	}
	check("requests", l.Requests, math.MaxFloat64)
	check("tokens", l.Tokens, math.MaxFloat64)
	check("burst", l.Burst, 1)
	if l.Requests == 0 && l.Tokens == 0 {
		errs = append(errs, fault.New(fault.Invalid, "requests, tokens: one of them must be set"))
	}
	return errors.Join(errs...)
}

// scaled is the limit's rate by the second times a factor.
func (l Limit) scaled(factor float64) Amount {
	return Amount{l.Requests * factor / 60, l.Tokens * factor / 60}
}

// most is what a bucket of the limit holds at most: at least one request.
func (l Limit) most(factor float64) Amount {
	return Amount{max(l.Requests*l.Burst*factor, 1), max(l.Tokens*l.Burst*factor, 1)}
}

// dimension is one half of a bucket.
type dimension struct {
	limited bool
	level   float64 // may be negative, by what calls used beyond their estimates
	rate    float64 // by the second
	most    float64
}

// refill adds what has come in over a time.
func (d *dimension) refill(seconds float64) {
	if d.level < d.most {
		d.level = min(d.most, d.level+d.rate*seconds)
	}
}

// wait is how long it takes until n may be taken. A call that is larger than the
// bucket waits for a full one, and leaves it in debt.
func (d *dimension) wait(n float64) time.Duration {
	missing := min(n, d.most) - d.level
	switch {
	case !d.limited || missing <= 0:
		return 0
	case d.rate <= 0:
		return unknownWait
	}
	return time.Duration(math.Ceil(missing / d.rate * float64(time.Second)))
}

func (d *dimension) take(n float64) {
	if d.limited {
		d.level -= n
	}
}

func (d *dimension) give(n float64) {
	if d.limited {
		d.level = min(d.most, d.level+n)
	}
}

// unknownWait is said where the next refill depends on somebody else.
const unknownWait = time.Second

// Bucket holds what may be used of a quota. Safe for concurrent use.
type Bucket struct {
	mu       sync.Mutex
	requests dimension
	tokens   dimension
	at       time.Time // of the last refill
	used     Amount    // since it was last asked
	refused  bool      // since it was last asked
}

// New returns a full bucket of a limit. Its error is fault.Invalid and names
// every field that is wrong.
func New(l Limit) (*Bucket, error) {
	l = l.withDefaults()
	if err := l.validate(); err != nil {
		return nil, err
	}
	return filled(l), nil
}

// filled is a full bucket of a limit that is in order.
func filled(l Limit) *Bucket {
	b := &Bucket{at: time.Now()}
	b.set(l, 1)
	b.requests.level, b.tokens.level = b.requests.most, b.tokens.most
	return b
}

// full reports whether a new bucket would hold no more.
func (b *Bucket) full() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.refill()
	return b.requests.level >= b.requests.most && b.tokens.level >= b.tokens.most
}

// set gives the bucket a share of a limit, and keeps its level. The caller holds
// mu, or is alone.
func (b *Bucket) set(l Limit, share float64) {
	rate, most := l.scaled(share), l.most(share)
	b.requests.limited, b.requests.rate, b.requests.most = l.Requests > 0, rate.Requests, most.Requests
	b.tokens.limited, b.tokens.rate, b.tokens.most = l.Tokens > 0, rate.Tokens, most.Tokens
}

// refill brings the bucket up to now. The caller holds mu. A clock that stands
// still or goes back adds nothing.
func (b *Bucket) refill() {
	now := time.Now()
	if seconds := now.Sub(b.at).Seconds(); seconds > 0 {
		b.requests.refill(seconds)
		b.tokens.refill(seconds)
		b.at = now
	}
}

// Reservation is a part of a bucket that a call has taken.
type Reservation struct {
	bucket *Bucket
	tokens float64
	once   sync.Once
}

// Reserve takes one request and an estimate of tokens for a call. It is
// fault.Overloaded, with the time after which it would succeed as its
// RetryAfter, where the bucket holds too little; nothing is taken then.
func (b *Bucket) Reserve(tokens int64) (*Reservation, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.refill()
	n := float64(max(tokens, 0))
	if wait := b.wait(n); wait > 0 {
		b.refused = true
		return nil, fault.Busy(wait, "the quota allows another call of %d tokens in %v", tokens, wait.Round(time.Millisecond))
	}
	b.requests.take(1)
	b.tokens.take(n)
	b.used.Requests++
	b.used.Tokens += n
	return &Reservation{bucket: b, tokens: n}, nil
}

// Wait is how long it takes until a call of an estimate of tokens would be
// granted; 0: it would be now.
func (b *Bucket) Wait(tokens int64) time.Duration {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.refill()
	return b.wait(float64(max(tokens, 0)))
}

func (b *Bucket) wait(tokens float64) time.Duration {
	return max(b.requests.wait(1), b.tokens.wait(tokens))
}

// Settle replaces the estimate by the tokens that the call has used. Only the
// first of Settle and Cancel has an effect; a nil Reservation has none to give back.
func (r *Reservation) Settle(tokens int64) {
	if r == nil {
		return
	}
	r.once.Do(func() { r.bucket.giveBack(Amount{Tokens: r.tokens - float64(max(tokens, 0))}) })
}

// Cancel gives everything back: the call has not reached the upstream.
func (r *Reservation) Cancel() {
	if r == nil {
		return
	}
	r.once.Do(func() { r.bucket.giveBack(Amount{Requests: 1, Tokens: r.tokens}) })
}

func (b *Bucket) giveBack(a Amount) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.refill()
	b.requests.give(a.Requests)
	b.tokens.give(a.Tokens)
	b.used.Requests -= a.Requests
	b.used.Tokens -= a.Tokens
}

// Clamp lowers the bucket to what the upstream says is left; a negative field is
// not known. It never raises it.
func (b *Bucket) Clamp(left Amount) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.refill()
	if left.Requests >= 0 {
		b.requests.level = min(b.requests.level, left.Requests)
	}
	if left.Tokens >= 0 {
		b.tokens.level = min(b.tokens.level, left.Tokens)
	}
}

// Took returns what was taken, less what was given back, since it was last asked.
func (b *Bucket) Took() Amount {
	b.mu.Lock()
	defer b.mu.Unlock()
	took := b.used
	b.used = Amount{}
	return took
}

// Level fills or empties the bucket to an amount that was left when Took was asked.
func (b *Bucket) Level(left Amount) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.refill()
	b.requests.level, b.tokens.level = left.Requests-b.used.Requests, left.Tokens-b.used.Tokens
}

// Left returns what may be used now; without a limit it is infinite.
func (b *Bucket) Left() Amount {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.refill()
	left := unlimited()
	if b.requests.limited {
		left.Requests = b.requests.level
	}
	if b.tokens.limited {
		left.Tokens = b.tokens.level
	}
	return left
}

// unlimited is what may be used where there is no limit.
func unlimited() Amount { return Amount{math.Inf(1), math.Inf(1)} }
