package discovery

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/lanewise/lanewise/fault"
)

// Follower keeps a pool in step with a source. Its methods are safe for concurrent use.
type Follower struct {
	pool  string
	apply func([]Member) error
	empty bool // nobody is a good answer
	log   *slog.Logger
	stop  context.CancelFunc
	ended sync.WaitGroup
	first chan struct{} // closed by the first answer, a good or a bad one

	mu      sync.Mutex
	told    bool
	members []Member // in force
	at      time.Time
	trouble error // of the last answer; nil: it was good
}

// Status is what a follower knows.
type Status struct {
	Pool    string
	Members []Member  // in force, sorted by name
	At      time.Time // of the last good answer; zero: there was none
	Trouble string    // why later answers were not good; empty: they were
}

// Follow has a source's members applied to the pool of that name, until Close: apply gets
// every list that differs from the one in force, one at a time, and changes nothing
// where it returns an error; it is tried again with the next answer. log gets
// changes and the beginnings of trouble; nil: nobody does.
func Follow(pool string, s Source, log *slog.Logger, apply func([]Member) error) *Follower {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	ctx, stop := context.WithCancel(context.Background())
	vacant, ok := s.(Vacant)
	f := &Follower{empty: ok && vacant.MayBeEmpty(), pool: pool, apply: apply, log: log.With("pool", pool), stop: stop, first: make(chan struct{})}
	f.ended.Go(func() { s.Watch(ctx, f.hear) })
	return f
}

// First waits for the source's first answer and returns what was wrong with it, or the end of ctx.
func (f *Follower) First(ctx context.Context) error {
	select {
	case <-f.first:
	case <-ctx.Done():
		return ctx.Err()
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.trouble
}

// Status returns what the follower knows.
func (f *Follower) Status() Status {
	f.mu.Lock()
	defer f.mu.Unlock()
	s := Status{Pool: f.pool, Members: f.members, At: f.at}
	if f.trouble != nil {
		s.Trouble = f.trouble.Error()
	}
	return s
}

// Close ends the source and waits for it. The members in force stay.
func (f *Follower) Close() error {
	f.stop()
	f.ended.Wait()
	return nil
}

// hear takes an answer of the source.
func (f *Follower) hear(found []Member, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	told := err
	if err == nil {
		err = f.settle(found)
	}
	switch {
	case err != nil && (f.trouble == nil || f.trouble.Error() != err.Error()):
		f.log.Warn("members were not found: those of the last good answer stay", "event", troubleOf(found, told), "members", len(f.members), "last_good", f.at, "error", err)
	case err == nil && f.trouble != nil:
		f.log.Info("members are found again", "event", "DiscoveryRecovered", "last_good", f.at)
	}
	if err == nil {
		f.at = time.Now()
	}
	f.trouble = err
	if !f.told {
		f.told = true
		close(f.first)
	}
}

// troubleOf names what is wrong with an answer, for whom a line of the log is an Event (package kubernetes).
func troubleOf(found []Member, told error) string {
	switch {
	case errors.Is(told, fault.Refused):
		return "DiscoveryForbidden"
	case told != nil:
		return "DiscoveryTrouble"
	case none(found) != nil:
		return "EmptyAnswerKept"
	}
	return "MembersRefused" // by the pool
}

// settle applies what was found, if it is another list. The caller holds the lock.
func (f *Follower) settle(found []Member) error {
	next, err := Settle(f.members, found)
	if err != nil {
		return err
	}
	switch {
	case f.empty && len(in(Ready, found)) == 0:
		if next = nil; f.told && len(f.members) == 0 {
			return nil
		}
	case same(next, f.members):
		return none(found)
	}
	if err := f.apply(next); err != nil {
		return err
	}
	f.log.Info("members have changed", "before", names(f.members), "after", names(next))
	f.members = next
	return nil
}

// none is why an answer without anybody is not a good one.
func none(found []Member) error {
	if len(in(Ready, found)) > 0 || len(in(Serving, found)) > 0 {
		return nil
	}
	return fault.New(fault.Unavailable, "nobody is there: the answer has %d members, and none that takes calls", len(found))
}

func names(members []Member) []string {
	out := make([]string, len(members))
	for i, m := range members {
		out[i] = m.Name
	}
	return out
}
