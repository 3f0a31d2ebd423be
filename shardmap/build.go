package shardmap

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"unicode"

	"github.com/buraksezer/consistent"
	"github.com/cespare/xxhash/v2"

	"github.com/lanewise/lanewise/fault"
)

// The settings of the ring, measured over 12, 16 and 64 shards: no shard above
// 1.11 times its share, and at most 0.2 % of keys moved without need when a shard
// joins or leaves. Changing any of them moves data: the golden test would fail.
const (
	replicationFactor = 500
	load              = 1.10
	maxVirtual        = 512 // members of the ring; above it a shard's share is too few partitions to be even
	maxName           = 128 // bytes
	weightStep        = 0.1
)

// pinned is the hash of the ring, independent of the library's defaults.
type pinned struct{}

// Sum64 returns the 64-bit xxHash of data with seed 0.
func (pinned) Sum64(data []byte) uint64 { return xxhash.Sum64(data) }

// replicaKey names the idx-th place of a member on the ring. The library's default has
// changed between versions, and every change moves data, so it is fixed here.
func replicaKey(name string, idx int) []byte {
	return append(strconv.AppendInt(nil, int64(idx), 10), ":"+name...)
}

// member is one unit of weight of a shard on the ring.
type member struct {
	name  string
	shard uint16
}

// String returns the name that is hashed.
func (m member) String() string { return m.name }

// validate checks a shard list before the library could panic on it, and returns
// how many ring members a weight of 1 stands for.
func validate(shards []Shard) (unit int, err error) {
	if len(shards) == 0 {
		return 0, fault.BadField("shards", "is empty: at least one shard is needed")
	}
	var errs []error
	seen := make(map[string]int, len(shards))
	for i, s := range shards {
		errs = append(errs, checkName(i, s.Name), checkWeight(i, s.Weight))
		if first, twice := seen[s.Name]; twice && s.Name != "" {
			errs = append(errs, fault.BadField(path(i, "name"), "%q is already the name of shards[%d]", s.Name, first))
		}
		seen[s.Name] = i
	}
	if err := errors.Join(errs...); err != nil {
		return 0, err
	}
	unit = unitOf(shards)
	if total := totalMembers(shards, unit); total > maxVirtual {
		return 0, fault.BadField("shards", "%d shards with weights that add up to %d units are more than the %d that %d partitions serve evenly",
			len(shards), total, maxVirtual, partitions)
	}
	return unit, nil
}

// path names a field of the i-th shard.
func path(i int, field string) string { return fmt.Sprintf("shards[%d].%s", i, field) }

func checkName(i int, name string) error {
	switch {
	case name == "":
		return fault.BadField(path(i, "name"), "is empty")
	case len(name) > maxName:
		return fault.BadField(path(i, "name"), "has %d bytes, more than %d", len(name), maxName)
	case strings.ContainsFunc(name, func(r rune) bool { return unicode.IsSpace(r) || !unicode.IsPrint(r) }):
		return fault.BadField(path(i, "name"), "%q contains a space or a control character", name)
	}
	return nil
}

func checkWeight(i int, weight float64) error {
	tenths := weight / weightStep
	switch {
	case math.IsNaN(weight) || math.IsInf(weight, 0) || weight < 0:
		return fault.BadField(path(i, "weight"), "%v is not a positive number", weight)
	case weight > maxVirtual:
		return fault.BadField(path(i, "weight"), "%v is more than %d", weight, maxVirtual)
	case math.Abs(tenths-math.Round(tenths)) > 1e-6:
		return fault.BadField(path(i, "weight"), "%v is not a multiple of %v", weight, weightStep)
	}
	return nil
}

// weightOf applies the default weight and takes rounding errors out of the steps.
func weightOf(s Shard) float64 {
	if s.Weight == 0 {
		return 1
	}
	return math.Round(s.Weight/weightStep) / 10
}

// unitOf returns the smallest number of ring members for a weight of 1 that gives
// every shard a whole number of them. It looks at no other property of the list,
// so a shard that joins with an ordinary weight leaves the others' members alone.
func unitOf(shards []Shard) int {
	for _, unit := range []int{1, 2, 5} {
		fits := true
		for _, s := range shards {
			n := weightOf(s) * float64(unit)
			fits = fits && math.Abs(n-math.Round(n)) < 1e-6
		}
		if fits {
			return unit
		}
	}
	return 10
}

// membersOf returns how many ring members a shard has.
func membersOf(s Shard, unit int) int { return int(math.Round(weightOf(s) * float64(unit))) }

func totalMembers(shards []Shard, unit int) int {
	total := 0
	for _, s := range shards {
		total += membersOf(s, unit)
	}
	return total
}

// place computes the owner of every partition. The shards must be valid and sorted.
func place(shards []Shard, unit int) *[partitions]uint16 {
	var ring []consistent.Member
	for i, s := range shards {
		for v := range membersOf(s, unit) {
			name := s.Name
			if v > 0 { // a name has no spaces, so no two members share one
				name += " " + strconv.Itoa(v)
			}
			ring = append(ring, member{name: name, shard: uint16(i)}) //nolint:gosec // at most maxVirtual shards
		}
	}
	table := consistent.New(ring, consistent.Config{
		Hasher:            pinned{},
		ReplicaKey:        replicaKey,
		PartitionCount:    partitions,
		ReplicationFactor: replicationFactor,
		Load:              load,
	})
	owners := new([partitions]uint16)
	for p := range owners {
		owners[p] = table.GetPartitionOwner(p).(member).shard
	}
	return owners
}

// describe renders names and weights, for comparison and for messages.
func describe(shards []Shard) string {
	words := make([]string, len(shards))
	for i, s := range shards {
		words[i] = s.Name
		if w := weightOf(s); w != 1 {
			words[i] += fmt.Sprintf(" (weight %g)", w)
		}
	}
	return strings.Join(words, ", ")
}
