package balance

import "slices"

// members is a set without its targets' type.
type members struct {
	entries []entry
	tiers   []int // that occur, in order
	aborts  bool  // all of them abort cancelled calls
}

// tier returns the tier that an attempt may use: the first with a member that is
// healthy and has a free slot, else the first with a healthy one. A hedge stays
// in the tier of the members that were tried: a backup is for failures and
// overload, and not for a slow answer.
func (m *members) tier(v *View, why Reason) int {
	if len(m.tiers) == 1 {
		return m.tiers[0]
	}
	if why == Hedge {
		return v.tier
	}
	fallback := -1
	for _, t := range m.tiers {
		v.tier = t
		for i := range m.entries {
			if !v.Open(i) {
				continue
			}
			if e := &m.entries[i]; e.slots == 0 || e.inflight.Load() < int64(e.slots) {
				return t
			}
			if fallback < 0 {
				fallback = t
			}
		}
	}
	return fallback
}

// tiersOf returns the tiers that occur among entries, in order.
func tiersOf(entries []entry) []int {
	tiers := make([]int, 0, 1)
	for _, e := range entries {
		tiers = append(tiers, e.tier)
	}
	slices.Sort(tiers)
	return slices.Compact(tiers)
}
