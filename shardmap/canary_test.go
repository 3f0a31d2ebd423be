package shardmap_test

import (
	"errors"
	"path/filepath"
	"slices"
	"testing"

	"github.com/lanewise/lanewise/fault"
	"github.com/lanewise/lanewise/search"
	"github.com/lanewise/lanewise/shardmap"
)

func withCanary(t *testing.T, m *shardmap.Map, space string, vector ...float32) *shardmap.Map {
	t.Helper()
	m, err := m.WithCanary(space, vector)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func TestWithCanary(t *testing.T) {
	m := full(t)
	before := m.Epoch()
	if m = withCanary(t, m, "static-256", 9, 9); !slices.Equal(m.Canary("static-256"), []float32{0.5, -0.25}) || m.Epoch() != before {
		t.Errorf("another canary replaced the first: %v, epoch %d", m.Canary("static-256"), m.Epoch())
	}
	if _, err := m.WithCanary("other", []float32{1}); !errors.Is(err, fault.NotFound) {
		t.Errorf("a canary of nobody's space: %v", err)
	}
	if _, err := m.WithCanary("", []float32{1}); !errors.Is(err, fault.NotFound) {
		t.Errorf("a canary of no space: %v", err)
	}
	v := m.Canary("static-256")
	v[0] = 7
	if got := m.Canary("static-256")[0]; got != 0.5 {
		t.Errorf("a caller changed the map: %v", got)
	}
}

// The canary outlives every edit but the end of the last collection of its space.
func TestWithCanary_livesAsLongAsItsSpace(t *testing.T) {
	m := full(t)
	second := search.Collection{Name: "second", Dims: 256, Metric: search.Cosine, Space: "static-256"}
	m = withCollection(t, m, second)
	plan, err := shardmap.NewPlan(m, []shardmap.Shard{{Name: "a", Weight: 2}, {Name: "c"}})
	if err != nil {
		t.Fatal(err)
	}
	for name, m := range map[string]*shardmap.Map{"edited": m, "planned": plan.Next(), "raised": m.Raised()} {
		if m.Canary("static-256") == nil {
			t.Errorf("%s: the canary is gone", name)
		}
	}
	first, err := m.WithoutCollection("more")
	if err != nil {
		t.Fatal(err)
	}
	last, err := first.WithoutCollection("second")
	if err != nil {
		t.Fatal(err)
	}
	if first.Canary("static-256") == nil || last.Canary("static-256") != nil || m.Canary("static-256") == nil {
		t.Errorf("after the first %v, after the last %v, in the old map %v",
			first.Canary("static-256"), last.Canary("static-256"), m.Canary("static-256"))
	}
}

// A canary does not fence off the writes that are under way, so it is stored
// without a new epoch. Anything else of the same epoch is refused.
func TestFile_storesACanaryInTheSameEpoch(t *testing.T) {
	path := filepath.Join(t.TempDir(), "map")
	f, err := shardmap.OpenFile(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close() //nolint:errcheck // a test's own file
	bare := withCollection(t, newMap(t, named(2)), search.Collection{Name: "c", Dims: 2, Metric: search.Cosine, Space: "s"})
	if err := f.Save(bare); err != nil {
		t.Fatal(err)
	}
	kept := withCanary(t, bare, "s", 1, 2)
	if err := f.Save(kept); err != nil {
		t.Fatalf("the map with a canary: %v", err)
	}
	stored, err := shardmap.Read(path)
	if err != nil || !slices.Equal(stored.Canary("s"), []float32{1, 2}) || stored.Epoch() != bare.Epoch() {
		t.Errorf("stored %v at epoch %d, %v", stored.Canary("s"), stored.Epoch(), err)
	}
	if err := f.Save(kept); !errors.Is(err, fault.Conflict) {
		t.Errorf("the same map again: %v", err)
	}
	other := withCollection(t, newMap(t, named(2)), search.Collection{Name: "d", Dims: 2, Metric: search.Cosine, Space: "s"})
	if err := f.Save(withCanary(t, other, "s", 3, 4)); !errors.Is(err, fault.Conflict) {
		t.Errorf("another map of the same epoch: %v", err)
	}
}
