package pgvector_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	osexec "os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/lanewise/lanewise/adapters/pgvector"
	"github.com/lanewise/lanewise/fault"
	"github.com/lanewise/lanewise/search"
)

// ask runs a small search.
func ask(ctx context.Context, s *pgvector.Store) error {
	_, err := s.Search(ctx, search.Query{Collection: "docs", Legs: []search.Leg{{Dense: []float32{1, 1}, K: 3}}})
	return err
}

// fill makes a collection with one point.
func fill(tb testing.TB, s *pgvector.Store) {
	tb.Helper()
	write(tb, s, search.Batch{Create: &search.Collection{Name: "docs", Dims: 2, Metric: search.Dot}})
	write(tb, s, search.Batch{Collection: "docs", Upserts: []search.Point{{Key: search.Key{ID: "a"}, Version: 1, Dense: []float32{1, 1}}}})
}

func write(tb testing.TB, s *pgvector.Store, b search.Batch) search.Written {
	tb.Helper()
	out, err := s.Write(tb.Context(), b)
	if err != nil {
		tb.Fatal(err)
	}
	return out
}

func TestNew_namesTheFieldAndHidesThePassword(t *testing.T) {
	good := "postgres://u:s3cret@localhost/db"
	for field, c := range map[string]pgvector.Config{
		"/dsn":                  {},
		"/dsn ":                 {DSN: "postgres://u:s3cret@:x:y/%zz"},
		"/dsn  ":                {DSN: "u:s3cret"},
		"/schema":               {DSN: good, Schema: strings.Repeat("s", 64)},
		"/schema ":              {DSN: good, Schema: "a\x00b"},
		"/max_conns":            {DSN: good, MaxConns: -1},
		"/hnsw/m":               {DSN: good, HNSW: &pgvector.HNSW{M: 101}},
		"/hnsw/ef":              {DSN: good, HNSW: &pgvector.HNSW{EF: 1001}},
		"/hnsw/ef_construction": {DSN: good, HNSW: &pgvector.HNSW{EFConstruction: 3}},
	} {
		_, err := pgvector.New(c)
		if !errors.Is(err, fault.Invalid) || fault.Field(err) != strings.TrimSpace(field) {
			t.Errorf("%s: got %v", field, err)
			continue
		}
		if strings.Contains(err.Error(), "s3cret") {
			t.Errorf("%s: the password is in %q", field, err)
		}
	}
}

// change returns the test server's URL with something else in it.
func change(t *testing.T, edit func(*url.URL)) string {
	t.Helper()
	u, err := url.Parse(dsn(t))
	if err != nil {
		t.Fatal(err)
	}
	edit(u)
	return u.String()
}

func TestStore_classifiesWhatIsWrongWithTheServer(t *testing.T) {
	free, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_ = free.Close()
	for name, c := range map[string]struct {
		dsn  string
		want fault.Class
	}{
		"wrong port":        {change(t, func(u *url.URL) { u.Host = free.Addr().String() }), fault.Unavailable},
		"wrong password":    {change(t, func(u *url.URL) { u.User = url.UserPassword("lanewise", "s3cret") }), fault.Refused},
		"wrong user":        {change(t, func(u *url.URL) { u.User = url.UserPassword("nobody", "s3cret") }), fault.Refused},
		"wrong database":    {change(t, func(u *url.URL) { u.Path = "/nothing" }), fault.Unavailable},
		"TLS against plain": {change(t, func(u *url.URL) { u.RawQuery = "sslmode=require" }), fault.Unavailable},
	} {
		s := open(t, pgvector.Config{DSN: c.dsn, Schema: "unused"})
		u, _ := url.Parse(c.dsn)
		password, _ := u.User.Password()
		err := ask(t.Context(), s)
		if got := fault.Of(err); got != c.want || errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%s: got %q, want %q (%v)", name, got, c.want, err)
		}
		if err != nil && (strings.Contains(err.Error(), password) || strings.Contains(err.Error(), "\n")) {
			t.Errorf("%s: %q holds the password or several lines", name, err)
		}
	}
}

// silent is a listener that accepts and never says anything.
func silent(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	done := make(chan struct{})
	wg.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			wg.Go(func() {
				<-done
				_ = conn.Close()
			})
		}
	})
	t.Cleanup(func() {
		close(done)
		_ = l.Close()
		wg.Wait()
	})
	return "postgres://u:s3cret@" + l.Addr().String() + "/db?sslmode=disable"
}

func TestStore_givesUpOnAServerThatNeverAnswers(t *testing.T) {
	at := silent(t)
	s := open(t, pgvector.Config{DSN: at, Schema: "x", DialTimeout: 50 * time.Millisecond})
	if err := ask(t.Context(), s); !errors.Is(err, fault.Unavailable) || errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("after the dial timeout: got %v, want unavailable", err)
	}
	s = open(t, pgvector.Config{DSN: at, Schema: "x", DialTimeout: 5 * time.Second})
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if err := ask(ctx, s); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("with a deadline: got %v", err)
	}
	ctx, cancel = context.WithCancel(t.Context())
	time.AfterFunc(10*time.Millisecond, cancel)
	if err := ask(ctx, s); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: got %v", err)
	}
}

// A search waits for a lock that is never given. It must come back before the lock
// does, and the server must stop working for it.
func TestStore_returnsBeforeAServerThatHoldsItsAnswer(t *testing.T) {
	schema := freshSchema(t)
	s := open(t, pgvector.Config{Schema: schema})
	fill(t, s)
	held := connect(t)
	table := pgx.Identifier{schema, "docs_1"}.Sanitize()
	exec(t, held, "begin")
	exec(t, held, "lock table "+table+" in access exclusive mode")

	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if err := ask(ctx, s); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("search: got %v", err)
	}
	ctx, cancel = context.WithCancel(t.Context())
	time.AfterFunc(50*time.Millisecond, cancel)
	_, err := s.Write(ctx, search.Batch{Collection: "docs", Upserts: []search.Point{{Key: search.Key{ID: "b"}, Version: 1}}})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("write: got %v", err)
	}
	watch := connect(t)
	for { // ends when the server has stopped, else with the test's own timeout
		var waiting int
		err := watch.QueryRow(t.Context(), `select count(*) from pg_stat_activity where application_name = 'lanewise'
			and wait_event_type = 'Lock' and strpos(query, $1) > 0`, table).Scan(&waiting)
		if err != nil {
			t.Fatal(err)
		}
		if waiting == 0 {
			break
		}
	}
	exec(t, held, "rollback")
	if err := ask(t.Context(), s); err != nil {
		t.Errorf("after the lock: %v", err)
	}
}

// A server that ended all connections and goes on costs no call.
func TestStore_replacesBrokenConnections(t *testing.T) {
	const conns = 8
	name := fmt.Sprint("lanewise-test-", os.Getpid())
	s := open(t, pgvector.Config{MaxConns: conns, DSN: change(t, func(u *url.URL) { u.RawQuery += "&application_name=" + name })})
	fill(t, s)
	var wg sync.WaitGroup
	for range 10 * conns { // opens all of them
		wg.Go(func() {
			if err := ask(t.Context(), s); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	var ended int
	err := connect(t).QueryRow(t.Context(), `select count(*) filter (where pg_terminate_backend(pid, 5000))
		from pg_stat_activity where application_name = $1`, name).Scan(&ended)
	if err != nil || ended < 2 {
		t.Fatalf("%d connections were ended (%v)", ended, err)
	}
	for range 2 * conns {
		if err := ask(t.Context(), s); err != nil {
			t.Errorf("after %d connections were ended: %v", ended, err)
		}
	}
}

func TestClose_underLoad(t *testing.T) {
	s := open(t, pgvector.Config{MaxConns: 4})
	fill(t, s)
	var wg sync.WaitGroup
	var served atomic.Int64
	warm := make(chan struct{}, 64)
	for range 16 {
		wg.Go(func() {
			for {
				err := ask(t.Context(), s)
				if err != nil {
					if !errors.Is(err, fault.Unavailable) {
						t.Errorf("got %v, want unavailable", err)
					}
					return
				}
				if served.Add(1) <= 64 {
					warm <- struct{}{}
				}
			}
		})
	}
	for range 64 {
		<-warm
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	wg.Wait()
	if err := ask(t.Context(), s); !errors.Is(err, fault.Unavailable) {
		t.Errorf("after Close: got %v", err)
	}
}

// script runs scripts/servers/postgres for a server of this test's own.
func script(t *testing.T, dir string, args ...string) string {
	t.Helper()
	cmd := osexec.Command("../../scripts/servers/postgres", args...) //nolint:gosec,noctx // constant arguments, also in cleanups
	cmd.Env = append(os.Environ(), "LANEWISE_SERVER_DIR="+dir)
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("scripts/servers/postgres %v: %v", args, err)
	}
	return strings.TrimPrefix(strings.TrimSpace(string(out)), serverVariable+"=")
}

// crash kills a server that script started.
func crash(t *testing.T, dir string) {
	t.Helper()
	work, err := os.ReadFile(filepath.Join(dir, "work")) //nolint:gosec // of this test
	if err != nil {
		t.Fatal(err)
	}
	pid, err := os.ReadFile(filepath.Join(string(work), "data", "postmaster.pid")) //nolint:gosec // of this test
	if err != nil {
		t.Fatal(err)
	}
	n, err := strconv.Atoi(strings.Split(string(pid), "\n")[0])
	if err != nil {
		t.Fatal(err)
	}
	server, err := os.FindProcess(n)
	if err != nil {
		t.Fatal(err)
	}
	if err := server.Kill(); err != nil {
		t.Fatal(err)
	}
}

// A server is killed under load and started again: whoever asks gets the right answer
// or Unavailable, every acknowledged point is there, and service returns by itself.
func TestStore_survivesTheServersDeath(t *testing.T) {
	dsn(t)
	if testing.Short() {
		t.Skip("starts a server of its own: not in short mode")
	}
	dir := filepath.Join(t.TempDir(), "server")
	at := script(t, dir, "up")
	t.Cleanup(func() { script(t, dir, "down") })
	s, err := pgvector.New(pgvector.Config{DSN: at})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	fill(t, s)

	load := &load{s: s, stop: make(chan struct{}), failed: make(chan struct{})}
	load.start(t)
	crash(t, dir)
	<-load.failed
	script(t, dir, "up")
	for ask(t.Context(), s) != nil { // ends when service is back, else with the test's own timeout
	}
	close(load.stop)
	load.wg.Wait()

	n, err := s.Count(t.Context(), "docs", "", search.Filter{})
	if err != nil || n < load.written {
		t.Errorf("%d points (%v), %d were acknowledged", n, err, load.written)
	}
}

// load writes and searches until it is stopped.
type load struct {
	s       *pgvector.Store
	wg      sync.WaitGroup
	stop    chan struct{}
	failed  chan struct{} // closed at the first error
	once    sync.Once
	written int // of the one writer, read when it has ended
}

func (l *load) start(t *testing.T) {
	t.Helper()
	begun := make(chan struct{})
	var first sync.Once
	l.wg.Go(func() {
		for i := 0; l.more(); i++ {
			p := search.Point{Key: search.Key{ID: "w" + strconv.Itoa(i)}, Version: 1, Dense: []float32{0, 0}}
			_, err := l.s.Write(context.Background(), search.Batch{Collection: "docs", Upserts: []search.Point{p}})
			if l.judge(t, err); err == nil {
				l.written++
			}
			if l.written == 20 {
				first.Do(func() { close(begun) })
			}
		}
	})
	for range 4 {
		l.wg.Go(func() {
			for l.more() {
				res, err := l.s.Search(context.Background(), search.Query{Collection: "docs", Legs: []search.Leg{{Dense: []float32{1, 1}, K: 1}}})
				if l.judge(t, err); err == nil && (len(res.Lists[0].Hits) != 1 || res.Lists[0].Hits[0].ID != "a") {
					t.Errorf("a wrong answer: %+v", res)
				}
			}
		})
	}
	<-begun
}

func (l *load) more() bool {
	select {
	case <-l.stop:
		return false
	default:
		return true
	}
}

func (l *load) judge(t *testing.T, err error) {
	t.Helper()
	if err == nil {
		return
	}
	l.once.Do(func() { close(l.failed) })
	if !errors.Is(err, fault.Unavailable) {
		t.Errorf("got %v, want unavailable", err)
	}
}
