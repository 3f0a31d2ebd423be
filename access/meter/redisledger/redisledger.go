// Package redisledger adds up in Redis what several meters have used of keys and tenants.
//
// It is a meter.Ledger: one script an account, many of them in one round trip. Of an account it keeps a hash for the day and one for
// the month, with the sums of each meter in fields of its own, so that a call which is repeated counts nothing twice; and one for the
// rate, which is refilled by the clock of the Redis server. They expire after 3 days, 63 days and an hour without use.
package redisledger

import (
	"cmp"
	"context"
	_ "embed" // the script
	"fmt"
	"strconv"

	"github.com/redis/go-redis/v9"

	"github.com/lanewise/lanewise/access/meter"
	"github.com/lanewise/lanewise/fault"
)

//go:embed exchange.lua
var source string

// Ledger is a meter.Ledger in Redis. Safe for concurrent use.
type Ledger struct {
	client redis.UniversalClient
	prefix string
	script *redis.Script
}

var _ meter.Ledger = (*Ledger)(nil)

// New returns a ledger on a client, which stays the caller's to close. Its keys begin with prefix; empty: "lanewise:use:".
func New(client redis.UniversalClient, prefix string) *Ledger {
	return &Ledger{client: client, prefix: cmp.Or(prefix, "lanewise:use:"), script: redis.NewScript(source)}
}

// most is how many accounts there are in one round trip.
const most = 1000

// Exchange implements meter.Ledger. Its error is fault.Unavailable.
func (l *Ledger) Exchange(ctx context.Context, name string, tells []meter.Tell) ([]meter.Told, error) {
	out := make([]meter.Told, 0, len(tells))
	for len(tells) > 0 {
		n := min(len(tells), most)
		told, err := l.some(ctx, name, tells[:n])
		if redis.HasErrorPrefix(err, "NOSCRIPT") { // a server that was started anew
			if err = l.script.Load(ctx, l.client).Err(); err == nil {
				told, err = l.some(ctx, name, tells[:n])
			}
		}
		if err != nil {
			return nil, fault.Wrap(fault.Unavailable, "exchange what was used", err)
		}
		out, tells = append(out, told...), tells[n:]
	}
	return out, nil
}

// some exchanges a few accounts at once.
func (l *Ledger) some(ctx context.Context, name string, tells []meter.Tell) ([]meter.Told, error) {
	answers := make([]*redis.Cmd, len(tells))
	_, err := l.client.Pipelined(ctx, func(p redis.Pipeliner) error {
		for i, t := range tells {
			answers[i] = l.script.EvalSha(ctx, p, l.keys(t), arguments(name, t)...)
		}
		return nil
	})
	if err != nil {
		return nil, err //nolint:wrapcheck // Exchange says what was being done
	}
	out := make([]meter.Told, len(tells))
	for i, a := range answers {
		v, err := a.Float64Slice()
		if err != nil || len(v) != 6 {
			return nil, fault.New(fault.Unavailable, "the script answered %v for %s", a.Val(), tells[i].Account)
		}
		told := &out[i]
		told.Day, told.Month = meter.Use{Tokens: int64(v[0]), Cost: v[1]}, meter.Use{Tokens: int64(v[2]), Cost: v[3]}
		told.Left.Requests, told.Left.Tokens = v[4], v[5]
	}
	return out, nil
}

// keys are those of an account: in a cluster on one server.
func (l *Ledger) keys(t meter.Tell) []string {
	base := l.prefix + "{" + t.Account + "}:"
	return []string{base + "rate", base + fmt.Sprint("day:", t.Day.Number), base + fmt.Sprint("month:", t.Month.Number)}
}

func arguments(name string, t meter.Tell) []any {
	number := func(x float64) string { return strconv.FormatFloat(x, 'g', -1, 64) }
	return []any{
		name, t.Day.Tokens, number(t.Day.Cost), t.Month.Tokens, number(t.Month.Cost),
		number(t.Rate.Requests / 60), number(t.Rate.Requests * t.Rate.Burst), number(t.Rate.Tokens / 60), number(t.Rate.Tokens * t.Rate.Burst),
		number(t.Took.Requests), number(t.Took.Tokens),
	}
}
