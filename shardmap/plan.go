package shardmap

import (
	"cmp"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/lanewise/lanewise/fault"
	"github.com/lanewise/lanewise/search"
)

// Plan says what a new list of shards would move. It changes nothing by itself: its [Plan.Next]
// takes the old map's place once everything that moves has been copied and verified. Its JSON
// form is read back by [ReadPlan].
//
// Points and bytes are 0 until they are counted. A Plan is safe for concurrent use except for
// [Plan.Count].
type Plan struct {
	Epoch      uint64        `json:"epoch"`      // of the map that it starts from
	Placement  string        `json:"placement"`  // fingerprint of that map's placement
	Result     string        `json:"result"`     // fingerprint of the placement afterwards
	Partitions int           `json:"partitions"` // that move
	Points     int64         `json:"points"`     // that move, where counted
	Bytes      int64         `json:"bytes"`      // of those
	Before     float64       `json:"balance_before"`
	After      float64       `json:"balance_after"` // largest ratio of a shard's partitions to its fair share; 1 is perfect
	Shards     []ShardChange `json:"shards"`
	Flows      []Flow        `json:"flows"`
	Tenants    []TenantMove  `json:"tenants,omitempty"`

	old, next *Map
}

// ShardChange is what a plan does to one shard.
type ShardChange struct {
	Name         string   `json:"name"`
	Weight       float64  `json:"weight"` // 0: the shard leaves
	Replicas     []string `json:"replicas,omitempty"`
	Joins        bool     `json:"joins,omitempty"`
	Before       int      `json:"partitions_before"`
	After        int      `json:"partitions_after"`
	In           int      `json:"partitions_in"`
	Out          int      `json:"partitions_out"`
	PointsBefore int64    `json:"points_before"`
	PointsAfter  int64    `json:"points_after"`
	PointsIn     int64    `json:"points_in"`
	PointsOut    int64    `json:"points_out"`
	BytesIn      int64    `json:"bytes_in"`
	BytesOut     int64    `json:"bytes_out"`
}

// Flow is all partitions that move from one shard to another, in ascending order.
type Flow struct {
	From       string `json:"from"`
	To         string `json:"to"`
	Partitions []int  `json:"partitions"`
}

// TenantMove is a tenant that was placed by name on a shard that leaves.
type TenantMove struct {
	Collection string   `json:"collection"`
	Tenant     string   `json:"tenant"`
	From       []string `json:"from"`
	To         []string `json:"to"` // the named shards that stay or, if none does, where its hash puts it
}

// NewPlan computes what would move if shards became the list of m. The collections, aliases and
// overrides stay; an override loses the shards that leave. A list that cannot be placed is
// fault.Invalid.
//
// A fresh placement of the new list would also move partitions between shards that nothing happens to,
// where one of them was or gets full. Such detours are taken out again.
func NewPlan(m *Map, shards []Shard) (*Plan, error) {
	unit, err := validate(shards)
	if err != nil {
		return nil, err
	}
	next := m.edited()
	next.shards = sortShards(shards)
	if describe(next.shards) != describe(m.shards) {
		next.owners = place(next.shards, unit)
		settle(m, next, unit)
	}
	p := &Plan{Epoch: m.epoch, Placement: m.fingerprint(), Result: next.fingerprint(), old: m, next: next}
	p.carryOverrides()
	next.index()
	p.compareShards()
	p.compareOwners()
	p.Before, p.After = balance(m), balance(next)
	return p, nil
}

// ReadPlan reads the JSON form of a plan that was made for m, or for an earlier epoch of m with the same
// placement. It recomputes the plan and refuses, as a fault.Conflict, one that would not do
// now what it said when it was made.
func ReadPlan(m *Map, data []byte) (*Plan, error) {
	var stored Plan
	if err := json.Unmarshal(data, &stored); err != nil {
		return nil, fault.Wrap(fault.Invalid, "read plan", err)
	}
	if stored.Placement != m.fingerprint() {
		return nil, fault.New(fault.Conflict, "the plan was made for another placement than that of the map at epoch %d: make a new one", m.epoch)
	}
	var shards []Shard
	for _, s := range stored.Shards {
		if s.Weight > 0 {
			shards = append(shards, Shard{Name: s.Name, Weight: s.Weight, Replicas: s.Replicas})
		}
	}
	p, err := NewPlan(m, shards)
	if err != nil {
		return nil, fmt.Errorf("read plan: %w", err)
	}
	if p.Result != stored.Result {
		return nil, fault.New(fault.Conflict, "the plan leads to another placement than when it was made: it was edited, or made by another version; make a new one")
	}
	return p, nil
}

// Applied reports whether m is, in what decides on placement, the result of a plan in its JSON form:
// then all that may be left of it is to remove points from where they were.
func Applied(m *Map, data []byte) (bool, error) {
	var stored Plan
	if err := json.Unmarshal(data, &stored); err != nil {
		return false, fault.Wrap(fault.Invalid, "read plan", err)
	}
	return stored.Result != "" && stored.Result == m.fingerprint(), nil
}

// Next returns the map that is in force once the plan is carried out. Its epoch is one above that
// of the map the plan was made for.
func (p *Plan) Next() *Map { return p.next }

// Moves reports whether a point changes its shard, and gives the index of its shard in the old and
// in the new map. It holds for every placement, tenants by name included.
func (p *Plan) Moves(c search.Collection, k search.Key, meta json.RawMessage) (from, to int, moves bool) {
	from, to = p.old.Owner(c, k, meta), p.next.Owner(c, k, meta)
	return from, to, p.old.shards[from].Name != p.next.shards[to].Name
}

// Count adds a stored point of so many bytes to the plan's figures. Points of external collections stay
// where they are and are not counted.
func (p *Plan) Count(c search.Collection, k search.Key, meta json.RawMessage, bytes int64) {
	if c.Placement.By == search.ByExternal {
		return
	}
	from, to, moves := p.Moves(c, k, meta)
	source, target := p.change(p.old.shards[from].Name), p.change(p.next.shards[to].Name)
	source.PointsBefore++
	target.PointsAfter++
	if !moves {
		return
	}
	p.Points, p.Bytes = p.Points+1, p.Bytes+bytes
	source.PointsOut, source.BytesOut = source.PointsOut+1, source.BytesOut+bytes
	target.PointsIn, target.BytesIn = target.PointsIn+1, target.BytesIn+bytes
}

// change finds a shard's entry.
func (p *Plan) change(name string) *ShardChange {
	i, _ := slices.BinarySearchFunc(p.Shards, name, func(s ShardChange, name string) int { return strings.Compare(s.Name, name) })
	return &p.Shards[i]
}

// compareShards lists the shards of both maps, by name.
func (p *Plan) compareShards() {
	for _, s := range p.next.shards {
		p.Shards = append(p.Shards, ShardChange{Name: s.Name, Weight: s.Weight, Replicas: s.Replicas, Joins: p.old.find(s.Name) < 0})
	}
	for _, s := range p.old.shards {
		if p.next.find(s.Name) < 0 {
			p.Shards = append(p.Shards, ShardChange{Name: s.Name})
		}
	}
	slices.SortFunc(p.Shards, func(a, b ShardChange) int { return strings.Compare(a.Name, b.Name) })
}

// compareOwners finds the partitions that move.
func (p *Plan) compareOwners() {
	flows := make(map[[2]string][]int)
	for i := range partitions {
		from, to := p.old.shards[p.old.owners[i]].Name, p.next.shards[p.next.owners[i]].Name
		source, target := p.change(from), p.change(to)
		source.Before++
		target.After++
		if from != to {
			source.Out++
			target.In++
			p.Partitions++
			flows[[2]string{from, to}] = append(flows[[2]string{from, to}], i)
		}
	}
	for ends, moved := range flows {
		p.Flows = append(p.Flows, Flow{From: ends[0], To: ends[1], Partitions: moved})
	}
	slices.SortFunc(p.Flows, func(a, b Flow) int { return cmp.Or(strings.Compare(a.From, b.From), strings.Compare(a.To, b.To)) })
}

// carryOverrides rewrites the overrides, which hold shard indices, for the new list.
func (p *Plan) carryOverrides() {
	for _, name := range slices.Sorted(maps.Keys(p.old.collections)) {
		old := p.old.collections[name]
		if len(old.overrides) == 0 {
			continue
		}
		now := &part{descriptor: old.descriptor, overrides: make(map[string][]int, len(old.overrides))}
		p.next.collections[name] = now
		for tenant, shards := range old.overrides {
			if kept := p.carry(shards); len(kept) > 0 {
				now.overrides[tenant] = kept
			}
		}
	}
	p.next.index()
	p.compareTenants()
}

// carry turns shard indices of the old map into those of the new one, without the shards that leave.
func (p *Plan) carry(shards []int) (kept []int) {
	for _, shard := range shards {
		if i := p.next.find(p.old.shards[shard].Name); i >= 0 {
			kept = append(kept, i)
		}
	}
	return kept
}

// compareTenants lists the tenants whose named shards change.
func (p *Plan) compareTenants() {
	for _, c := range p.old.Collections() {
		overrides := p.old.collections[c.Name].overrides
		for _, tenant := range slices.Sorted(maps.Keys(overrides)) {
			from, to := p.old.names(overrides[tenant]), p.next.names(p.next.Route(c, tenant))
			if !slices.Equal(from, to) {
				p.Tenants = append(p.Tenants, TenantMove{Collection: c.Name, Tenant: tenant, From: from, To: to})
			}
		}
	}
}

// fingerprint identifies a placement: the shards with their weights and all owners.
func (m *Map) fingerprint() string {
	h := sha256.New()
	_, _ = fmt.Fprintf(h, "%s\n", describe(m.shards)) // writing to a hash cannot fail
	_ = binary.Write(h, binary.LittleEndian, m.owners[:])
	return hex.EncodeToString(h.Sum(nil)[:16])
}

// balance returns the largest ratio of a shard's partitions to its fair share.
func balance(m *Map) float64 {
	counts, weights, worst := make([]int, len(m.shards)), 0.0, 0.0
	for _, owner := range m.owners {
		counts[owner]++
	}
	for _, s := range m.shards {
		weights += s.Weight
	}
	for i, s := range m.shards {
		worst = max(worst, float64(counts[i])*weights/(s.Weight*partitions))
	}
	return worst
}
