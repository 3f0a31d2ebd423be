package diskcache_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"go.uber.org/goleak"
	"pgregory.net/rapid"

	"github.com/lanewise/lanewise/embed/diskcache"
	"github.com/lanewise/lanewise/fault"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func open(tb testing.TB, path string, size int64) *diskcache.Cache {
	tb.Helper()
	c, err := diskcache.Open(diskcache.Config{Path: path, Bytes: size})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { shut(tb, c) })
	return c
}

func shut(tb testing.TB, c *diskcache.Cache) {
	tb.Helper()
	if err := c.Close(); err != nil {
		tb.Error(err)
	}
}

// key and value of a number.
func key(n int) (k diskcache.Key) {
	binary.BigEndian.PutUint64(k[3:], uint64(n)) //nolint:gosec // not negative
	return k
}

func value(n, size int) []byte { return bytes.Repeat([]byte(fmt.Sprintf("%08d", n)), size/8) }

// have returns which of the values 0 to n-1 are there, and checks each.
func have(tb interface{ Errorf(string, ...any) }, c *diskcache.Cache, n, size int) (at []int) {
	keys := make([]diskcache.Key, n)
	for i := range keys {
		keys[i] = key(i)
	}
	c.Get(keys, func(i int, got []byte) {
		if at = append(at, i); !bytes.Equal(got, value(i, size)) {
			tb.Errorf("value %d is %q", i, got)
		}
	})
	return at
}

// fill puts n values in steps that the writer keeps up with.
func fill(tb testing.TB, path string, limit int64, n, size int) {
	tb.Helper()
	for from := 0; from < n; from += 1000 {
		c := open(tb, path, limit)
		for i := from; i < min(n, from+1000); i++ {
			c.Put(key(i), value(i, size))
		}
		shut(tb, c)
	}
}

func TestCache_survivesARestart(t *testing.T) {
	path := filepath.Join(t.TempDir(), "deep", "cache")
	fill(t, path, 0, 500, 80)
	c := open(t, path, 0)
	if got := have(t, c, 600, 80); len(got) != 500 {
		t.Errorf("%d values are there, want 500", len(got))
	}
	if s := c.Stats(); s.Values != 500 || s.Bytes < 500*80 || s.Dropped != 0 {
		t.Errorf("%+v", s)
	}
	c.Put(key(3), value(3, 160)) // in place of the first
	shut(t, c)
	c = open(t, path, 0)
	c.Get([]diskcache.Key{key(3)}, func(_ int, got []byte) {
		if !bytes.Equal(got, value(3, 160)) {
			t.Errorf("value 3 is %q", got)
		}
	})
}

// TestCache_isBounded holds that the files never exceed the limit, and that the
// oldest values go first.
func TestCache_isBounded(t *testing.T) {
	const limit, n, size = 1 << 20, 9000, 400
	path := filepath.Join(t.TempDir(), "cache")
	fill(t, path, limit, n, size)
	var total int64
	for _, end := range []string{".0", ".1"} {
		info, err := os.Stat(path + end)
		if err != nil {
			t.Fatal(err)
		}
		total += info.Size()
	}
	if total > limit || total < limit/2 {
		t.Errorf("%d bytes of files, the limit is %d", total, limit)
	}
	got := have(t, open(t, path, limit), n, size)
	if len(got) < limit/2/(size+28) || got[0] != n-len(got) || got[len(got)-1] != n-1 {
		t.Errorf("%d values from %d to %d are there, want the last ones", len(got), got[0], got[len(got)-1])
	}
	if left := have(t, open(t, path, 4*limit), n, size); len(left) != len(got) {
		t.Errorf("with more room %d of %d values", len(left), len(got))
	}
}

func TestCache_shrinks(t *testing.T) {
	path := filepath.Join(t.TempDir(), "cache")
	fill(t, path, 8<<20, 9000, 400)
	c := open(t, path, 1<<20)
	if s := c.Stats(); s.Bytes > 1<<20 {
		t.Errorf("%+v with a lower limit", s)
	}
	c.Put(key(1), value(1, 400))
	shut(t, c)
	if got := have(t, open(t, path, 1<<20), 2, 400); len(got) != 1 || got[0] != 1 {
		t.Errorf("after that %v", got)
	}
}

// TestCache_damage holds that whatever becomes of the files, no wrong value is
// returned, nothing panics, and the cache can be used.
func TestCache_damage(t *testing.T) {
	const size, n = 80, 200
	path := filepath.Join(t.TempDir(), "cache")
	fill(t, path, 1<<20, n, size)
	good, err := os.ReadFile(path + ".0")
	if err != nil {
		t.Fatal(err)
	}
	rapid.Check(t, func(r *rapid.T) {
		bad := bytes.Clone(good)
		for range rapid.IntRange(1, 5).Draw(r, "flips") {
			bad[rapid.IntRange(0, len(bad)-1).Draw(r, "at")] ^= byte(rapid.IntRange(1, 255).Draw(r, "by"))
		}
		switch rapid.IntRange(0, 3).Draw(r, "end") {
		case 0: // torn
			bad = bad[:rapid.IntRange(0, len(bad)).Draw(r, "length")]
		case 1: // of another process
			bad = append(bad, good[100:]...)
		}
		if err := os.WriteFile(path+".0", bad, 0o600); err != nil {
			r.Fatal(err)
		}
		c, err := diskcache.Open(diskcache.Config{Path: path, Bytes: 1 << 20})
		if err != nil {
			r.Fatal(err)
		}
		have(r, c, n, size)
		c.Put(key(n), value(n, size))
		if err := c.Close(); err != nil {
			r.Fatal(err)
		}
		c, err = diskcache.Open(diskcache.Config{Path: path, Bytes: 1 << 20})
		if err != nil {
			r.Fatal(err)
		}
		if got := have(r, c, n+1, size); len(got) == 0 || got[len(got)-1] != n {
			r.Errorf("what is put after the damage is lost: %v", got)
		}
		if err := c.Close(); err != nil {
			r.Fatal(err)
		}
	})
}

// A value that is damaged while the cache is open is not there.
func TestCache_damagedUnderIt(t *testing.T) {
	path := filepath.Join(t.TempDir(), "cache")
	fill(t, path, 0, 100, 80)
	c := open(t, path, 0)
	if err := os.Truncate(path+".0", 50*108); err != nil {
		t.Fatal(err)
	}
	if got := have(t, c, 100, 80); len(got) != 49 {
		t.Errorf("%d values are there", len(got))
	}
}

func TestOpen_refuses(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for field, c := range map[string]diskcache.Config{
		"/path":  {},
		"/bytes": {Path: "x", Bytes: 1000},
	} {
		if _, err := diskcache.Open(c); !errors.Is(err, fault.Invalid) || fault.Field(err) != field {
			t.Errorf("%s: %v", field, err)
		}
	}
	if _, err := diskcache.Open(diskcache.Config{Path: filepath.Join(file, "below")}); err == nil {
		t.Error("a file as a folder was accepted")
	}
}

func TestCache_afterClose(t *testing.T) {
	c := open(t, filepath.Join(t.TempDir(), "cache"), 0)
	shut(t, c)
	c.Put(key(1), value(1, 8))
	if got := have(t, c, 2, 8); len(got) != 0 {
		t.Errorf("%v", got)
	}
}

func TestCache_race(t *testing.T) {
	const n, size = 4000, 400
	c := open(t, filepath.Join(t.TempDir(), "cache"), 1<<20)
	var all sync.WaitGroup
	for from := range 4 {
		all.Go(func() {
			for i := from; i < n; i += 4 {
				c.Put(key(i), value(i, size))
				if i%50 == from {
					have(t, c, n, size)
				}
			}
		})
	}
	all.Wait()
	_ = c.Stats()
}

func BenchmarkGet(b *testing.B) {
	path := filepath.Join(b.TempDir(), "cache")
	fill(b, path, 0, 20_000, 1024)
	c := open(b, path, 0)
	b.ReportAllocs()
	n := 0
	for b.Loop() {
		found := false
		c.Get([]diskcache.Key{key(n % 20_000)}, func(int, []byte) { found = true })
		if !found {
			b.Fatal(n)
		}
		n += 7919
	}
}

func BenchmarkOpen(b *testing.B) {
	path := filepath.Join(b.TempDir(), "cache")
	fill(b, path, 0, 20_000, 1024)
	for b.Loop() {
		shut(b, open(b, path, 0))
	}
}
