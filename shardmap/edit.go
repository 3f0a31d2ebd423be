package shardmap

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/lanewise/lanewise/fault"
	"github.com/lanewise/lanewise/search"
)

// edited returns a copy with the next epoch whose collections and aliases may be changed.
func (m *Map) edited() *Map {
	next := *m
	next.epoch++
	next.collections = maps.Clone(m.collections)
	next.aliases = maps.Clone(m.aliases)
	if next.collections == nil {
		next.collections = make(map[string]*part)
	}
	if next.aliases == nil {
		next.aliases = make(map[string]string)
	}
	return &next
}

// Raised returns a copy of the map with the next epoch and nothing else changed: what a
// router stores when it takes the lock.
func (m *Map) Raised() *Map { return m.edited() }

// WithCollection returns a copy of the map that holds c. A collection that is there
// already in the same form yields m itself; one that [search.Collection.Accepts] c
// becomes c; in another form it is a fault.Conflict. A descriptor that makes no sense is fault.Invalid.
func (m *Map) WithCollection(c search.Collection) (*Map, error) {
	if c.Placement.By == "" {
		c.Placement.By = search.ByID
	}
	if err := checkCollection(c); err != nil {
		return nil, err
	}
	if target, ok := m.aliases[c.Name]; ok {
		return nil, fault.New(fault.Conflict, "%q is an alias of collection %q", c.Name, target)
	}
	if old, ok := m.collections[c.Name]; ok {
		if old.descriptor == c {
			return m, nil
		}
		if !old.descriptor.Accepts(c) {
			return nil, fault.New(fault.Conflict, "collection %q exists and differs in %s", c.Name, difference(old.descriptor, c))
		}
		next := m.edited()
		changed := *old
		changed.descriptor = c
		next.collections[c.Name] = &changed
		return next, nil
	}
	next := m.edited()
	next.collections[c.Name] = &part{descriptor: c}
	return next, nil
}

// WithoutCollection returns a copy of the map without a collection, its overrides and the
// aliases that stand for it. The name must be the collection's own; an unknown one is
// fault.NotFound.
func (m *Map) WithoutCollection(name string) (*Map, error) {
	if _, ok := m.collections[name]; !ok {
		return nil, m.notFound(name)
	}
	next := m.edited()
	delete(next.collections, name)
	maps.DeleteFunc(next.aliases, func(_, target string) bool { return target == name })
	next.canaries = maps.Clone(m.canaries)
	maps.DeleteFunc(next.canaries, func(space string, _ []float32) bool { return !next.has(space) })
	next.index()
	return next, nil
}

// WithAlias returns a copy of the map in which alias stands for a collection, whatever it stood
// for before; an empty collection removes the alias. An unknown collection or alias is
// fault.NotFound, an alias with the name of a collection a fault.Conflict.
func (m *Map) WithAlias(alias, collection string) (*Map, error) {
	if collection == "" {
		return m.withoutAlias(alias)
	}
	if err := checkCollectionName("/alias", alias); err != nil {
		return nil, err
	}
	if _, ok := m.collections[alias]; ok {
		return nil, fault.New(fault.Conflict, "%q is a collection", alias)
	}
	target := m.resolve(collection)
	if _, ok := m.collections[target]; !ok {
		return nil, m.notFound(collection)
	}
	next := m.edited()
	next.aliases[alias] = target
	return next, nil
}

func (m *Map) withoutAlias(alias string) (*Map, error) {
	if _, ok := m.aliases[alias]; !ok {
		return nil, fault.New(fault.NotFound, "there is no alias %q", alias)
	}
	next := m.edited()
	delete(next.aliases, alias)
	return next, nil
}

// WithOverrides returns a copy of the map in which the named tenants of a collection live on exactly
// these shards (their points spread over them by id), whatever their hash says; an
// empty list takes a tenant's override away. Other tenants keep theirs. It only changes where points are
// looked for: moving them is the caller's business.
//
// The collection must be placed by tenant, and shards are given by name. One call costs a
// copy of all overrides of the collection.
func (m *Map) WithOverrides(collection string, tenants map[string][]string) (*Map, error) {
	name := m.resolve(collection)
	old, ok := m.collections[name]
	if !ok {
		return nil, m.notFound(collection)
	}
	if old.descriptor.Placement.By != search.ByTenant {
		return nil, fault.New(fault.Invalid, "collection %q is placed by %s: only tenants of a collection placed by tenant can be put on shards by name",
			name, old.descriptor.Placement.By)
	}
	overrides := make(map[string][]int, len(old.overrides)+len(tenants))
	maps.Copy(overrides, old.overrides)
	for tenant, shards := range tenants {
		if err := m.setOverride(overrides, tenant, shards); err != nil {
			return nil, err
		}
	}
	next := m.edited()
	next.collections[name] = &part{descriptor: old.descriptor, overrides: overrides}
	next.index()
	return next, nil
}

// setOverride sets or removes one tenant's shards.
func (m *Map) setOverride(overrides map[string][]int, tenant string, shards []string) error {
	if len(shards) == 0 {
		delete(overrides, tenant)
		return nil
	}
	indices := make([]int, 0, len(shards))
	for _, name := range shards {
		i := m.find(name)
		if i < 0 {
			return fault.New(fault.Invalid, "override of tenant %q: there is no shard %q", tenant, name)
		}
		if slices.Contains(indices, i) {
			return fault.New(fault.Invalid, "override of tenant %q: shard %q is named twice", tenant, name)
		}
		indices = append(indices, i)
	}
	overrides[tenant] = indices
	return nil
}

func (m *Map) notFound(collection string) error {
	return fault.New(fault.NotFound, "there is no collection %q", collection)
}

// checkCollection validates a descriptor.
func checkCollection(c search.Collection) error {
	if err := checkCollectionName("/name", c.Name); err != nil {
		return err
	}
	switch c.Metric {
	case search.Cosine, search.Dot, search.Euclidean:
	default:
		return fault.BadField("/metric", "%q is none of %s, %s, %s", c.Metric, search.Cosine, search.Dot, search.Euclidean)
	}
	if c.Dims < 1 {
		return fault.BadField("/dims", "is %d, and must be at least 1", c.Dims)
	}
	return checkPlacement(c.Placement)
}

func checkPlacement(p search.Placement) error {
	switch p.By {
	case search.ByID, search.ByTenant, search.ByKey, search.ByExternal:
	default:
		return fault.BadField("/placement/by", "%q is none of %s, %s, %s, %s", p.By, search.ByID, search.ByTenant, search.ByKey, search.ByExternal)
	}
	switch {
	case p.Spread != 0 && p.By != search.ByTenant:
		return fault.BadField("/placement/spread", "only a placement by tenant has a spread")
	case p.Spread < 0 || p.Spread > MaxSpread:
		return fault.BadField("/placement/spread", "is %d, and must be between 1 and %d", p.Spread, MaxSpread)
	case p.By == search.ByKey && p.Key == "":
		return fault.BadField("/placement/key", "is missing: the path of the metadata field that places a point")
	case p.By != search.ByKey && p.Key != "":
		return fault.BadField("/placement/key", "only a placement by key has a key")
	}
	return nil
}

// checkCollectionName keeps names fit for URLs and for the engines behind the adapters.
func checkCollectionName(field, name string) error {
	const marks = "_-."
	fits := func(i int, r rune) bool {
		letter := r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9'
		return letter || i > 0 && strings.ContainsRune(marks, r)
	}
	if name == "" || len(name) > maxName {
		return fault.BadField(field, "%q must have between 1 and %d characters", name, maxName)
	}
	for i, r := range name {
		if !fits(i, r) {
			return fault.BadField(field, "%q may hold letters, digits and %q, and starts with a letter or a digit", name, marks)
		}
	}
	return nil
}

// difference names the first field in which two descriptors differ.
func difference(old, now search.Collection) string {
	for _, f := range []struct {
		name   string
		is, by any
	}{
		{"dims", old.Dims, now.Dims},
		{"metric", old.Metric, now.Metric},
		{"space", old.Space, now.Space},
		{"strict_space", old.StrictSpace, now.StrictSpace},
		{"placement", old.Placement, now.Placement},
		{"language", old.Language, now.Language},
		{"lexical", old.Lexical, now.Lexical},
		{"avg_len", old.AvgLen, now.AvgLen},
	} {
		if f.is != f.by {
			return fmt.Sprintf("%s: %v there, %v asked for", f.name, f.is, f.by)
		}
	}
	return "another setting"
}
