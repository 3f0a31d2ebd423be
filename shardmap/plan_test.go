package shardmap_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/lanewise/lanewise/fault"
	"github.com/lanewise/lanewise/search"
	"github.com/lanewise/lanewise/shardmap"
)

func newPlan(tb testing.TB, m *shardmap.Map, shards []shardmap.Shard) *shardmap.Plan {
	tb.Helper()
	p, err := shardmap.NewPlan(m, shards)
	if err != nil {
		tb.Fatal(err)
	}
	return p
}

func TestNewPlan_aShardJoins(t *testing.T) {
	m := withCollection(t, newMap(t, named(4)), collection("docs", search.Placement{}))
	c, _ := m.Collection("docs")
	p := newPlan(t, m, named(5))
	moved := 0
	for _, f := range p.Flows {
		moved += len(f.Partitions)
		for _, partition := range f.Partitions {
			from, to := m.Shards()[m.PartitionOwner(partition)].Name, p.Next().Shards()[p.Next().PartitionOwner(partition)].Name
			if from != f.From || to != f.To {
				t.Fatalf("partition %d: planned %s to %s, moves %s to %s", partition, f.From, f.To, from, to)
			}
		}
	}
	if moved != p.Partitions || moved < 700 || moved > 950 {
		t.Errorf("%d partitions in flows, %d in all, want about 819", moved, p.Partitions)
	}
	if p.Next().Epoch() != m.Epoch()+1 || len(p.Next().Collections()) != 1 || p.Before > 1.11 || p.After > 1.11 {
		t.Errorf("next epoch %d, balance %.3f, %.3f", p.Next().Epoch(), p.Before, p.After)
	}
	in, out, total := 0, 0, 0
	for _, s := range p.Shards {
		in, out, total = in+s.In, out+s.Out, total+s.After
		if s.Before-s.Out+s.In != s.After || s.Joins != (s.Name == "s4") {
			t.Errorf("%+v does not add up", s)
		}
	}
	if in != moved || out != moved || total != 4093 {
		t.Errorf("in %d, out %d, total %d", in, out, total)
	}
	checkCount(t, p, c)
}

// checkCount counts points and compares with the owners in both maps.
func checkCount(t *testing.T, p *shardmap.Plan, c search.Collection) {
	t.Helper()
	want := int64(0)
	for i := range 1000 {
		k := search.Key{ID: fmt.Sprint(i)}
		if _, _, moves := p.Moves(c, k, nil); moves {
			want++
		}
		p.Count(c, k, nil, 10)
	}
	var before, after, in, out, bytes int64
	for _, s := range p.Shards {
		before, after, in, out, bytes = before+s.PointsBefore, after+s.PointsAfter, in+s.PointsIn, out+s.PointsOut, bytes+s.BytesIn
	}
	if p.Points != want || p.Bytes != 10*want || in != want || out != want || bytes != 10*want || before != 1000 || after != 1000 {
		t.Errorf("plan of %d points: %d, in %d, out %d, bytes %d, before %d, after %d", want, p.Points, in, out, bytes, before, after)
	}
	text := p.String()
	for _, word := range []string{fmt.Sprintf("%d points", want), "joins, 1", "from epoch 2 to 3", "before"} {
		if !strings.Contains(text, word) {
			t.Errorf("the text does not say %q:\n%s", word, text)
		}
	}
}

func TestNewPlan_nothingMoves(t *testing.T) {
	m := newMap(t, named(3))
	shards := named(3)
	slices.Reverse(shards)
	shards[0].Replicas = []string{"new"}
	p := newPlan(t, m, shards)
	if p.Partitions != 0 || len(p.Flows) != 0 || p.Result != p.Placement || !strings.Contains(p.String(), "nothing moves") {
		t.Errorf("%s", p)
	}
	if got := p.Next().Shards()[2].Replicas; len(got) != 1 {
		t.Errorf("the new replicas are lost: %v", got)
	}
}

func TestNewPlan_refusesABadList(t *testing.T) {
	if _, err := shardmap.NewPlan(newMap(t, named(2)), nil); !errors.Is(err, fault.Invalid) {
		t.Errorf("%v, want fault.Invalid", err)
	}
}

func TestNewPlan_tenantsOnShardsThatLeave(t *testing.T) {
	m := withCollection(t, newMap(t, named(4)), collection("c", search.Placement{By: search.ByTenant}))
	m, err := m.WithOverrides("c", map[string][]string{"stays": {"s3"}, "loses one": {"s1", "s3"}, "loses all": {"s1"}})
	if err != nil {
		t.Fatal(err)
	}
	c, _ := m.Collection("c")
	p := newPlan(t, m, slices.Delete(named(4), 1, 2)) // indices shift
	hashed := p.Next().Shards()[p.Next().Owner(c, search.Key{Tenant: "loses all", ID: "x"}, nil)].Name
	want := []shardmap.TenantMove{
		{Collection: "c", Tenant: "loses all", From: []string{"s1"}, To: []string{hashed}},
		{Collection: "c", Tenant: "loses one", From: []string{"s1", "s3"}, To: []string{"s3"}},
	}
	if diff := cmp.Diff(want, p.Tenants); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	if got := p.Next().Overrides("c"); len(got) != 2 || got["stays"][0] != "s3" {
		t.Errorf("overrides afterwards: %v", got)
	}
	if got := m.Overrides("c"); len(got) != 3 {
		t.Errorf("the old map changed: %v", got)
	}
}

// Whatever the placement and the change, a point moves exactly if its shard's name changes, and only the
// moves that the plan names happen.
func TestNewPlan_movesEqualTheMaps(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		before, after := rapid.IntRange(1, 6).Draw(t, "before"), rapid.IntRange(1, 6).Draw(t, "after")
		c := collection("c", rapid.SampledFrom(placements()).Draw(t, "placement"))
		m, err := shardmap.New(named(before))
		if err != nil {
			t.Fatal(err)
		}
		p, err := shardmap.NewPlan(m, named(after))
		if err != nil {
			t.Fatal(err)
		}
		for i := range 100 {
			k, meta := search.Key{Tenant: fmt.Sprint(i % 7), ID: fmt.Sprint(i)}, json.RawMessage(fmt.Sprintf(`{"lang":%d}`, i%9))
			from, to, moves := p.Moves(c, k, meta)
			if from != m.Owner(c, k, meta) || to != p.Next().Owner(c, k, meta) || moves != (from != to) { // names are in the order of their numbers
				t.Fatalf("%v: %d to %d, moves %t", k, from, to, moves)
			}
		}
	})
}

func TestReadPlan(t *testing.T) {
	m := newMap(t, named(4))
	p := newPlan(t, m, named(5))
	data, err := json.Marshal(p)
	if err != nil {
		t.Fatal(err)
	}
	got, err := shardmap.ReadPlan(m.Raised(), data) // a later epoch, the same placement
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(p.Flows, got.Flows); diff != "" || got.Next().Epoch() != m.Epoch()+2 {
		t.Errorf("epoch %d, -want +got:\n%s", got.Next().Epoch(), diff)
	}
	other := newMap(t, named(6))
	edited := strings.Replace(string(data), `"name":"s4"`, `"name":"s9"`, 1)
	for name, c := range map[string]struct {
		m    *shardmap.Map
		data string
		want fault.Class
	}{
		"another placement": {other, string(data), fault.Conflict},
		"edited":            {m, edited, fault.Conflict},
		"no shards left":    {m, strings.ReplaceAll(string(data), `"weight":1`, `"weight":0`), fault.Invalid},
		"not a plan":        {m, "{", fault.Invalid},
	} {
		if _, err := shardmap.ReadPlan(c.m, []byte(c.data)); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %s", name, err, c.want)
		}
	}
}
