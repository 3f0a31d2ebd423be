package adaptertest

import (
	"errors"

	"github.com/google/go-cmp/cmp"

	"github.com/lanewise/lanewise/fault"
	"github.com/lanewise/lanewise/search"
)

var writeChecks = []check{ //nolint:gochecknoglobals // a constant table
	{name: "an upsert replaces the point", run: writeUpsert},
	{name: "a deletion by key", run: writeDelete},
	{name: "an older version never overwrites", versions: true, run: writeVersions},
	{name: "a late retry does not bring a point back", versions: true, run: writeTombstone},
	{name: "a batch applies as a whole or not at all", conditional: true, run: writeAtomic},
	{name: "a lower epoch is refused", conditional: true, run: writeEpoch},
	{name: "create and drop", run: writeCollections},
}

func at(id string, v search.Version, x float32) search.Point {
	return search.Point{Key: search.Key{ID: id}, Version: v, Dense: []float32{x, 1}, Text: id}
}

func grave(id string, v search.Version) search.Tombstone {
	return search.Tombstone{Key: search.Key{ID: id}, Version: v}
}

func writeUpsert(b *bench) {
	b.create(docs, 2, search.Dot)
	first := at("a", 1, 1)
	first.Meta = []byte(`{"old":true,"keep":1}`)
	b.put(docs, first, at("b", 1, 2))
	second := search.Point{Key: search.Key{ID: "a"}, Version: 2, Dense: []float32{9, 9}, Text: "new", Meta: []byte(`{"new":true}`)}
	if out := b.put(docs, second); out.Applied != 1 {
		b.Errorf("got %+v, want one applied", out)
	}
	got := b.get(everything, search.Key{ID: "a"})
	if len(got) != 1 {
		b.Fatalf("got %d points, want 1", len(got))
	}
	samePoint(b, second, got[0])
	if diff := cmp.Diff([]string{"a", "b"}, b.ids("", []float32{1, 0}, 5)); diff != "" {
		b.Error(diff)
	}
	if n, err := b.store.Count(b.Context(), docs, "", search.Filter{}); n != 2 || err != nil {
		b.Errorf("count is %d (%v), want 2", n, err)
	}
}

func writeDelete(b *bench) {
	b.create(docs, 2, search.Dot)
	b.put(docs, at("a", 1, 1), at("b", 1, 2), at("c", 1, 3))
	b.write(search.Batch{Collection: docs, Deletes: []search.Tombstone{grave("b", 2), grave("nobody", 2)}})
	if diff := cmp.Diff([]string{"c", "a"}, b.ids("", []float32{1, 0}, 5)); diff != "" {
		b.Error(diff)
	}
	if got := b.get(everything, search.Key{ID: "b"}); len(got) != 0 {
		b.Errorf("a deleted point is still there: %+v", got)
	}
	b.put(docs, at("b", 3, 9))
	if diff := cmp.Diff([]string{"b", "c", "a"}, b.ids("", []float32{1, 0}, 5)); diff != "" {
		b.Errorf("written again: %s", diff)
	}
}

func writeVersions(b *bench) {
	b.create(docs, 2, search.Dot)
	b.put(docs, at("a", 10, 1))
	old := at("a", 9, 5)
	old.Text = "old"
	out := b.put(docs, old, at("b", 9, 2))
	if out.Applied != 1 || out.Newer != 10 {
		b.Errorf("got %+v, want one applied and 10 as the newer version", out)
	}
	if got := b.get(everything, search.Key{ID: "a"}); len(got) != 1 || got[0].Text != "a" || got[0].Version != 10 {
		b.Errorf("after an older write: got %+v", got)
	}
	if out := b.put(docs, at("a", 10, 1)); out.Newer != 0 {
		b.Errorf("the same write again: got %+v, want it accepted", out)
	}
	out = b.write(search.Batch{Collection: docs, Deletes: []search.Tombstone{grave("a", 8)}})
	if out.Applied != 0 || out.Newer != 10 {
		b.Errorf("an older deletion: got %+v", out)
	}
	if got := b.get(search.Fields{}, search.Key{ID: "a"}); len(got) != 1 {
		b.Error("an older deletion removed the point")
	}
}

func writeTombstone(b *bench) {
	b.create(docs, 2, search.Dot)
	b.put(docs, at("a", 10, 1))
	b.write(search.Batch{Collection: docs, Deletes: []search.Tombstone{grave("a", 20), grave("never", 20)}})
	out := b.put(docs, at("a", 15, 1), at("never", 15, 1))
	if out.Applied != 0 || out.Newer != 20 {
		b.Errorf("got %+v, want both stopped by version 20", out)
	}
	if got := b.ids("", []float32{1, 1}, 5); len(got) != 0 {
		b.Errorf("points came back: %v", got)
	}
	if out := b.put(docs, at("a", 21, 1)); out.Applied != 1 {
		b.Errorf("a newer write: got %+v", out)
	}
}

func writeAtomic(b *bench) {
	b.create(docs, 2, search.Dot)
	_, err := b.store.Write(b.Context(), search.Batch{Collection: docs, Upserts: []search.Point{
		at("a", 1, 1), {Key: search.Key{ID: "bad"}, Version: 1, Dense: []float32{1}},
	}})
	if !errors.Is(err, fault.Invalid) {
		b.Errorf("got %v, want invalid", err)
	}
	if got := b.ids("", []float32{1, 1}, 5); len(got) != 0 {
		b.Errorf("half of a refused batch was applied: %v", got)
	}
}

func writeEpoch(b *bench) {
	b.create(docs, 2, search.Dot)
	b.write(search.Batch{Collection: docs, Epoch: 7, Upserts: []search.Point{at("a", 1, 1)}})
	_, err := b.store.Write(b.Context(), search.Batch{Collection: docs, Epoch: 6, Upserts: []search.Point{at("b", 1, 1)}})
	if !errors.Is(err, fault.Conflict) {
		b.Errorf("a lower epoch: got %v, want a conflict", err)
	}
	b.write(search.Batch{Collection: docs, Epoch: 7, Upserts: []search.Point{at("c", 1, 1)}})
	b.write(search.Batch{Collection: docs, Upserts: []search.Point{at("d", 1, 1)}}) // no epoch: not checked
	if diff := cmp.Diff([]string{"a", "c", "d"}, b.ids("", []float32{1, 1}, 5)); diff != "" {
		b.Error(diff)
	}
}

func writeCollections(b *bench) {
	first := search.Collection{Name: docs, Dims: 2, Metric: search.Cosine, Space: "static-256", Language: "en"}
	b.write(search.Batch{Create: &first})
	b.write(search.Batch{Create: &first})
	other := first
	other.Dims = 3
	if _, err := b.store.Write(b.Context(), search.Batch{Create: &other}); !errors.Is(err, fault.Conflict) {
		b.Errorf("a create with other dims: got %v, want a conflict", err)
	}
	turned := first
	turned.Metric = search.Dot
	if _, err := b.store.Write(b.Context(), search.Batch{Create: &turned}); !errors.Is(err, fault.Conflict) {
		b.Errorf("a create with another metric: got %v, want a conflict", err)
	}
	b.put(docs, at("a", 5, 1))
	b.write(search.Batch{Collection: docs, Drop: true})
	if _, err := b.store.Count(b.Context(), docs, "", search.Filter{}); !errors.Is(err, fault.NotFound) {
		b.Errorf("after the drop: got %v, want not found", err)
	}
	b.write(search.Batch{Create: &other})
	b.put(docs, search.Point{Key: search.Key{ID: "z"}, Version: 1, Dense: []float32{1, 2, 3}})
	if diff := cmp.Diff([]string{"z"}, b.ids("", []float32{1, 1, 1}, 5)); diff != "" {
		b.Errorf("made again: %s", diff)
	}
}
