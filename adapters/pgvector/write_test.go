package pgvector_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"

	"github.com/lanewise/lanewise/adapters/pgvector"
	"github.com/lanewise/lanewise/fault"
	"github.com/lanewise/lanewise/search"
)

func key(id string) search.Key { return search.Key{ID: id} }

// checkSums compares what Stats remembers with what a walk through the points finds.
func checkSums(tb testing.TB, s *pgvector.Store) {
	tb.Helper()
	stats, err := s.Stats(tb.Context(), "docs")
	if err != nil {
		tb.Fatal(err)
	}
	page, err := s.Scroll(tb.Context(), search.Scan{Collection: "docs", AllTenants: true, Limit: 100_000})
	if err != nil {
		tb.Fatal(err)
	}
	var digest uint64
	for _, p := range page.Points {
		digest += search.Digest(p.Key, p.Version)
	}
	if stats[0].Points != len(page.Points) || stats[0].Digest != digest || stats[0].Bytes == 0 {
		tb.Errorf("stats are %+v; there are %d points with the digest %#x", stats[0], len(page.Points), digest)
	}
}

// Many writers of the same few keys, in any order: nobody waits for anybody in a circle,
// the newest version stays, and the sums are right.
func TestWrite_manyWritersOfTheSameKeys(t *testing.T) {
	const writers, rounds, keys = 8, 40, 12
	s := open(t, pgvector.Config{})
	fill(t, s)
	newest := make([][keys]search.Version, writers)
	var wg sync.WaitGroup
	for w := range writers {
		wg.Go(func() {
			rng := rand.New(rand.NewPCG(uint64(w), 1)) //nolint:gosec // reproducible on purpose
			for range rounds {
				b := search.Batch{Collection: "docs"}
				for range 5 {
					k, v := rng.IntN(keys), search.Version(rng.Uint64N(1000)+2) //nolint:gosec // small
					newest[w][k] = max(newest[w][k], v)
					if at := key(fmt.Sprint("k", k)); rng.IntN(3) == 0 {
						b.Deletes = append(b.Deletes, search.Tombstone{Key: at, Version: v})
					} else {
						b.Upserts = append(b.Upserts, search.Point{Key: at, Version: v, Dense: []float32{1, 2}})
					}
				}
				if _, err := s.Write(t.Context(), b); err != nil {
					t.Errorf("write: %v", err)
				}
			}
		})
	}
	wg.Wait()
	checkSums(t, s)
	for k := range keys {
		want := newest[0][k]
		for w := range writers {
			want = max(want, newest[w][k])
		}
		out := write(t, s, search.Batch{Collection: "docs", Deletes: []search.Tombstone{{Key: key(fmt.Sprint("k", k)), Version: 1}}})
		if out.Newer != want {
			t.Errorf("k%d is stopped by version %d, want %d", k, out.Newer, want)
		}
	}
}

// The sums stay right when the changes are added up, which happens every 256 batches.
func TestWrite_addsChangesUp(t *testing.T) {
	schema := freshSchema(t)
	s := open(t, pgvector.Config{Schema: schema})
	fill(t, s)
	for i := range 300 {
		b := search.Batch{Collection: "docs", Upserts: []search.Point{{Key: key(fmt.Sprint(i % 70)), Version: search.Version(i)}}} //nolint:gosec // small
		if i%3 == 0 {
			b.Deletes = []search.Tombstone{{Key: key(fmt.Sprint(i % 50)), Version: search.Version(i)}} //nolint:gosec // small
		}
		write(t, s, b)
	}
	checkSums(t, s)
	var rows int
	if err := connect(t).QueryRow(t.Context(), "select count(*) from "+pgx.Identifier{schema, "changes"}.Sanitize()).Scan(&rows); err != nil || rows > 60 {
		t.Errorf("%d rows of changes are left (%v)", rows, err)
	}
}

func TestWrite_forgetsDeletionsAfterADay(t *testing.T) {
	schema := freshSchema(t)
	s := open(t, pgvector.Config{Schema: schema})
	fill(t, s)
	remove := func(id string) {
		t.Helper()
		write(t, s, search.Batch{Collection: "docs", Deletes: []search.Tombstone{{Key: key(id), Version: 50}}})
	}
	for _, id := range []string{"young", "old", "a"} {
		remove(id)
	}
	conn, table := connect(t), pgx.Identifier{schema, "docs_1"}.Sanitize()
	exec(t, conn, "update "+table+" set deleted = now() - interval '23 hours 59 minutes' where id = 'young'")
	exec(t, conn, "update "+table+" set deleted = now() - interval '24 hours 1 minute' where id = 'old'")
	remove("another")
	for id, applied := range map[string]int{"young": 0, "old": 1, "a": 0} {
		out := write(t, s, search.Batch{Collection: "docs", Upserts: []search.Point{{Key: key(id), Version: 9}}})
		if out.Applied != applied {
			t.Errorf("a late write of %q: got %+v, want %d applied", id, out, applied)
		}
	}
	checkSums(t, s)
}

func TestWrite_refusesWhatPostgresCannotHold(t *testing.T) {
	s := open(t, pgvector.Config{})
	fill(t, s)
	rng := rand.New(rand.NewPCG(1, 1)) //nolint:gosec // reproducible on purpose
	noise := func(n int) string {      // that does not compress
		var b strings.Builder
		for b.Len() < n {
			b.WriteByte(byte(33 + rng.IntN(90))) //nolint:gosec // small
		}
		return b.String()
	}
	for field, p := range map[string]search.Point{
		"/upserts/0/id":             {Key: key("a\x00b")},
		"/upserts/0/id ":            {Key: key("\xff")},
		"/upserts/0/id  ":           {Key: key(noise(2601))},
		"/upserts/0/tenant":         {Key: search.Key{Tenant: "\x00", ID: "a"}},
		"/upserts/0/text":           {Key: key("a"), Text: "a\x00b"},
		"/upserts/0/meta":           {Key: key("a"), Meta: []byte("{\"a\":\"\xff\"}")},
		"/upserts/0/sparse/index/1": {Key: key("a"), Sparse: search.Sparse{Index: []uint32{1, 1}, Value: []float32{1, 1}}},
	} {
		_, err := s.Write(t.Context(), search.Batch{Collection: "docs", Upserts: []search.Point{p}})
		if !errors.Is(err, fault.Invalid) || fault.Field(err) != strings.TrimSpace(field) {
			t.Errorf("%s: got %v", field, err)
		}
	}
	longest := search.Point{Key: search.Key{Tenant: noise(1300), ID: noise(1300)}, Version: 1, Meta: []byte(`{"a":"\u0000"}`)}
	longest.Sparse = search.Sparse{Index: []uint32{1, 9}, Value: []float32{0.5, -1}}
	write(t, s, search.Batch{Collection: "docs", Upserts: []search.Point{longest}})
	got, err := s.Get(t.Context(), "docs", []search.Key{longest.Key, key("\x00"), {Tenant: "\xff", ID: "a"}}, search.Fields{Meta: true, Vector: true})
	if diff := cmp.Diff([]search.Point{longest}, got); diff != "" || err != nil {
		t.Errorf("the longest key: %v %s", err, diff)
	}
	for _, tenant := range []string{"a\x00", "\xff"} { // nobody has them
		if n, err := s.Count(t.Context(), "docs", tenant, search.Filter{}); n != 0 || err != nil {
			t.Errorf("tenant %q: count is %d (%v)", tenant, n, err)
		}
	}
}

// What one client drops or makes again, another one sees, though it remembers tables.
func TestStore_seesWhatOtherClientsDrop(t *testing.T) {
	schema := freshSchema(t)
	one, two := open(t, pgvector.Config{Schema: schema}), open(t, pgvector.Config{Schema: schema})
	fill(t, one)
	if err := ask(t.Context(), two); err != nil {
		t.Fatal(err)
	}
	write(t, one, search.Batch{Collection: "docs", Drop: true})
	if err := ask(t.Context(), two); !errors.Is(err, fault.NotFound) {
		t.Errorf("after the drop: got %v, want not found", err)
	}
	write(t, one, search.Batch{Create: &search.Collection{Name: "docs", Dims: 3, Metric: search.Dot}})
	if err := ask(t.Context(), two); !errors.Is(err, fault.Invalid) {
		t.Errorf("made again with three dims: got %v, want invalid", err)
	}
	write(t, one, search.Batch{Collection: "docs", Drop: true})
	fill(t, one)
	if n, err := two.Count(t.Context(), "docs", "", search.Filter{}); n != 1 || err != nil {
		t.Errorf("made a third time: count is %d (%v)", n, err)
	}
	execute(t, "drop schema "+pgx.Identifier{schema}.Sanitize()+" cascade")
	if err := ask(t.Context(), two); !errors.Is(err, fault.NotFound) {
		t.Errorf("without the schema: got %v, want not found", err)
	}
	fill(t, two)
}

// An epoch is the store's, whichever client brought it.
func TestWrite_epochHoldsForAllClients(t *testing.T) {
	schema := freshSchema(t)
	one, two := open(t, pgvector.Config{Schema: schema}), open(t, pgvector.Config{Schema: schema})
	fill(t, one)
	const highest = 1<<64 - 1
	put := func(s *pgvector.Store, epoch uint64) error {
		_, err := s.Write(t.Context(), search.Batch{Collection: "docs", Epoch: epoch})
		return err
	}
	for _, epoch := range []uint64{1, 1 << 63, highest} {
		if err := put(one, epoch); err != nil {
			t.Errorf("epoch %d: %v", epoch, err)
		}
		if err := put(two, epoch-1); epoch > 1 && !errors.Is(err, fault.Conflict) {
			t.Errorf("epoch %d after %d: got %v, want a conflict", epoch-1, epoch, err)
		}
	}
	_, err := two.Write(t.Context(), search.Batch{Epoch: 5, Create: &search.Collection{Name: "x", Dims: 1, Metric: search.Dot}})
	if !errors.Is(err, fault.Conflict) {
		t.Errorf("create of an old epoch: got %v, want a conflict", err)
	}
	if _, err := two.Write(t.Context(), search.Batch{Epoch: 5, Collection: "docs", Drop: true}); !errors.Is(err, fault.Conflict) {
		t.Errorf("drop of an old epoch: got %v, want a conflict", err)
	}
}

// Names, keys and texts are only ever data.
func FuzzNames_areOnlyData(f *testing.F) {
	dsn(f)
	s := open(f, pgvector.Config{MaxConns: 2})
	fill(f, s)
	f.Add("notes", "", "a", "text")
	f.Add(`"; drop schema lanewise cascade; --`, "'; drop table docs; --", `"x"`, "$1")
	f.Add("docs_1", `\`, "%s", "\u202e")
	f.Add(strings.Repeat("é", 60), "a.b", "null", "{}")
	f.Fuzz(func(t *testing.T, name, tenant, id, text string) {
		if name == "docs" {
			t.Skip()
		}
		if _, err := s.Write(t.Context(), search.Batch{Create: &search.Collection{Name: name, Dims: 1, Metric: search.Cosine}}); err != nil {
			if !errors.Is(err, fault.Invalid) {
				t.Fatalf("create %q: %v", name, err)
			}
			return
		}
		p := search.Point{Key: search.Key{Tenant: tenant, ID: id}, Version: 3, Dense: []float32{2}, Text: text}
		_, err := s.Write(t.Context(), search.Batch{Collection: name, Upserts: []search.Point{p}})
		if err == nil {
			comesBack(t, s, name, p)
		} else if !errors.Is(err, fault.Invalid) {
			t.Errorf("write %+v: %v", p, err)
		}
		write(t, s, search.Batch{Collection: name, Drop: true})
		if n, err := s.Count(t.Context(), "docs", "", search.Filter{}); n != 1 || err != nil {
			t.Fatalf("docs has %d points (%v)", n, err)
		}
	})
}

func comesBack(t *testing.T, s *pgvector.Store, name string, p search.Point) {
	t.Helper()
	got, err := s.Get(t.Context(), name, []search.Key{p.Key}, search.Fields{Text: true, Vector: true})
	if diff := cmp.Diff([]search.Point{p}, got); diff != "" || err != nil {
		t.Errorf("get: %v %s", err, diff)
	}
	res, err := s.Search(t.Context(), search.Query{
		Collection: name, Tenant: p.Tenant, Legs: []search.Leg{{Dense: []float32{1}, K: 5, Only: []search.Key{p.Key, {ID: "no"}}}},
	})
	if err != nil || len(res.Lists[0].Hits) != 1 || res.Lists[0].Hits[0].Key != p.Key {
		t.Errorf("search: %+v, %v", res, err)
	}
}
