// Package shardmap says which shard holds which point.
//
// A key is hashed to one of 4093 partitions and every partition belongs to one
// shard. The table of owners is computed once, by consistent hashing with
// bounded loads (Mirrokni, Thorup, Zadimoghaddam, "Consistent Hashing with
// Bounded Loads", SODA 2018, as implemented by github.com/buraksezer/consistent),
// and is then only read: a lookup is a hash and an array access. A stored [Map]
// carries its table with it, so nothing but a [Plan] ever moves a partition.
//
// A Map is immutable and safe for concurrent use; every edit returns a copy with
// a higher epoch. [OpenFile] keeps a map in a checksummed file that one process
// at a time may write.
package shardmap

import (
	"maps"
	"slices"
	"strings"

	"github.com/lanewise/lanewise/fault"
	"github.com/lanewise/lanewise/search"
)

// partitions is P of the design: a prime, so that any hash spreads evenly, and
// large enough that 64 shards get 64 partitions each. It can never change: every
// stored map and every placed point depends on it.
const partitions = 4093

// Shard is a disjoint part of the data, held in full by each of its replicas.
type Shard struct {
	Name     string   // unique, at most 128 bytes, no spaces and no control characters
	Weight   float64  // share of the partitions relative to the other shards, in steps of 0.1; 0 means 1
	Replicas []string // names, for people and for checks; they do not affect placement
}

// Map is one version of the topology: the shards, the owner of every partition,
// and the collections with their aliases and tenant overrides.
type Map struct {
	epoch       uint64
	shards      []Shard             // by name
	owners      *[partitions]uint16 // shard index; never written after it was built
	all         []int               // every shard index, for routes
	single      [][]int             // single[i] is []int{i}
	collections map[string]*part
	aliases     map[string]string    // alias to collection
	canaries    map[string][]float32 // space to the vector of its canary text; vectors are never written to
	overridden  bool                 // whether any collection has overrides: spares the rest a map access
}

// part is what the map holds for one collection.
type part struct {
	descriptor search.Collection
	overrides  map[string][]int // tenant to shard indices, in the order given
}

// New places all partitions on the shards, and returns a map at epoch 1 without
// collections. The order of the list does not matter: shard indices follow the
// sorted names, as [Map.Shards] returns them. A list that cannot be placed is
// fault.Invalid, with the path of every bad entry, such as shards[2].weight.
//
// Placing takes about a second for 128 shards of weight 1, and grows with the square
// of the sum of the weights; a stored map is read without it.
func New(shards []Shard) (*Map, error) {
	virtual, err := validate(shards)
	if err != nil {
		return nil, err
	}
	sorted := sortShards(shards)
	m := &Map{epoch: 1, shards: sorted, owners: place(sorted, virtual)}
	m.index()
	return m, nil
}

// sortShards copies the list, ordered by name, with the default weights filled in.
func sortShards(shards []Shard) []Shard {
	sorted := slices.Clone(shards)
	for i := range sorted {
		sorted[i].Weight = weightOf(sorted[i])
		sorted[i].Replicas = slices.Clone(sorted[i].Replicas)
	}
	slices.SortFunc(sorted, func(a, b Shard) int { return strings.Compare(a.Name, b.Name) })
	return sorted
}

// index fills in what is derived from the shards and the collections.
func (m *Map) index() {
	m.all = make([]int, len(m.shards))
	m.single = make([][]int, len(m.shards))
	for i := range m.all {
		m.all[i] = i
		m.single[i] = m.all[i : i+1 : i+1]
	}
	m.overridden = false
	for _, p := range m.collections {
		m.overridden = m.overridden || len(p.overrides) > 0
	}
}

// Epoch returns the version of the map. It only ever grows.
func (m *Map) Epoch() uint64 { return m.epoch }

// Shards returns a copy of the shards, ordered by name. Shard indices everywhere
// in this package are positions in it.
func (m *Map) Shards() []Shard { return sortShards(m.shards) }

// Partitions returns the number of partitions, which is the same for every map.
func (m *Map) Partitions() int { return partitions }

// PartitionOwner returns the index of the shard that owns partition p, which must be in
// [0, Partitions()).
func (m *Map) PartitionOwner(p int) int { return int(m.owners[p]) }

// Collection returns the descriptor of a collection, or of the one that an alias
// of that name stands for.
func (m *Map) Collection(name string) (search.Collection, bool) {
	p, ok := m.collections[m.resolve(name)]
	if !ok {
		return search.Collection{}, false
	}
	return p.descriptor, true
}

// resolve follows an alias, if name is one.
func (m *Map) resolve(name string) string {
	if target, ok := m.aliases[name]; ok {
		return target
	}
	return name
}

// Collections returns the descriptors of all collections, ordered by name.
func (m *Map) Collections() []search.Collection {
	all := make([]search.Collection, 0, len(m.collections))
	for _, name := range slices.Sorted(maps.Keys(m.collections)) {
		all = append(all, m.collections[name].descriptor)
	}
	return all
}

// Aliases returns a copy of the aliases: alias to collection.
func (m *Map) Aliases() map[string]string { return maps.Clone(m.aliases) }

// Overrides returns the tenants of a collection that are placed by name and not by
// their hash, with the names of their shards. It copies; it is meant for tools.
func (m *Map) Overrides(collection string) map[string][]string {
	p, ok := m.collections[m.resolve(collection)]
	if !ok || len(p.overrides) == 0 {
		return nil
	}
	named := make(map[string][]string, len(p.overrides))
	for tenant, shards := range p.overrides {
		named[tenant] = m.names(shards)
	}
	return named
}

// names turns shard indices into shard names.
func (m *Map) names(indices []int) []string {
	names := make([]string, len(indices))
	for i, shard := range indices {
		names[i] = m.shards[shard].Name
	}
	return names
}

// find returns the index of the shard of that name, or -1.
func (m *Map) find(name string) int {
	i, ok := slices.BinarySearchFunc(m.shards, name, func(s Shard, name string) int { return strings.Compare(s.Name, name) })
	if !ok {
		return -1
	}
	return i
}

// Fits reports, as a fault.Conflict, how a configured shard list differs from the map's in
// what decides on placement: names and weights. Replicas may differ.
func (m *Map) Fits(shards []Shard) error {
	if _, err := validate(shards); err != nil {
		return err
	}
	have, want := describe(m.shards), describe(sortShards(shards))
	if have == want {
		return nil
	}
	return fault.New(fault.Conflict,
		"the configured shards (%s) are not those of the stored map at epoch %d (%s): "+
			"see what would move with \"lanewise plan\", then move it with \"lanewise apply\"", want, m.epoch, have)
}
