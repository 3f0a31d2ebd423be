package main

import (
	"context"
	"slices"
	"sync"
	"time"
)

// The watch looks at the clock this often. A stall is kept for as long as a search may take.
const (
	watchEvery = 10 * time.Millisecond
	stallLeast = 20 * time.Millisecond
	stallKept  = time.Minute
)

// stalls are the times at which this process wanted to run and did not.
type stalls struct {
	mu  sync.Mutex
	all []stall // the oldest first
}

type stall struct{ from, to time.Time }

// watch notes how late its ticks are until ctx ends.
func (s *stalls) watch(ctx context.Context) {
	for {
		due := time.Now().Add(watchEvery)
		if pause(ctx, watchEvery) != nil {
			return
		}
		if now := time.Now(); now.Sub(due) >= stallLeast {
			s.note(stall{due, now})
		}
	}
}

func (s *stalls) note(one stall) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.all = slices.DeleteFunc(s.all, func(old stall) bool { return one.to.Sub(old.to) > stallKept })
	s.all = append(s.all, one)
}

// share is how much of the time since a moment, and of two seconds at least, were stalls: a search that is shed at once
// is so for what came before it.
func (s *stalls) share(since time.Time) float64 {
	return s.between(since.Add(min(0, time.Since(since)-2*time.Second)), time.Now())
}

func (s *stalls) between(from, to time.Time) float64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	var lost time.Duration
	for _, one := range s.all {
		begin, end := one.from, one.to
		if begin.Before(from) {
			begin = from
		}
		if end.After(to) {
			end = to
		}
		lost += max(end.Sub(begin), 0)
	}
	return float64(lost) / float64(max(to.Sub(from), 1))
}
