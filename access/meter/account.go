package meter

import (
	"container/list"
	"crypto/sha256"
	"encoding/hex"
	"time"

	"github.com/lanewise/lanewise/access"
	"github.com/lanewise/lanewise/balance/quota"
	"github.com/lanewise/lanewise/fault"
)

// Kind says whose an account is.
type Kind string

// The kinds.
const (
	Key    Kind = "key"
	Tenant Kind = "tenant"
)

// id names an account. As text it is the key in the file.
type id struct {
	kind Kind
	name string
}

// idOf bounds the length of the name: clients make those of tenants up.
func idOf(kind Kind, name string) id {
	if len(name) > access.MaxName {
		sum := sha256.Sum256([]byte(name))
		name = "sha256:" + hex.EncodeToString(sum[:])
	}
	return id{kind, name}
}

func (i id) bytes() []byte { return []byte(string(i.kind) + "/" + i.name) }

// account is what one key or tenant has used and may use. It is guarded by the meter's mutex.
type account struct {
	id
	limits  access.Limits
	bucket  *quota.Bucket // nil: no rate
	held    int64         // tokens that requests under way have reserved of the budgets
	running int           // such requests
	place   *list.Element // in the order of use; nil: forgotten as soon as it is written
	record

	part       float64   // of the rate that the bucket has
	day, month heard     // of all meters that share the account
	asked      time.Time // when the others were asked for last
}

// limit gives the account its limits, and this meter's part of the rate. A rate that has changed begins with a full bucket.
func (a *account) limit(l access.Limits, part float64) {
	rate, old := rateOf(l, part), rateOf(a.limits, a.part)
	a.limits, a.part = l, part
	switch {
	case rate == (quota.Limit{}):
		a.bucket = nil
	case a.bucket == nil || rate != old:
		a.bucket, _ = quota.New(rate) // limits have been checked
	}
}

// Limit names what a request was refused for.
type Limit string

// The limits.
const (
	Rate        Limit = "rate"
	DayBudget   Limit = "day"
	MonthBudget Limit = "month"
)

// budgets reports a budget that has no room for a number of tokens, and when the next one begins. Of what all meters had left when
// that was last known this one has a part.
func (a *account) budgets(now time.Time, tokens int64, p *pool) (Limit, error) {
	tokens = max(tokens, 1)
	for _, b := range [...]struct {
		name   Limit
		s      *spell
		h      heard
		tokens int
		cost   float64
		next   time.Time
	}{
		{MonthBudget, a.months.at(monthOf(now)), a.month, a.limits.TokensPerMonth, a.limits.CostPerMonth, nextMonth(now)},
		{DayBudget, a.days.at(dayOf(now)), a.day, a.limits.TokensPerDay, a.limits.CostPerDay, nextDay(now)},
	} {
		all, h := b.h.total(b.s), b.h.at(b.s)
		since := b.s.Tokens + a.held - h.own.Tokens // that the others do not know of
		room := int64(p.portion() * float64(int64(b.tokens)-h.all.Tokens))
		switch limited := b.tokens > 0; {
		case b.cost > 0 && all.Cost >= b.cost, limited && all.Tokens+a.held+tokens > int64(b.tokens), limited && p.alone && since+tokens > room:
			return b.name, a.spent(b.name, b.next.Sub(now))
		case limited && since+tokens > room && since > 0:
			return b.name, a.later(b.name)
		}
	}
	return "", nil
}

// spent is the refusal of a request that has to wait for the next day or month.
func (a *account) spent(budget Limit, wait time.Duration) error {
	return &fault.Error{
		Class: fault.Overloaded, RetryAfter: wait, Code: CodeSpent,
		Message: "the " + string(a.kind) + "'s budget of this " + string(budget) + " is used up, or what is left of it is too little for this request",
	}
}

// reserve takes a request from the account, or says for what it is refused.
func (a *account) reserve(now time.Time, tokens int64, p *pool) (*quota.Reservation, Limit, error) {
	if budget, err := a.budgets(now, tokens, p); err != nil {
		return nil, budget, err
	}
	var rate *quota.Reservation
	if a.bucket != nil {
		var err error
		if rate, err = a.bucket.Reserve(tokens); err != nil {
			return nil, Rate, &fault.Error{Class: fault.Overloaded, Message: "the " + string(a.kind) + "'s rate", Err: err}
		}
	}
	a.held += tokens
	a.running++
	return rate, "", nil
}

// CodeSpent is the code (fault.Code) of a request that a budget has no room for: another attempt in a while helps
// against a rate, and not against this.
const CodeSpent = "insufficient_quota"
