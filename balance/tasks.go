package balance

import "sync/atomic"

// tasks counts the goroutines that a pool owns. Unlike a sync.WaitGroup it may
// be entered while somebody waits: the entry is refused then.
type tasks struct {
	n      atomic.Int64
	closed atomic.Bool
	idle   chan struct{} // holds a token when a waiter should look again
}

func (t *tasks) enter() bool {
	t.n.Add(1)
	if t.closed.Load() {
		t.leave()
		return false
	}
	return true
}

func (t *tasks) leave() {
	if t.n.Add(-1) == 0 && t.closed.Load() {
		t.wake()
	}
}

func (t *tasks) wake() {
	select {
	case t.idle <- struct{}{}:
	default:
	}
}

// refuse stops further entries.
func (t *tasks) refuse() { t.closed.Store(true) }

// wait returns when everybody has left. Entries must be refused before.
func (t *tasks) wait() {
	for t.n.Load() > 0 {
		<-t.idle
	}
	t.wake() // for another waiter
}
