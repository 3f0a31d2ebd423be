package quota

import (
	"context"
	"sync"
)

// Memory is a [Store] for the quotas that several pools of one process share.
// The zero Memory is ready for use. Safe for concurrent use.
type Memory struct {
	mu     sync.Mutex
	quotas map[string]*Bucket
}

var _ Store = (*Memory)(nil)

// Exchange implements [Store]. It never fails.
func (m *Memory) Exchange(_ context.Context, key string, limit Limit, t Trade) (Amount, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.quotas == nil {
		m.quotas = make(map[string]*Bucket)
	}
	b := m.quotas[key]
	if b == nil {
		b = filled(limit)
		m.quotas[key] = b
	}
	b.set(limit, 1)
	b.refill()
	return Amount{b.requests.exchange(t.Give.Requests, t.Want.Requests), b.tokens.exchange(t.Give.Tokens, t.Want.Tokens)}, nil
}

// exchange adds what is given and returns what is granted of what is wanted.
func (d *dimension) exchange(given, want float64) float64 {
	if !d.limited {
		return 0
	}
	d.give(given)
	grant := max(0, min(want, d.level))
	d.level -= grant
	return grant
}
