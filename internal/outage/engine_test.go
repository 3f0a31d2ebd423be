//go:build unix

package outage_test

import (
	"errors"
	"io"
	"maps"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/lanewise/lanewise/adapters/milvus"
	"github.com/lanewise/lanewise/adapters/weaviate"
	"github.com/lanewise/lanewise/fault"
	"github.com/lanewise/lanewise/search"
)

// engines are the servers whose start alone takes longer than all other tests here.
func engines() map[string]func(testing.TB) server {
	return map[string]func(testing.TB) server{
		"milvus": func(tb testing.TB) server {
			tb.Helper()
			return newEngine(tb, "milvus", func(at string) (connection, error) {
				return milvus.New(milvus.Config{Address: at, Consistency: milvus.Session}) // it has what was written here
			})
		},
		"weaviate": func(tb testing.TB) server {
			tb.Helper()
			return newEngine(tb, "weaviate", func(at string) (connection, error) {
				rest, grpc, _ := strings.Cut(at, ",")
				return weaviate.New(weaviate.Config{Address: rest, GRPC: grpc})
			})
		},
	}
}

// everyKind is kinds and engines.
func everyKind() map[string]func(testing.TB) server {
	all := kinds()
	maps.Copy(all, engines())
	return all
}

type connection interface {
	search.Store
	io.Closer
}

// engine is a server of the test's own that one of scripts/servers starts, as one process.
type engine struct {
	name, dir string
	at        string // as the script prints it
	connect   func(at string) (connection, error)
}

func newEngine(tb testing.TB, name string, connect func(at string) (connection, error)) server {
	tb.Helper()
	if os.Getenv("LANEWISE_TEST_OUTAGE") == "" {
		tb.Skip("LANEWISE_TEST_OUTAGE is not set: scripts/full/run outage")
	}
	e := &engine{name: name, dir: filepath.Join(tb.TempDir(), name), connect: connect}
	tb.Cleanup(func() {
		_ = e.send(syscall.SIGCONT)
		script(tb, e.dir, "down")
	})
	e.start(tb)
	return e
}

func (e *engine) start(tb testing.TB) {
	tb.Helper()
	_, e.at, _ = strings.Cut(script(tb, e.dir, "up"), "=")
	answers(tb, e.open(tb))
}

// answers waits for some answers in a row, by all connections of a store: a server may be
// well and still be loading what it holds.
func answers(tb testing.TB, store search.Store) {
	tb.Helper()
	late := time.Now().Add(patience)
	pace := time.NewTicker(50 * time.Millisecond)
	defer pace.Stop()
	for row := 0; row < 8; {
		_, err := store.Search(tb.Context(), ask())
		if err == nil || errors.Is(err, fault.NotFound) { // at first there is no collection
			row++
			continue
		}
		row = 0
		if time.Now().After(late) {
			tb.Fatalf("it does not answer: %v", err)
		}
		<-pace.C
	}
}

func (e *engine) signal(tb testing.TB, sig syscall.Signal) {
	tb.Helper()
	if sig == syscall.SIGKILL {
		script(tb, e.dir, "kill") // waits for its end: else it would seem to be up when it is started again
		return
	}
	if err := e.send(sig); err != nil {
		tb.Fatal(err)
	}
}

func (e *engine) send(sig syscall.Signal) error {
	text, err := os.ReadFile(filepath.Join(e.dir, "pid"))
	if err != nil {
		return err
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil {
		return err
	}
	return syscall.Kill(pid, sig)
}

func (e *engine) open(tb testing.TB) search.Store {
	tb.Helper()
	store, err := e.connect(e.at)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = store.Close() })
	return store
}

// What an engine has confirmed is found after a kill under load: of Weaviate also the vectors of the last
// write, which it would keep to itself until the next one.
func TestEngine_isKilled(t *testing.T) {
	for name, start := range engines() {
		t.Run(name, func(t *testing.T) {
			e := start(t)
			inTurn(t, e, 1)
			q := ask()
			q.Legs[0].K = 1000
			got, err := e.open(t).Search(t.Context(), q)
			if err != nil || len(got.Lists[0].Hits) != 500 {
				t.Errorf("got %d hits of 500, %v", len(got.Lists[0].Hits), err)
			}
		})
	}
}

func TestEngine_isTheOnlyCopy(t *testing.T) {
	for name, start := range engines() {
		t.Run(name, func(t *testing.T) { alone(t, start(t)) })
	}
}

func TestEngine_hangs(t *testing.T) {
	for name, start := range engines() {
		t.Run(name, func(t *testing.T) { hangs(t, start) })
	}
}
