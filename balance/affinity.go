package balance

import (
	"math"

	"github.com/cespare/xxhash/v2"
)

// hash is the same in every process, so that routers agree on affinities. It is
// never 0.
func hash(s string) uint64 { return max(xxhash.Sum64String(s), 1) }

// affine returns the open position that the call's affinity leads to, or -1: the
// first in rendezvous order (Thaler and Ravishankar, IEEE/ACM ToN 1998) whose
// load stays within bound times the average (Mirrokni, Thorup and Zadimoghaddam,
// SODA 2018), or is below the member's slots. Without that floor a call would
// often find its idle first choice above an average below one, and spill.
func (v *View) affine() int {
	var load, weight float64
	for i := range v.entries {
		if v.Open(i) {
			load += v.loadOf(&v.entries[i])
			weight += v.entries[i].weight
		}
	}
	best, highest := -1, math.Inf(-1)
	for i := range v.entries {
		if !v.Open(i) {
			continue
		}
		e := &v.entries[i]
		score := rendezvous(v.key, e.hash, e.weight)
		if score > highest && v.hasRoom(e, (load+float64(v.cost))*e.weight/weight) {
			best, highest = i, score
		}
	}
	if best < 0 { // loads changed between the two walks
		return v.Least(inflightCost)
	}
	return best
}

// hasRoom reports whether a member may take the call: fair is its share of the
// pool's load, the call included.
func (v *View) hasRoom(e *entry, fair float64) bool {
	load := v.loadOf(e)
	free := e.inflight.Load() < int64(e.slots) // of calls that cost less by now than when they came, too
	return free && load < float64(e.slots)*v.mean || load+float64(v.cost) <= math.Ceil(v.bound*fair)
}

// rendezvous is the score of a member for a key: the highest wins, each member
// as often as its weight asks for (weighted rendezvous hashing, Schindelhauer
// and Schomaker, SPAA 2005).
func rendezvous(key, member uint64, weight float64) float64 {
	uniform := (float64(mix(key^member)>>11) + 0.5) / (1 << 53)
	return -weight / math.Log(uniform)
}

// mix is the finaliser of SplitMix64 (Steele, Lea and Flood, OOPSLA 2014).
func mix(x uint64) uint64 {
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

// golden is the step of SplitMix64's sequence.
const golden = 0x9e3779b97f4a7c15
