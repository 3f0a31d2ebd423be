package shardmap

import (
	"encoding/json"
	"math/bits"
	"slices"

	"github.com/cespare/xxhash/v2"

	"github.com/lanewise/lanewise/search"
)

// MaxSpread is the largest number of shards that a tenant's points can be spread
// over by Placement.Spread.
const MaxSpread = 64

// Owner returns the index of the one shard that holds a point of collection c. meta is
// the point's metadata; only placement by key looks at it, and a point without that
// field is placed by its id. Placement by id and by tenant allocates nothing.
func (m *Map) Owner(c search.Collection, k search.Key, meta json.RawMessage) int {
	if c.Placement.By == search.ByTenant {
		return m.tenantOwner(c, k)
	}
	return m.at(placeHash(c, k, meta))
}

// Route returns the indices of the shards that a query of a tenant must ask: all of
// them, except where placement by tenant knows better. The slice is shared: do
// not modify it.
func (m *Map) Route(c search.Collection, tenant string) []int {
	if c.Placement.By != search.ByTenant {
		return m.all
	}
	if shards := m.override(c.Name, tenant); shards != nil {
		return shards
	}
	spread := m.spread(c)
	if spread == 1 {
		return m.single[m.at(xxhash.Sum64String(tenant))]
	}
	slots := m.slots(xxhash.Sum64String(tenant), spread)
	return slots.shards(spread)
}

// Partition returns the partition that a point counts to, whatever the topology: for
// digests, counts and moves by partition. Its owner is [Map.PartitionOwner], except
// for points of overridden and of spread tenants, which [Map.Owner] places.
func (m *Map) Partition(c search.Collection, k search.Key, meta json.RawMessage) int {
	h := xxhash.Sum64String(k.Tenant)
	if c.Placement.By != search.ByTenant {
		h = placeHash(c, k, meta)
	}
	return int(h % partitions) //nolint:gosec // below partitions
}

// placeHash is what places a point by itself, without its tenant's other points.
func placeHash(c search.Collection, k search.Key, meta json.RawMessage) uint64 {
	if c.Placement.By == search.ByKey {
		if h, ok := fieldHash(meta, c.Placement.Key); ok {
			return h
		}
	}
	return keyHash(k)
}

// at returns the owner of the partition of a hash.
func (m *Map) at(h uint64) int { return int(m.owners[h%partitions]) }

// keyHash is the hash of a point's identity.
func keyHash(k search.Key) uint64 {
	h := xxhash.Sum64String(k.ID)
	if k.Tenant != "" {
		h ^= mix(xxhash.Sum64String(k.Tenant))
	}
	return h
}

// tenantOwner places a point with the rest of its tenant.
func (m *Map) tenantOwner(c search.Collection, k search.Key) int {
	if shards := m.override(c.Name, k.Tenant); shards != nil {
		return shards[pick(k.ID, len(shards))]
	}
	h := xxhash.Sum64String(k.Tenant)
	if c.Placement.Spread <= 1 {
		return m.at(h)
	}
	spread := m.spread(c)
	slot := pick(k.ID, spread)
	slots := m.slots(h, slot+1)
	return int(slots[slot])
}

// pick spreads ids evenly over n places.
func pick(id string, n int) int {
	hi, _ := bits.Mul64(mix(xxhash.Sum64String(id)), uint64(n)) //nolint:gosec // n is a small count
	return int(hi)                                              //nolint:gosec // below n
}

// spread returns over how many shards each tenant of c goes.
func (m *Map) spread(c search.Collection) int {
	return max(1, min(c.Placement.Spread, len(m.shards), MaxSpread))
}

// override returns the shards that a tenant was put on by name, or nil.
func (m *Map) override(collection, tenant string) []int {
	if !m.overridden {
		return nil
	}
	p := m.collections[collection]
	if p == nil {
		return nil
	}
	return p.overrides[tenant]
}

// slots are the shards of a spread tenant in the order of their slots.
type slots [MaxSpread]uint16

// slots draws the first n shards of a tenant, all different: shuffle sharding, so that
// few tenants share all of theirs. Every slot has its own sequence of partitions and
// takes the first whose owner no earlier slot has. A shard that joins or leaves
// therefore changes only the slots that it wins or loses.
func (m *Map) slots(tenant uint64, n int) (taken slots) {
	for slot := range n {
		taken[slot] = m.draw(tenant, slot, taken[:slot])
	}
	return taken
}

// draw finds the shard of one slot. After many collisions (a shard with a very small
// weight is the only one left) it takes the first free shard in order.
func (m *Map) draw(tenant uint64, slot int, taken []uint16) uint16 {
	const tries = 16 * MaxSpread
	for try := range tries {
		h := mix(tenant + uint64(slot*tries+try)*0x9e3779b97f4a7c15) //nolint:gosec // small and positive
		if shard := m.owners[h%partitions]; !slices.Contains(taken, shard) {
			return shard
		}
	}
	shard := uint16(0)
	for slices.Contains(taken, shard) {
		shard++
	}
	return shard
}

// shards returns the first n slots as shard indices.
func (s *slots) shards(n int) []int {
	out := make([]int, n)
	for i := range out {
		out[i] = int(s[i])
	}
	return out
}

// mix is the finaliser of SplitMix64 (Steele, Lea, Flood, OOPSLA 2014).
func mix(h uint64) uint64 {
	h = (h ^ h>>30) * 0xbf58476d1ce4e5b9
	h = (h ^ h>>27) * 0x94d049bb133111eb
	return h ^ h>>31
}
