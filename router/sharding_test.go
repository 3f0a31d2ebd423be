package router_test

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/lanewise/lanewise/embed"
	"github.com/lanewise/lanewise/embed/bm25"
	"github.com/lanewise/lanewise/router"
	"github.com/lanewise/lanewise/search"
)

func words(c search.Collection) (router.Lexicon, error) {
	return bm25.New(bm25.Config{Language: c.Language, AvgLen: c.AvgLen})
}

// sayings draws texts of Zipf's words, which letters can embed, too.
func sayings(rng *rand.Rand, n int) []string {
	zipf := rand.NewZipf(rng, 1.1, 3, 400)
	texts := make([]string, n)
	for i := range texts {
		var b strings.Builder
		for range 3 + rng.IntN(20) {
			w := zipf.Uint64()
			fmt.Fprintf(&b, "%c%c%d ", 'a'+rune(w%8), 'a'+rune(w/8%8), w)
		}
		texts[i] = b.String()
	}
	return texts
}

// TestModes_shardingChangesNothing holds that in all modes and both placements the answer over many shards is
// the one of a single shard, hit by hit and score by score, after updates and deletes.
func TestModes_shardingChangesNothing(t *testing.T) {
	for _, by := range []search.PlaceBy{search.ByID, search.ByTenant} {
		for _, shards := range []int{4, 16} {
			t.Run(fmt.Sprintf("%s, %d", by, shards), func(t *testing.T) {
				t.Parallel()
				one, many := talking(t, by, 1), talking(t, by, shards)
				for tenant := range 3 {
					tenant := map[search.PlaceBy]string{search.ByTenant: fmt.Sprint("t", tenant)}[by]
					compareModes(t, tenant, one, many)
				}
			})
		}
	}
}

// talking is a router over local stores with the same sayings, whatever its shards.
func talking(t *testing.T, by search.PlaceBy, shards int) *router.Router {
	t.Helper()
	c := router.Config{Embedders: []embed.Provider{letters{}}, Lexicon: words, StatsAge: -1, SearchTimeout: time.Minute, WriteTimeout: time.Minute}
	r := newRouter(t, c, grid(t, shards, 1)...)
	create(t, r, search.Collection{
		Name: "talk", Space: letters{}.Space().ID(), Lexical: true, Placement: search.Placement{By: by}, AvgLen: 15,
	})
	rng := rand.New(rand.NewPCG(1, 2)) //nolint:gosec // repeatable
	for tenant := range 3 {
		name := map[search.PlaceBy]string{search.ByTenant: fmt.Sprint("t", tenant)}[by]
		for round := range 2 { // the second one updates a half
			var points []search.Point
			for i, text := range sayings(rng, 600/(1+round)) {
				points = append(points, note(fmt.Sprintf("%d-%03d", tenant, i), text))
			}
			upsert(t, r, "talk", name, points...)
		}
		var gone []string
		for i := range 60 {
			gone = append(gone, fmt.Sprintf("%d-%03d", tenant, i*7))
		}
		if _, err := r.Delete(t.Context(), router.Delete{Collection: "talk", Tenant: name, IDs: gone}); err != nil {
			t.Fatal(err)
		}
	}
	return r
}

func compareModes(t *testing.T, tenant string, one, many *router.Router) {
	t.Helper()
	rng := rand.New(rand.NewPCG(3, 4)) //nolint:gosec // repeatable
	for i, text := range sayings(rng, 15) {
		for _, mode := range []router.Mode{router.Dense, router.Lexical, router.Hybrid} {
			for _, fusion := range []router.Fusion{"completed", "rrf", "dbsf"} {
				if mode != router.Hybrid && fusion != "completed" {
					continue // nothing to fuse
				}
				q := router.Request{Collection: "talk", Tenant: tenant, Text: text, Mode: mode, Fusion: fusion, K: 1 + 9*(i%5)}
				a, b := retrieve(t, one, q), retrieve(t, many, q)
				for j := range b.Hits {
					b.Hits[j].Shard = "s0"
				}
				for j := range a.Hits {
					b.Hits[j].Version = a.Hits[j].Version // each router stamps its own
				}
				if d := cmp.Diff(a.Hits, b.Hits); d != "" {
					t.Fatalf("%s, %s, %q (-one shard +many):\n%s", mode, fusion, text, d)
				}
			}
		}
	}
}
