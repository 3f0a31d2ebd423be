package bm25_test

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/lanewise/lanewise/adapters/local"
	"github.com/lanewise/lanewise/embed/bm25"
	"github.com/lanewise/lanewise/merge"
	"github.com/lanewise/lanewise/search"
)

// cluster is a collection spread over stores.
type cluster struct {
	t      *testing.T
	stores []*local.Store
}

func newCluster(t *testing.T, shards int) *cluster {
	t.Helper()
	c := &cluster{t: t}
	for range shards {
		s, err := local.Open(local.Config{Path: t.TempDir()})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = s.Close() })
		c.stores = append(c.stores, s)
		c.write(s, search.Batch{Create: &search.Collection{Name: "docs", Dims: 1, Metric: search.Dot, Lexical: true, Language: "en"}})
	}
	return c
}

func (c *cluster) write(s *local.Store, b search.Batch) {
	c.t.Helper()
	if _, err := s.Write(context.Background(), b); err != nil {
		c.t.Fatal(err)
	}
}

// apply sends every point and tombstone to its shard.
func (c *cluster) apply(points []search.Point, deletes []search.Tombstone) {
	c.t.Helper()
	for i, s := range c.stores {
		b := search.Batch{Collection: "docs"}
		for _, p := range points {
			if int(search.Digest(p.Key, 0)%uint64(len(c.stores))) == i {
				b.Upserts = append(b.Upserts, p)
			}
		}
		for _, d := range deletes {
			if int(search.Digest(d.Key, 0)%uint64(len(c.stores))) == i {
				b.Deletes = append(b.Deletes, d)
			}
		}
		c.write(s, b)
	}
}

// ask ranks a text by the statistics of all shards, and completes the ranking for
// some points by name.
func (c *cluster) ask(e *bm25.Encoder, q search.Query, text string, only []search.Key) (ranked, named []search.Hit) {
	c.t.Helper()
	terms, sum := e.Query(text), search.TermStats{}
	for _, s := range c.stores {
		stats, err := s.TermStats(context.Background(), search.TermQuery{Collection: "docs", Tenant: q.Tenant, Terms: terms.Index})
		if err == nil {
			err = sum.Add(stats)
		}
		if err != nil {
			c.t.Fatal(err)
		}
	}
	weights, err := e.Weigh(terms, sum)
	if err != nil {
		c.t.Fatal(err)
	}
	q.Legs = []search.Leg{{Sparse: weights, K: 20}, {Sparse: weights, K: len(only), Only: only}}
	lists := [2][]search.List{}
	for _, s := range c.stores {
		res, err := s.Search(context.Background(), q)
		if err != nil {
			c.t.Fatal(err)
		}
		lists[0], lists[1] = append(lists[0], res.Lists[0]), append(lists[1], res.Lists[1])
	}
	return merge.TopK(20, lists[0]...).Hits, merge.TopK(len(only), lists[1]...).Hits
}

// TestSharding_doesNotShow: over 1, 4 and 16 stores the answers are the same, hit by
// hit and score by score, by tenant, after updates and deletions, with filters.
func TestSharding_doesNotShow(t *testing.T) {
	e, err := bm25.New(bm25.Config{Language: "en", AvgLen: 12})
	if err != nil {
		t.Fatal(err)
	}
	rng := rand.New(rand.NewPCG(8, 8)) //nolint:gosec // reproducible on purpose
	zipf := rand.NewZipf(rng, 1.2, 2, 800)
	text := func(words int) string {
		var b strings.Builder
		for range words {
			fmt.Fprintf(&b, "lane%c%c ", 'a'+zipf.Uint64()%26, 'a'+zipf.Uint64()/26%26)
		}
		return b.String()
	}
	point := func(i int, v search.Version) search.Point {
		body := text(1 + rng.IntN(24))
		return search.Point{
			Key: search.Key{Tenant: []string{"", "acme"}[i%2], ID: fmt.Sprint("p", i)}, Version: v, Text: body, Sparse: e.Document(body),
			Meta: fmt.Appendf(nil, `{"i":%d}`, i),
		}
	}
	clusters := []*cluster{newCluster(t, 1), newCluster(t, 4), newCluster(t, 16)}
	filter, err := search.ParseFilter([]byte(`{"i":{"$lt":600}}`))
	if err != nil {
		t.Fatal(err)
	}
	found := 0
	for version := search.Version(1); version <= 3; version++ {
		var points []search.Point
		var deletes []search.Tombstone
		for i := range 1500 {
			switch {
			case version == 1 || rng.IntN(4) == 0:
				points = append(points, point(i, version))
			case rng.IntN(8) == 0:
				deletes = append(deletes, search.Tombstone{Key: search.Key{Tenant: []string{"", "acme"}[i%2], ID: fmt.Sprint("p", i)}, Version: version})
			}
		}
		for _, c := range clusters {
			c.apply(points, deletes)
		}
		for i := range 40 {
			q := search.Query{Collection: "docs", Tenant: []string{"", "acme"}[i%2]}
			if i%3 == 0 {
				q.Filter = filter
			}
			question, only := text(1+i%7), []search.Key{}
			for range 30 {
				only = append(only, search.Key{Tenant: q.Tenant, ID: fmt.Sprint("p", rng.IntN(1500))})
			}
			want, wantNamed := clusters[0].ask(e, q, question, only)
			found += len(want)
			for _, c := range clusters[1:] {
				got, named := c.ask(e, q, question, only)
				sameHits(t, len(c.stores), want, got)
				sameHits(t, len(c.stores), wantNamed, named)
			}
		}
	}
	if found < 120*15 {
		t.Errorf("120 questions found %d points", found)
	}
}

func sameHits(t *testing.T, shards int, want, got []search.Hit) {
	t.Helper()
	if diff := cmp.Diff(want, got, cmp.Comparer(func(a, b float64) bool { return math.Float64bits(a) == math.Float64bits(b) })); diff != "" {
		t.Fatalf("over %d shards (-one +many): %s", shards, diff)
	}
}
