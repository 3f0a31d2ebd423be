package weaviate

import (
	"context"
	"hash/maphash"
	"slices"
)

// stripes are locks of ids: of one id, one write at a time.
type stripes struct {
	seed  maphash.Seed
	locks [256]chan struct{} // one place each: a lock that can be given up
}

func newStripes() *stripes {
	s := &stripes{seed: maphash.MakeSeed()}
	for i := range s.locks {
		s.locks[i] = make(chan struct{}, 1)
	}
	return s
}

// lock waits until no other write of these ids is under way, or the context ends.
func (s *stripes) lock(ctx context.Context, ids []string) (unlock func(), err error) {
	wanted := make([]int, len(ids))
	for i, id := range ids {
		wanted[i] = int(maphash.String(s.seed, id) % uint64(len(s.locks))) //nolint:gosec // below 256
	}
	slices.Sort(wanted) // everybody in the same order: nobody waits in a circle
	wanted = slices.Compact(wanted)
	unlock = func() {
		for _, i := range wanted {
			<-s.locks[i]
		}
	}
	for n, i := range wanted {
		select {
		case s.locks[i] <- struct{}{}:
		case <-ctx.Done():
			wanted = wanted[:n]
			unlock()
			return nil, ctx.Err()
		}
	}
	return unlock, nil
}
