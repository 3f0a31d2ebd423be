package balance

import "github.com/lanewise/lanewise/fault"

// What was measured of a member's cancelled calls.
const (
	unmeasured int32 = iota
	stops
	goesOn
)

// aborts reports whether cancelled calls stop costing the member anything: as
// measured, or else as declared.
func (m *member) aborts(declared bool) bool {
	switch m.abort.Load() {
	case stops:
		return true
	case goesOn:
		return false
	}
	return declared
}

// Learn enters what was measured: whether a call of the named member that is
// cancelled stops costing it anything (package abort measures that). It holds from
// now on, whatever is declared, for as long as the pool remembers the member. A
// member that the pool does not have is fault.NotFound.
func (p *Pool[T]) Learn(name string, aborts bool) error {
	p.mu.Lock()
	m, ok := p.known[name]
	if ok {
		m.abort.Store(goesOn)
		if aborts {
			m.abort.Store(stops)
		}
	}
	p.mu.Unlock()
	if !ok {
		return fault.New(fault.NotFound, "pool %q has no member %q", p.core.name, name)
	}
	return p.renew()
}

// renew builds the set anew, of the same members.
func (p *Pool[T]) renew() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.update(p.all)
}
