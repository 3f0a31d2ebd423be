package pgvector_test

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"net/url"
	"slices"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/lanewise/lanewise/adapters/pgvector"
	"github.com/lanewise/lanewise/fault"
	"github.com/lanewise/lanewise/search"
)

// loadPoints writes n random points of some dims; every hundredth is rare.
func loadPoints(tb testing.TB, s *pgvector.Store, c search.Collection, n int) []search.Point {
	tb.Helper()
	write(tb, s, search.Batch{Create: &c})
	rng := rand.New(rand.NewPCG(7, 7)) //nolint:gosec // reproducible on purpose
	points := make([]search.Point, n)
	for i := range points {
		points[i] = search.Point{
			Key: key(fmt.Sprintf("p%05d", i)), Version: 1, Dense: random(rng, c.Dims), Text: fmt.Sprint("text ", i),
			Meta: fmt.Appendf(nil, `{"n":%d,"rare":%t}`, i, i%100 == 0),
		}
	}
	for part := range slices.Chunk(points, 500) {
		write(tb, s, search.Batch{Collection: c.Name, Upserts: part})
	}
	return points
}

func random(rng *rand.Rand, dims int) []float32 {
	v := make([]float32, dims)
	for i := range v {
		v[i] = float32(rng.NormFloat64())
	}
	return v
}

// best is the exact answer by cosine in float64.
func best(points []search.Point, query []float32, k int, keep func(int) bool) []string {
	type scored struct {
		id    string
		score float64
	}
	var all []scored
	for i, p := range points {
		if !keep(i) {
			continue
		}
		var dot, norm float64
		for j, x := range p.Dense {
			dot += float64(x) * float64(query[j])
			norm += float64(x) * float64(x)
		}
		all = append(all, scored{p.ID, dot / math.Sqrt(norm)})
	}
	slices.SortFunc(all, func(a, b scored) int { return cmp.Compare(b.score, a.score) })
	var ids []string
	for _, x := range all[:min(k, len(all))] {
		ids = append(ids, x.id)
	}
	return ids
}

func parse(tb testing.TB, text string) search.Filter {
	tb.Helper()
	f, err := search.ParseFilter([]byte(text))
	if err != nil {
		tb.Fatal(err)
	}
	return f
}

// indexed returns the test server with the planner's alternatives to an index switched
// off: few rows would otherwise be scanned.
func indexed(t *testing.T) string {
	t.Helper()
	return change(t, func(u *url.URL) {
		u.RawQuery += "&options=-c%20enable_seqscan%3Doff%20-c%20enable_bitmapscan%3Doff%20-c%20enable_sort%3Doff"
	})
}

// The approximate index is used, its answers are nearly the exact ones, and neither a
// filter that few points pass nor a long list is cut short.
func TestSearch_approximateListsAreFull(t *testing.T) {
	const n, dims = 4000, 24
	schema := freshSchema(t)
	s := open(t, pgvector.Config{Schema: schema, DSN: indexed(t), HNSW: &pgvector.HNSW{}})
	points := loadPoints(t, s, search.Collection{Name: "docs", Dims: dims, Metric: search.Cosine}, n)
	execute(t, "analyze")
	rng := rand.New(rand.NewPCG(8, 8)) //nolint:gosec // reproducible on purpose
	every, rare := func(int) bool { return true }, func(i int) bool { return i%100 == 0 }
	for name, c := range map[string]struct {
		filter string
		k, ef  int
		keep   func(int) bool
		recall float64
	}{
		"plain":           {`{}`, 10, 0, every, 0.8},
		"wide":            {`{}`, 10, 400, every, 0.95},
		"wider than 1000": {`{}`, 10, 2000, every, 0.99},
		"long":            {`{}`, 1500, 0, every, 0.9},
		"selective":       {`{"rare":true}`, 30, 0, rare, 0.8},
		"more than pass":  {`{"rare":true}`, 100, 0, rare, 1},
		"nothing passes":  {`{"rare":1}`, 10, 0, func(int) bool { return false }, 1},
	} {
		found, wanted := 0, 0
		for range 5 {
			query := random(rng, dims)
			want := best(points, query, c.k, c.keep)
			res, err := s.Search(t.Context(), search.Query{Collection: "docs", Filter: parse(t, c.filter), Legs: []search.Leg{{Dense: query, K: c.k, EF: c.ef}}})
			if err != nil {
				t.Fatal(err)
			}
			list := res.Lists[0]
			if len(list.Hits) != len(want) {
				t.Errorf("%s: got %d hits, want %d", name, len(list.Hits), len(want))
			}
			if list.Exhausted && len(want) == c.k {
				t.Errorf("%s: the list says that it is exhausted", name)
			}
			for _, h := range list.Hits {
				if slices.Contains(want, h.ID) {
					found++
				}
			}
			wanted += len(want)
		}
		if recall := float64(found) / max(float64(wanted), 1); wanted > 0 && recall < c.recall {
			t.Errorf("%s: recall is %.3f, want %.2f", name, recall, c.recall)
		}
	}
	_ = s.Close() // a connection that ends reports what it did
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for conn, scans := connect(t), 0; scans < 30; {
		err := conn.QueryRow(ctx, `select coalesce(sum(idx_scan), 0) from pg_stat_user_indexes join pg_index using (indexrelid)
			where schemaname = $1 and not indisunique and indpred is null`, schema).Scan(&scans)
		if err != nil {
			t.Fatalf("the index was used %d times: %v", scans, err)
		}
	}
}

// Vectors that float32 cannot tell apart are ranked as float64 does, and a list whose
// end float32 leaves open does not claim to be a prefix.
func TestSearch_ranksNearTiesExactly(t *testing.T) {
	s := open(t, pgvector.Config{})
	write(t, s, search.Batch{Create: &search.Collection{Name: "docs", Dims: 2, Metric: search.Euclidean}})
	b := search.Batch{Collection: "docs"}
	for i := range 60 { // distances from 1000 that differ by 2^-40
		b.Upserts = append(b.Upserts, search.Point{Key: key(fmt.Sprintf("%02d", (i*7)%60)), Version: 1, Dense: []float32{1000, float32(i) * 0x1p-14}})
	}
	write(t, s, b)
	at := func(k int) search.List {
		res, err := s.Search(t.Context(), search.Query{Collection: "docs", Legs: []search.Leg{{Dense: []float32{0, 0}, K: k}}})
		if err != nil {
			t.Fatal(err)
		}
		return res.Lists[0]
	}
	list := at(5)
	for i, h := range list.Hits {
		if want := fmt.Sprintf("%02d", (i*7)%60); h.ID != want {
			t.Errorf("hit %d is %s, want %s", i, h.ID, want)
		}
	}
	if !list.Prefix || list.Exhausted {
		t.Errorf("got prefix %t, exhausted %t: all 60 rows were read", list.Prefix, list.Exhausted)
	}
	var same search.Batch
	same.Collection = "docs"
	for i := range 3000 {
		same.Upserts = append(same.Upserts, search.Point{Key: key(fmt.Sprintf("s%04d", i)), Version: 1, Dense: []float32{1, 1}})
	}
	write(t, s, same)
	if list = at(5); list.Prefix || list.Hits[0].ID != "s0000" || list.Hits[4].ID != "s0004" {
		t.Errorf("3000 equal vectors: got prefix %t and %+v", list.Prefix, list.Hits)
	}
}

// An index by cosine leaves zero vectors out: a list that is short without them is
// answered by a scan.
func TestSearch_zeroVectorsAreAtRightAngles(t *testing.T) {
	for name, hnsw := range map[string]*pgvector.HNSW{"exact": nil, "approximate": {}} {
		s := open(t, pgvector.Config{DSN: indexed(t), HNSW: hnsw})
		write(t, s, search.Batch{Create: &search.Collection{Name: "docs", Dims: 2, Metric: search.Cosine}})
		write(t, s, search.Batch{Collection: "docs", Upserts: []search.Point{
			{Key: key("ahead"), Version: 1, Dense: []float32{1, 0}},
			{Key: key("zero"), Version: 1, Dense: []float32{0, 0}},
			{Key: key("behind"), Version: 1, Dense: []float32{-1, 0}},
		}})
		res, err := s.Search(t.Context(), search.Query{Collection: "docs", Legs: []search.Leg{{Dense: []float32{1, 0}, K: 3}}})
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, h := range res.Lists[0].Hits {
			got = append(got, fmt.Sprint(h.ID, h.Score))
		}
		if want := []string{"ahead1", "zero0", "behind-1"}; !slices.Equal(got, want) {
			t.Errorf("%s: got %v, want %v", name, got, want)
		}
	}
}

// A role that may read and write but not create works with a schema that is there.
func TestStore_needsNoRightToCreate(t *testing.T) {
	schema := freshSchema(t)
	fill(t, open(t, pgvector.Config{Schema: schema}))
	quoted, role := pgx.Identifier{schema}.Sanitize(), fmt.Sprintf("lanewise_reader_%d", rand.Uint32()) //nolint:gosec // a name
	execute(t, "create role "+role+" login password 'pw'")
	t.Cleanup(func() { execute(t, "drop owned by "+role+"; drop role "+role) })
	execute(t, "grant usage on schema "+quoted+" to "+role+"; grant select on all tables in schema "+quoted+" to "+role)
	s := open(t, pgvector.Config{Schema: schema, DSN: change(t, func(u *url.URL) { u.User = url.UserPassword(role, "pw") })})
	if err := ask(t.Context(), s); err != nil {
		t.Error(err)
	}
	_, err := s.Write(t.Context(), search.Batch{Collection: "docs", Upserts: []search.Point{{Key: key("b"), Version: 1}}})
	if !errors.Is(err, fault.Refused) {
		t.Errorf("a write without the right to it: got %v, want refused", err)
	}
}
