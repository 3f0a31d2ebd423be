package shardmap_test

import (
	"fmt"
	"math"
	"slices"
	"testing"

	"github.com/buraksezer/consistent"
	"github.com/cespare/xxhash/v2"

	"github.com/lanewise/lanewise/shardmap"
)

const partitions = 4093

// table is the owner's name of every partition.
type table [partitions]string

// settings is a way to place partitions on the shards s0 … and to follow a change of them.
type settings struct {
	name   string
	change func(t *testing.T, before, after []shardmap.Shard) (table, table)
}

// planned is how lanewise follows a change: by a plan.
func planned(t *testing.T, before, after []shardmap.Shard) (table, table) {
	t.Helper()
	m := newMap(t, before)
	return tableOf(m), tableOf(newPlan(t, m, after).Next())
}

// afresh is the same placement without regard for where partitions lay.
func afresh(t *testing.T, before, after []shardmap.Shard) (table, table) {
	t.Helper()
	return tableOf(newMap(t, before)), tableOf(newMap(t, after))
}

func tableOf(m *shardmap.Map) (owners table) {
	shards := m.Shards()
	for p := range owners {
		owners[p] = shards[m.PartitionOwner(p)].Name
	}
	return owners
}

type ringMember string

func (m ringMember) String() string { return string(m) }

type ringHash struct{}

func (ringHash) Sum64(b []byte) uint64 { return xxhash.Sum64(b) }

// readme is the library with the settings that its README shows, on as many partitions.
func readme(_ *testing.T, before, after []shardmap.Shard) (table, table) {
	place := func(shards []shardmap.Shard) (owners table) {
		ring := consistent.New(nil, consistent.Config{PartitionCount: partitions, ReplicationFactor: 20, Load: 1.25, Hasher: ringHash{}})
		for _, s := range shards {
			ring.Add(ringMember(s.Name))
		}
		for p := range owners {
			owners[p] = ring.GetPartitionOwner(p).String()
		}
		return owners
	}
	return place(before), place(after)
}

// modulo numbers the shards and takes the remainder.
func modulo(_ *testing.T, before, after []shardmap.Shard) (table, table) {
	place := func(shards []shardmap.Shard) (owners table) {
		for p := range owners {
			owners[p] = shards[p%len(shards)].Name
		}
		return owners
	}
	return place(before), place(after)
}

// compared is what a change of the shards does.
type compared struct {
	largest  float64 // shard, over its fair share
	moved    float64 // share of the partitions
	needless float64 // share of those that move between shards that are there before and after
}

// measure changes a list of shards, of which n are there afterwards.
func (s settings) measure(t *testing.T, before, after []shardmap.Shard, changed string) (c compared) {
	t.Helper()
	old, now := s.change(t, before, after)
	counts := make(map[string]int)
	for p := range old {
		counts[now[p]]++
		if old[p] != now[p] {
			c.moved += 1. / partitions
			if old[p] != changed && now[p] != changed {
				c.needless += 1. / partitions
			}
		}
	}
	for _, n := range counts {
		c.largest = max(c.largest, float64(n*len(after))/partitions)
	}
	return c
}

// leave takes one of n shards away; the worst of a few is what counts.
func (s settings) leave(t *testing.T, n int) (worst compared) {
	t.Helper()
	for _, without := range []int{0, n / 2, n - 1} {
		c := s.measure(t, named(n), slices.Delete(named(n), without, without+1), fmt.Sprint("s", without))
		worst = compared{max(worst.largest, c.largest), max(worst.moved, c.moved), max(worst.needless, c.needless)}
	}
	return worst
}

// TestPlacement_goalG12 measures what a shard that joins or leaves moves, with a fresh placement, the
// library's README settings and naive modulo beside it.
func TestPlacement_goalG12(t *testing.T) {
	sizes := []int{12, 16, 64}
	if testing.Short() {
		sizes = sizes[:2]
	}
	for _, n := range sizes {
		for _, s := range []settings{{"plan", planned}, {"placed afresh", afresh}, {"README settings", readme}, {"modulo", modulo}} {
			leave, join := s.leave(t, n), s.measure(t, named(n), named(n+1), fmt.Sprint("s", n))
			t.Logf("%2d shards, %-15s: largest %.3f of fair; leave: moved %.4f, needless %.4f; join: moved %.4f, needless %.4f",
				n, s.name, max(leave.largest, join.largest), leave.moved, leave.needless, join.moved, join.needless)
			if s.name == "plan" {
				checkG12(t, n-1, leave)
				checkG12(t, n+1, join)
			}
		}
	}
}

func checkG12(t *testing.T, n int, c compared) {
	t.Helper()
	if limit := math.Ceil(1.1*partitions/float64(n)) * float64(n) / partitions; c.largest > limit+1e-9 {
		t.Errorf("%d shards: the largest has %.4f of its fair share, want at most %.4f", n, c.largest, limit)
	}
	if c.needless > 0.002 {
		t.Errorf("%d shards: needless moves %.4f, want at most 0.002", n, c.needless)
	}
}

// A long history of changes must not wear the balance down.
func TestPlacement_staysBalancedOverManyPlans(t *testing.T) {
	m := newMap(t, named(8))
	for step, n := range []int{9, 10, 9, 8, 7, 6, 7, 8, 9, 10, 11, 12, 8} {
		p := newPlan(t, m, named(n))
		if p.After > 1.11 {
			t.Errorf("step %d, %d shards: the largest has %.3f of its fair share", step, n, p.After)
		}
		m = p.Next()
	}
}

// Weighted shards keep the bound, too: no unit of weight has more than 1.1 times its share.
func TestPlacement_weights(t *testing.T) {
	shards := []shardmap.Shard{{Name: "a", Weight: 4}, {Name: "b", Weight: 2}, {Name: "c"}, {Name: "d", Weight: 1}}
	m := newMap(t, shards)
	counts := make([]int, len(shards))
	for p := range partitions {
		counts[m.PartitionOwner(p)]++
	}
	for i, weight := range []float64{4, 2, 1, 1} {
		if limit := weight * math.Ceil(1.1*partitions/8); float64(counts[i]) > limit || float64(counts[i]) < .75*weight*partitions/8 {
			t.Errorf("shard %d of weight %g has %d partitions of at most %g", i, weight, counts[i], limit)
		}
	}
}
