package plainhttp

import (
	"slices"
	"sync"
	"time"
)

// shelf keeps connections between calls, by address. The latest of an address is last,
// and is the first to be taken.
type shelf struct {
	mu    sync.Mutex
	kept  map[string][]*conn
	timer *time.Timer // for the oldest; nil: none is kept, or none was since the last sweep
}

// take returns a connection that is open, or nil.
func (s *shelf) take(address string) *conn {
	for {
		c := s.pop(address)
		if c == nil || c.quiet() {
			return c
		}
		_ = c.Close()
	}
}

func (s *shelf) pop(address string) *conn {
	s.mu.Lock()
	defer s.mu.Unlock()
	list := s.kept[address]
	if len(list) == 0 {
		return nil
	}
	last := len(list) - 1
	c := list[last]
	list[last] = nil
	s.kept[address] = list[:last]
	return c
}

// put keeps a connection for a time, or closes it where there are enough.
func (s *shelf) put(address string, c *conn, most int, span time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.kept[address]) >= most {
		_ = c.Close()
		return
	}
	if s.kept == nil {
		s.kept = map[string][]*conn{}
	}
	c.since = time.Now()
	s.kept[address] = append(s.kept[address], c)
	if s.timer == nil {
		s.timer = time.AfterFunc(span, func() { s.sweep(span) })
	}
}

// sweep closes what was not used for a time, and comes again while something is kept.
func (s *shelf) sweep(span time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.timer = nil
	for address, list := range s.kept {
		old := 0
		for old < len(list) && time.Since(list[old].since) >= span {
			_ = list[old].Close()
			old++
		}
		if s.kept[address] = slices.Delete(list, 0, old); old == len(list) {
			delete(s.kept, address)
		}
	}
	if len(s.kept) > 0 {
		s.timer = time.AfterFunc(span, func() { s.sweep(span) })
	}
}

// clear closes all that is kept.
func (s *shelf) clear() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.timer != nil {
		s.timer.Stop()
		s.timer = nil
	}
	for _, list := range s.kept {
		for _, c := range list {
			_ = c.Close()
		}
	}
	clear(s.kept)
}
