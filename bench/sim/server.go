package sim

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/lanewise/lanewise/fault"
)

// Cancel is what a server does when a call is cancelled.
type Cancel string

// The kinds of servers.
const (
	Abort  Cancel = "abort"  // stops the work at once
	Drop   Cancel = "drop"   // forgets queued work; running work goes on
	Ignore Cancel = "ignore" // does all of it, for nobody
)

// server is a replica: some workers behind one first-in-first-out queue.
type server struct {
	cancel Cancel

	mu     sync.Mutex
	factor float64 // times the service time; 1: healthy
	down   bool    // refuses connections
	free   int
	queue  []*job
	ends   map[*job]time.Time
	served int // calls that came
}

// job is a call at a server.
type job struct {
	service time.Duration
	start   chan struct{} // closed when a worker takes it; nil for a job that nobody waits for any more
	gone    bool
	dropped bool
}

func newServer(workers int, cancel Cancel) *server {
	return &server{cancel: cancel, factor: 1, free: workers, ends: make(map[*job]time.Time)}
}

// set changes the server's speed and whether it is up.
func (s *server) set(factor float64, down bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.factor, s.down = factor, down
}

// serve does work that takes service on a healthy server, or fails with the
// context's end.
func (s *server) serve(ctx context.Context, service time.Duration) error {
	j, err := s.enter(service)
	if err != nil {
		return err
	}
	select {
	case <-j.start:
	case <-ctx.Done():
		if s.leaveQueue(j) {
			return context.Cause(ctx)
		}
	}
	timer := time.NewTimer(j.service)
	defer timer.Stop()
	begun := time.Now()
	select {
	case <-timer.C:
		s.release(j)
		return nil
	case <-ctx.Done():
		if left := j.service - time.Since(begun); s.cancel != Abort && left > 0 {
			time.AfterFunc(left, func() { s.release(j) })
		} else {
			s.release(j)
		}
		return context.Cause(ctx)
	}
}

// enter gives the job a worker, or a place in the queue.
func (s *server) enter(service time.Duration) (*job, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.served++
	if s.down {
		return nil, fault.New(fault.Unavailable, "connection refused")
	}
	j := &job{service: time.Duration(float64(service) * s.factor), start: make(chan struct{})}
	if s.free > 0 {
		s.free--
		s.run(j)
	} else {
		s.queue = append(s.queue, j)
	}
	return j, nil
}

// run marks the job as running. The caller holds mu and has a worker for it.
func (s *server) run(j *job) {
	s.ends[j] = time.Now().Add(j.service)
	close(j.start)
}

// leaveQueue takes a cancelled job out of the queue, if the server does that. It
// reports false if the job runs already.
func (s *server) leaveQueue(j *job) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, runs := s.ends[j]; runs {
		return false
	}
	if s.cancel == Ignore {
		j.gone = true
		return true
	}
	j.dropped = true
	return true
}

// release gives the job's worker to the next in the queue.
func (s *server) release(j *job) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.ends, j)
	for len(s.queue) > 0 {
		next := s.queue[0]
		s.queue = s.queue[1:]
		if next.dropped {
			continue
		}
		s.run(next)
		if next.gone { // nobody waits, and the server does not know
			time.AfterFunc(next.service, func() { s.release(next) })
		}
		return
	}
	s.free++
}

// wait is the time until a new call would be started: what an omniscient balancer
// looks at.
func (s *server) wait() time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.free > 0 {
		return 0
	}
	now := time.Now()
	frees := make([]time.Duration, 0, len(s.ends)) // when each worker is free
	for _, end := range s.ends {
		frees = append(frees, end.Sub(now))
	}
	slices.Sort(frees)
	for _, j := range s.queue {
		if j.dropped {
			continue
		}
		frees[0] += j.service
		slices.Sort(frees)
	}
	return frees[0]
}

func (s *server) calls() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.served
}
