package router_test

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/lanewise/lanewise/fault"
	"github.com/lanewise/lanewise/router"
	"github.com/lanewise/lanewise/search"
)

func TestNew_refusesAnotherShardListThanTheMaps(t *testing.T) {
	path := filepath.Join(t.TempDir(), "map.json")
	open := func(shards int) (*router.Router, error) {
		c := router.Config{MapPath: path}
		for i := range shards {
			c.Shards = append(c.Shards, router.Shard{Name: fmt.Sprint("s", i), Replicas: []router.Replica{{Name: "r0", Store: after(0)}}})
		}
		return router.New(c)
	}
	r, err := open(2)
	if err != nil {
		t.Fatal(err)
	}
	create(t, r, search.Collection{Name: "docs", Dims: 2})
	if _, err := open(2); err == nil {
		t.Error("a second router took the map's lock")
	}
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := open(3); fault.Of(err) != fault.Conflict {
		t.Errorf("three shards on a map of two: err %v", err)
	}
	if r, err = open(2); err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if got := r.Collections(); len(got) != 1 || got[0].Name != "docs" {
		t.Errorf("collections %v", got)
	}
}

func TestNew_takesOverTheCollectionsOfItsStores(t *testing.T) {
	stores := locals(t, 2)
	c := router.Config{Shards: []router.Shard{{Name: "s0", Replicas: []router.Replica{{Name: "r0", Store: stores[0]}, {Name: "r1", Store: stores[1]}}}}}
	first, err := router.New(c)
	if err != nil {
		t.Fatal(err)
	}
	create(t, first, search.Collection{Name: "docs", Dims: 2})
	upsert(t, first, "docs", "", numbered(10)...)
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	second, err := router.New(c)
	if err != nil {
		t.Fatal(err)
	}
	defer second.Close()
	if n, err := second.Count(t.Context(), "docs", "", search.Filter{}); err != nil || n != 10 {
		t.Fatalf("%d points, err %v", n, err)
	}
}

func TestNew_namesWhatIsWrong(t *testing.T) {
	ok := router.Replica{Name: "r0", Store: after(0)}
	for want, shards := range map[string][]router.Shard{
		"shards[0].replicas":          {{Name: "s0"}},
		"shards[0].replicas[0].name":  {{Name: "s0", Replicas: []router.Replica{{Store: after(0)}}}},
		"shards[0].replicas[1].name":  {{Name: "s0", Replicas: []router.Replica{ok, ok}}},
		"shards[0].replicas[0].store": {{Name: "s0", Replicas: []router.Replica{{Name: "r0"}}}},
		"shards":                      nil,
	} {
		if _, err := router.New(router.Config{Shards: shards}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: err %v", want, err)
		}
	}
}
