//go:build unix

package local_test

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/lanewise/lanewise/adapters/local"
	"github.com/lanewise/lanewise/fault"
	"github.com/lanewise/lanewise/search"
)

// worn makes a store that has seen upserts, overwrites, deletions, two
// collections and several levels of pages, and returns its file and its points.
func worn(t *testing.T) ([]byte, []search.Point) {
	t.Helper()
	dir := t.TempDir()
	s := open(t, dir)
	for _, name := range []string{"docs", "notes"} {
		write(t, s, search.Batch{Create: &search.Collection{Name: name, Dims: 16, Metric: search.Cosine}})
	}
	for v := search.Version(1); v <= 3; v++ {
		points := corpus(0, 150, 16)
		for i := range points {
			points[i].Version = v
		}
		points[7].Text = strings.Repeat("overflow ", 1500)
		write(t, s, search.Batch{Collection: "docs", Upserts: points[:150-20*(v-1)]})
	}
	write(t, s, search.Batch{Collection: "notes", Upserts: corpus(500, 3, 16)})
	write(t, s, search.Batch{Collection: "docs", Deletes: []search.Tombstone{{Key: corpus(0, 1, 16)[0].Key, Version: 9}}})
	points := everyPoint(t, s)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(filepath.Join(dir, "lanewise.db"))
	if err != nil {
		t.Fatal(err)
	}
	return bytes.TrimRight(data, "\x00"), points
}

func everyPoint(t *testing.T, s search.Store) []search.Point {
	t.Helper()
	points, err := readEveryPoint(t, s)
	if err != nil {
		t.Fatal(err)
	}
	return points
}

func readEveryPoint(t *testing.T, s search.Store) ([]search.Point, error) {
	t.Helper()
	var all []search.Point
	for _, name := range []string{"docs", "notes"} {
		page, err := s.Scroll(t.Context(), search.Scan{
			Collection: name, Limit: 1000, Fields: search.Fields{Text: true, Meta: true, Vector: true},
		})
		if err != nil {
			return nil, err
		}
		all = append(all, page.Points...)
	}
	return all, nil
}

// opened opens a copy of a file as a store.
func opened(t *testing.T, data []byte) (s *local.Store, name string, err error) {
	t.Helper()
	dir := t.TempDir()
	name = filepath.Join(dir, "lanewise.db")
	if err := os.WriteFile(name, data, 0o600); err != nil {
		t.Fatal(err)
	}
	s, err = local.Open(local.Config{Path: dir})
	return s, name, err
}

// padded gives the file back the zeros at its end.
func padded(data []byte) []byte {
	return append(bytes.Clone(data), make([]byte, 64<<10)...)
}

// TestOpen_flippedByte flips a bit at many places: either the store says so,
// naming the file, or the byte was not in use and everything is there.
func TestOpen_flippedByte(t *testing.T) {
	data, want := worn(t)
	flips := 800
	if testing.Short() {
		flips = 100
	}
	rng := rand.New(rand.NewPCG(3, 4))
	found := map[string]int{}
	for range flips {
		at := rng.IntN(len(data))
		found[flip(t, data, want, at, rng.IntN(8))]++
	}
	t.Logf("%d flips: %v", flips, found)
	if found[atOpening] == 0 || found[onReading] == 0 {
		t.Error("the flips miss a kind of damage")
	}
	const header, used = 16, 64 // bytes before, and of, a meta with its checksum
	for at := header; at < header+used; at++ {
		for _, page := range []int{0, os.Getpagesize()} {
			if where := flip(t, data, want, page+at, rng.IntN(8)); where != atOpening {
				t.Errorf("byte %d of a meta page: %s", at, where)
			}
		}
	}
}

// What becomes of a flipped bit.
const (
	atOpening = "refused at opening"
	onReading = "found on reading"
	harmless  = "in a byte that nothing uses"
)

func flip(t *testing.T, data []byte, want []search.Point, at, bit int) (where string) {
	t.Helper()
	broken := padded(data)
	broken[at] ^= 1 << bit
	s, name, err := opened(t, broken)
	where = atOpening
	if err == nil {
		where, err = readBroken(t, s, want, at)
	}
	if err != nil && (!errors.Is(err, fault.Unavailable) || !strings.Contains(err.Error(), name)) {
		t.Errorf("byte %d: the error does not name the file: %v", at, err)
	}
	return where
}

// readBroken reads everything from a store whose file may be damaged, and closes it.
func readBroken(t *testing.T, s *local.Store, want []search.Point, at int) (where string, err error) {
	t.Helper()
	got, err := readEveryPoint(t, s)
	where = onReading
	if err == nil {
		where = harmless
		if !reflect.DeepEqual(want, got) {
			t.Errorf("byte %d: other points than before: %s", at, cmp.Diff(want, got))
		}
	}
	if verified := s.Verify(t.Context()); (verified == nil) != (err == nil) {
		t.Errorf("byte %d: reading says %v, Verify says %v", at, err, verified)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	return where, err
}

func TestOpen_truncatedFile(t *testing.T) {
	data, _ := worn(t)
	for _, size := range []int{0, 1, 100, 4095, 4096, 4200, 8192, 12288, len(data) / 2, len(data) - 5000} {
		s, name, err := opened(t, data[:size])
		if err == nil {
			t.Errorf("%d of %d bytes: no error", size, len(data))
			_ = s.Close()
			continue
		}
		if !errors.Is(err, fault.Unavailable) || !strings.Contains(err.Error(), name) {
			t.Errorf("%d of %d bytes: %v", size, len(data), err)
		}
	}
}

func TestOpen_strangeFiles(t *testing.T) {
	for name, data := range map[string][]byte{
		"text":  []byte(strings.Repeat("no store at all\n", 1000)),
		"zeros": make([]byte, 1<<16),
	} {
		if _, _, err := opened(t, data); !errors.Is(err, fault.Unavailable) {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

func TestBackup_whileWriting(t *testing.T) {
	s := open(t, t.TempDir())
	write(t, s, search.Batch{Create: &search.Collection{Name: "docs", Dims: 3, Metric: search.Cosine}})
	var backups []*bytes.Buffer
	for n := 1; n <= 60; n++ {
		write(t, s, opBatch(0, n))
		if n%20 == 0 {
			backups = append(backups, new(bytes.Buffer))
			if err := s.Backup(t.Context(), &interleaved{backups[len(backups)-1], func() { write(t, s, opBatch(1, n)) }}); err != nil {
				t.Fatal(err)
			}
		}
	}
	for i, b := range backups {
		dir := filepath.Join(t.TempDir(), "copy")
		if err := local.Restore(dir, b); err != nil {
			t.Fatal(err)
		}
		if n := checkWriter(t, open(t, dir), 0, 20*(i+1)); n != 20*(i+1) {
			t.Errorf("backup %d holds operation %d", i, n)
		}
		if err := local.Restore(dir, b); !errors.Is(err, fault.Conflict) {
			t.Errorf("over a store: got %v, want a conflict", err)
		}
	}
}

// interleaved writes to the store in the middle of its backup.
type interleaved struct {
	*bytes.Buffer
	once func()
}

func (w *interleaved) Write(b []byte) (int, error) {
	if w.once != nil {
		once := w.once
		w.once = nil
		once()
	}
	return w.Buffer.Write(b)
}

func TestRestore_refusesDamage(t *testing.T) {
	data, _ := worn(t)
	text := bytes.LastIndex(data, []byte("usual length"))
	flipped := padded(data)
	flipped[text] ^= 1
	for name, backup := range map[string][]byte{"short": data[:len(data)/2], "nothing": {}, "flipped": flipped} {
		dir := filepath.Join(t.TempDir(), "copy")
		if err := local.Restore(dir, bytes.NewReader(backup)); !errors.Is(err, fault.Unavailable) {
			t.Errorf("%s: got %v", name, err)
		}
		if left, err := os.ReadDir(dir); len(left) > 0 || err != nil {
			t.Errorf("%s: left behind %v (%v)", name, left, err)
		}
	}
}

func TestClosed(t *testing.T) {
	s := open(t, t.TempDir())
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	_, searched := s.Search(t.Context(), topTen(0))
	_, written := s.Write(t.Context(), search.Batch{Collection: "docs"})
	_, described := s.Stats(t.Context(), "")
	_, got := s.Get(t.Context(), "docs", nil, search.Fields{})
	for i, err := range []error{searched, written, described, got, s.Backup(t.Context(), new(bytes.Buffer)), s.Verify(t.Context())} {
		if !errors.Is(err, fault.Unavailable) {
			t.Errorf("call %d: got %v, want unavailable", i, err)
		}
	}
}

func TestOpen_memory(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	write(t, s, search.Batch{Create: &search.Collection{Name: "docs", Dims: 1000, Metric: search.Cosine}})
	write(t, s, search.Batch{Collection: "docs", Upserts: corpus(0, 100, 1000)})
	need := s.Memory()
	if need < 100*4000 || need > 100*4500 {
		t.Errorf("100 vectors of 4,000 bytes need %d bytes", need)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	_, err := local.Open(local.Config{Path: dir, MemoryLimit: need - 1})
	if err == nil || !strings.Contains(err.Error(), "need") || !strings.Contains(err.Error(), dir) {
		t.Errorf("got %v", err)
	}
	s, err = local.Open(local.Config{Path: dir, MemoryLimit: need + 10_000})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = s.Close() }()
	if _, err := s.Write(t.Context(), search.Batch{Collection: "docs", Upserts: corpus(100, 1, 1000)}); err != nil {
		t.Error(err)
	}
	_, err = s.Write(t.Context(), search.Batch{Collection: "docs", Upserts: corpus(101, 10, 1000)})
	if !errors.Is(err, fault.Overloaded) {
		t.Errorf("a batch over the limit: got %v", err)
	}
	fmt.Fprintln(t.Output(), err)
}

// Of restores into the same place at the same time one is taken.
func TestRestore_oneOfSeveral(t *testing.T) {
	data, _ := worn(t)
	dir := filepath.Join(t.TempDir(), "copy")
	var racing sync.WaitGroup
	var taken atomic.Int32
	for range 4 {
		racing.Go(func() {
			switch err := local.Restore(dir, bytes.NewReader(padded(data))); {
			case err == nil:
				taken.Add(1)
			case !errors.Is(err, fault.Conflict):
				t.Error(err)
			}
		})
	}
	racing.Wait()
	if n := taken.Load(); n != 1 {
		t.Errorf("%d restores were taken", n)
	}
	if left, err := os.ReadDir(dir); len(left) != 1 || err != nil {
		t.Errorf("there is %v (%v)", left, err)
	}
}
