package router

import (
	"maps"

	"github.com/lanewise/lanewise/balance"
	"github.com/lanewise/lanewise/balance/admit"
)

// State is what a router does at one moment, as data.
type State struct {
	Epoch     uint64             // of the shard map
	Points    map[string]float64 // documents by collection, as far as the shards have told, up to half a minute ago
	Admission admit.State        // of the searches
	Pools     []balance.Snapshot // of the shards, in the order of the map
}

// State returns the router's state. It waits for no replica: collections that nobody has searched lately
// are counted in the background, a few a call.
func (r *Router) State() State {
	t := r.topo.Load()
	stale := 0
	for _, c := range t.m.Collections() {
		if stale < countsAtOnce && t.counts.stale(c.Name) {
			stale++
			r.counted(t, c.Name)
		}
	}
	s := State{Epoch: t.m.Epoch(), Points: t.counts.totals(), Admission: r.gate.State(), Pools: make([]balance.Snapshot, len(t.shards))}
	for i, shard := range t.shards {
		s.Pools[i] = shard.pool.Snapshot()
	}
	return s
}

// totals returns the documents of each collection that is known.
func (c *counts) totals() map[string]float64 {
	c.mu.RLock()
	known := maps.Clone(c.known)
	c.mu.RUnlock()
	out := make(map[string]float64, len(known))
	for name, docs := range known {
		for _, n := range docs {
			out[name] += n
		}
	}
	return out
}
