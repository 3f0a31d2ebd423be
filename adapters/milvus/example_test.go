package milvus_test

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/lanewise/lanewise/adapters/milvus"
	"github.com/lanewise/lanewise/fault"
	"github.com/lanewise/lanewise/search"
)

// New does not connect. The first call does, and says what is wrong.
func Example() {
	s, err := milvus.New(milvus.Config{Address: "127.0.0.1:1", Consistency: milvus.Session})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer s.Close() //nolint:errcheck // nothing was written
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	_, err = s.Search(ctx, search.Query{
		Collection: "docs", Legs: []search.Leg{{Dense: []float32{1, 0}, K: 10}},
	})
	fmt.Println(errors.Is(err, fault.Unavailable))
	// Output: true
}
