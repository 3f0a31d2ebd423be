package remote_test

import (
	"context"
	"fmt"
	"net/http/httptest"

	"github.com/lanewise/lanewise/adapters/remote"
	"github.com/lanewise/lanewise/search"
)

func Example() {
	replica := &fake{result: search.Result{Lists: []search.List{{Hits: []search.Hit{{Point: search.Point{Key: search.Key{ID: "strings.Builder"}}, Score: 0.83}}}}}}
	server := httptest.NewServer(serve(replica)) // elsewhere: lanewise serve
	defer server.Close()

	store, err := remote.New(remote.Config{URL: server.URL, Key: "s3cret"})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer store.Close() //nolint:errcheck // never fails

	res, err := store.Search(context.Background(), search.Query{Collection: "docs", Legs: []search.Leg{{Dense: []float32{1, 0}, K: 1}}})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(res.Lists[0].Hits[0].ID, res.Lists[0].Hits[0].Score)
	// Output: strings.Builder 0.83
}
