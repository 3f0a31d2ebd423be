package pgvector_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/lanewise/lanewise/adapters/pgvector"
	"github.com/lanewise/lanewise/fault"
	"github.com/lanewise/lanewise/search"
)

// A store connects when it is first used. Nothing listens on this port; the error has
// the class that sends a router to another replica, and never the password.
func Example() {
	store, err := pgvector.New(pgvector.Config{DSN: "postgres://app:s3cret@127.0.0.1:1/rag?sslmode=disable", HNSW: &pgvector.HNSW{}})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer store.Close() //nolint:errcheck // never fails

	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	_, err = store.Search(ctx, search.Query{Collection: "docs", Legs: []search.Leg{{Dense: []float32{1, 0}, K: 10}}})
	fmt.Println(errors.Is(err, fault.Unavailable), strings.Contains(err.Error(), "s3cret"))
	// Output: true false
}
