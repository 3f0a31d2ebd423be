package shardmap

import "math"

// settling takes the detours out of a fresh placement: moves between two shards that both stay with the
// weight that they had. They come from full shards, which pass on what the ring gives them, and are no
// use to anybody. The number of partitions that a shard may hold stays as it is.
type settling struct {
	was    []int // of each partition: the index in the new map of its old owner, if that is steady; else -1
	now    *[partitions]uint16
	steady []bool // of each shard of the new map
	room   []int  // how many more partitions it may hold
}

// settle changes next's owners, which must not be published yet.
func settle(old, next *Map, unit int) {
	s := settling{was: make([]int, partitions), now: next.owners, steady: make([]bool, len(next.shards)), room: roomOf(next, unit)}
	index := make([]int, len(old.shards))
	for i, shard := range old.shards {
		index[i] = next.find(shard.Name)
		if j := index[i]; j >= 0 && next.shards[j].Weight == shard.Weight {
			s.steady[j] = true
		} else {
			index[i] = -1
		}
	}
	for p, owner := range old.owners {
		s.was[p] = index[owner]
	}
	for changed := true; changed; { // every change takes a move back, so this ends
		changed = false
		for p := range partitions {
			changed = s.detour(p) && (s.stay(p) || s.shorten(p)) || changed
		}
	}
}

// roomOf returns how many more partitions each shard may hold.
func roomOf(m *Map, unit int) []int {
	room := make([]int, len(m.shards))
	limit := int(math.Ceil(load * partitions / float64(totalMembers(m.shards, unit))))
	for i, s := range m.shards {
		room[i] = limit * membersOf(s, unit)
	}
	for _, owner := range m.owners {
		room[owner]--
	}
	return room
}

// detour reports whether p moves between steady shards.
func (s *settling) detour(p int) bool {
	return s.was[p] >= 0 && s.was[p] != int(s.now[p]) && s.steady[s.now[p]]
}

// stay leaves p where it was, if there is room.
func (s *settling) stay(p int) bool {
	if s.room[s.was[p]] == 0 {
		return false
	}
	s.room[s.now[p]]++
	s.room[s.was[p]]--
	s.now[p] = uint16(s.was[p]) //nolint:gosec // a shard index
	return true
}

// shorten finds a move that ends where p's begins, or begins where it ends, and makes one move of the two: the
// partition between them stays. All shards keep their number of partitions.
func (s *settling) shorten(p int) bool {
	from, to := s.was[p], s.now[p]
	for q := range partitions {
		switch {
		case s.was[q] == int(s.now[q]):
		case int(s.now[q]) == from: // q comes to where p was: it goes on to where p went
			s.now[q], s.now[p] = to, s.now[q]
			return true
		case s.was[q] == int(to): // q leaves the place that p takes: p goes where q went
			s.now[p], s.now[q] = s.now[q], to
			return true
		}
	}
	return false
}
