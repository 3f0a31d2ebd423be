//go:build unix

package outage_test

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/milvus-io/milvus-sdk-go/v2/client"

	"github.com/lanewise/lanewise/adapters/milvus"
	"github.com/lanewise/lanewise/adapters/pgvector"
	"github.com/lanewise/lanewise/balance"
	"github.com/lanewise/lanewise/fault"
	"github.com/lanewise/lanewise/router"
	"github.com/lanewise/lanewise/search"
)

// wrong is a replica that cannot work, and the class of what it says.
type wrong struct {
	name  string
	store search.Store
	class fault.Class
}

// wrongs are configured wrongly in all the usual ways.
func wrongs(t *testing.T) []wrong {
	t.Helper()
	free, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	closed := free.Addr().String()
	_ = free.Close()
	locked := lanewiseWith(t, "s3cret")
	all := []wrong{
		{"wrong port", locked.at(t, "http://"+closed, "s3cret"), fault.Unavailable},
		{"wrong key", locked.at(t, "http://"+locked.address, "another"), fault.Refused},
		{"no key", locked.at(t, "http://"+locked.address, ""), fault.Refused},
		{"TLS against plain text", locked.at(t, "https://"+locked.address, "s3cret"), fault.Unavailable},
	}
	dsn := os.Getenv("LANEWISE_TEST_POSTGRES")
	if dsn == "" {
		t.Run("postgres", func(t *testing.T) { t.Skip("LANEWISE_TEST_POSTGRES is not set") })
		return all
	}
	pg := func(edit func(*url.URL)) search.Store {
		u, err := url.Parse(dsn)
		if err != nil {
			t.Fatal(err)
		}
		edit(u)
		s, err := pgvector.New(pgvector.Config{DSN: u.String(), Schema: "unused"})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = s.Close() })
		return s
	}
	return append(all,
		wrong{"postgres: wrong port", pg(func(u *url.URL) { u.Host = closed }), fault.Unavailable},
		wrong{"postgres: wrong password", pg(func(u *url.URL) { u.User = url.UserPassword("lanewise", "another") }), fault.Refused},
		wrong{"postgres: TLS against plain text", pg(func(u *url.URL) { u.RawQuery = "sslmode=require" }), fault.Unavailable},
		wrong{"a PostgreSQL's port", locked.at(t, "http://"+host(t, dsn), "s3cret"), fault.Unavailable},
	)
}

func host(t *testing.T, dsn string) string {
	t.Helper()
	u, err := url.Parse(dsn)
	if err != nil {
		t.Fatal(err)
	}
	return u.Host
}

// A replica that is configured wrongly costs nothing but attempts while another copy
// is right; alone, it is the shard's error, with its class.
func TestSearch_besideAReplicaThatIsConfiguredWrongly(t *testing.T) {
	for _, w := range wrongs(t) {
		t.Run(w.name, func(t *testing.T) {
			good := embedded(t)
			build(t, router.Config{}, []search.Store{good}) // fills it
			seen := &errorsOf{by: map[string]error{}}
			s := open(t, router.Config{Trace: &balance.Trace{Ended: seen.ended}, Picker: balance.RoundRobin{}}, []search.Store{w.store, good})
			for range 10 {
				if err := s.once(t.Context()); err != nil {
					t.Fatalf("beside a good one: %v", err)
				}
			}
			if err := seen.of("r0"); !errors.Is(err, w.class) && (w.class != fault.Unavailable || s.Replicas()[0].Reads || s.Replicas()[0].Unreachable == "") {
				t.Errorf("the attempts on it end with %v, want %s, or none on one that nobody reached: %+v", err, w.class, s.Replicas()[0])
			}
			if err := seen.of("r1"); err != nil {
				t.Errorf("the attempts on the good one end with %v", err)
			}
			alone := open(t, router.Config{}, []search.Store{w.store}, []search.Store{good})
			if err := alone.once(t.Context()); !errors.Is(err, w.class) || !errors.Is(err, fault.Partial) || strings.Contains(err.Error(), "s3cret") || !strings.Contains(err.Error(), "r0: ") {
				t.Errorf("alone: got %v, want %s, as a part that is missing", err, w.class)
			}
		})
	}
}

// errorsOf remembers the latest error of each member.
type errorsOf struct {
	mu sync.Mutex
	by map[string]error
}

func (e *errorsOf) ended(a balance.Attempt) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if a.Err != nil {
		e.by[a.Member] = a.Err
	}
}

func (e *errorsOf) of(member string) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.by[member]
}

// A replica whose collection has other dims or another metric than the shard's: a router
// that meets it at its start refuses to start and names it. One that meets it later compares it
// before it asks it anything.
func TestRouter_replicasThatDiffer(t *testing.T) {
	for name, odd := range map[string]search.Collection{
		"dims":   {Name: docs, Dims: dims + 1, Metric: search.Cosine},
		"metric": {Name: docs, Dims: dims, Metric: search.Euclidean},
	} {
		t.Run(name, func(t *testing.T) {
			good, differs := embedded(t), newLanewise(t)
			build(t, router.Config{}, []search.Store{good})
			store := differs.open(t)
			fill(t, store, odd)
			shard := router.Shard{Name: "s0", Replicas: []router.Replica{{Name: "r0", Store: good}, {Name: "r1", Store: store}}}
			r, err := router.New(router.Config{Shards: []router.Shard{shard}})
			if err == nil {
				_ = r.Close()
			}
			if !errors.Is(err, fault.Conflict) || !strings.Contains(err.Error(), "s0/r1") {
				t.Errorf("at the start: got %v, want a conflict about s0/r1", err)
			}
			differs.signal(t, syscall.SIGKILL)
			s := open(t, router.Config{Picker: balance.RoundRobin{}}, []search.Store{good, store})
			differs.start(t)
			for late := time.Now().Add(patience); s.Replicas()[1].Why == ""; {
				if err := s.once(t.Context()); err != nil {
					t.Fatalf("before it was compared: %v", err)
				}
				if time.Now().After(late) {
					t.Fatal("nobody compares it")
				}
			}
			if it := s.Replicas()[1]; it.Reads || !strings.Contains(it.Why, "metric") {
				t.Errorf("it was compared: %+v", it)
			}
			for range 20 {
				if err := s.once(t.Context()); err != nil {
					t.Fatalf("without it: %v", err)
				}
			}
		})
	}
}

// fill makes a collection with the points of build, of the dims that it has.
func fill(t *testing.T, store search.Writer, c search.Collection) {
	t.Helper()
	points := random(500, 3)
	for i := range points {
		points[i].Dense, points[i].Version = append(points[i].Dense, 0)[:c.Dims], 1
	}
	for _, b := range []search.Batch{{Create: &c}, {Collection: docs, Upserts: points}} {
		if _, err := store.Write(t.Context(), b); err != nil {
			t.Fatal(err)
		}
	}
}

// A Milvus whose collection is not loaded holds everything and can search nothing.
func TestSearch_milvusCollectionIsNotLoaded(t *testing.T) {
	store, sdk := newMilvus(t)
	seen := &errorsOf{by: map[string]error{}}
	s := build(t, router.Config{
		Trace: &balance.Trace{Ended: seen.ended}, Picker: balance.RoundRobin{},
	}, []search.Store{store, embedded(t)})
	for range 4 {
		if err := s.once(t.Context()); err != nil {
			t.Fatalf("while it is loaded: %v", err)
		}
	}
	if err := sdk.ReleaseCollection(t.Context(), docs); err != nil {
		t.Fatal(err)
	}
	for range 10 {
		if err := s.once(t.Context()); err != nil {
			t.Fatalf("beside another copy: %v", err)
		}
	}
	if err := seen.of("r0"); !errors.Is(err, fault.Unavailable) || !strings.Contains(err.Error(), "not loaded") {
		t.Errorf("its attempts end with %v, want unavailable because it is not loaded", err)
	}
	if err := sdk.LoadCollection(t.Context(), docs, false); err != nil {
		t.Fatal(err)
	}
	if _, err := store.Search(t.Context(), ask()); err != nil {
		t.Errorf("loaded again: %v", err)
	}
}

// A point that one engine of a shard cannot hold is refused before the other has it.
func TestUpsert_overOneEnginesLimit(t *testing.T) {
	store, _ := newMilvus(t)
	s := build(t, router.Config{}, []search.Store{store, embedded(t)})
	for field, p := range map[string]search.Point{
		"/points/0/text":     {Text: strings.Repeat("t", 65536)},
		"/points/0/metadata": {Meta: fmt.Appendf(nil, `{"x":"%s"}`, strings.Repeat("m", 65536))},
	} {
		p.ID, p.Dense = "large", make([]float32, dims)
		_, err := s.Upsert(t.Context(), router.Upsert{Collection: docs, Points: []search.Point{p}})
		if !errors.Is(err, fault.Invalid) || fault.Field(err) != field || !strings.Contains(err.Error(), "s0/r0") {
			t.Errorf("%s: got %v about %q", field, err, fault.Field(err))
		}
	}
	if got, err := s.Get(t.Context(), docs, []search.Key{{ID: "large"}}, search.Fields{}); len(got) != 0 || err != nil {
		t.Errorf("somebody has it: %d points, %v", len(got), err)
	}
}

// newMilvus is a store in a database of its own, and a plain client of it.
func newMilvus(t *testing.T) (search.Store, client.Client) {
	t.Helper()
	address := os.Getenv("LANEWISE_TEST_MILVUS")
	if address == "" {
		t.Skip("LANEWISE_TEST_MILVUS is not set: set it to what scripts/servers/milvus up prints")
	}
	database := "outage_" + rand.Text()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	sdk, err := client.NewClient(ctx, client.Config{Address: address})
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(sdk.CreateDatabase(ctx, database), sdk.UsingDatabase(ctx, database)); err != nil {
		t.Fatal(err)
	}
	s, err := milvus.New(milvus.Config{Address: address, Database: database, Consistency: milvus.Session})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx := context.Background()
		err := errors.Join(sdk.DropCollection(ctx, docs), sdk.DropDatabase(ctx, database), s.Close(), sdk.Close())
		if err != nil {
			t.Error(err)
		}
	})
	return s, sdk
}
