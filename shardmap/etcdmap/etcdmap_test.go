package etcdmap_test

import (
	"context"
	"errors"
	"os"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/lanewise/lanewise/fault"
	"github.com/lanewise/lanewise/router"
	"github.com/lanewise/lanewise/shardmap/etcdmap"
)

var _ router.MapStore = (*etcdmap.Store)(nil)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestOpen_refuses(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]etcdmap.Config{
		"no endpoint": {},
		"short ttl":   {Endpoints: []string{"127.0.0.1:1"}, TTL: time.Second},
		"uneven ttl":  {Endpoints: []string{"127.0.0.1:1"}, TTL: 2500 * time.Millisecond},
	} {
		if s, err := etcdmap.Open(c); !errors.Is(err, fault.Invalid) {
			t.Errorf("%s: %v, %v", name, s, err)
		}
	}
}

func TestStore_withoutServer(t *testing.T) {
	t.Parallel()
	s := open(t, etcdmap.Config{Endpoints: []string{"127.0.0.1:1"}})
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, _, err := s.Load(ctx); fault.Of(err) != fault.Unavailable {
		t.Errorf("load: %v", err)
	}
	if _, err := s.Save(t.Context(), nil, "nonsense"); !errors.Is(err, fault.Invalid) {
		t.Errorf("save at a revision that is none: %v", err)
	}
}

func TestStore_savesByCompareAndSwap(t *testing.T) {
	t.Parallel()
	c := etcdmap.Config{Endpoints: shared(t), Prefix: prefix(t)}
	s := open(t, c)
	if _, _, err := s.Load(t.Context()); !errors.Is(err, fault.NotFound) {
		t.Fatalf("nothing is stored: %v", err)
	}
	first := save(t, s, "one", "")
	if _, err := s.Save(t.Context(), []byte("late"), ""); !errors.Is(err, fault.Conflict) {
		t.Errorf("the first save of a second router: %v", err)
	}
	second := save(t, open(t, c), "two", first)
	if _, err := s.Save(t.Context(), []byte("late"), first); !errors.Is(err, fault.Conflict) {
		t.Errorf("from a revision of the past: %v", err)
	}
	if data, at, err := s.Load(t.Context()); err != nil || string(data) != "two" || at != second {
		t.Errorf("%q at %s, %v; want two at %s", data, at, err, second)
	}
}

// Of many who replace the same revision at the same time one does.
func TestStore_saveHasOneWinner(t *testing.T) {
	t.Parallel()
	c := etcdmap.Config{Endpoints: shared(t), Prefix: prefix(t)}
	s := open(t, c)
	at := save(t, s, "zero", "")
	var racing sync.WaitGroup
	won := make(chan string, 8)
	for range cap(won) {
		racing.Go(func() {
			next, err := s.Save(t.Context(), []byte("next"), at)
			if err == nil {
				won <- next
			} else if !errors.Is(err, fault.Conflict) {
				t.Error(err)
			}
		})
	}
	racing.Wait()
	if len(won) != 1 {
		t.Errorf("%d saved over the same revision", len(won))
	}
}

func TestStore_watchTellsOfEverySave(t *testing.T) {
	t.Parallel()
	c := etcdmap.Config{Endpoints: shared(t), Prefix: prefix(t)}
	s := open(t, c)
	ctx, cancel := context.WithCancel(t.Context())
	told, ended := make(chan struct{}, 16), make(chan error, 1)
	go func() { ended <- s.Watch(ctx, func() { told <- struct{}{} }) }()
	<-told // it watches
	at := save(t, open(t, c), "one", "")
	<-told
	save(t, open(t, c), "two", at)
	<-told
	cancel()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Errorf("it ended with %v", err)
	}
}

func TestStore_leases(t *testing.T) {
	t.Parallel()
	c := etcdmap.Config{Endpoints: shared(t), Prefix: prefix(t), TTL: time.Minute}
	s := open(t, c)
	c.TTL = 2 * time.Second
	other := open(t, c)
	for _, entry := range []string{"first", "first", "second"} {
		if ttl, err := s.Renew(t.Context(), "a", []byte(entry)); err != nil || ttl != time.Minute {
			t.Fatalf("%s: %v, %v", entry, ttl, err)
		}
	}
	renewed := func(entry string) (lapsed func() bool) { // on a slow machine that may be at once
		t.Helper()
		begun := time.Now()
		if _, err := other.Renew(t.Context(), "b", []byte(entry)); err != nil {
			t.Fatal(err)
		}
		return func() bool { return time.Since(begun) >= c.TTL }
	}
	lapsed := renewed("dies")
	if all := leases(t, s); all["a"] != "second" || (all["b"] != "dies" || len(all) != 2) && !lapsed() {
		t.Errorf("listed: %v", all)
	}
	for all := leases(t, s); all["b"] != ""; all = leases(t, s) { // etcd ends it: nobody renews it
		if _, err := s.Renew(t.Context(), "a", []byte("second")); err != nil {
			t.Fatal(err)
		}
	}
	if all := leases(t, s); all["a"] != "second" {
		t.Errorf("the renewed one ended, too: %v", all)
	}
	lapsed = renewed("back")
	for range 2 {
		if err := s.Release(t.Context(), "a"); err != nil {
			t.Error(err)
		}
	}
	if all := leases(t, s); all["a"] != "" || (all["b"] != "back" || len(all) != 1) && !lapsed() {
		t.Errorf("after a release: %v", all)
	}
}

// leases lists them as texts.
func leases(t *testing.T, s *etcdmap.Store) map[string]string {
	t.Helper()
	raw, err := s.Leases(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]string{}
	for name, entry := range raw {
		all[name] = string(entry)
	}
	return all
}

func save(t *testing.T, s *etcdmap.Store, data, at string) (revision string) {
	t.Helper()
	revision, err := s.Save(t.Context(), []byte(data), at)
	if err != nil {
		t.Fatal(err)
	}
	return revision
}

func open(t *testing.T, c etcdmap.Config) *etcdmap.Store {
	t.Helper()
	s, err := etcdmap.Open(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// prefix is the test's own in the shared server.
func prefix(t *testing.T) string {
	t.Helper()
	return "/" + t.Name() + time.Now().Format("150405.000000")
}

// shared is the address of the server that all tests share.
func shared(t *testing.T) []string {
	t.Helper()
	address := os.Getenv("LANEWISE_TEST_ETCD")
	if address == "" {
		t.Skip("LANEWISE_TEST_ETCD is not set: start one with scripts/servers/etcd up")
	}
	return []string{address}
}
