package qdrant_test

import (
	"context"
	"fmt"

	"github.com/lanewise/lanewise/adapters/qdrant"
	"github.com/lanewise/lanewise/search"
)

func Example() {
	address, stop := demo() // elsewhere: host:port of a Qdrant
	defer stop()
	store, err := qdrant.New(qdrant.Config{Address: address, Prefix: "lanewise-"})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer store.Close() //nolint:errcheck // nothing is under way

	ctx := context.Background()
	for _, b := range []search.Batch{
		{Create: &search.Collection{Name: "docs", Dims: 2, Metric: search.Cosine}},
		{Collection: "docs", Upserts: []search.Point{
			{Key: search.Key{ID: "north"}, Version: 1, Dense: []float32{0, 1}},
			{Key: search.Key{ID: "east"}, Version: 2, Dense: []float32{1, 0}, Meta: []byte(`{"sunrise":true}`)},
		}},
	} {
		if _, err := store.Write(ctx, b); err != nil {
			fmt.Println(err)
			return
		}
	}
	res, err := store.Search(ctx, search.Query{Collection: "docs", Legs: []search.Leg{{Dense: []float32{1, 0}, K: 1}}, Fields: search.Fields{Meta: true}})
	if err != nil {
		fmt.Println(err)
		return
	}
	h := res.Lists[0].Hits[0]
	fmt.Println(h.ID, h.Score, string(h.Meta))
	// Output: east 1 {"sunrise":true}
}

// demo starts the test server.
func demo() (address string, stop func()) {
	r, err := newServer().listen("127.0.0.1:0", nil)
	if err != nil {
		panic(err)
	}
	return r.address, r.kill
}
