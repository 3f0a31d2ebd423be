package local

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"slices"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/lanewise/lanewise/fault"
	"github.com/lanewise/lanewise/search"
)

// shelfOf is what a store of words should hold: the oracle of the tests below.
type shelfOf map[search.Key]search.Point

// rank is brute force: points that share a term, by the inner product.
func (o shelfOf) rank(q search.Query, leg search.Leg) (ranked []search.Hit) {
	for _, p := range o {
		if p.Tenant != q.Tenant || !q.Filter.Match(p.Meta) || leg.Only != nil && !slices.Contains(leg.Only, p.Key) {
			continue
		}
		sum, shared := 0.0, false
		for i, term := range leg.Sparse.Index {
			if at, ok := slices.BinarySearch(p.Sparse.Index, term); ok && p.Sparse.Value[at] != 0 && leg.Sparse.Value[i] != 0 {
				sum += float64(leg.Sparse.Value[i]) * float64(p.Sparse.Value[at])
				shared = true
			}
		}
		if shared {
			ranked = append(ranked, search.Hit{Point: search.Point{Key: p.Key, Version: p.Version}, Collection: "docs", Score: sum, Raw: sum})
		}
	}
	slices.SortFunc(ranked, func(a, b search.Hit) int { return cmp.Or(cmp.Compare(b.Score, a.Score), cmp.Compare(a.ID, b.ID)) })
	return ranked
}

func (o shelfOf) stats(tenant string, terms []uint32) search.TermStats {
	s := search.TermStats{Counts: make([]uint64, len(terms))}
	for _, p := range o {
		if p.Tenant != tenant || len(p.Sparse.Index) == 0 {
			continue
		}
		s.Docs++
		for i, term := range terms {
			if at, ok := slices.BinarySearch(p.Sparse.Index, term); ok && p.Sparse.Value[at] != 0 {
				s.Counts[i]++
			}
		}
	}
	return s
}

// check holds a store to the oracle.
func (o shelfOf) check(t fataler, s *Store, q search.Query) {
	t.Helper()
	res, err := s.Search(context.Background(), q)
	if err != nil {
		t.Fatalf("search: %v", err)
	}
	for i, leg := range q.Legs {
		want := o.rank(q, leg)
		exhausted := len(want) <= leg.K
		want = want[:min(leg.K, len(want))]
		got := res.Lists[i]
		if diff := gocmp.Diff(want, got.Hits, gocmp.Comparer(func(a, b float64) bool { return math.Float64bits(a) == math.Float64bits(b) })); diff != "" && len(want)+len(got.Hits) > 0 {
			t.Fatalf("leg %d (-want +got): %s", i, diff)
		}
		if got.Exhausted != exhausted || !got.Prefix {
			t.Fatalf("leg %d: exhausted %v, want %v", i, got.Exhausted, exhausted)
		}
	}
}

type fataler interface {
	Helper()
	Fatalf(format string, args ...any)
}

// sparseOf makes a vector of these terms.
func sparseOf(values map[uint32]float32) (v search.Sparse) {
	for term := range values {
		v.Index = append(v.Index, term)
	}
	slices.Sort(v.Index)
	for _, term := range v.Index {
		v.Value = append(v.Value, values[term])
	}
	return v
}

// TestWords_equalBruteForce writes, deletes and opens again at random.
func TestWords_equalBruteForce(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		dir := rapidDir(t)
		s := openWords(t, dir)
		defer func() { _ = s.Close() }()
		oracle, version := shelfOf{}, search.Version(0)
		value := rapid.SampledFrom([]float32{0.1, 0.5, 1, 1.7, 2, -1, 0, 3e38, 1e-30})
		vector := rapid.Custom(func(t *rapid.T) search.Sparse {
			return sparseOf(rapid.MapOfN(rapid.SampledFrom([]uint32{0, 1, 2, 3, 7, 9, 1 << 31, math.MaxUint32}), value, 0, 6).Draw(t, "vector"))
		})
		key := rapid.Custom(func(t *rapid.T) search.Key {
			return search.Key{Tenant: rapid.SampledFrom([]string{"", "a"}).Draw(t, "tenant"), ID: fmt.Sprint(rapid.IntRange(0, 60).Draw(t, "id"))}
		})
		for range rapid.IntRange(1, 12).Draw(t, "steps") {
			version++
			b := search.Batch{Collection: "docs"}
			for range rapid.IntRange(1, 30).Draw(t, "writes") {
				if k := key.Draw(t, "key"); rapid.IntRange(0, 4).Draw(t, "delete") > 0 {
					p := search.Point{Key: k, Version: version, Sparse: vector.Draw(t, "v"), Meta: fmt.Appendf(nil, `{"n":%d}`, rapid.IntRange(0, 2).Draw(t, "n"))}
					b.Upserts = append(b.Upserts, p)
					oracle[k] = p
				}
			}
			if _, err := s.Write(context.Background(), b); err != nil {
				t.Fatal(err)
			}
			b = search.Batch{Collection: "docs"}
			for range rapid.IntRange(0, 5).Draw(t, "deletes") {
				k := key.Draw(t, "deleted")
				b.Deletes = append(b.Deletes, search.Tombstone{Key: k, Version: version})
				delete(oracle, k)
			}
			if _, err := s.Write(context.Background(), b); err != nil {
				t.Fatal(err)
			}
			if rapid.IntRange(0, 3).Draw(t, "open again") == 0 {
				if err := s.Close(); err != nil {
					t.Fatal(err)
				}
				s = openWords(t, dir)
			}
			q := search.Query{Collection: "docs", Tenant: rapid.SampledFrom([]string{"", "a", "none"}).Draw(t, "of")}
			if rapid.Bool().Draw(t, "filter") {
				q.Filter, _ = search.ParseFilter([]byte(`{"n":{"$gte":1}}`))
			}
			for range 3 {
				leg := search.Leg{Sparse: vector.Draw(t, "query"), K: rapid.IntRange(1, 70).Draw(t, "k")}
				if rapid.IntRange(0, 2).Draw(t, "only") == 0 {
					leg.Only = rapid.SliceOfN(key, 0, 10).Draw(t, "keys")
				}
				if len(leg.Sparse.Index) > 0 {
					q.Legs = append(q.Legs, leg)
				}
			}
			if len(q.Legs) > 0 {
				oracle.check(t, s, q)
			}
			terms := []uint32{9, 0, 5, math.MaxUint32, 0}
			got, err := s.TermStats(context.Background(), search.TermQuery{Collection: "docs", Tenant: q.Tenant, Terms: terms})
			if diff := gocmp.Diff(oracle.stats(q.Tenant, terms), got); err != nil || diff != "" {
				t.Fatalf("%v %s", err, diff)
			}
		}
	})
}

func rapidDir(t *rapid.T) string {
	dir, err := os.MkdirTemp("", "words")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}

func openWords(t fataler, dir string) *Store {
	s, err := Open(Config{Path: dir})
	if err == nil {
		_, err = s.Write(context.Background(), search.Batch{Create: &search.Collection{Name: "docs", Dims: 2, Metric: search.Dot, Lexical: true}})
	}
	if err != nil {
		t.Fatalf("open: %v", err)
	}
	return s
}

// zipfDocs makes documents of words drawn by Zipf's law, with the weights that BM25
// gives them.
func zipfDocs(seed uint64, n, length int) []search.Point {
	rng := rand.New(rand.NewPCG(seed, 5)) //nolint:gosec // reproducible on purpose
	zipf := rand.NewZipf(rng, 1.1, 3, 200_000)
	points := make([]search.Point, n)
	for i := range points {
		tf := map[uint32]float32{}
		for range length {
			tf[uint32(zipf.Uint64())*2654435761]++ //nolint:gosec // below 200,000
		}
		for term, n := range tf {
			tf[term] = n * 2.2 / (n + 1.2)
		}
		points[i] = search.Point{Key: search.Key{ID: fmt.Sprintf("%08d", (i*7919)%n)}, Version: 1, Sparse: sparseOf(tf)}
	}
	return points
}

// zipfQuery draws words as the documents do, and weighs them by their rarity.
func zipfQuery(rng *rand.Rand, s *Store, words int) search.Sparse {
	zipf := rand.NewZipf(rng, 1.1, 3, 200_000)
	values := map[uint32]float32{}
	for len(values) < words {
		term := uint32(zipf.Uint64()) * 2654435761 //nolint:gosec // below 200,000
		stats, err := s.TermStats(context.Background(), search.TermQuery{Collection: "docs", Terms: []uint32{term}})
		if err != nil {
			panic(err)
		}
		n, df := float64(stats.Docs), float64(stats.Counts[0])
		values[term] = float32(math.Log(1 + (n-df+0.5)/(df+0.5)))
	}
	return sparseOf(values)
}

// TestWords_manyRows has lists that are longer than a window, and packs them.
func TestWords_manyRows(t *testing.T) {
	s := openWords(t, t.TempDir())
	defer func() { _ = s.Close() }()
	oracle := shelfOf{}
	put := func(points []search.Point) {
		must(t, s, search.Batch{Collection: "docs", Upserts: points})
		for _, p := range points {
			oracle[p.Key] = p
		}
	}
	ask := func(seed uint64) {
		t.Helper()
		rng := rand.New(rand.NewPCG(seed, 6)) //nolint:gosec // reproducible on purpose
		for _, k := range []int{1, 10, 500, 20_000} {
			for _, words := range []int{1, 3, 12} {
				oracle.check(t, s, search.Query{Collection: "docs", Legs: []search.Leg{{Sparse: zipfQuery(rng, s, words), K: k}}})
			}
		}
	}
	docs := zipfDocs(1, 13_000, 20)
	for from := 0; from < len(docs); from += 3000 {
		put(docs[from:min(from+3000, len(docs))])
	}
	ask(1)
	again := zipfDocs(2, 13_000, 20)[:9000]
	for i := range again {
		again[i].Version = 2
	}
	put(again)
	ask(2)
	var deletes []search.Tombstone
	for _, p := range docs[:5000] {
		deletes = append(deletes, search.Tombstone{Key: p.Key, Version: 3})
		delete(oracle, p.Key)
	}
	must(t, s, search.Batch{Collection: "docs", Deletes: deletes})
	part, _ := s.state.Load().collections["docs"].tenants.get("")
	if part.dead != 0 {
		t.Fatalf("%d dead rows beside %d points were not packed", part.dead, part.points)
	}
	ask(3)
}

func TestWords_refuses(t *testing.T) {
	s := openWords(t, t.TempDir())
	defer func() { _ = s.Close() }()
	nan := float32(math.NaN())
	for name, v := range map[string]search.Sparse{
		"repeated": {Index: []uint32{1, 1}, Value: []float32{1, 1}}, "unsorted": {Index: []uint32{2, 1}, Value: []float32{1, 1}},
		"half": {Index: []uint32{1}}, "values alone": {Value: []float32{1}}, "NaN": {Index: []uint32{1}, Value: []float32{nan}},
	} {
		_, err := s.Search(t.Context(), search.Query{Collection: "docs", Legs: []search.Leg{{Sparse: v, K: 1}}})
		if !errors.Is(err, fault.Invalid) || fault.Field(err)[:len("/legs/0/sparse")] != "/legs/0/sparse" {
			t.Errorf("%s in a query: %v", name, err)
		}
		_, err = s.Write(t.Context(), search.Batch{Collection: "docs", Upserts: []search.Point{{Key: search.Key{ID: "a"}, Sparse: v}}})
		if !errors.Is(err, fault.Invalid) || fault.Field(err)[:len("/upserts/0/sparse")] != "/upserts/0/sparse" {
			t.Errorf("%s in a point: %v", name, err)
		}
	}
	one := search.Sparse{Index: []uint32{1}, Value: []float32{1}}
	_, err := s.Search(t.Context(), search.Query{Collection: "docs", Legs: []search.Leg{{Sparse: one, Dense: []float32{1, 1}, K: 1}}})
	if fault.Field(err) != "/legs/0/sparse" {
		t.Errorf("two vectors: %v", err)
	}
	if _, err := s.TermStats(t.Context(), search.TermQuery{Collection: "none"}); !errors.Is(err, fault.NotFound) {
		t.Errorf("no collection: %v", err)
	}
	if _, err := s.TermStats(t.Context(), search.TermQuery{Collection: "docs", Vector: "x"}); fault.Field(err) != "/vector" {
		t.Errorf("a vector's name: %v", err)
	}
}

// BenchmarkWords asks for the top 10 of three words among documents of 60, both drawn
// by Zipf's law.
func BenchmarkWords(b *testing.B) {
	rows := 100_000
	if testing.Short() {
		rows = 10_000
	}
	s := openWords(b, b.TempDir())
	defer func() { _ = s.Close() }()
	docs := zipfDocs(1, rows, 60)
	for from := 0; from < rows; from += 5000 {
		if _, err := s.Write(b.Context(), search.Batch{Collection: "docs", Upserts: docs[from:min(from+5000, rows)]}); err != nil {
			b.Fatal(err)
		}
	}
	rng := rand.New(rand.NewPCG(3, 3)) //nolint:gosec // reproducible on purpose
	var queries []search.Query
	for range 256 {
		queries = append(queries, search.Query{Collection: "docs", Legs: []search.Leg{{Sparse: zipfQuery(rng, s, 3), K: 10}}})
	}
	var times []time.Duration
	b.ReportAllocs()
	for b.Loop() {
		start := time.Now()
		if _, err := s.Search(b.Context(), queries[len(times)%len(queries)]); err != nil {
			b.Fatal(err)
		}
		times = append(times, time.Since(start))
	}
	slices.Sort(times)
	b.ReportMetric(float64(times[len(times)/2].Microseconds()), "µs-p50")
	b.ReportMetric(float64(times[len(times)*99/100].Microseconds()), "µs-p99")
}
