package local

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"go.etcd.io/bbolt"

	"github.com/lanewise/lanewise/fault"
	"github.com/lanewise/lanewise/search"
)

// wordsHeld sums up what the lexicons of "docs" take.
func wordsHeld(s *Store) (bytes int64, postingsHeld int) {
	c := s.state.Load().collections["docs"]
	c.tenants.ascend("", func(_ string, p *part) bool {
		p.words.lists.ascend(0, func(_ uint32, l *postings) bool {
			bytes += l.size()
			postingsHeld += len(l.rows)
			return true
		})
		return true
	})
	return bytes, postingsHeld
}

// TestLexicon_knowsItsSize through growth, deletion, packing and opening again.
func TestLexicon_knowsItsSize(t *testing.T) {
	dir := t.TempDir()
	s := openWords(t, dir)
	check := func(when string) {
		t.Helper()
		if bytes, _ := wordsHeld(s); s.state.Load().collections["docs"].head.Words != bytes {
			t.Errorf("%s: the header says %d bytes, the lists take %d", when, s.state.Load().collections["docs"].head.Words, bytes)
		}
	}
	docs := zipfDocs(4, 3000, 10)
	for i := range docs {
		docs[i].Tenant = []string{"", "a"}[i%2]
	}
	for from := 0; from < 3000; from += 100 {
		must(t, s, search.Batch{Collection: "docs", Upserts: docs[from : from+100]})
	}
	check("filled")
	before, held := wordsHeld(s)
	var deletes []search.Tombstone
	for _, p := range docs[:2500] {
		deletes = append(deletes, search.Tombstone{Key: p.Key, Version: 2})
	}
	must(t, s, search.Batch{Collection: "docs", Deletes: deletes})
	check("packed")
	if after, left := wordsHeld(s); after > before/2 || left > held/4 {
		t.Errorf("of %d bytes in %d postings, %d in %d are left after most points are gone", before, held, after, left)
	}
	deletes = deletes[:0]
	for _, p := range docs[2500:] {
		if p.Tenant == "a" {
			deletes = append(deletes, search.Tombstone{Key: p.Key, Version: 2})
		}
	}
	must(t, s, search.Batch{Collection: "docs", Deletes: deletes})
	check("one tenant gone")
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = openWords(t, dir)
	defer func() { _ = s.Close() }()
	check("opened again")
}

// TestMemoryLimit_countsWords: long documents are refused before short ones.
func TestMemoryLimit_countsWords(t *testing.T) {
	dir := t.TempDir()
	s, err := Open(Config{Path: dir, MemoryLimit: 1 << 20})
	if err != nil {
		t.Fatal(err)
	}
	must(t, s, search.Batch{Create: &search.Collection{Name: "docs", Dims: 2, Metric: search.Dot, Lexical: true}})
	docs, stored := zipfDocs(5, 2000, 300), 0
	for ; stored < len(docs); stored += 10 {
		if _, err = s.Write(t.Context(), search.Batch{Collection: "docs", Upserts: docs[stored : stored+10]}); err != nil {
			break
		}
	}
	_, held := wordsHeld(s)
	if !errors.Is(err, fault.Overloaded) || stored < 100 || 8*held > 1<<20 {
		t.Errorf("%d documents with %d postings went in, then: %v", stored, held, err)
	}
	need := s.Memory()
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(Config{Path: dir, MemoryLimit: need / 2}); !errors.Is(err, fault.Unavailable) {
		t.Errorf("opened with half of the memory: %v", err)
	}
}

// TestMemoryLimit_countsWordsOfOneTransaction: many writes that share a transaction are
// no way around the limit.
func TestMemoryLimit_countsWordsOfOneTransaction(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, err := Open(Config{Path: t.TempDir(), MemoryLimit: 1 << 20})
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = s.Close() }()
		must(t, s, search.Batch{Create: &search.Collection{Name: "docs", Dims: 2, Metric: search.Dot, Lexical: true}})
		docs := zipfDocs(7, 1000, 300)
		var refused atomic.Int64
		s.turn <- struct{}{}
		for i := range docs {
			go func() {
				if _, err := s.Write(context.Background(), search.Batch{Collection: "docs", Upserts: docs[i : i+1]}); errors.Is(err, fault.Overloaded) {
					refused.Add(1)
				}
			}()
		}
		synctest.Wait()
		<-s.turn
		synctest.Wait()
		if _, held := wordsHeld(s); held > 1<<20/perPosting || refused.Load() < 500 {
			t.Errorf("%d postings went in, %d writes were refused", held, refused.Load())
		}
	})
}

// TestOpen_indexesFilesOfBefore: rows of older files do not tell which documents have
// sparse vectors.
func TestOpen_indexesFilesOfBefore(t *testing.T) {
	dir := t.TempDir()
	s := openWords(t, dir)
	docs := zipfDocs(6, 50, 10)
	oracle := shelfOf{}
	for _, p := range docs {
		oracle[p.Key] = p
	}
	must(t, s, search.Batch{Collection: "docs", Upserts: docs})
	c := s.state.Load().collections["docs"]
	err := s.db.Update(func(tx *bbolt.Tx) error {
		rows, head := tx.Bucket(bucketName('r', c.id)), c.head
		head.Marked, head.Words = false, 0
		for n := range head.Next {
			record := append([]byte{}, rows.Get(recordKey(n))...)
			head.count(n, record, -1)
			record[sumLen] &^= rowHasWords
			seal(n, record)
			head.count(n, record, 1)
			if err := rows.Put(recordKey(n), record); err != nil {
				return err
			}
		}
		encoded, err := encodeHeader(c.id, &head)
		if err != nil {
			return err
		}
		return tx.Bucket(collectionBucket).Put(bucketName('c', c.id)[1:], encoded)
	})
	if err := errors.Join(err, s.Close()); err != nil {
		t.Fatal(err)
	}
	s = openWords(t, dir)
	defer func() { _ = s.Close() }()
	rng := rand.New(rand.NewPCG(1, 6)) //nolint:gosec // reproducible on purpose
	oracle.check(t, s, search.Query{Collection: "docs", Legs: []search.Leg{{Sparse: zipfQuery(rng, s, 8), K: 60}}})
}

// TestSearch_wordsWhileWriting reads snapshots whose lists grow and are packed at the
// same time: every document has the word 1, and in one snapshot all have the value of
// the same round.
func TestSearch_wordsWhileWriting(t *testing.T) {
	const points, rounds = 1200, 12
	s := openWords(t, t.TempDir())
	defer func() { _ = s.Close() }()
	write := func(round int) error {
		b := search.Batch{Collection: "docs"}
		for i := range points {
			v := search.Sparse{Index: []uint32{1, uint32(100 + i%7)}, Value: []float32{float32(round), 1}}                             //nolint:gosec // small
			b.Upserts = append(b.Upserts, search.Point{Key: search.Key{ID: fmt.Sprint(i)}, Version: search.Version(round), Sparse: v}) //nolint:gosec // small
		}
		_, err := s.Write(context.Background(), b)
		return err
	}
	if err := write(1); err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() {
		var err error
		for round := 2; round <= rounds && err == nil; round++ {
			err = write(round)
		}
		done <- err
	}()
	var readers sync.WaitGroup
	for range 3 {
		readers.Go(func() {
			for last := 0.0; last < rounds; {
				res, err := s.Search(context.Background(), search.Query{Collection: "docs", Legs: []search.Leg{
					{Sparse: search.Sparse{Index: []uint32{1}, Value: []float32{1}}, K: 2 * points},
				}})
				if err != nil {
					t.Error(err)
					return
				}
				hits := res.Lists[0].Hits
				if len(hits) != points || hits[0].Score != hits[points-1].Score || hits[0].Score < last {
					t.Errorf("%d hits, from %v to %v, after %v", len(hits), hits[0].Score, hits[len(hits)-1].Score, last)
					return
				}
				last = hits[0].Score
				stats, err := s.TermStats(context.Background(), search.TermQuery{Collection: "docs", Terms: []uint32{1, 99}})
				if err != nil || stats.Docs != points || stats.Counts[0] != points || stats.Counts[1] != 0 {
					t.Errorf("%+v, %v", stats, err)
					return
				}
			}
		})
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
	readers.Wait()
}

// TestCreate_again takes over the settings of words, durably and once.
func TestCreate_again(t *testing.T) {
	dir := t.TempDir()
	s, err := Open(Config{Path: dir})
	if err != nil {
		t.Fatal(err)
	}
	c := search.Collection{Name: "docs", Dims: 2, Metric: search.Dot, Placement: search.Placement{By: search.ByID}}
	must(t, s, search.Batch{Create: &c})
	must(t, s, search.Batch{Collection: "docs", Upserts: pointsAt(3, 1)})
	c.Lexical, c.AvgLen, c.Language = true, 70, "en"
	must(t, s, search.Batch{Create: &c})
	before := s.state.Load().number
	must(t, s, search.Batch{Create: &c})
	if after := s.state.Load().number; after != before {
		t.Errorf("the same again made snapshot %d after %d", after, before)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if s, err = Open(Config{Path: dir}); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = s.Close() }()
	stats, err := s.Stats(t.Context(), "docs")
	if err != nil || stats[0].Collection != c || stats[0].Points != 3 {
		t.Errorf("%+v, %v", stats, err)
	}
}
