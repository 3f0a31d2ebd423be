package router

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/lanewise/lanewise/search"
)

// holdings is what one replica of a shard says it holds, by collection.
type holdings struct {
	err         error // it does not say
	words       bool  // of a lexical companion
	collections map[string]search.Stats
}

// points counts them over all collections.
func (h holdings) points() (n int) {
	for _, s := range h.collections {
		n += s.Points
	}
	return n
}

// finding is what a comparison found out about one replica.
type finding struct {
	fault string // why it may not answer; empty: it is in step
	lacks []search.Collection
	loose bool // the fault is a difference that a move makes, too
}

// judge compares the replicas of a shard, collection by collection: those that differ from
// the reference are at fault, with a text that names the figures. acked is the newest
// version that every replica had confirmed. A replica that does not say what it holds, and a
// collection that nobody holds, are not judged.
func judge(collections []search.Collection, told []holdings, acked func(collection string) search.Version) []finding {
	found := make([]finding, len(told))
	for _, c := range collections {
		if c.Placement.By == search.ByExternal {
			continue // not ours to keep in step
		}
		ref, ok := reference(c, told, acked(c.Name))
		for i, h := range told {
			if h.err != nil {
				continue
			}
			have, held := h.collections[c.Name]
			why := misfit(have.Collection, c)
			if why == "" && ok {
				why = differs(have, ref, acked(c.Name))
			}
			if !held && ok {
				why = "it does not have the collection"
				found[i].lacks = append(found[i].lacks, ref.Collection)
			}
			if why != "" && found[i].fault == "" {
				found[i].fault = fmt.Sprintf("collection %s: %s", c.Name, why)
				found[i].loose = held && !lost(have, acked(c.Name)) && have.Newest > 0
			}
		}
	}
	return found
}

// reference chooses the replica that the others of its shard are held to. One that lacks acknowledged
// writes, or was never written to while another was, is chosen only if there is no
// better one, and companions are none. Then most replicas that agree decide; then the newest version, then most points.
func reference(c search.Collection, told []holdings, acked search.Version) (search.Stats, bool) {
	var all []search.Stats
	for _, h := range told {
		if s, ok := h.collections[c.Name]; ok && h.err == nil && !h.words && misfit(s.Collection, c) == "" {
			all = append(all, s)
		}
	}
	if len(all) == 0 {
		return search.Stats{}, false
	}
	all = prefer(all, func(s search.Stats) bool { return !lost(s, acked) })
	all = prefer(all, func(s search.Stats) bool { return s.Points > 0 || s.Newest > 0 })
	agree := func(s search.Stats) (n int) {
		for _, other := range all {
			if alike(s, other) {
				n++
			}
		}
		return n
	}
	return slices.MaxFunc(all, func(a, b search.Stats) int {
		return cmp.Or(agree(a)-agree(b), cmp.Compare(a.Newest, b.Newest), a.Points-b.Points)
	}), true
}

// misfit says how a replica's collection is another one than the map's: its scores would
// mean something else. Empty: it fits, or there is none.
func misfit(have, c search.Collection) string {
	if have.Name == "" || have.Dims == c.Dims && have.Metric == c.Metric {
		return ""
	}
	return fmt.Sprintf("it has %d dims and the metric %s, not %d and %s", have.Dims, have.Metric, c.Dims, c.Metric)
}

// prefer keeps those that are good, or all of them if none is.
func prefer(all []search.Stats, good func(search.Stats) bool) []search.Stats {
	kept := slices.DeleteFunc(slices.Clone(all), func(s search.Stats) bool { return !good(s) })
	if len(kept) == 0 {
		return all
	}
	return kept
}

// lost reports whether a replica lacks writes that it had confirmed. A store that knows no
// versions cannot be found out so.
func lost(s search.Stats, acked search.Version) bool {
	return s.Newest < acked && (s.Newest > 0 || s.Points == 0)
}

// alike compares two replicas by digest or, where one of them has none, by the number of points.
func alike(a, b search.Stats) bool {
	blind := a.Digest == 0 && a.Points > 0 || b.Digest == 0 && b.Points > 0
	return a.Points == b.Points && (blind || (a.Digest^b.Digest)&a.DigestMask()&b.DigestMask() == 0)
}

// differs says how a replica differs from the reference; empty: not at all.
func differs(s, ref search.Stats, acked search.Version) string {
	switch {
	case lost(s, acked) && !lost(ref, acked):
		return fmt.Sprintf("it lost data: its newest version is %d, and it had confirmed %d", s.Newest, acked)
	case !alike(s, ref):
		return fmt.Sprintf("it holds %d points with digest %x, and its shard %d with %x", s.Points, s.Digest, ref.Points, ref.Digest)
	}
	return ""
}
