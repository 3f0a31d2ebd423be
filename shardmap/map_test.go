package shardmap_test

import (
	"errors"
	"fmt"
	"path/filepath"
	"testing"

	"github.com/lanewise/lanewise/fault"
	"github.com/lanewise/lanewise/search"
	"github.com/lanewise/lanewise/shardmap"
)

func named(n int) []shardmap.Shard {
	shards := make([]shardmap.Shard, n)
	for i := range shards {
		shards[i].Name = fmt.Sprintf("s%d", i)
	}
	return shards
}

func TestFile_roundTrip(t *testing.T) {
	path := filepath.Join(t.TempDir(), "map")
	f, err := shardmap.OpenFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := shardmap.OpenFile(path); !errors.Is(err, fault.Conflict) {
		t.Fatalf("second writer: %v", err)
	}
	if _, err := f.Load(); !errors.Is(err, fault.NotFound) {
		t.Fatalf("new file: %v", err)
	}
	m, err := shardmap.New(named(4))
	if err != nil {
		t.Fatal(err)
	}
	m, err = m.WithCollection(search.Collection{Name: "docs", Dims: 3, Metric: search.Cosine})
	if err != nil {
		t.Fatal(err)
	}
	if err := f.Save(m); err != nil {
		t.Fatal(err)
	}
	got, err := f.Load()
	if err != nil || got.Epoch() != m.Epoch() {
		t.Fatalf("%v %v", got, err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
}
