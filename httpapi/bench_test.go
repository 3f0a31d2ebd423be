package httpapi

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/lanewise/lanewise/adapters/local"
	"github.com/lanewise/lanewise/router"
	"github.com/lanewise/lanewise/search"
)

// sink is a ResponseWriter that keeps nothing.
type sink struct {
	header http.Header
	status int
}

func (s *sink) Header() http.Header         { return s.header }
func (s *sink) WriteHeader(status int)      { s.status = status }
func (s *sink) Write(p []byte) (int, error) { return len(p), nil }

// BenchmarkSearch is a search with a vector of 256 numbers through the whole
// handler, the router replaced by a function with ten hits.
func BenchmarkSearch(b *testing.B) {
	numbers := make([]string, 256)
	for i := range numbers {
		numbers[i] = fmt.Sprintf("%.8f", 1/float64(i+3))
	}
	body := `{"collection": "docs", "vector": [` + strings.Join(numbers, ", ") + `], "k": 10}`
	res := router.Response{Report: search.Report{Complete: true, Coverage: 1, ShardsAsked: 4, ShardsAnswered: 4, Took: time.Millisecond, Mode: "dense"}}
	for i := range 10 {
		res.Hits = append(res.Hits, search.Hit{
			Point:      search.Point{Key: search.Key{ID: fmt.Sprintf("id-%d", i)}, Text: "Scanner reads a file line by line.", Meta: []byte(`{"year":2024}`)},
			Collection: "docs", Score: 1 / float64(i+2), Raw: 1 / float64(i+2), Shard: "s1",
		})
	}
	store, err := local.Open(local.Config{Path: b.TempDir()})
	if err != nil {
		b.Fatal(err)
	}
	defer store.Close()
	r, err := router.New(router.Config{Shards: []router.Shard{{Name: "s0", Replicas: []router.Replica{{Name: "r0", Store: store}}}}})
	if err != nil {
		b.Fatal(err)
	}
	defer r.Close()
	s, err := newServer(Config{Router: r})
	if err != nil {
		b.Fatal(err)
	}
	s.retrieve = func(context.Context, router.Request) (router.Response, error) { return res, nil }
	req := newRequest("POST", "/v1/search", body)
	reader := strings.NewReader(body)
	b.ReportAllocs()
	b.SetBytes(int64(len(body)))
	for b.Loop() {
		reader.Reset(body)
		req.Body = nopCloser{reader}
		w := sink{header: http.Header{}}
		s.ServeHTTP(&w, req)
		if w.status != http.StatusOK {
			b.Fatal(w.status)
		}
	}
}

type nopCloser struct{ *strings.Reader }

func (nopCloser) Close() error { return nil }
