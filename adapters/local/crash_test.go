//go:build unix

package local_test

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/lanewise/lanewise/adapters/local"
	"github.com/lanewise/lanewise/search"
)

// docsOf3 makes a store with an empty collection of three dims.
func docsOf3(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	s := open(t, dir)
	write(t, s, search.Batch{Create: &search.Collection{Name: "docs", Dims: 3, Metric: search.Cosine}})
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	return dir
}

// TestWrite_losesNothingToSIGKILL kills a writing process at random moments, and
// holds what the next one finds against what was acknowledged.
func TestWrite_losesNothingToSIGKILL(t *testing.T) {
	rounds := 200
	if testing.Short() {
		rounds = 20
	}
	dir := docsOf3(t)
	rng := rand.New(rand.NewPCG(uint64(time.Now().UnixNano()), 0))
	acked, total := make([]int, writers), 0
	for range rounds {
		killRound(t, dir, time.Duration(rng.IntN(40_000))*time.Microsecond, acked)
		s := open(t, dir)
		for w := range writers {
			n := checkWriter(t, s, w, acked[w])
			total += n - acked[w]
			acked[w] = n
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		if t.Failed() {
			return
		}
	}
	t.Logf("%d kills, %d operations acknowledged, %d more were found applied as a whole", rounds, sum(acked)-total, total)
}

func sum(v []int) (s int) {
	for _, x := range v {
		s += x
	}
	return s
}

// killRound runs the load, kills it some time after its first acknowledgement,
// and notes the last ones.
func killRound(t *testing.T, dir string, after time.Duration, acked []int) {
	t.Helper()
	cmd := command(t, "load", dir, "0")
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewReader(out)
	first, err := lines.ReadString('\n')
	if err != nil {
		t.Fatalf("the child wrote nothing: %v", err)
	}
	timer := time.AfterFunc(after, func() { _ = cmd.Process.Kill() })
	rest, err := io.ReadAll(lines)
	if err != nil {
		t.Fatal(err)
	}
	timer.Stop()
	_ = cmd.Wait() // killed
	for line := range strings.Lines(first + string(rest)) {
		var w, n int
		if !strings.HasSuffix(line, "\n") {
			continue
		}
		if _, err := fmt.Sscanf(line, "ack %d %d", &w, &n); err != nil {
			t.Fatalf("the child says %q", line)
		}
		acked[w] = n
	}
}

// checkWriter compares a writer's points with the last operation acknowledged, or
// the one after it, and returns which it was.
func checkWriter(t *testing.T, s *local.Store, writer, acked int) int {
	t.Helper()
	n, err := lastOp(t.Context(), s, writer)
	if err != nil {
		t.Fatal(err)
	}
	if n != acked && n != acked+1 {
		t.Fatalf("writer %d: operation %d was acknowledged, the store has %d", writer, acked, n)
	}
	page, err := s.Scroll(t.Context(), search.Scan{
		Collection: "docs", Tenant: lastKey(writer).Tenant, Limit: 1000, Fields: search.Fields{Text: true, Meta: true, Vector: true},
	})
	if err != nil {
		t.Fatal(err)
	}
	got := map[search.Key]search.Point{}
	for _, p := range page.Points {
		got[p.Key] = p
	}
	if diff := cmp.Diff(opState(writer, n), got); diff != "" {
		t.Fatalf("writer %d after operation %d: %s", writer, n, diff)
	}
	return n
}

// TestWrite_syncsBeforeItAcknowledges reads the system calls of a writing process.
func TestWrite_syncsBeforeItAcknowledges(t *testing.T) {
	strace, err := exec.LookPath("strace")
	if err != nil {
		t.Skip("strace is not installed, so that nobody can see the syncs")
	}
	dir, trace := docsOf3(t), filepath.Join(t.TempDir(), "trace")
	cmd := command(t, "load", dir, "20")
	args := []string{"-f", "-s", "32", "-e", "trace=pwrite64,fdatasync,fsync,write", "-o", trace, cmd.Path}
	cmd.Path, cmd.Args = strace, append([]string{strace}, args...)
	var errText bytes.Buffer
	cmd.Stderr = &errText
	if out, err := cmd.Output(); err != nil {
		if strings.Contains(errText.String(), "ptrace") {
			t.Skipf("strace may not trace here: %s", errText.String())
		}
		t.Fatalf("%v: %s%s", err, out, errText.String())
	}
	calls, err := os.ReadFile(trace)
	if err != nil {
		t.Fatal(err)
	}
	checkSyncs(t, string(calls))
}

// checkSyncs holds the trace to: every write to the file is synced before the
// next acknowledgement, and every acknowledgement has syncs of its own.
func checkSyncs(t *testing.T, trace string) {
	t.Helper()
	ack := regexp.MustCompile(`write\(1, "ack 0 \d+`)
	synced := regexp.MustCompile(`f(data)?sync.*\) += 0$`)
	dirty, syncs, acks := false, 0, 0
	for line := range strings.Lines(trace) {
		line = strings.TrimRight(line, "\n")
		switch {
		case ack.MatchString(line):
			if dirty || syncs == 0 {
				t.Errorf("acknowledgement %d: unsynced writes %t, syncs since the last one %d", acks+1, dirty, syncs)
			}
			acks++
			syncs = 0
		case strings.Contains(line, "pwrite64("):
			dirty = true
		case synced.MatchString(line):
			dirty = false
			syncs++
		}
	}
	if acks != 20 {
		t.Errorf("saw %d acknowledgements in the trace, want 20", acks)
	}
}

func TestWrite_fullDisk(t *testing.T) {
	dir := docsOf3(t)
	out, err := command(t, "full", dir, "").Output()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	var acked, counted int
	if _, err := fmt.Sscanf(string(out), "full after %d, counts %d (<nil>):", &acked, &counted); err != nil {
		t.Fatalf("the child says %q", out)
	}
	if acked != counted || acked == 0 {
		t.Errorf("acknowledged %d, counted %d", acked, counted)
	}
	if !strings.Contains(string(out), filepath.Join(dir, "lanewise.db")) || !strings.Contains(string(out), "with room again: <nil>") {
		t.Errorf("the child says %q", out)
	}
	s := open(t, dir)
	if n, err := s.Count(t.Context(), "docs", "", search.Filter{}); n != acked+1 || err != nil {
		t.Errorf("opened again: %d points (%v), want %d", n, err, acked+1)
	}
	if err := s.Verify(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestOpen_secondProcessIsRefused(t *testing.T) {
	dir := docsOf3(t)
	open(t, dir)
	out, err := command(t, "open", dir, "").Output()
	if err == nil || !strings.Contains(string(out), "open in another process") || !strings.Contains(string(out), dir) {
		t.Errorf("got %v: %s", err, out)
	}
	if _, err := local.Open(local.Config{Path: dir}); err == nil || !strings.Contains(err.Error(), "open in another process") {
		t.Errorf("twice in one process: got %v", err)
	}
}

func TestOpen_withoutRights(t *testing.T) {
	for name, prepare := range map[string]func(dir string) error{
		"a directory to read only": func(dir string) error { return os.Chmod(dir, 0o555) },
		"a file to read only": func(dir string) error {
			if err := os.Chmod(dir, 0o777); err != nil {
				return err
			}
			return os.WriteFile(filepath.Join(dir, "lanewise.db"), nil, 0o444)
		},
	} {
		t.Run(name, func(t *testing.T) {
			parent := t.TempDir()
			dir := filepath.Join(parent, "store")
			if err := os.Mkdir(dir, 0o755); err != nil {
				t.Fatal(err)
			}
			if err := prepare(dir); err != nil {
				t.Fatal(err)
			}
			for _, d := range []string{parent, filepath.Dir(parent)} { // so that nobody can get there
				if err := os.Chmod(d, 0o755); err != nil {
					t.Fatal(err)
				}
			}
			out, err := command(t, "nobody", dir, "").Output()
			if err == nil || !strings.Contains(string(out), filepath.Join(dir, "lanewise.db")) ||
				!strings.Contains(string(out), "permission denied") {
				t.Errorf("got %v: %s", err, out)
			}
		})
	}
}
