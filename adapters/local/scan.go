package local

import (
	"context"
	"math/bits"
	"sync"
	"sync/atomic"

	"github.com/lanewise/lanewise/search"
)

// worthwhile is how many floats make a second goroutine pay.
const worthwhile = 1 << 20

// sweep is one pass over the vectors of a tenant for any number of probes.
type sweep struct {
	s      *Store
	c      *collection
	part   *part
	probes []*probe
	filter search.Filter
	next   atomic.Int64 // block to scan
}

// run scans every row once and returns a collector for each probe.
func (w *sweep) run(ctx context.Context) ([]*collector, error) {
	extra := w.helpers()
	all := make([][]*collector, extra+1)
	errs := make([]error, extra+1)
	var wg sync.WaitGroup
	for i := range extra {
		wg.Go(func() {
			defer func() { <-w.s.helpers }()
			all[i+1], errs[i+1] = w.work(ctx)
		})
	}
	all[0], errs[0] = w.work(ctx)
	wg.Wait()
	for i, err := range errs {
		if err != nil {
			return nil, err
		}
		for j := range all[i] {
			if i > 0 {
				all[0][j].merge(all[i][j])
			}
		}
	}
	return all[0], nil
}

// helpers takes as many extra goroutines as the scan is worth and the machine
// has to spare. Each gives its place back.
func (w *sweep) helpers() int {
	floats := (w.part.points + w.part.dead) * w.c.head.Collection.Dims * len(w.probes)
	for n := range floats / worthwhile {
		select {
		case w.s.helpers <- struct{}{}:
		default:
			return n
		}
		if n+2 > len(w.part.blocks) {
			return n + 1
		}
	}
	return floats / worthwhile
}

// work scans blocks until none is left. Documents are open for the filter only.
func (w *sweep) work(ctx context.Context) ([]*collector, error) {
	collectors := make([]*collector, len(w.probes))
	for i, p := range w.probes {
		collectors[i] = newCollector(p, w.part)
	}
	if w.filter.IsZero() {
		return collectors, w.blocks(ctx, collectors, nil)
	}
	err := w.s.read(w.c, func(h *shelf) error {
		return w.blocks(ctx, collectors, newSieve(w.filter, w.c.columns, h))
	})
	return collectors, err
}

func (w *sweep) blocks(ctx context.Context, collectors []*collector, sv *sieve) error {
	for {
		i := int(w.next.Add(1)) - 1
		if i >= len(w.part.blocks) {
			return nil
		}
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if err := scanBlock(i, w.part.blocks[i], collectors, sv); err != nil {
			return err
		}
	}
}

// scanBlock offers the live rows of a block to the collectors, 64 rows at a
// time, so that they are in the cache for every probe.
func scanBlock(index int, b block, collectors []*collector, sv *sieve) error {
	for word, live := range b.live {
		if live == 0 {
			continue
		}
		live = sv.begin(b, word, live)
		for _, c := range collectors {
			for m := live; m != 0; m &= m - 1 {
				row := word*64 + bits.TrailingZeros64(m)
				if b.bare[row] {
					continue
				}
				lower, upper := c.bounds(b.chunk, row)
				if upper < c.threshold {
					continue
				}
				ok, err := sv.pass(b, row)
				if err != nil {
					return err
				}
				if ok {
					c.add(lower, upper, index, row)
				}
			}
		}
	}
	return nil
}
