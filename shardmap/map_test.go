package shardmap_test

import (
	"errors"
	"fmt"
	"math"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/lanewise/lanewise/fault"
	"github.com/lanewise/lanewise/search"
	"github.com/lanewise/lanewise/shardmap"
)

// named is a list of n shards s0, s1, …
func named(n int) []shardmap.Shard {
	shards := make([]shardmap.Shard, n)
	for i := range shards {
		shards[i].Name = fmt.Sprintf("s%d", i)
	}
	return shards
}

func newMap(tb testing.TB, shards []shardmap.Shard) *shardmap.Map {
	tb.Helper()
	m, err := shardmap.New(shards)
	if err != nil {
		tb.Fatal(err)
	}
	return m
}

// collection is a descriptor with the given placement.
func collection(name string, p search.Placement) search.Collection {
	return search.Collection{Name: name, Dims: 3, Metric: search.Cosine, Placement: p}
}

func withCollection(tb testing.TB, m *shardmap.Map, c search.Collection) *shardmap.Map {
	tb.Helper()
	m, err := m.WithCollection(c)
	if err != nil {
		tb.Fatal(err)
	}
	return m
}

func TestNew_refusesWhatCannotBePlaced(t *testing.T) {
	for name, c := range map[string]struct {
		shards []shardmap.Shard
		want   []string
	}{
		"no shards":       {nil, []string{"shards: is empty"}},
		"no name":         {[]shardmap.Shard{{Name: "a"}, {}}, []string{"shards[1].name: is empty"}},
		"same name":       {[]shardmap.Shard{{Name: "a"}, {Name: "b"}, {Name: "a"}}, []string{`shards[2].name: "a" is already the name of shards[0]`}},
		"space in name":   {[]shardmap.Shard{{Name: "a b"}}, []string{"shards[0].name"}},
		"control in name": {[]shardmap.Shard{{Name: "a\x00"}}, []string{"shards[0].name"}},
		"long name":       {[]shardmap.Shard{{Name: strings.Repeat("n", 129)}}, []string{"shards[0].name: has 129 bytes"}},
		"negative weight": {[]shardmap.Shard{{Name: "a", Weight: -1}}, []string{"shards[0].weight: -1"}},
		"NaN weight":      {[]shardmap.Shard{{Name: "a", Weight: math.NaN()}}, []string{"shards[0].weight: NaN"}},
		"infinite weight": {[]shardmap.Shard{{Name: "a", Weight: math.Inf(1)}}, []string{"shards[0].weight: +Inf"}},
		"tiny weight":     {[]shardmap.Shard{{Name: "a", Weight: 0.01}}, []string{"shards[0].weight: 0.01 is not a multiple of 0.1"}},
		"huge weight":     {[]shardmap.Shard{{Name: "a", Weight: 1e9}}, []string{"shards[0].weight"}},
		"too many":        {named(513), []string{"shards: 513 shards"}},
		"too heavy":       {[]shardmap.Shard{{Name: "a", Weight: 500}, {Name: "b", Weight: 13}}, []string{"shards: 2 shards with weights that add up to 513"}},
		"several at once": {[]shardmap.Shard{{}, {Name: "b", Weight: -2}}, []string{"shards[0].name", "shards[1].weight"}},
	} {
		_, err := shardmap.New(c.shards)
		if !errors.Is(err, fault.Invalid) {
			t.Errorf("%s: %v, want fault.Invalid", name, err)
			continue
		}
		for _, want := range c.want {
			if !strings.Contains(err.Error(), want) {
				t.Errorf("%s: %q does not say %q", name, err, want)
			}
		}
	}
}

func TestNew_sortsAndCopies(t *testing.T) {
	shards := []shardmap.Shard{{Name: "b", Weight: 2}, {Name: "a", Replicas: []string{"r0"}}}
	m := newMap(t, shards)
	shards[0].Name, shards[1].Replicas[0] = "changed", "changed"
	m.Shards()[0].Name = "changed, too"
	want := []shardmap.Shard{{Name: "a", Weight: 1, Replicas: []string{"r0"}}, {Name: "b", Weight: 2}}
	if diff := cmp.Diff(want, m.Shards()); diff != "" || m.Epoch() != 1 || m.Partitions() != 4093 {
		t.Fatalf("epoch %d, %d partitions, -want +got:\n%s", m.Epoch(), m.Partitions(), diff)
	}
}

func TestFits(t *testing.T) {
	m := newMap(t, named(3))
	if err := m.Fits([]shardmap.Shard{{Name: "s2", Weight: 1, Replicas: []string{"new"}}, {Name: "s0"}, {Name: "s1"}}); err != nil {
		t.Errorf("another order, other replicas: %v", err)
	}
	for name, shards := range map[string][]shardmap.Shard{
		"one more":       named(4),
		"one less":       named(2),
		"another weight": {{Name: "s0", Weight: 2}, {Name: "s1"}, {Name: "s2"}},
	} {
		err := m.Fits(shards)
		if !errors.Is(err, fault.Conflict) || !strings.Contains(err.Error(), "lanewise plan") || !strings.Contains(err.Error(), "lanewise apply") {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := m.Fits(nil); !errors.Is(err, fault.Invalid) {
		t.Errorf("no shards: %v", err)
	}
}

func TestWithCollection(t *testing.T) {
	empty := newMap(t, named(2))
	c := collection("docs", search.Placement{})
	m := withCollection(t, empty, c)
	got, ok := m.Collection("docs")
	c.Placement.By = search.ByID
	if !ok || got != c || m.Epoch() != 2 {
		t.Fatalf("%+v, %t, epoch %d", got, ok, m.Epoch())
	}
	if _, ok := empty.Collection("docs"); ok {
		t.Error("the old map changed")
	}
	if again := withCollection(t, m, c); again != m {
		t.Error("the same collection again made another map")
	}
	c.Dims = 4
	if _, err := m.WithCollection(c); !errors.Is(err, fault.Conflict) || !strings.Contains(err.Error(), "dims: 3 there, 4 asked for") {
		t.Errorf("other dims: %v", err)
	}
}

func TestWithCollection_refuses(t *testing.T) {
	m := newMap(t, named(2))
	for field, c := range map[string]search.Collection{
		"/name":              collection("", search.Placement{}),
		"/name ":             collection("a/b", search.Placement{}),
		"/name  ":            collection("-a", search.Placement{}),
		"/metric":            {Name: "c", Dims: 3, Metric: "manhattan"},
		"/dims":              {Name: "c", Metric: search.Dot},
		"/placement/by":      collection("c", search.Placement{By: "moon"}),
		"/placement/spread":  collection("c", search.Placement{By: search.ByID, Spread: 2}),
		"/placement/spread ": collection("c", search.Placement{By: search.ByTenant, Spread: 65}),
		"/placement/key":     collection("c", search.Placement{By: search.ByKey}),
		"/placement/key ":    collection("c", search.Placement{By: search.ByTenant, Key: "x"}),
	} {
		if _, err := m.WithCollection(c); !errors.Is(err, fault.Invalid) || fault.Field(err) != strings.TrimSpace(field) {
			t.Errorf("%+v: %v, want fault.Invalid at %s", c, err, field)
		}
	}
}

func TestAliases(t *testing.T) {
	m := withCollection(t, withCollection(t, newMap(t, named(2)), collection("v1", search.Placement{})), collection("v2", search.Placement{}))
	edit := func(m *shardmap.Map, err error) *shardmap.Map {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return m
	}
	first := edit(m.WithAlias("live", "v1"))
	second := edit(first.WithAlias("live", "v2"))
	if c, _ := first.Collection("live"); c.Name != "v1" {
		t.Errorf("first: live is %q", c.Name)
	}
	if c, _ := second.Collection("live"); c.Name != "v2" || second.Epoch() != first.Epoch()+1 {
		t.Errorf("second: live is %q at epoch %d", c.Name, second.Epoch())
	}
	chained := edit(second.WithAlias("again", "live"))
	if diff := cmp.Diff(map[string]string{"live": "v2", "again": "v2"}, chained.Aliases()); diff != "" {
		t.Error(diff)
	}
	gone := edit(chained.WithoutCollection("v2"))
	if len(gone.Aliases()) != 0 || len(gone.Collections()) != 1 {
		t.Errorf("aliases %v, collections %v", gone.Aliases(), gone.Collections())
	}
	if back := edit(second.WithAlias("live", "")); len(back.Aliases()) != 0 {
		t.Errorf("removed alias: %v", back.Aliases())
	}
	for name, c := range map[string]struct {
		err  error
		want fault.Class
	}{
		"alias of nothing":         {failure(second.WithAlias("x", "nope")), fault.NotFound},
		"alias like a collection":  {failure(second.WithAlias("v1", "v2")), fault.Conflict},
		"no such alias":            {failure(second.WithAlias("nope", "")), fault.NotFound},
		"bad alias":                {failure(second.WithAlias("a b", "v1")), fault.Invalid},
		"collection like an alias": {failure(second.WithCollection(collection("live", search.Placement{}))), fault.Conflict},
		"drop through an alias":    {failure(second.WithoutCollection("live")), fault.NotFound},
	} {
		if !errors.Is(c.err, c.want) {
			t.Errorf("%s: %v, want %s", name, c.err, c.want)
		}
	}
}

// failure returns the error of an edit.
func failure(_ *shardmap.Map, err error) error { return err }

// TestWithCollection_addsWords: the one change of a collection that is no conflict.
func TestWithCollection_addsWords(t *testing.T) {
	m := full(t)
	c, _ := m.Collection("docs")
	c.Lexical, c.AvgLen, c.Language = true, 80, "en"
	next, err := m.WithCollection(c)
	if err != nil {
		t.Fatal(err)
	}
	if got, _ := next.Collection("docs"); got != c || next.Epoch() != m.Epoch()+1 || len(next.Overrides("docs")) != 1 {
		t.Errorf("got %+v at epoch %d with overrides %v", got, next.Epoch(), next.Overrides("docs"))
	}
	c.AvgLen = 90
	if _, err := next.WithCollection(c); !errors.Is(err, fault.Conflict) || !strings.Contains(err.Error(), "avg_len: 80 there, 90 asked for") {
		t.Errorf("another average: %v", err)
	}
}
