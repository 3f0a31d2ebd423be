package shardmap_test

import (
	"fmt"

	"github.com/lanewise/lanewise/search"
	"github.com/lanewise/lanewise/shardmap"
)

func Example() {
	m, err := shardmap.New([]shardmap.Shard{{Name: "north"}, {Name: "south"}, {Name: "west"}})
	if err != nil {
		panic(err)
	}
	m, err = m.WithCollection(search.Collection{
		Name: "docs", Dims: 256, Metric: search.Cosine,
		Placement: search.Placement{By: search.ByTenant},
	})
	if err != nil {
		panic(err)
	}
	docs, _ := m.Collection("docs")
	owner := m.Owner(docs, search.Key{Tenant: "acme", ID: "a"}, nil)
	fmt.Println("written to", m.Shards()[owner].Name)
	for _, shard := range m.Route(docs, "acme") {
		fmt.Println("searched on", m.Shards()[shard].Name)
	}
	// Output:
	// written to west
	// searched on west
}

func ExampleNewPlan() {
	m, err := shardmap.New([]shardmap.Shard{{Name: "north"}, {Name: "south"}})
	if err != nil {
		panic(err)
	}
	plan, err := shardmap.NewPlan(m, []shardmap.Shard{{Name: "north"}, {Name: "south"}, {Name: "west"}})
	if err != nil {
		panic(err)
	}
	fmt.Print(plan)
	// Output:
	// from epoch 1 to 2: 1431 of 4093 partitions move (35.0 %)
	// largest shard over its fair share: 1.004 before, 1.049 after
	//
	//   shard    weight  partitions  after    in  out
	//   north         1        2038   1331     0  707
	//   south         1        2055   1331     0  724
	//    west  joins, 1           0   1431  1431    0
}
