package httpapi_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"

	"github.com/lanewise/lanewise/adapters/local"
	"github.com/lanewise/lanewise/httpapi"
	"github.com/lanewise/lanewise/router"
)

// A router over one local store, served and asked.
func Example() {
	dir, err := os.MkdirTemp("", "example")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(dir)
	store, err := local.Open(local.Config{Path: dir})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer store.Close()
	r, err := router.New(router.Config{
		Shards: []router.Shard{{Name: "s0", Replicas: []router.Replica{{Name: "r0", Store: store}}}},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer r.Close()
	handler, err := httpapi.New(httpapi.Config{Router: r})
	if err != nil {
		fmt.Println(err)
		return
	}
	server := httptest.NewServer(handler)
	defer server.Close()

	send := func(method, path, body string) {
		req, err := http.NewRequest(method, server.URL+path, strings.NewReader(body))
		if err != nil {
			fmt.Println(err)
			return
		}
		req.Header.Set("Content-Type", "application/json")
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			fmt.Println(err)
			return
		}
		defer res.Body.Close()
		text, err := io.ReadAll(res.Body)
		fmt.Println(res.StatusCode, string(text), err)
	}
	send("PUT", "/v1/collections/docs", `{"dims": 2}`)
	send("POST", "/v1/collections/docs/points/count", `{}`)
	send("POST", "/v1/search", `{"collection": "docs", "vector": [1], "k": 3}`)
	// Output:
	// 200 {"name":"docs","dims":2,"metric":"cosine","placement":{"by":"id"}} <nil>
	// 200 {"count":0} <nil>
	// 400 {"type":"about:blank","title":"Bad Request","status":400,"detail":"/vector: has 1 dims, collection \"docs\" has 2","class":"invalid","field":"/vector"} <nil>
}
