package admit

import (
	"slices"
	"time"
)

// waiter is a call in the queue. done is closed when it may go on, or with err.
type waiter struct {
	tenant string
	bytes  int64
	since  time.Time
	done   chan struct{}
	err    error
}

// lineup is the waiting calls of one tenant, oldest first.
type lineup struct {
	tenant string
	calls  []*waiter
	weight float64
	pass   float64   // virtual time at which the tenant's next call is due
	busy   time.Time // since when it has not been empty
}

// queue is fair between tenants: stride scheduling (Waldspurger and Weihl, 1995)
// gives each that waits a share of the admissions by its weight. A tenant that
// comes back starts at the present virtual time, so idleness is not saved up.
type queue struct {
	weights map[string]float64
	tenants map[string]*lineup // that wait
	virtual float64
	last    string // tenant that was served last
	calls   int
	bytes   int64
}

func newQueue(weights map[string]float64) queue {
	return queue{weights: weights, tenants: make(map[string]*lineup)}
}

// push appends a call to its tenant's.
func (q *queue) push(w *waiter) {
	l := q.tenants[w.tenant]
	if l == nil {
		weight := q.weight(w.tenant)
		l = &lineup{tenant: w.tenant, weight: weight, pass: q.virtual + 1/weight, busy: w.since}
		q.tenants[w.tenant] = l
	}
	l.calls = append(l.calls, w)
	q.calls++
	q.bytes += w.bytes
}

// pop takes the next call: of the tenant that is due first, its oldest, or its
// newest where its calls have been waiting since before a time. It returns nil
// where nobody waits.
func (q *queue) pop(since time.Time) *waiter {
	var next *lineup
	for _, l := range q.tenants {
		if next == nil || q.before(l, next) {
			next = l
		}
	}
	if next == nil {
		return nil
	}
	q.last = next.tenant
	q.virtual = next.pass
	next.pass += 1 / next.weight
	w := next.calls[0]
	if next.urgent(since) {
		w = next.calls[len(next.calls)-1]
	}
	q.remove(w)
	return w
}

// before reports whether a tenant's turn is before another's. Where both are due,
// as tenants are whose calls come one by one, the one that was served last is
// behind, and then the one whose calls came later.
func (q *queue) before(a, b *lineup) bool {
	switch {
	case a.pass != b.pass:
		return a.pass < b.pass
	case a.tenant == q.last || b.tenant == q.last:
		return b.tenant == q.last
	case !a.calls[0].since.Equal(b.calls[0].since):
		return a.calls[0].since.Before(b.calls[0].since)
	}
	return a.tenant < b.tenant
}

// remove takes a call out of the queue, if it is there.
func (q *queue) remove(w *waiter) {
	l := q.tenants[w.tenant]
	if l == nil {
		return
	}
	i := slices.Index(l.calls, w)
	if i < 0 {
		return
	}
	l.calls = slices.Delete(l.calls, i, i+1)
	q.calls--
	q.bytes -= w.bytes
	if len(l.calls) == 0 {
		delete(q.tenants, w.tenant)
	}
}

// urgent reports whether calls of the tenant have been waiting, without a pause,
// since before a time: it asks for more than it gets. As in FlowQueue-CoDel (RFC
// 8290) that is each tenant's own affair.
func (l *lineup) urgent(since time.Time) bool { return !l.busy.After(since) }

// older returns the calls that came before a time, of tenants that have been
// waiting since another.
func (q *queue) older(before, since time.Time) []*waiter {
	var out []*waiter
	for _, l := range q.tenants {
		if !l.urgent(since) {
			continue
		}
		for _, w := range l.calls {
			if !w.since.Before(before) {
				break
			}
			out = append(out, w)
		}
	}
	return out
}

// heavier returns the oldest call of the tenant that holds the most of the queue
// by its weight, if that is more than tenant would hold with another call.
func (q *queue) heavier(tenant string) *waiter {
	held := 1 / q.weight(tenant)
	if l := q.tenants[tenant]; l != nil {
		held += l.share()
	}
	var most *lineup
	for _, l := range q.tenants {
		if s := l.share(); s > held || s == held && most != nil && l.tenant < most.tenant {
			most, held = l, s
		}
	}
	if most == nil {
		return nil
	}
	return most.calls[0]
}

// share is how much of the queue the tenant holds by its weight.
func (l *lineup) share() float64 { return float64(len(l.calls)) / l.weight }

// weight returns the weight of a tenant.
func (q *queue) weight(tenant string) float64 {
	if w, ok := q.weights[tenant]; ok {
		return w
	}
	return 1
}
