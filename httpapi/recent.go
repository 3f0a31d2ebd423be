package httpapi

import (
	"cmp"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/lanewise/lanewise/balance"
)

// Bounds of what is kept of requests for people to look at.
const (
	keptRequests = 256
	keptAttempts = 64                     // of one request
	keptEvery    = 10 * time.Millisecond  // of a steady stream of requests
	keptBurst    = 500 * time.Millisecond // worth of requests that may come at once
)

// recent keeps the last requests that called upstreams: one in [keptEvery], so that it costs
// a busy server nothing that could be measured. The zero value is ready.
type recent struct {
	due atomic.Int64 // when the next request would come in a steady stream, as Unix nanoseconds

	mu   sync.Mutex
	seq  uint64
	kept [keptRequests]*timeline // a ring
	n    int                     // that were ever kept
}

// timeline is one request as it went. Its recent's mutex guards it.
type timeline struct {
	of       *recent
	seq      uint64 // of the last change; 0: it has called nobody
	id       string
	start    time.Time
	attempts []balance.Attempt // those that are under way have taken no time
	end      *Event            // nil: under way
}

// follow returns the timeline of a request, or nil where enough others are kept.
func (p *recent) follow(id string, now time.Time) *timeline {
	for {
		due, at := p.due.Load(), now.UnixNano()
		if due-at > int64(keptBurst) {
			return nil
		}
		if p.due.CompareAndSwap(due, max(due, at)+int64(keptEvery)) {
			return &timeline{of: p, id: id, start: now}
		}
	}
}

// started enters an attempt. The first one gives the request its place.
func (t *timeline) started(a balance.Attempt) {
	t.of.mu.Lock()
	defer t.of.mu.Unlock()
	if t.seq == 0 {
		t.of.kept[t.of.n%keptRequests] = t
		t.of.n++
	}
	if len(t.attempts) < keptAttempts {
		t.attempts = append(t.attempts, a)
	}
	t.changed()
}

// ended enters the end of an attempt, which may come after that of the request.
func (t *timeline) ended(a balance.Attempt) {
	t.of.mu.Lock()
	defer t.of.mu.Unlock()
	at := slices.IndexFunc(t.attempts, func(b balance.Attempt) bool {
		return b.Took == 0 && b.Pool == a.Pool && b.Member == a.Member && b.Reason == a.Reason && b.Start.Equal(a.Start)
	})
	if at >= 0 {
		a.Took = max(a.Took, 1)
		t.attempts[at] = a
		t.changed()
	}
}

// concluded enters the end of the request.
func (t *timeline) concluded(e Event) {
	t.of.mu.Lock()
	defer t.of.mu.Unlock()
	if t.seq > 0 {
		t.end = &e
		t.changed()
	}
}

// changed makes those hear of t who ask for what is new. The caller holds the mutex.
func (t *timeline) changed() {
	t.of.seq++
	t.seq = t.of.seq
}

// since returns copies of the timelines that have changed after a point, the oldest change first, at
// most n, and the point of the last of them.
func (p *recent) since(after uint64, n int) ([]timeline, uint64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if after > p.seq { // of a server that was here before
		after = 0
	}
	var out []timeline
	for _, t := range p.kept {
		if t != nil && t.seq > after {
			one := *t
			one.attempts = slices.Clone(t.attempts)
			out = append(out, one)
		}
	}
	slices.SortFunc(out, func(a, b timeline) int { return cmp.Compare(a.seq, b.seq) })
	out = out[max(0, len(out)-n):]
	return out, p.seq
}
