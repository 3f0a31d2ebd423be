package local

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"go.etcd.io/bbolt"

	"github.com/lanewise/lanewise/search"
)

// fixture opens a store with a collection "docs" of two dims.
func fixture(t *testing.T) *Store {
	t.Helper()
	s, err := Open(Config{Path: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	must(t, s, search.Batch{Create: &search.Collection{Name: "docs", Dims: 2, Metric: search.Dot}})
	return s
}

func must(t *testing.T, s *Store, b search.Batch) search.Written {
	t.Helper()
	out, err := s.Write(context.Background(), b)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func pointAt(i int, v search.Version) search.Point {
	return search.Point{
		Key: search.Key{ID: fmt.Sprintf("p%05d", i)}, Version: v, Dense: []float32{float32(i), 1},
		Text: fmt.Sprintf("text %d of %d", i, v), Meta: fmt.Appendf(nil, `{"i":%d}`, i),
	}
}

func pointsAt(n int, v search.Version) []search.Point {
	points := make([]search.Point, n)
	for i := range points {
		points[i] = pointAt(i, v)
	}
	return points
}

// rowsOnDisk counts the row records of "docs".
func rowsOnDisk(t *testing.T, s *Store) (n int) {
	t.Helper()
	id := s.state.Load().collections["docs"].id
	err := s.db.View(func(tx *bbolt.Tx) error {
		return tx.Bucket(bucketName('r', id)).ForEach(func(_, _ []byte) error {
			n++
			return nil
		})
	})
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// TestWrite_sharesTransactions holds the turn until ten writes wait for it.
func TestWrite_sharesTransactions(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := fixture(t)
		before := s.state.Load().number
		s.turn <- struct{}{}
		for i := range 10 {
			go func() {
				_, _ = s.Write(context.Background(), search.Batch{Collection: "docs", Upserts: []search.Point{pointAt(i, 1)}})
			}()
		}
		synctest.Wait()
		<-s.turn
		synctest.Wait()
		st := s.state.Load()
		if st.number != before+1 || st.collections["docs"].points != 10 {
			t.Errorf("%d transactions for %d points, want 1 for 10", st.number-before, st.collections["docs"].points)
		}
	})
}

// TestWrite_cancelledWhileWaiting leaves before its turn, and so does its batch.
func TestWrite_cancelledWhileWaiting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := fixture(t)
		s.turn <- struct{}{}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		start := time.Now()
		_, err := s.Write(ctx, search.Batch{Collection: "docs", Upserts: pointsAt(1, 1)})
		if !errors.Is(err, context.DeadlineExceeded) || time.Since(start) != time.Second {
			t.Errorf("got %v after %v", err, time.Since(start))
		}
		<-s.turn
		must(t, s, search.Batch{Collection: "docs", Upserts: []search.Point{pointAt(5, 1)}})
		if n := s.state.Load().collections["docs"].points; n != 1 {
			t.Errorf("%d points, want only the second write's", n)
		}
	})
}

// TestSnapshot_keepsItsRecords overwrites what a reader still looks at.
func TestSnapshot_keepsItsRecords(t *testing.T) {
	s := fixture(t)
	must(t, s, search.Batch{Collection: "docs", Upserts: pointsAt(10, 1)})
	st := s.acquire()
	for v := search.Version(2); v < 5; v++ {
		must(t, s, search.Batch{Collection: "docs", Upserts: pointsAt(10, v)})
	}
	c := st.collections["docs"]
	err := s.read(c, func(h *shelf) error {
		p, ok := c.tenants.get("")
		if !ok {
			return errors.New("the tenant is gone")
		}
		got, err := p.blocks[0].point("", 3, search.Fields{Text: true}, h)
		if err == nil && got.Text != "text 3 of 1" {
			t.Errorf("the old snapshot shows %q", got.Text)
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
	if n := rowsOnDisk(t, s); n != 40 {
		t.Errorf("%d rows on disk while somebody reads the oldest, want 40", n)
	}
	st.release()
	must(t, s, search.Batch{Collection: "docs", Upserts: pointsAt(10, 5)})
	if n := rowsOnDisk(t, s); n != 20 {
		t.Errorf("%d rows on disk after the reader left, want 20: the newest and those replaced just now", n)
	}
}

// TestTombstones_areForgottenAfterADay also opens the store in between.
func TestTombstones_areForgottenAfterADay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		var s *Store
		reopen := func() {
			if s != nil {
				if err := s.Close(); err != nil {
					t.Fatal(err)
				}
			}
			var err error
			if s, err = Open(Config{Path: dir}); err != nil {
				t.Fatal(err)
			}
		}
		reopen()
		defer func() { _ = s.Close() }()
		must(t, s, search.Batch{Create: &search.Collection{Name: "docs", Dims: 2, Metric: search.Dot}})
		must(t, s, search.Batch{Collection: "docs", Upserts: pointsAt(3, 5)})
		late := search.Batch{Collection: "docs", Upserts: []search.Point{pointAt(1, 5)}}
		other := search.Batch{Collection: "docs", Upserts: []search.Point{pointAt(9, 5)}}
		must(t, s, search.Batch{Collection: "docs", Deletes: []search.Tombstone{{Key: pointAt(1, 0).Key, Version: 7}}})

		time.Sleep(24*time.Hour - time.Second)
		reopen()
		must(t, s, other)
		must(t, s, other) // each commit looks for deletions to forget
		if out := must(t, s, late); out.Newer != 7 {
			t.Errorf("after almost a day: got %+v, want it stopped by 7", out)
		}
		must(t, s, other)
		time.Sleep(2 * time.Second)
		must(t, s, other)
		must(t, s, other) // the first one found the record unread, this one has removed it
		must(t, s, other)
		if n := rowsOnDisk(t, s); n > 4 {
			t.Errorf("%d rows on disk, want no trace of the deletion", n)
		}
		if out := must(t, s, late); out.Applied != 1 {
			t.Errorf("after a day: got %+v, want it applied", out)
		}
	})
}

// TestPack rewrites everything many times: memory and answers follow the points.
func TestPack(t *testing.T) {
	s := fixture(t)
	rng := rand.New(rand.NewPCG(1, 1))
	for v := search.Version(1); v <= 12; v++ {
		points := pointsAt(1500, v)
		rng.Shuffle(len(points), func(i, j int) { points[i], points[j] = points[j], points[i] })
		must(t, s, search.Batch{Collection: "docs", Upserts: points[:500+rng.IntN(1000)]})
	}
	must(t, s, search.Batch{Collection: "docs", Upserts: pointsAt(1500, 20)})
	p, _ := s.state.Load().collections["docs"].tenants.get("")
	if p.points != 1500 || p.dead > 1500 {
		t.Errorf("%d points and %d dead rows", p.points, p.dead)
	}
	res, err := s.Search(t.Context(), search.Query{
		Collection: "docs", Legs: []search.Leg{{Dense: []float32{1, 0}, K: 1500}}, Fields: search.Fields{Text: true},
	})
	if err != nil {
		t.Fatal(err)
	}
	for i, h := range res.Lists[0].Hits {
		if want := pointAt(1499-i, 20); h.Key != want.Key || h.Text != want.Text {
			t.Fatalf("place %d: %+v", i, h)
		}
	}
}

// setFormat writes another format number into a store's file.
func setFormat(t *testing.T, dir string, n uint64) {
	t.Helper()
	db, err := bbolt.Open(filepath.Join(dir, fileName), 0o600, &bbolt.Options{NoFreelistSync: true})
	if err != nil {
		t.Fatal(err)
	}
	err = errors.Join(db.Update(func(tx *bbolt.Tx) error { return putNumber(tx.Bucket(metaBucket), formatKey, n) }), db.Close())
	if err != nil {
		t.Fatal(err)
	}
}

func TestOpen_newerFormat(t *testing.T) {
	s := fixture(t)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	setFormat(t, s.cfg.Path, format+1)
	_, err := Open(Config{Path: s.cfg.Path})
	if err == nil || !strings.Contains(err.Error(), "use a newer release") || !strings.Contains(err.Error(), s.file) {
		t.Errorf("got %v", err)
	}
}

// TestMigrate takes invented steps: all of them or none.
func TestMigrate(t *testing.T) {
	s := fixture(t)
	step := func(name string, err error) migration {
		return func(tx *bbolt.Tx) error {
			return errors.Join(tx.Bucket(metaBucket).Put([]byte(name), []byte("done")), err)
		}
	}
	broken := errors.New("broken")
	err := s.db.Update(func(tx *bbolt.Tx) error { return migrate(tx, 1, []migration{step("a", nil), step("b", broken)}) })
	if !errors.Is(err, broken) || !strings.Contains(err.Error(), "from format 2 to 3") {
		t.Errorf("got %v", err)
	}
	check := func(wantFormat uint64, wantA, wantB bool) {
		t.Helper()
		_ = s.db.View(func(tx *bbolt.Tx) error {
			m := tx.Bucket(metaBucket)
			a, b := m.Get([]byte("a")) != nil, m.Get([]byte("b")) != nil
			if n := number(m, formatKey); n != wantFormat || a != wantA || b != wantB {
				t.Errorf("format %d, steps %t and %t", n, a, b)
			}
			return nil
		})
	}
	check(1, false, false)
	if err := s.db.Update(func(tx *bbolt.Tx) error { return migrate(tx, 2, []migration{step("a", nil), step("b", nil)}) }); err != nil {
		t.Error(err)
	}
	check(3, false, true)
}

func TestJudge_fullDictionary(t *testing.T) {
	cols := newColumns([]string{"i"})
	for i := range mostValues + 10 {
		cols.number(pointAt(i, 1).Meta)
	}
	if got := cols.number(pointAt(mostValues+5, 1).Meta)[0]; got != valueUnknown {
		t.Errorf("got the number %d, want none", got)
	}
	if got := cols.number(pointAt(7, 1).Meta)[0]; got != 8 {
		t.Errorf("got the number %d, want 8", got)
	}
	f, err := search.ParseFilter([]byte(`{"i":7}`))
	if err != nil {
		t.Fatal(err)
	}
	c := newChunk(1, 1, 3)
	copy(c.columns[0], []uint32{8, 9, valueUnknown})
	j := newJudge(f, cols)
	if a, b, u := j.ask(c, 0), j.ask(c, 1), j.ask(c, 2); a != yes || b != no || u != unsure {
		t.Errorf("got %d, %d, %d", a, b, u)
	}
}

// TestInspect_looksAtTheNewestTree damages the root page of the newest commit,
// whichever of the two meta pages names it.
func TestInspect_looksAtTheNewestTree(t *testing.T) {
	s := fixture(t)
	for v := search.Version(1); v < 4; v++ {
		must(t, s, search.Batch{Collection: "docs", Upserts: pointsAt(3, v)})
		data, err := os.ReadFile(s.file)
		if err != nil {
			t.Fatal(err)
		}
		in := bytes.NewReader(data)
		if err := inspect(in, in.Size()); err != nil {
			t.Fatalf("an undamaged file: %v", err)
		}
		var newest meta
		for _, at := range []int64{0, int64(os.Getpagesize())} {
			m, err := readMeta(in, at)
			if err != nil {
				t.Fatal(err)
			}
			if m.txid > newest.txid {
				newest = m
			}
		}
		data[int(newest.root)*newest.pageSize+8] ^= 0x10 // its flags
		if err := inspect(bytes.NewReader(data), in.Size()); err == nil {
			t.Errorf("commit %d: damage of the root page is not seen", newest.txid)
		}
	}
}
