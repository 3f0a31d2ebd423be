package config

import (
	"errors"
	"maps"
	"reflect"
	"slices"
	"sync"
	"sync/atomic"
)

// closing is what is to be closed, in the order of opening.
type closing struct {
	mu   sync.Mutex
	list []func() error
}

func (c *closing) add(f func() error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.list = append(c.list, f)
}

// addFirst adds what is closed last.
func (c *closing) addFirst(f func() error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.list = slices.Insert(c.list, 0, f)
}

// close closes everything in the reverse order, once.
func (c *closing) close() error {
	c.mu.Lock()
	list := c.list
	c.list = nil
	c.mu.Unlock()
	var errs []error
	for _, f := range slices.Backward(list) {
		errs = append(errs, f())
	}
	return errors.Join(errs...)
}

// part is what was opened for one section of a configuration. Systems that follow each other share it while the
// section stays the same, with all that was learned, and the last one closes it.
type part struct {
	key     any
	users   atomic.Int32
	closing *closing
	quotas  map[string]account // that were opened with it
}

// keep goes on with a part of the system before, if that was opened for an equal key, or else opens it.
func (s *System) keep(name string, key any, take func(before *System), open func() error) error {
	if s.prev != nil {
		if p := s.prev.parts[name]; p != nil && reflect.DeepEqual(p.key, key) {
			p.users.Add(1)
			s.hold(name, p)
			take(s.prev)
			return nil
		}
	}
	p := &part{key: key, closing: &closing{}, quotas: map[string]account{}}
	p.users.Store(1)
	outer, had := s.closing, maps.Clone(s.quotas.byAccount)
	s.closing = p.closing
	err := open()
	s.closing = outer
	for name, a := range s.quotas.byAccount {
		if _, before := had[name]; !before {
			p.quotas[name] = a
		}
	}
	s.hold(name, p)
	return err
}

// hold has the system use a part until it is closed.
func (s *System) hold(name string, p *part) {
	s.parts[name] = p
	if s.quotas.byAccount == nil {
		s.quotas.byAccount = map[string]account{}
	}
	maps.Copy(s.quotas.byAccount, p.quotas)
	s.opened(func() error {
		if p.users.Add(-1) > 0 {
			return nil
		}
		return p.closing.close()
	})
}
