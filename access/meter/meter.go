package meter

import (
	"cmp"
	"container/list"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"math"
	"sync"
	"time"

	"go.etcd.io/bbolt"

	"github.com/lanewise/lanewise/access"
	"github.com/lanewise/lanewise/balance/quota"
	"github.com/lanewise/lanewise/fault"
)

// Config says what may be used. Zero values mean the defaults. The limits of callers are their own
// (access.Caller.Limits).
type Config struct {
	Tenants access.Limits            // of each tenant that has none of its own
	Own     map[string]access.Limits // of single tenants, instead
	Part    float64                  // of every limit that this process grants, where several share the work; 0: all
	Ledger  Ledger                   // adds up what all processes use: Part is then of what they have left; nil: none
	Most    int                      // accounts in memory at one time; 0: 100,000
	File    string                   // that keeps the budgets; empty: they begin anew with the process
	Every   time.Duration            // between writes to it; 0: a second
	Log     *slog.Logger             // trouble with the file; nil: none
}

// Meter keeps the accounts of keys and tenants. Those that have not been used for longest are forgotten, or left to
// the file, where there are too many. Safe for concurrent use. It must be closed.
type Meter struct {
	config Config
	pool   pool
	file   *bbolt.DB // nil: none
	stop   chan struct{}
	ending sync.Once
	done   sync.WaitGroup

	mu       sync.Mutex
	accounts map[id]*account
	order    list.List       // of *account, the one used last in front
	changed  map[id]*account // since the last write; they may be out of accounts
	writing  map[id]*account // under way to the file
	stats    Stats
}

// Stats tell how the meter does. Counters begin with the process.
type Stats struct {
	Accounts  int // in memory
	Unwritten int // whose use is not in the file yet
	Forgotten uint64
	Refused   map[Refusal]uint64
	Failed    bool // the last write to the file
	Alone     bool // the last exchange with the ledger failed: this process grants its own part
}

// Refusal is a reason to refuse a request.
type Refusal struct {
	Of Kind
	By Limit
}

const defaultMost = 100_000

// New returns a meter, with the budgets of its file. Its error is fault.Invalid for settings that make no
// sense; a file that another process has open is fault.Conflict.
func New(c Config) (*Meter, error) {
	c.Most, c.Every, c.Part = cmp.Or(c.Most, defaultMost), cmp.Or(c.Every, time.Second), cmp.Or(c.Part, 1)
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if err := c.validate(); err != nil {
		return nil, err
	}
	m := &Meter{config: c.parted(), stop: make(chan struct{}), accounts: map[id]*account{}, changed: map[id]*account{}}
	m.stats.Refused = map[Refusal]uint64{}
	m.pool = pool{ledger: c.Ledger, part: c.Part, touched: map[id]*account{}, hurry: make(chan struct{}, 1)}
	if c.File != "" {
		if err := m.open(); err != nil {
			return nil, err
		}
		m.done.Go(m.write)
	}
	if c.Ledger != nil {
		var err error
		if m.pool.name, err = m.identity(); err != nil {
			return nil, errors.Join(fmt.Errorf("name the budgets in %s: %w", c.File, err), m.Close())
		}
		m.done.Go(m.follow)
	}
	return m, nil
}

func (c Config) validate() error {
	errs := []error{c.Tenants.Check()}
	for name, l := range c.Own {
		if err := l.Check(); err != nil {
			errs = append(errs, fmt.Errorf("own[%q]: %w", name, err))
		}
	}
	if c.Most < 1 || c.Every < 0 || !(c.Part > 0 && c.Part <= 1) {
		errs = append(errs, fault.New(fault.Invalid, "most, every, part: must be positive, and part at most 1"))
	}
	return errors.Join(errs...)
}

// Limit changes what tenants may use, and this process's part of every limit, as a configuration that was read again
// says; the other settings stay. What was used stays used. Its error is that of New.
func (m *Meter) Limit(c Config) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	next := m.config
	next.Tenants, next.Own, next.Part = c.Tenants, c.Own, cmp.Or(c.Part, 1)
	if err := next.validate(); err != nil {
		return err
	}
	m.config, m.pool.part = next.parted(), next.Part
	return nil
}

// parted has this process's part of the limits of tenants.
func (c Config) parted() Config {
	c.Tenants, c.Own = c.scaled(c.Tenants), maps.Clone(c.Own)
	for name, l := range c.Own {
		c.Own[name] = c.scaled(l)
	}
	return c
}

// scaled is this process's part of limits, of each at least 1. What a ledger adds up is not cut up beforehand.
func (c Config) scaled(l access.Limits) access.Limits {
	if c.Ledger != nil {
		return l
	}
	part := func(n int) int {
		if n == 0 {
			return 0
		}
		return max(1, int(math.Floor(float64(n)*c.Part)))
	}
	return access.Limits{
		RequestsPerMinute: part(l.RequestsPerMinute), TokensPerMinute: part(l.TokensPerMinute),
		TokensPerDay: part(l.TokensPerDay), TokensPerMonth: part(l.TokensPerMonth),
		CostPerDay: l.CostPerDay * c.Part, CostPerMonth: l.CostPerMonth * c.Part,
	}
}

// Charge is what a request has taken from the accounts that pay for it. The nil Charge has taken nothing.
type Charge struct {
	meter  *Meter
	tokens int64
	shares [2]share // of the caller and of the tenant; without an account: there is no limit
	once   sync.Once
}

type share struct {
	account *account
	rate    *quota.Reservation
}

// Request is what is asked for: by whom, for whom, and about how many tokens it will use.
type Request struct {
	Caller access.Caller
	Tenant *string // whose points it is about; nil: no tenant's
	Tokens int64
}

// Reserve takes a request. Where the rate or a budget of the caller or the tenant has no room for it, it takes nothing and is
// fault.Overloaded, with the time after which there will be; what a budget refuses has the code CodeSpent.
func (m *Meter) Reserve(r Request) (*Charge, error) {
	ch := &Charge{meter: m, tokens: max(r.Tokens, 0)}
	m.mu.Lock()
	defer m.mu.Unlock()
	var err error
	if ch.shares[0], err = m.take(idOf(Key, r.Caller.Name), m.config.scaled(r.Caller.Limits), ch.tokens); err != nil {
		return nil, err
	}
	if r.Tenant == nil {
		return ch, nil
	}
	limits, own := m.config.Own[*r.Tenant]
	if !own {
		limits = m.config.Tenants
	}
	if ch.shares[1], err = m.take(idOf(Tenant, *r.Tenant), limits, ch.tokens); err != nil {
		ch.shares[0].rate.Cancel()
		ch.release(ch.shares[0].account)
		return nil, err
	}
	return ch, nil
}

// take reserves a request on one account. The caller holds mu.
func (m *Meter) take(of id, limits access.Limits, tokens int64) (share, error) {
	if limits == (access.Limits{}) {
		return share{}, nil
	}
	a, now := m.account(of), time.Now()
	a.limit(limits, m.pool.portion())
	m.touch(a, now)
	rate, refused, err := a.reserve(now, tokens, &m.pool)
	if err != nil {
		m.stats.Refused[Refusal{of.kind, refused}]++
		return share{}, err
	}
	return share{a, rate}, nil
}

// release ends a request on an account. The caller holds mu.
func (c *Charge) release(a *account) {
	if a != nil {
		a.held -= c.tokens
		a.running--
	}
}

// Estimate is how many tokens were reserved.
func (c *Charge) Estimate() int64 {
	if c == nil {
		return 0
	}
	return c.tokens
}

// Settle says what the request has used. Only the first call has an effect.
func (c *Charge) Settle(u Use) {
	if c == nil {
		return
	}
	c.once.Do(func() {
		c.meter.mu.Lock()
		defer c.meter.mu.Unlock()
		now := time.Now()
		for _, s := range c.shares {
			if s.account == nil {
				continue
			}
			s.rate.Settle(u.Tokens)
			c.release(s.account)
			c.meter.count(s.account, now, u)
			c.meter.touch(s.account, now)
		}
	})
}

// count adds to what an account has used. The caller holds mu.
func (m *Meter) count(a *account, now time.Time, u Use) {
	if u == (Use{}) {
		return
	}
	for _, s := range [...]*spell{a.days.at(dayOf(now)), a.months.at(monthOf(now))} {
		s.Tokens += max(u.Tokens, 0)
		s.Cost += max(u.Cost, 0)
	}
	if m.file != nil {
		m.changed[a.id] = a
	}
}

// account returns the account of a key or a tenant. The caller holds mu.
func (m *Meter) account(of id) *account {
	a := m.accounts[of]
	if a != nil {
		m.order.MoveToFront(a.place)
		return a
	}
	if a = cmp.Or(m.changed[of], m.writing[of], m.pool.touched[of]); a == nil {
		a = &account{id: of, record: m.kept(of)}
	}
	for len(m.accounts) >= m.config.Most && m.forget() {
	}
	m.accounts[of] = a
	a.place = m.order.PushFront(a)
	return a
}

// mostUnwritten bounds the accounts that wait for a file which cannot be written.
const mostUnwritten = 100_000

// looks is how many of the accounts used longest ago are looked at for one that has no request under way.
const looks = 8

// forget drops an account that has no request under way, and reports whether there was one. The caller holds mu.
func (m *Meter) forget() bool {
	for e, i := m.order.Back(), 0; e != nil && i < looks; e, i = e.Prev(), i+1 {
		a := e.Value.(*account) //nolint:forcetypeassert // nothing else is in the list
		if a.running > 0 {
			continue
		}
		delete(m.accounts, m.order.Remove(e).(*account).id) //nolint:forcetypeassert // see above
		if m.file == nil || len(m.changed) > mostUnwritten {
			m.stats.Forgotten++
			delete(m.changed, a.id)
		}
		return true
	}
	return false
}

// Stats returns how the meter does.
func (m *Meter) Stats() Stats {
	m.mu.Lock()
	defer m.mu.Unlock()
	out := m.stats
	out.Accounts, out.Unwritten, out.Refused, out.Alone = len(m.accounts), len(m.changed)+len(m.writing), maps.Clone(m.stats.Refused), m.pool.alone
	return out
}
