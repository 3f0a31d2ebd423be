//go:build unix

package outage_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/lanewise/lanewise/adapters/weaviate"
	"github.com/lanewise/lanewise/search"
)

// aWeaviate is a server of the test's own.
type aWeaviate struct{ dir, rest, grpc string }

func newWeaviate(tb testing.TB) server {
	tb.Helper()
	if os.Getenv("LANEWISE_TEST_OUTAGE") == "" { // its start alone takes longer than all other tests here
		tb.Skip("LANEWISE_TEST_OUTAGE is not set: scripts/full/run outage")
	}
	s := &aWeaviate{dir: filepath.Join(tb.TempDir(), "weaviate")}
	tb.Cleanup(func() {
		_ = s.send(syscall.SIGCONT)
		s.script(tb, "down")
	})
	s.start(tb)
	return s
}

func (s *aWeaviate) start(tb testing.TB) {
	tb.Helper()
	s.rest, s.grpc, _ = strings.Cut(strings.TrimPrefix(s.script(tb, "up"), "LANEWISE_TEST_WEAVIATE="), ",")
}

func (s *aWeaviate) script(tb testing.TB, command string) string {
	tb.Helper()
	cmd := exec.Command("../../scripts/servers/weaviate", command) //nolint:gosec,noctx // a constant command, also in cleanups
	cmd.Env = append(os.Environ(), "LANEWISE_SERVER_DIR="+s.dir)
	out, err := cmd.Output()
	if err != nil {
		tb.Fatalf("scripts/servers/weaviate %s: %v", command, err)
	}
	return strings.TrimSpace(string(out))
}

func (s *aWeaviate) signal(tb testing.TB, sig syscall.Signal) {
	tb.Helper()
	if err := s.send(sig); err != nil {
		tb.Fatal(err)
	}
}

func (s *aWeaviate) send(sig syscall.Signal) error {
	text, err := os.ReadFile(filepath.Join(s.dir, "pid"))
	if err != nil {
		return err
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil {
		return err
	}
	return syscall.Kill(pid, sig)
}

func (s *aWeaviate) open(tb testing.TB) search.Store {
	tb.Helper()
	store, err := weaviate.New(weaviate.Config{Address: s.rest, GRPC: s.grpc})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = store.Close() })
	return store
}

// What Weaviate has confirmed is found after a kill under load: also the vectors of the last write, which
// it would keep to itself until the next one.
func TestWeaviate_isKilled(t *testing.T) {
	t.Parallel() // it mostly waits for the server to start
	w := newWeaviate(t)
	inTurn(t, w, 1)
	q := ask()
	q.Legs[0].K = 1000
	got, err := w.open(t).Search(t.Context(), q)
	if err != nil || len(got.Lists[0].Hits) != 500 {
		t.Errorf("got %d hits of 500, %v", len(got.Lists[0].Hits), err)
	}
}

func TestWeaviate_hangs(t *testing.T) {
	t.Parallel()
	hangs(t, newWeaviate)
}
