//go:build unix

package outage_test

import (
	"net"
	"os"
	"os/exec"
	"strconv"
	"syscall"
	"testing"

	"github.com/lanewise/lanewise/adapters/qdrant"
	"github.com/lanewise/lanewise/search"
)

const qdrantBinary = "LANEWISE_TEST_QDRANT_BINARY" // the program of a Qdrant, 1.16 or newer

// qdrantServer is a Qdrant of the test's own.
type qdrantServer struct {
	process
	dir, http, grpc string
}

func newQdrant(tb testing.TB) server {
	tb.Helper()
	if os.Getenv(qdrantBinary) == "" {
		tb.Skip(qdrantBinary + " is not set: set it to the program of a Qdrant")
	}
	s := &qdrantServer{dir: tb.TempDir(), http: freePort(tb), grpc: freePort(tb)}
	tb.Cleanup(func() { s.end(syscall.SIGKILL) })
	s.start(tb)
	return s
}

func freePort(tb testing.TB) string {
	tb.Helper()
	l, err := listen("")
	if err != nil {
		tb.Fatal(err)
	}
	defer l.Close()
	return strconv.Itoa(l.Addr().(*net.TCPAddr).Port)
}

func (s *qdrantServer) start(tb testing.TB) {
	tb.Helper()
	s.cmd = exec.Command(os.Getenv(qdrantBinary), "--disable-telemetry") //nolint:gosec,noctx // it ends with the test
	s.cmd.Dir = s.dir
	s.cmd.Env = append(os.Environ(), "QDRANT__SERVICE__HOST=127.0.0.1", "QDRANT__LOG_LEVEL=ERROR",
		"QDRANT__SERVICE__HTTP_PORT="+s.http, "QDRANT__SERVICE__GRPC_PORT="+s.grpc)
	if err := s.cmd.Start(); err != nil {
		tb.Fatal(err)
	}
	answers(tb, s.open(tb))
}

func (s *qdrantServer) open(tb testing.TB) search.Store {
	tb.Helper()
	store, err := qdrant.New(qdrant.Config{Address: "127.0.0.1:" + s.grpc})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = store.Close() })
	return store
}
