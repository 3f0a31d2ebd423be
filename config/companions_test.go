package config

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/lanewise/lanewise/router"
	"github.com/lanewise/lanewise/search"
)

const accompaniedFile = `
map: map
shards:
  - name: s0
    replicas: [{url: "postgres://me@127.0.0.1:1/db"}]
    lexical: [{path: words}, {url: "https://127.0.0.1:2", key: k, ca: ca.pem, name: far, weight: 2}]
`

func TestCompanions_areRead(t *testing.T) {
	c, err := parse("/etc/f.yaml", []byte(accompaniedFile), nil)
	if err != nil {
		t.Fatal(err)
	}
	got := c.Resolved().Shards[0].Lexical
	if len(got) != 2 || cmp.Diff(got[0], Replica{Name: "l0", Weight: 1, Path: "/etc/words"}) != "" ||
		cmp.Diff(got[1], Replica{Name: "far", Weight: 2, URL: "https://127.0.0.1:2", Key: "k", CA: "/etc/ca.pem"}) != "" {
		t.Errorf("%+v", got)
	}
	if stores := c.LocalStores(); len(stores) != 1 || stores[0].Name != "s0/l0" {
		t.Errorf("stores to back up: %+v", stores)
	}
}

func TestCompanions_refuses(t *testing.T) {
	for lexical, want := range map[string]string{
		`[{url: "qdrant://h:1"}]`:              "qdrant cannot be a companion",
		`[{}]`:                                 "missing url or path",
		`[{path: a}, {path: a}]`:               "is used by",
		`[{path: a, name: r}]`:                 "is used by",
		`[{path: a, weight: -1}]`:              "weight",
		`[{path: a, url: "http://127.0.0.1"}]`: "cannot stand beside url",
	} {
		file := "shards: [{name: s, replicas: [{name: r, path: b}], lexical: " + lexical + "}]"
		if _, err := parse("f.yaml", []byte(file), nil); err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "lexical[") {
			t.Errorf("%s: got %v", lexical, err)
		}
	}
}

// engines are the servers without sparse vectors to test on, as replicas; each test has a part of them to itself.
func engines(t *testing.T) map[string]func(t *testing.T) Replica {
	t.Helper()
	own := fmt.Sprintf("t%x", time.Now().UnixNano())
	n := 0
	asked := func(t *testing.T, variable string) string {
		t.Helper()
		value := os.Getenv(variable)
		if value == "" {
			t.Skipf("%s is not set: no server to test on (scripts/servers)", variable)
		}
		n++
		return value
	}
	return map[string]func(t *testing.T) Replica{
		"postgres": func(t *testing.T) Replica {
			t.Helper()
			u, err := url.Parse(asked(t, "LANEWISE_TEST_POSTGRES"))
			if err != nil {
				t.Fatal(err)
			}
			password, _ := u.User.Password()
			u.User = url.User(u.User.Username())
			return Replica{URL: u.String(), Key: Secret(password), Postgres: Postgres{Schema: fmt.Sprintf("%s_%d", own, n)}}
		},
		"weaviate": func(t *testing.T) Replica {
			t.Helper()
			rest, grpc, _ := strings.Cut(asked(t, "LANEWISE_TEST_WEAVIATE"), ",")
			return Replica{URL: "weaviate://" + rest, Weaviate: Weaviate{GRPC: grpc, Prefix: fmt.Sprintf("T%s%d", own, n)}}
		},
		"milvus": func(t *testing.T) Replica {
			t.Helper()
			return Replica{URL: "milvus://" + asked(t, "LANEWISE_TEST_MILVUS"), Milvus: Milvus{Consistency: "strong"}}
		},
	}
}

// Hybrid search over an engine without sparse vectors equals that over local stores with the same documents.
func TestCompanions_hybridOverEnginesIsThatOfLocalStores(t *testing.T) {
	for name, replica := range engines(t) {
		t.Run(name, func(t *testing.T) {
			cfg := Local(t.TempDir())
			cfg.Shards = nil
			cfg.Timeouts.Search, cfg.Timeouts.Write = time.Minute, time.Minute
			shards := map[string]int{"milvus": 1}[name] // its collections have no prefix to tell shards apart by
			for i := range max(shards, 3-2*shards) {
				cfg.Shards = append(cfg.Shards, Shard{
					Name: fmt.Sprintf("s%d", i), Replicas: []Replica{replica(t)}, Lexical: []Replica{{Path: filepath.Join(t.TempDir(), "words")}},
				})
			}
			collection := fmt.Sprintf("talk%x", time.Now().UnixNano())
			one, many := filled(t, Local(t.TempDir()), collection), filled(t, cfg, collection)
			rng := rand.New(rand.NewPCG(7, 7))
			for range 8 {
				text := sentence(rng)
				for _, mode := range []router.Mode{router.Lexical, router.Hybrid, router.Auto} {
					same(t, one, many, router.Request{Collection: collection, Text: text, Mode: mode, Fields: search.Fields{Text: true, Meta: true}})
				}
			}
		})
	}
}

// filled builds a system with 300 documents, a part of them updated and a part deleted.
func filled(t *testing.T, cfg *Config, collection string) *router.Router {
	t.Helper()
	sys, err := cfg.Build(t.Context(), Options{})
	if err != nil {
		t.Fatal(err)
	}
	r := sys.Router
	t.Cleanup(func() {
		if err := r.DropCollection(context.WithoutCancel(t.Context()), collection); err != nil {
			t.Error(err)
		}
		if err := sys.Close(); err != nil {
			t.Error(err)
		}
	})
	if _, err := r.CreateCollection(t.Context(), search.Collection{Name: collection, Lexical: r.SearchesWords(), AvgLen: 8}); err != nil {
		t.Fatal(err)
	}
	rng := rand.New(rand.NewPCG(1, 2))
	for _, n := range []int{300, 100} {
		var points []search.Point
		for i := range n {
			points = append(points, search.Point{Key: search.Key{ID: fmt.Sprint(i)}, Text: sentence(rng), Meta: fmt.Appendf(nil, `{"n": %d}`, i)})
		}
		if _, err := r.Upsert(t.Context(), router.Upsert{Collection: collection, Points: points}); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := r.Delete(t.Context(), router.Delete{Collection: collection, IDs: []string{"5", "105", "205"}}); err != nil {
		t.Fatal(err)
	}
	return r
}

// sentence draws words, the first ones of a list more often.
func sentence(rng *rand.Rand) string {
	list := strings.Fields("file read line write server query shard replica zebra budget copper violin harbour monsoon lattice quartz saffron gondola")
	zipf := rand.NewZipf(rng, 1.2, 2, uint64(len(list)-1))
	var b strings.Builder
	for range 3 + rng.IntN(9) {
		b.WriteString(list[zipf.Uint64()] + " ")
	}
	return b.String()
}

// same compares two answers: scores within 1e-5, and the ids where no other has that score.
func same(t *testing.T, one, many *router.Router, q router.Request) {
	t.Helper()
	a, errA := one.Retrieve(t.Context(), q)
	b, errB := many.Retrieve(t.Context(), q)
	if errA != nil || errB != nil || len(a.Hits) != 10 || len(b.Hits) != 10 || a.Report.Mode != b.Report.Mode || !b.Report.Complete {
		t.Fatalf("%s: %d hits and %d, %+v, %v, %v", q.Mode, len(a.Hits), len(b.Hits), b.Report, errA, errB)
	}
	const near = 1e-5
	scores := map[string]float64{}
	for _, h := range a.Hits {
		scores[h.ID] = h.Score
	}
	for i, h := range b.Hits {
		score, ok := scores[h.ID]
		if math.Abs(h.Score-a.Hits[i].Score) > near || ok && math.Abs(h.Score-score) > near || !ok && h.Score > a.Hits[9].Score+near || h.Text == "" || len(h.Meta) == 0 {
			t.Errorf("%s %q: hit %d is %s with %v, and without the engine %s with %v", q.Mode, q.Text, i, h.ID, h.Score, a.Hits[i].ID, a.Hits[i].Score)
		}
	}
}
