package bm25_test

import (
	"fmt"

	"github.com/lanewise/lanewise/embed/bm25"
	"github.com/lanewise/lanewise/search"
)

func Example() {
	words, err := bm25.New(bm25.Config{Language: "en"})
	if err != nil {
		fmt.Println(err)
		return
	}
	stored := words.Document("Reader is the interface that wraps the basic Read method.")
	terms := words.Query("readers")

	// The statistics come from all shards: search.TermCounter.
	query, err := words.Weigh(terms, search.TermStats{Docs: 1000, Counts: []uint64{12}})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Printf("%d of the document's %d terms, weight %.2f\n", len(query.Index), len(stored.Index), query.Value[0])
	// Output: 1 of the document's 6 terms, weight 4.38
}
