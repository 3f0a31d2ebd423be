package router

import (
	"context"
	"math"
	"sync"
	"sync/atomic"

	"github.com/lanewise/lanewise/search"
)

// A search that asks many shards for rows with their payload moves more bytes
// than the hits that are kept are worth. Above this many wasted bytes the shards
// are asked for bare rows, and the payload of the hits is fetched in a second
// phase: a round trip on a local network costs about as much as moving and
// decoding 64 KiB.
const worthARoundTrip = 64 << 10

// spareHits is how many hits beyond k a search in two phases keeps, to stand in
// for those that are deleted between the phases.
const spareHits = 4

// payloads knows how large the payload of a collection's hits is, from the
// answers seen so far.
type payloads struct {
	mu   sync.RWMutex
	mean map[string]*atomic.Uint64 // float64 bits: bytes, by collection
}

// saw takes the payload of one answer into account.
func (p *payloads) saw(collection string, hits []search.Hit) {
	if len(hits) == 0 {
		return
	}
	size := 0
	for i := range hits {
		size += len(hits[i].Text) + len(hits[i].Meta) + 4*len(hits[i].Dense)
	}
	mean := float64(size) / float64(len(hits))
	known := p.of(collection)
	if known == nil {
		p.learn(collection, mean)
		return
	}
	old := math.Float64frombits(known.Load()) // what is lost to another answer at the same time does not matter
	known.Store(math.Float64bits(0.9*old + 0.1*mean))
}

// of returns the mean of a collection, nil where none is known.
func (p *payloads) of(collection string) *atomic.Uint64 {
	p.mu.RLock()
	defer p.mu.RUnlock()
	return p.mean[collection]
}

// learn enters the first mean of a collection.
func (p *payloads) learn(collection string, mean float64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.mean == nil {
		p.mean = map[string]*atomic.Uint64{}
	}
	known := new(atomic.Uint64)
	known.Store(math.Float64bits(mean))
	p.mean[collection] = known
}

// wasted estimates the bytes of payload that rows move beyond those of the hits.
func (p *payloads) wasted(collection string, rows, hits int) float64 {
	known := p.of(collection)
	if known == nil {
		return 0
	}
	return math.Float64frombits(known.Load()) * float64(max(0, rows-hits))
}

// twoPhases reports whether asking the shards for bare rows and fetching the
// payload of the hits afterwards moves so much less that it pays.
func (r *Router) twoPhases(p *plan, depth int) bool {
	rows := 0
	for _, l := range p.legs {
		for _, n := range r.rowsOf(p.topo, l.collection, p.Tenant, depth) {
			rows += n
		}
	}
	return r.payloads.wasted(p.Collection, rows, p.K) > worthARoundTrip
}

// fetch returns the first n hits with the payload that fields asks for. Hits
// that are not there any more are passed over and counted.
func (r *Router) fetch(ctx context.Context, hits []search.Hit, n int, fields search.Fields) (kept []search.Hit, vanished int, err error) {
	kept = make([]search.Hit, 0, min(n, len(hits)))
	for len(kept) < n && len(hits) > 0 {
		batch := hits[:min(n-len(kept), len(hits))]
		hits = hits[len(batch):]
		keys := make([]search.Key, len(batch))
		for i, h := range batch {
			keys[i] = h.Key
		}
		points, err := r.Get(ctx, batch[0].Collection, keys, fields)
		if err != nil {
			return nil, 0, err
		}
		byKey := make(map[search.Key]search.Point, len(points))
		for _, p := range points {
			byKey[p.Key] = p
		}
		for _, h := range batch {
			p, ok := byKey[h.Key]
			if !ok {
				vanished++
				continue
			}
			h.Point = p
			kept = append(kept, h)
		}
	}
	return kept, vanished, nil
}
