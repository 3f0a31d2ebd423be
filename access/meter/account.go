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
}

// limit gives the account its limits. A rate that has changed begins with a full bucket.
func (a *account) limit(l access.Limits) {
	rate := quota.Limit{Requests: float64(l.RequestsPerMinute), Tokens: float64(l.TokensPerMinute)}
	old := quota.Limit{Requests: float64(a.limits.RequestsPerMinute), Tokens: float64(a.limits.TokensPerMinute)}
	a.limits = l
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

// budgets reports a budget that has no room for a number of tokens, and when the next one begins.
func (a *account) budgets(now time.Time, tokens int64) (Limit, time.Time) {
	day, month := a.days.at(dayOf(now)), a.months.at(monthOf(now))
	used := func(s *spell, tokenLimit int, costLimit float64) bool {
		return tokenLimit > 0 && s.Tokens+a.held+max(tokens, 1) > int64(tokenLimit) || costLimit > 0 && s.Cost >= costLimit
	}
	switch {
	case used(month, a.limits.TokensPerMonth, a.limits.CostPerMonth):
		return MonthBudget, nextMonth(now)
	case used(day, a.limits.TokensPerDay, a.limits.CostPerDay):
		return DayBudget, nextDay(now)
	}
	return "", time.Time{}
}

// reserve takes a request from the account, or says for what it is refused.
func (a *account) reserve(now time.Time, tokens int64) (*quota.Reservation, Limit, error) {
	if spent, until := a.budgets(now, tokens); spent != "" {
		return nil, spent, &fault.Error{
			Class: fault.Overloaded, RetryAfter: until.Sub(now), Code: CodeSpent,
			Message: "the " + string(a.kind) + "'s budget of this " + string(spent) + " is used up, or what is left of it is too little for this request",
		}
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
