//go:build unix

package local_test

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/lanewise/lanewise/adapters/local"
	"github.com/lanewise/lanewise/search"
)

// The tests of what a process's end, limits and rights do to a store run this
// test binary again as a child.
const (
	childVariable = "LANEWISE_LOCAL_CHILD" // part to play
	dirVariable   = "LANEWISE_LOCAL_DIR"
	argVariable   = "LANEWISE_LOCAL_ARG"
)

// command returns a command that plays a part on a directory.
func command(t *testing.T, part, dir, arg string) *exec.Cmd {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), self)
	cmd.Env = append(os.Environ(), childVariable+"="+part, dirVariable+"="+dir, argVariable+"="+arg)
	cmd.Stderr = os.Stderr
	return cmd
}

// child plays a part and returns the exit code. Its lines on stdout are its
// report; each is written at once.
func child(part string) int {
	dir, arg := os.Getenv(dirVariable), os.Getenv(argVariable)
	parts := map[string]func(dir, arg string) error{
		"load": childLoad, "open": childOpen, "full": childFull, "nobody": childNobody,
	}
	if err := parts[part](dir, arg); err != nil {
		fmt.Println("error:", err)
		return 1
	}
	return 0
}

// childOpen opens the store and says whether that worked.
func childOpen(dir, _ string) error {
	s, err := local.Open(local.Config{Path: dir})
	if err != nil {
		return err
	}
	return s.Close()
}

// childNobody opens the store without the rights of root.
func childNobody(dir, _ string) error {
	if os.Getuid() == 0 {
		if err := syscall.Setuid(65534); err != nil {
			return err
		}
	}
	return childOpen(dir, "")
}

// The load: a few writers, each with its own ids. Operation n of a writer
// upserts eight points, deletes one, and writes its number into a ninth.
const (
	writers   = 4
	idsEach   = 40
	upsertsOp = 8
)

func opBatch(writer, n int) search.Batch {
	b := search.Batch{Collection: "docs", Deletes: []search.Tombstone{{Key: opKey(writer, n+20), Version: search.Version(n)}}}
	for j := range upsertsOp {
		b.Upserts = append(b.Upserts, opPoint(writer, n, opKey(writer, n+j)))
	}
	b.Upserts = append(b.Upserts, opPoint(writer, n, lastKey(writer)))
	return b
}

func opPoint(writer, n int, k search.Key) search.Point {
	return search.Point{
		Key: k, Version: search.Version(n), Dense: []float32{float32(writer), float32(n), float32(len(k.ID))},
		Text: fmt.Sprintf("%s as of %d", k.ID, n), Meta: fmt.Appendf(nil, `{"n":%d}`, n),
	}
}

func opKey(writer, n int) search.Key {
	return search.Key{Tenant: fmt.Sprint("w", writer), ID: fmt.Sprintf("%02d", n%idsEach)}
}

func lastKey(writer int) search.Key { return search.Key{Tenant: fmt.Sprint("w", writer), ID: "last"} }

// opState is what a writer's points are after operation n.
func opState(writer, n int) map[search.Key]search.Point {
	state := map[search.Key]search.Point{}
	for i := max(1, n-2*idsEach); i <= n; i++ { // every id was touched since
		for j := range upsertsOp {
			k := opKey(writer, i+j)
			state[k] = opPoint(writer, i, k)
		}
		delete(state, opKey(writer, i+20))
	}
	if n > 0 {
		state[lastKey(writer)] = opPoint(writer, n, lastKey(writer))
	}
	return state
}

// childLoad writes until it is killed, or for as many operations as arg says, and
// reports every operation that was acknowledged.
func childLoad(dir, arg string) error {
	count, err := strconv.Atoi(arg)
	if err != nil {
		return err
	}
	s, err := local.Open(local.Config{Path: dir})
	if err != nil {
		return err
	}
	crew := writers
	if count > 0 {
		crew = 1
	}
	var wg sync.WaitGroup
	for w := range crew {
		wg.Go(func() {
			if err := childWriter(s, w, count); err != nil {
				fmt.Println("error:", err)
				os.Exit(1)
			}
		})
	}
	wg.Wait()
	return s.Close()
}

func childWriter(s *local.Store, writer, count int) error {
	ctx := context.Background()
	done, err := lastOp(ctx, s, writer)
	if err != nil {
		return err
	}
	for n := done + 1; count == 0 || n <= done+count; n++ {
		if _, err := s.Write(ctx, opBatch(writer, n)); err != nil {
			return err
		}
		line := fmt.Sprintf("ack %d %d\n", writer, n)
		if _, err := syscall.Write(1, []byte(line)); err != nil {
			return err
		}
	}
	return nil
}

// lastOp returns the number of a writer's last operation in the store.
func lastOp(ctx context.Context, s search.Getter, writer int) (int, error) {
	p, err := s.Get(ctx, "docs", []search.Key{lastKey(writer)}, search.Fields{})
	if err != nil || len(p) == 0 {
		return 0, err
	}
	return int(p[0].Version), nil
}

// childFull writes until the file may grow no more, shows that what was
// acknowledged is served, and goes on once there is room.
func childFull(dir, _ string) error {
	s, err := local.Open(local.Config{Path: dir})
	if err != nil {
		return err
	}
	ctx := context.Background()
	signal.Ignore(syscall.SIGXFSZ) // the limit comes as an error then
	var old syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_FSIZE, &old); err != nil {
		return err
	}
	if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &syscall.Rlimit{Cur: 1 << 20, Max: old.Max}); err != nil {
		return err
	}
	acked, failed := fillUp(ctx, s, 0)
	n, err := s.Count(ctx, "docs", "", search.Filter{})
	fmt.Printf("full after %d, counts %d (%v): %v\n", acked, n, err, failed)
	if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &syscall.Rlimit{Cur: old.Max, Max: old.Max}); err != nil {
		return err
	}
	_, err = s.Write(ctx, search.Batch{Collection: "docs", Upserts: []search.Point{bigPoint(acked)}})
	fmt.Printf("with room again: %v\n", err)
	return s.Close()
}

func bigPoint(n int) search.Point {
	return search.Point{Key: search.Key{ID: fmt.Sprintf("%05d", n)}, Version: 1, Dense: []float32{1, 2, 3}, Text: strings.Repeat("x", 20_000)}
}

// fillUp writes points from n on until one is refused.
func fillUp(ctx context.Context, s search.Writer, n int) (acked int, err error) {
	for ; n < 10_000; n++ {
		if _, err := s.Write(ctx, search.Batch{Collection: "docs", Upserts: []search.Point{bigPoint(n)}}); err != nil {
			return n, err
		}
	}
	return n, nil
}
