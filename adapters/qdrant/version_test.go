package qdrant_test

import (
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/lanewise/lanewise/adapters/qdrant"
	"github.com/lanewise/lanewise/fault"
	"github.com/lanewise/lanewise/search"
)

const docs = "docs"

// everything asks for all fields of a point.
var everything = search.Fields{Text: true, Meta: true, Vector: true} //nolint:gochecknoglobals // a constant

// create makes the collection docs of two dims under the inner product.
func create(t *testing.T, s search.Store) {
	t.Helper()
	write(t, s, search.Batch{Create: &search.Collection{Name: docs, Dims: 2, Metric: search.Dot}})
}

func write(t *testing.T, s search.Store, b search.Batch) search.Written {
	t.Helper()
	out, err := s.Write(t.Context(), b)
	if err != nil {
		t.Fatalf("write: %v", err)
	}
	return out
}

func put(t *testing.T, s search.Store, points ...search.Point) search.Written {
	t.Helper()
	return write(t, s, search.Batch{Collection: docs, Upserts: points})
}

func at(id string, v search.Version) search.Point {
	return search.Point{Key: search.Key{ID: id}, Version: v, Dense: []float32{1, float32(v % 100)}, Text: fmt.Sprint(v)}
}

func grave(id string, v search.Version) search.Tombstone {
	return search.Tombstone{Key: search.Key{ID: id}, Version: v}
}

// text is that of a stored point, or "none".
func text(t *testing.T, s search.Store, id string) string {
	t.Helper()
	points, err := s.Get(t.Context(), docs, []search.Key{{ID: id}}, everything)
	if err != nil {
		t.Fatalf("get: %v", err)
	}
	if len(points) == 0 {
		return "none"
	}
	return points[0].Text
}

// now is a version as the router stamps them: they need more than 53 bits.
const now = search.Version(1_800_000_000_000<<20 | 77)

// What the suite does not ask of an engine with Unconditional.
func TestVersions(t *testing.T) {
	for name, check := range map[string]func(*testing.T, *qdrant.Store){
		"an older write never overwrites":                versionsOlder,
		"a batch in which each point has its own":        versionsBatch,
		"a late write does not bring a point back":       versionsDeleted,
		"the newest of several writes of a key in batch": versionsTwice,
		"stats know the newest":                          versionsNewest,
		"of many writers at a time the newest wins":      versionsAtOnce,
	} {
		t.Run(name, func(t *testing.T) {
			s := fresh(t)
			create(t, s)
			check(t, s)
		})
	}
}

func versionsOlder(t *testing.T, s *qdrant.Store) {
	t.Helper()
	put(t, s, at("a", now))
	for _, older := range []search.Version{now - 1, now - 1<<20, 5} { // the counter, the clock, far away
		if out := put(t, s, at("a", older), at(fmt.Sprint("b", older), older)); out.Applied != 1 || out.Newer != now {
			t.Errorf("%d after %d: got %+v", older, now, out)
		}
	}
	if got := text(t, s, "a"); got != fmt.Sprint(now) {
		t.Errorf("an older write left %q", got)
	}
	if out := put(t, s, at("a", now)); out.Applied != 1 || out.Newer != 0 {
		t.Errorf("the same write again: got %+v", out)
	}
	if out := put(t, s, at("a", now+1)); out.Applied != 1 || text(t, s, "a") != fmt.Sprint(now+1) {
		t.Errorf("a newer write: got %+v", out)
	}
	out := write(t, s, search.Batch{Collection: docs, Deletes: []search.Tombstone{grave("a", now)}})
	if out.Applied != 0 || out.Newer != now+1 || text(t, s, "a") == "none" {
		t.Errorf("an older deletion: got %+v", out)
	}
}

// versionsBatch writes over points that are newer than the batch's first version
// and older than their own.
func versionsBatch(t *testing.T, s *qdrant.Store) {
	t.Helper()
	put(t, s, at("a", now+3), at("b", now+3), at("c", now+3), at("d", now))
	out := put(t, s, at("x", now+1), at("a", now+2), at("b", now+4), at("c", now+5), at("d", now+6))
	if out.Applied != 4 || out.Newer != now+3 {
		t.Errorf("got %+v, want four applied and one stopped", out)
	}
	for id, want := range map[string]search.Version{"x": now + 1, "a": now + 3, "b": now + 4, "c": now + 5, "d": now + 6} {
		if got := text(t, s, id); got != fmt.Sprint(want) {
			t.Errorf("%s is %s, want %d", id, got, want)
		}
	}
}

func versionsDeleted(t *testing.T, s *qdrant.Store) {
	t.Helper()
	put(t, s, at("a", now))
	out := write(t, s, search.Batch{Collection: docs, Deletes: []search.Tombstone{grave("a", now+9), grave("never", now+9)}})
	if out.Applied != 2 {
		t.Errorf("the deletion: got %+v", out)
	}
	if out := put(t, s, at("a", now+8), at("never", now+8)); out.Applied != 0 || out.Newer != now+9 {
		t.Errorf("late writes: got %+v", out)
	}
	if a, b := text(t, s, "a"), text(t, s, "never"); a != "none" || b != "none" {
		t.Errorf("points came back: %s, %s", a, b)
	}
	if n, err := s.Count(t.Context(), docs, "", search.Filter{}); n != 0 || err != nil {
		t.Errorf("count is %d (%v), want 0", n, err)
	}
	if out := put(t, s, at("a", now+10)); out.Applied != 1 || text(t, s, "a") == "none" {
		t.Errorf("a newer write: got %+v", out)
	}
}

func versionsTwice(t *testing.T, s *qdrant.Store) {
	t.Helper()
	out := put(t, s, at("a", now+2), at("a", now+1))
	if out.Applied != 2 || text(t, s, "a") != fmt.Sprint(now+2) {
		t.Errorf("got %+v and %s", out, text(t, s, "a"))
	}
	write(t, s, search.Batch{
		Collection: docs, Upserts: []search.Point{at("a", now+4)}, Deletes: []search.Tombstone{grave("a", now+5)},
	})
	if got := text(t, s, "a"); got != "none" {
		t.Errorf("written and then deleted: got %s", got)
	}
}

func versionsNewest(t *testing.T, s *qdrant.Store) {
	t.Helper()
	put(t, s, at("a", now+7), at("b", now-1<<21), at("c", now))
	write(t, s, search.Batch{Collection: docs, Deletes: []search.Tombstone{grave("c", now+9)}})
	all, err := s.Stats(t.Context(), docs)
	if err != nil || len(all) != 1 || all[0].Newest != now+9 || all[0].Points != 2 {
		t.Errorf("got %+v, %v, want two points and version %d", all, err, now+9)
	}
}

// versionsAtOnce writes each version of each key once, half of them as deletions, by
// writers of which none knows of another.
func versionsAtOnce(t *testing.T, s *qdrant.Store) {
	t.Helper()
	const writers, rounds = 8, 12
	var writing sync.WaitGroup
	for w := range writers {
		writing.Go(func() {
			for i := range rounds {
				v := now + search.Version(writers*((i*5+w)%rounds)+w) // no writer's versions rise
				b := search.Batch{Collection: docs, Upserts: []search.Point{at("a", v), at("b", v)}}
				if w%2 == 0 {
					b = search.Batch{Collection: docs, Deletes: []search.Tombstone{grave("a", v), grave("b", v)}}
				}
				if _, err := s.Write(t.Context(), b); err != nil {
					t.Error(err)
				}
			}
		})
	}
	writing.Wait()
	newest := fmt.Sprint(now + writers*rounds - 1) // by the last writer, which does not delete
	if a, b := text(t, s, "a"), text(t, s, "b"); a != newest || b != newest {
		t.Errorf("%s and %s are left, want %s", a, b, newest)
	}
}

func TestWrite_refusesLowerEpoch(t *testing.T) {
	s := fresh(t)
	create(t, s)
	write(t, s, search.Batch{Collection: docs, Epoch: 7, Upserts: []search.Point{at("a", 1)}})
	_, err := s.Write(t.Context(), search.Batch{Collection: docs, Epoch: 6, Upserts: []search.Point{at("b", 1)}})
	if !errors.Is(err, fault.Conflict) {
		t.Errorf("got %v, want a conflict", err)
	}
}

func TestWrite_removesMarksWhenTheirTimeIsOver(t *testing.T) {
	engine := newServer()
	s := open(t, qdrant.Config{Address: engine.serve(t, "127.0.0.1:0", nil).address, Remember: time.Nanosecond})
	create(t, s)
	for i := range 3 {
		write(t, s, search.Batch{Collection: docs, Deletes: []search.Tombstone{grave(fmt.Sprint(i), now)}})
		for start := time.Now().UnixMilli(); time.Now().UnixMilli() == start; { // marks count milliseconds
		}
	}
	engine.mu.RLock()
	defer engine.mu.RUnlock()
	if n := len(engine.shelf[docs].points); n > 1 {
		t.Errorf("%d marks are there, want that of the last deletion at most", n)
	}
}
