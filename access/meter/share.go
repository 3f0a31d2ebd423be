package meter

import (
	"context"
	"crypto/rand"
	"time"

	"go.etcd.io/bbolt"

	"github.com/lanewise/lanewise/access"
	"github.com/lanewise/lanewise/balance/quota"
	"github.com/lanewise/lanewise/fault"
)

// Ledger adds up what several meters count.
type Ledger interface {
	// Exchange tells what the meter of a name has used of some accounts, and returns, in the same order, what all have. What is told
	// of days and months replaces what the meter told before. Safe for concurrent use.
	Exchange(ctx context.Context, meter string, tells []Tell) ([]Told, error)
}

// Tell is what a meter says of one account.
type Tell struct {
	Account    string       // its kind and name
	Day, Month Spent        // of this meter, with what its requests under way have reserved
	Rate       quota.Limit  // of all meters, with its burst
	Took       quota.Amount // from the rate, since the last time
}

// Spent is what was used in a day or a month, by its number.
type Spent struct {
	Number int64
	Use
}

// Told is what a ledger knows of one account.
type Told struct {
	Day, Month Use          // of all meters
	Left       quota.Amount // of the rate; below 0: by how much it was passed
}

// heard is what a meter knows of a day or month of all of them.
type heard struct {
	number int64
	all    Use // of all meters, this one too
	own    Use // of this one, as it was told
}

// at is what is known of the day or month of a spell: nothing, where that is another one.
func (h heard) at(s *spell) heard {
	if h.number != s.number {
		return heard{}
	}
	return h
}

// total is what all meters have used, as far as is known.
func (h heard) total(s *spell) Use {
	h = h.at(s)
	return Use{Tokens: h.all.Tokens - h.own.Tokens + s.Tokens, Cost: h.all.Cost - h.own.Cost + s.Cost}
}

// pool is what a meter shares with others. Between two exchanges it grants its part of what was left at the first one, or a single
// request: so however fast all of them use a budget up, they pass it by less than half of what was left a second before, and one request
// of each other meter.
type pool struct {
	ledger  Ledger
	name    string // of this meter
	part    float64
	touched map[id]*account // to tell of
	hurry   chan struct{}   // asks for an exchange now
	alone   bool            // the last one failed
}

// portion is this meter's part of what is not cut up beforehand.
func (p *pool) portion() float64 {
	if p.ledger == nil {
		return 1
	}
	return p.part
}

// sharing is the time between two exchanges, and the most that one may take.
const sharing = time.Second

// touch has an account told of: at once, if it was not heard of for a while. The caller holds mu.
func (m *Meter) touch(a *account, now time.Time) {
	if m.pool.ledger == nil {
		return
	}
	m.pool.touched[a.id] = a
	if now.Sub(a.asked) < 2*sharing || m.pool.alone {
		return
	}
	a.asked = now
	select {
	case m.pool.hurry <- struct{}{}:
	default:
	}
}

// follow exchanges with the ledger until the meter is closed.
func (m *Meter) follow() {
	ticker := time.NewTicker(sharing)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
		case <-m.pool.hurry:
		case <-m.stop:
			m.exchange()
			return
		}
		m.exchange()
	}
}

// exchange tells of what was touched. What could not be told is told the next time, but for what was taken from rates.
func (m *Meter) exchange() {
	m.mu.Lock()
	now, touched := time.Now(), m.pool.touched
	m.pool.touched = map[id]*account{}
	accounts, tells := make([]*account, 0, len(touched)), make([]Tell, 0, len(touched))
	for _, a := range touched {
		accounts, tells = append(accounts, a), append(tells, a.tell(now))
	}
	m.mu.Unlock()
	if len(tells) == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), sharing)
	defer cancel()
	told, err := m.pool.ledger.Exchange(ctx, m.pool.name, tells)
	m.mu.Lock()
	defer m.mu.Unlock()
	for i, a := range accounts {
		if err == nil {
			a.hear(tells[i], told[i], m.pool.part)
			a.asked = now
		} else if m.pool.touched[a.id] == nil {
			m.pool.touched[a.id] = a
		}
	}
	m.exchanged(err)
}

// exchanged takes note of how an exchange went.
func (m *Meter) exchanged(err error) {
	was := m.pool.alone
	m.pool.alone = err != nil
	switch {
	case err != nil && !was:
		m.config.Log.Warn("what the others use is not known: this router grants its own part of the limits of keys and tenants", "part", m.pool.part, "error", err)
	case err == nil && was:
		m.config.Log.Info("it is known again what the others use of the limits of keys and tenants")
	}
}

// tell is what is to be said of an account.
func (a *account) tell(now time.Time) Tell {
	out := Tell{Account: string(a.bytes()), Rate: a.rate()}
	for s, into := range map[*spell]*Spent{a.days.at(dayOf(now)): &out.Day, a.months.at(monthOf(now)): &out.Month} {
		*into = Spent{s.number, Use{s.Tokens + a.held, s.Cost}}
	}
	if a.bucket != nil {
		out.Took = a.bucket.Took()
	}
	return out
}

// hear takes over what all have used.
func (a *account) hear(said Tell, told Told, part float64) {
	a.day = heard{said.Day.Number, told.Day, said.Day.Use}
	a.month = heard{said.Month.Number, told.Month, said.Month.Use}
	if a.bucket == nil || said.Rate != a.rate() {
		return
	}
	share := func(left float64) float64 { return max(left*part, min(left, 1)) } // one request goes alone
	a.bucket.Level(quota.Amount{Requests: share(told.Left.Requests), Tokens: share(told.Left.Tokens)})
}

// burst is how much of a minute's rate may be used at once.
const burst = 1.0 / 6

// rate is what all meters together may use by the minute.
func (a *account) rate() quota.Limit {
	l := rateOf(a.limits, 1)
	l.Burst = burst
	return l
}

func rateOf(l access.Limits, part float64) quota.Limit {
	return quota.Limit{Requests: float64(l.RequestsPerMinute) * part, Tokens: float64(l.TokensPerMinute) * part}
}

// later is the refusal of a request that has to wait for the next exchange.
func (a *account) later(spent Limit) error {
	return fault.Busy(sharing, "the %s's budget of this %s is shared, and what is left for this router until it has heard of the others is used up", a.kind, spent)
}

// identity is the name of a meter in the ledger. That of a file is kept in it.
func (m *Meter) identity() (string, error) {
	name := rand.Text()
	if m.file == nil {
		return name, nil
	}
	err := m.file.Update(func(tx *bbolt.Tx) error {
		b, err := tx.CreateBucketIfNotExists([]byte("meter"))
		if err != nil {
			return err //nolint:wrapcheck // New says what was being done
		}
		if kept := b.Get([]byte("name")); kept != nil {
			name = string(kept)
			return nil
		}
		return b.Put([]byte("name"), []byte(name)) //nolint:wrapcheck // New says what was being done
	})
	return name, err //nolint:wrapcheck // New says what was being done
}
