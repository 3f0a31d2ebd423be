//go:build unix

package outage_test

import (
	"bufio"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/lanewise/lanewise/adapters/local"
	"github.com/lanewise/lanewise/adapters/pgvector"
	"github.com/lanewise/lanewise/adapters/remote"
	"github.com/lanewise/lanewise/search"
)

// server is a process of the test's own that holds a replica.
type server interface {
	// open returns a store on it.
	open(tb testing.TB) search.Store
	// signal is sent to all of its processes.
	signal(tb testing.TB, s syscall.Signal)
	// start runs it again after SIGKILL, with the same data at the same address, and
	// returns when it answers.
	start(tb testing.TB)
}

// kinds are the servers that a test can have.
func kinds() map[string]func(testing.TB) server {
	return map[string]func(testing.TB) server{"lanewise": newLanewise, "postgres": newPostgres, "qdrant": newQdrant}
}

// process is a server that this one has started.
type process struct{ cmd *exec.Cmd }

func (p *process) signal(tb testing.TB, sig syscall.Signal) {
	tb.Helper()
	if sig == syscall.SIGKILL {
		p.end(sig)
		return
	}
	if err := p.cmd.Process.Signal(sig); err != nil {
		tb.Fatal(err)
	}
}

// end waits until the process is gone.
func (p *process) end(sig syscall.Signal) {
	_ = p.cmd.Process.Signal(sig)
	_ = p.cmd.Wait()
}

// lanewise is a replica's server.
type lanewise struct {
	process
	dir, address, key string
}

func newLanewise(tb testing.TB) server { tb.Helper(); return lanewiseWith(tb, "") }

// lanewiseWith starts one that asks for a key.
func lanewiseWith(tb testing.TB, key string) *lanewise {
	tb.Helper()
	s := &lanewise{dir: tb.TempDir(), key: key}
	tb.Cleanup(func() { s.end(syscall.SIGKILL) })
	s.start(tb)
	return s
}

func (s *lanewise) start(tb testing.TB) {
	tb.Helper()
	self, err := os.Executable()
	if err != nil {
		tb.Fatal(err)
	}
	s.cmd = exec.Command(self) //nolint:gosec,noctx // this binary; it ends with its standard input
	s.cmd.Env = append(os.Environ(), dirVariable+"="+s.dir, addressVariable+"="+s.address, keyVariable+"="+s.key)
	s.cmd.Stderr = os.Stderr
	if _, err = s.cmd.StdinPipe(); err != nil {
		tb.Fatal(err)
	}
	out, err := s.cmd.StdoutPipe()
	if err != nil {
		tb.Fatal(err)
	}
	if err := s.cmd.Start(); err != nil {
		tb.Fatal(err)
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		tb.Fatalf("the server says no address: %v", err)
	}
	s.address = strings.TrimSpace(line)
}

func (s *lanewise) open(tb testing.TB) search.Store {
	tb.Helper()
	return s.at(tb, "http://"+s.address, s.key)
}

// at opens a store that may have the address or the key wrong.
func (s *lanewise) at(tb testing.TB, url, key string) search.Store {
	tb.Helper()
	store, err := remote.New(remote.Config{URL: url, Key: key})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = store.Close() })
	return store
}

// postgres is a cluster of the test's own.
type postgres struct{ dir, dsn string }

func newPostgres(tb testing.TB) server {
	tb.Helper()
	if os.Getenv("LANEWISE_TEST_POSTGRES") == "" {
		tb.Skip("LANEWISE_TEST_POSTGRES is not set: set it to what scripts/servers/postgres up prints")
	}
	s := &postgres{dir: filepath.Join(tb.TempDir(), "postgres")}
	tb.Cleanup(func() {
		_ = s.each(syscall.SIGCONT)
		script(tb, s.dir, "down")
	})
	s.start(tb)
	return s
}

func (s *postgres) start(tb testing.TB) {
	tb.Helper()
	s.dsn = strings.TrimPrefix(script(tb, s.dir, "up"), "LANEWISE_TEST_POSTGRES=")
}

// script runs a command of the server that a folder is named after, and returns what it prints.
func script(tb testing.TB, dir, command string) string {
	tb.Helper()
	name := filepath.Base(dir)
	cmd := exec.Command("../../scripts/servers/"+name, command) //nolint:gosec,noctx // constant commands, also in cleanups
	cmd.Env = append(os.Environ(), "LANEWISE_SERVER_DIR="+dir)
	out, err := cmd.Output()
	if err != nil {
		tb.Fatalf("scripts/servers/%s %s: %v", name, command, err)
	}
	return strings.TrimSpace(string(out))
}

func (s *postgres) signal(tb testing.TB, sig syscall.Signal) {
	tb.Helper()
	if err := s.each(sig); err != nil {
		tb.Fatal(err)
	}
}

// each signals the first process and those that it started for its connections. The first one is held
// meanwhile: a connection that it accepted behind our back would live on without it for a while.
func (s *postgres) each(sig syscall.Signal) error {
	work, err := os.ReadFile(filepath.Join(s.dir, "work"))
	if err != nil {
		return err
	}
	lines, err := os.ReadFile(filepath.Join(string(work), "data", "postmaster.pid"))
	if err != nil {
		return err
	}
	first, err := strconv.Atoi(strings.SplitN(string(lines), "\n", 2)[0])
	if err != nil {
		return err
	}
	if err := syscall.Kill(first, syscall.SIGSTOP); err != nil {
		return err
	}
	children, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(first), "task", strconv.Itoa(first), "children"))
	if err != nil {
		return err
	}
	for child := range strings.FieldsSeq(string(children)) {
		if pid, err := strconv.Atoi(child); err == nil {
			_ = syscall.Kill(pid, sig) // it may have ended meanwhile
		}
	}
	return syscall.Kill(first, sig)
}

func (s *postgres) open(tb testing.TB) search.Store {
	tb.Helper()
	store, err := pgvector.New(pgvector.Config{DSN: s.dsn})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = store.Close() })
	return store
}

// embedded is a store in this process.
func embedded(tb testing.TB) *local.Store {
	tb.Helper()
	s, err := local.Open(local.Config{Path: tb.TempDir()})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = s.Close() })
	return s
}
