package router_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"github.com/lanewise/lanewise/adapters/local"
	"github.com/lanewise/lanewise/router"
	"github.com/lanewise/lanewise/search"
)

// Two shards on one machine, and a search over both.
func Example() {
	dir, err := os.MkdirTemp("", "lanewise-example-")
	if err != nil {
		panic(err)
	}
	defer os.RemoveAll(dir)

	var config router.Config
	for _, name := range []string{"s0", "s1"} {
		store, err := local.Open(local.Config{Path: filepath.Join(dir, name)})
		if err != nil {
			panic(err)
		}
		defer store.Close()
		config.Shards = append(config.Shards, router.Shard{
			Name:     name,
			Replicas: []router.Replica{{Name: "r0", Store: store}},
		})
	}
	r, err := router.New(config)
	if err != nil {
		panic(err)
	}
	defer r.Close()

	ctx := context.Background()
	if _, err := r.CreateCollection(ctx, search.Collection{Name: "colours", Dims: 3}); err != nil {
		panic(err)
	}
	_, err = r.Upsert(ctx, router.Upsert{Collection: "colours", Points: []search.Point{
		{Key: search.Key{ID: "red"}, Dense: []float32{1, 0, 0}},
		{Key: search.Key{ID: "orange"}, Dense: []float32{1, 0.5, 0}},
		{Key: search.Key{ID: "blue"}, Dense: []float32{0, 0, 1}},
	}})
	if err != nil {
		panic(err)
	}
	found, err := r.Retrieve(ctx, router.Request{Collection: "colours", Vector: []float32{1, 0.1, 0}, K: 2})
	if err != nil {
		panic(err)
	}
	for _, h := range found.Hits {
		fmt.Printf("%s %.3f\n", h.ID, h.Score)
	}
	fmt.Println("complete:", found.Report.Complete, "shards:", found.Report.ShardsAnswered)
	// Output:
	// red 0.995
	// orange 0.934
	// complete: true shards: 2
}
