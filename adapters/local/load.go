package local

import (
	"encoding/binary"
	"fmt"
	"slices"

	"go.etcd.io/bbolt"
)

// format is the version of the file's layout that this code writes.
const format = 1

// prepare makes the buckets of a new file.
func prepare(tx *bbolt.Tx) error {
	if _, err := tx.CreateBucket(collectionBucket); err != nil {
		return err
	}
	meta, err := tx.CreateBucket(metaBucket)
	if err != nil {
		return err
	}
	return putNumber(meta, formatKey, format)
}

// migration changes a file from the format before to the next one.
type migration func(tx *bbolt.Tx) error

// migrations returns the steps from format 1 on: step i leads to format i+2.
// There is none yet, because format 1 is the first.
func migrations() []migration { return nil }

// migrate brings a file from an older format to the newest, in the caller's
// transaction: it is either in the new format or as it was.
func migrate(tx *bbolt.Tx, have uint64, steps []migration) error {
	for i := have; i <= uint64(len(steps)); i++ {
		if err := steps[i-1](tx); err != nil {
			return fmt.Errorf("migrate from format %d to %d: %w", i, i+1, err)
		}
	}
	return putNumber(tx.Bucket(metaBucket), formatKey, uint64(len(steps))+1)
}

func number(b *bbolt.Bucket, key []byte) uint64 {
	if v := b.Get(key); len(v) == 8 {
		return binary.BigEndian.Uint64(v)
	}
	return 0
}

func putNumber(b *bbolt.Bucket, key []byte, n uint64) error {
	return b.Put(key, binary.BigEndian.AppendUint64(nil, n))
}

// load reads everything that is kept in memory and publishes the first snapshot.
func (s *Store) load(tx *bbolt.Tx) error {
	heads, err := readHeaders(tx)
	if err != nil {
		return err
	}
	var need int64
	for _, h := range heads {
		need += h.need(len(newColumns(s.cfg.Index)))
	}
	if err := s.checkNeed(need); err != nil {
		return err
	}
	meta := tx.Bucket(metaBucket)
	st := &state{epoch: number(meta, epochKey), collections: map[string]*collection{}}
	st.nextID = uint32(number(meta, nextKey)) //nolint:gosec // written from a uint32
	for id, h := range heads {
		if st.collections[h.Collection.Name], err = s.loadCollection(tx, id, h); err != nil {
			return err
		}
	}
	slices.SortFunc(s.keeper.marks, mark.byTime)
	s.keeper.txid = tx.ID()
	s.state.Store(st)
	return nil
}

// readHeaders reads the headers of all collections, by number.
func readHeaders(tx *bbolt.Tx) (map[uint32]header, error) {
	heads := map[uint32]header{}
	err := tx.Bucket(collectionBucket).ForEach(func(k, v []byte) error {
		id := binary.BigEndian.Uint32(k)
		h, err := decodeHeader(id, v)
		if err != nil {
			return fmt.Errorf("header of collection %d: %w", id, err)
		}
		heads[id] = h
		return nil
	})
	return heads, err
}

// loadCollection reads the rows of one collection in the order in which they
// were written: the last one of an id counts, and the others go to the keeper.
func (s *Store) loadCollection(tx *bbolt.Tx, id uint32, h header) (*collection, error) {
	d := newDraft(&collection{id: id, head: h, columns: newColumns(s.cfg.Index)}, new(edition))
	d.docs = tx.Bucket(bucketName('d', id))
	seen := header{}
	cursor := tx.Bucket(bucketName('r', id)).Cursor()
	for key, value := cursor.First(); key != nil; key, value = cursor.Next() {
		n := binary.BigEndian.Uint64(key)
		r, err := decodeRow(n, value)
		if err != nil {
			return nil, fmt.Errorf("row %d of collection %q: %w", n, h.Collection.Name, err)
		}
		seen.count(n, value, 1)
		if err := d.place(n, &r); err != nil {
			return nil, fmt.Errorf("row %d of collection %q: %w", n, h.Collection.Name, err)
		}
	}
	if seen.Rows != h.Rows || seen.Sum != h.Sum {
		return nil, fmt.Errorf("collection %q: %d of %d rows are there, or others than were written",
			h.Collection.Name, seen.Rows, h.Rows)
	}
	s.keeper.graves = append(s.keeper.graves, d.graves...)
	s.keeper.marks = append(s.keeper.marks, d.marks...)
	return d.done(), nil
}

// place puts a decoded row into the draft.
func (d *draft) place(number uint64, r *row) error {
	p := d.part(r.key.Tenant)
	if old, ok := p.ids.get(r.key.ID); ok {
		d.bury(old)
		p.forget(old)
	}
	if r.flags&rowDeleted != 0 {
		d.mark(p, r.key, slot{version: r.version, record: number}, r.at)
		return nil
	}
	doc, err := d.indexed(number, r)
	if err != nil {
		return err
	}
	dims := d.c.head.Collection.Dims
	if len(r.dense) != 0 && len(r.dense) != 4*dims {
		return errDamaged
	}
	c, at := p.grow()
	putFloats(c.vector(at)[:len(r.dense)/4], r.dense)
	c.bare[at] = len(r.dense) == 0
	c.index(at, d.c.columns.number(doc.meta))
	p.settle(d.c.head.Collection.Metric, r.key.ID, slot{version: r.version, record: number}, r.flags&rowHasDoc != 0)
	p.note(doc.sparse)
	return nil
}

// indexed reads a row's document, if an index in memory needs it.
func (d *draft) indexed(number uint64, r *row) (doc document, err error) {
	worded := r.flags&rowHasWords != 0 || !d.c.head.Marked
	if r.flags&rowHasDoc == 0 || len(d.c.columns) == 0 && !worded {
		return doc, nil
	}
	return decodeDocument(number, d.docs.Get(recordKey(number)))
}
