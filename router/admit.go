package router

import (
	"cmp"
	"context"
	"time"

	"github.com/lanewise/lanewise/balance/admit"
)

// newGate bounds the searches that are at work: what is more than the shards can
// answer within a quarter of the deadline waits a little, fairly by tenant, and
// is then shed as a whole, before anything has been spent on it.
func newGate(c Config) (*admit.Gate, error) {
	a := c.Admission
	a.Target = cmp.Or(a.Target, c.SearchTimeout/4)
	a.Most = cmp.Or(a.Most, 1024)
	a.Start = cmp.Or(a.Start, min(64, a.Most))
	a.Least = cmp.Or(a.Least, min(4, a.Most))
	a.Patience = cmp.Or(a.Patience, min(100*time.Millisecond, a.Target))
	return admit.New(a)
}

// admit lets a search in, or sheds it. The search says in the end what became
// of it, from which the gate learns how much the shards can do.
func (r *Router) admit(ctx context.Context, p *plan) (*admit.Pass, error) {
	bytes := len(p.Text)
	for _, l := range p.legs {
		bytes += len(l.Text) + 4*len(l.Vector)
	}
	return r.gate.Enter(ctx, p.Tenant, int64(bytes))
}
