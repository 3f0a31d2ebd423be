package router

import (
	"context"
	"fmt"

	"github.com/lanewise/lanewise/search"
)

// ahead reports whether a companion has a newer version of a point than any replica, or one that none of
// them has. Such a write was never acknowledged, or a deletion did not reach the companion.
func (m *mending) ahead(key search.Key, held []map[search.Key]search.Point, best int) bool {
	newest, ok := held[best][key]
	for i := range held {
		if p, has := held[i][key]; m.replicas[i].words && has && (!ok || p.Version > newest.Version) {
			return true
		}
	}
	return false
}

// restate writes points as the replicas have them once more, as new ones: a companion that is ahead takes
// nothing older. The versions are taken before the points are read, so that a write which the reading has not seen is newer.
func (m *mending) restate(ctx context.Context, keys []search.Key) error {
	if len(keys) == 0 {
		return nil
	}
	_, release, err := m.r.alone(ctx)
	if err != nil {
		return err
	}
	defer release()
	first := m.r.clock.next(len(keys))
	if err := m.s.writes.drain(ctx); err != nil {
		return err
	}
	points, err := read(ctx, m.s, "get", func(ctx context.Context, store search.Store) ([]search.Point, error) {
		return store.Get(ctx, m.c.Name, keys, search.Fields{Text: true, Meta: true, Vector: true})
	})
	if err != nil {
		return err
	}
	b, there := search.Batch{Upserts: points}, versionsOf(points)
	for i, key := range keys {
		if _, ok := there[key]; !ok {
			b.Deletes = append(b.Deletes, search.Tombstone{Key: key, Version: first.at(i)})
		}
	}
	for i := range points {
		points[i].Version = first.at(i)
	}
	for i := range m.replicas {
		if _, err := m.write(ctx, i, b); err != nil {
			return fmt.Errorf("replica %s: %w", m.replicas[i].Name, err)
		}
	}
	m.done.Copied, m.done.Deleted = m.done.Copied+int64(len(points)), m.done.Deleted+int64(len(b.Deletes))
	return nil
}
