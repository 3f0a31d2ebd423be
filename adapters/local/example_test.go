package local_test

import (
	"context"
	"fmt"
	"os"

	"github.com/lanewise/lanewise/adapters/local"
	"github.com/lanewise/lanewise/search"
)

func Example() {
	dir, err := os.MkdirTemp("", "store")
	if err != nil {
		panic(err)
	}
	defer func() { _ = os.RemoveAll(dir) }()
	store, err := local.Open(local.Config{Path: dir, Index: []string{"lang"}})
	if err != nil {
		panic(err)
	}
	defer func() { _ = store.Close() }()

	ctx := context.Background()
	docs := search.Collection{Name: "docs", Dims: 2, Metric: search.Cosine}
	if _, err := store.Write(ctx, search.Batch{Create: &docs}); err != nil {
		panic(err)
	}
	_, err = store.Write(ctx, search.Batch{Collection: "docs", Upserts: []search.Point{
		{Key: search.Key{ID: "a"}, Version: 1, Dense: []float32{1, 0}, Text: "ahead", Meta: []byte(`{"lang":"en"}`)},
		{Key: search.Key{ID: "b"}, Version: 1, Dense: []float32{0, 1}, Text: "links", Meta: []byte(`{"lang":"de"}`)},
		{Key: search.Key{ID: "c"}, Version: 1, Dense: []float32{3, 3}, Text: "half left", Meta: []byte(`{"lang":"en"}`)},
	}})
	if err != nil {
		panic(err)
	}
	english, err := search.ParseFilter([]byte(`{"lang":"en"}`))
	if err != nil {
		panic(err)
	}
	res, err := store.Search(ctx, search.Query{
		Collection: "docs", Filter: english, Fields: search.Fields{Text: true},
		Legs: []search.Leg{{Dense: []float32{0, 2}, K: 2}},
	})
	if err != nil {
		panic(err)
	}
	for _, hit := range res.Lists[0].Hits {
		fmt.Printf("%s %.3f %s\n", hit.ID, hit.Score, hit.Text)
	}
	// Output:
	// c 0.707 half left
	// a 0.000 ahead
}
