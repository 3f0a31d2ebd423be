package balance

import (
	"math"

	"github.com/lanewise/lanewise/fault"
)

// orders are what an operator has ordered of members, by name. They outlive updates,
// and a member that leaves and comes back finds them again.
type orders struct {
	drained map[string]bool
	weights map[string]float64
}

// Steer puts a member into another state: Draining, so that it gets no further calls while those
// under way end as they would, until Healthy is ordered; Ejected, as if it had failed too often; or Healthy,
// which ends both. Errors: fault.NotFound for a member that the pool does not have, fault.Conflict
// where no other member is in use, fault.Invalid for other states.
func (p *Pool[T]) Steer(name string, to State) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	m, err := p.find(name)
	if err != nil {
		return err
	}
	switch to { //nolint:exhaustive // nobody orders the others
	case Draining:
		return p.drain(name)
	case Ejected:
		p.core.eject(m, judgement{now: p.core.now()})
		if m.health.state.Load() != ejected {
			return p.lastOne(name)
		}
		return nil
	case Healthy:
		if m.health.state.Load() == ejected {
			p.core.readmit(m, p.core.now())
		}
		delete(p.orders.drained, name)
		return p.update(p.all)
	}
	return fault.New(fault.Invalid, "a member cannot be ordered to be %q", to)
}

// Reweigh has a member weigh something else than its configuration says, for as long as the
// pool lives; 0: as configured. Errors: fault.NotFound for a member that the pool does not have,
// fault.Invalid for a weight that cannot be.
func (p *Pool[T]) Reweigh(name string, weight float64) error {
	if !(weight >= 0) || math.IsInf(weight, 1) {
		return fault.New(fault.Invalid, "weight: must be a positive number, or 0 for the configured one, is %v", weight)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if _, err := p.find(name); err != nil {
		return err
	}
	if weight == 0 {
		delete(p.orders.weights, name)
	} else {
		p.orders.weights[name] = weight
	}
	return p.update(p.all)
}

// find returns the state of a member of the last update. The caller holds mu.
func (p *Pool[T]) find(name string) (*member, error) {
	for i := range p.all {
		if p.all[i].Name == name {
			return p.known[name], nil
		}
	}
	return nil, fault.New(fault.NotFound, "pool %q has no member %q", p.core.name, name)
}

// drain takes a member out of the set. The caller holds mu.
func (p *Pool[T]) drain(name string) error {
	for i := range p.all {
		if other := p.all[i].Name; other != name && !p.orders.drained[other] {
			p.orders.drained[name] = true
			return p.update(p.all)
		}
	}
	return p.lastOne(name)
}

func (p *Pool[T]) lastOne(name string) error {
	return fault.New(fault.Conflict, "pool %q has no other member in use than %q", p.core.name, name)
}

// split parts members into those that get calls, with the weights that were ordered, and those that drain.
// Where all drain they get calls, since nobody else is there.
func split[T any](o *orders, all []Member[T]) (use, rest []Member[T]) {
	for _, m := range all {
		if w, ok := o.weights[m.Name]; ok {
			m.Weight = w
		}
		if o.drained[m.Name] {
			rest = append(rest, m)
		} else {
			use = append(use, m)
		}
	}
	if len(use) == 0 {
		return rest, nil
	}
	return use, rest
}
