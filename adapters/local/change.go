package local

import (
	"strings"

	"github.com/lanewise/lanewise/search"
)

// upsert stores a point, unless a newer version is there, which it returns.
func (d *draft) upsert(p *search.Point) (stopped search.Version, ok bool, err error) {
	part := d.part(p.Tenant)
	id := ""
	old, known := part.ids.get(p.ID)
	switch {
	case known && p.Version < old.version:
		return old.version, false, nil
	case known && !old.deleted():
		id = part.blocks[old.block].ids[old.row]
	default:
		id = strings.Clone(p.ID) // the caller's may be a part of a whole request
	}
	at := slot{version: p.Version, record: d.c.head.Next}
	if err := d.writePoint(at.record, p); err != nil {
		return 0, false, err
	}
	if known {
		d.bury(old)
		part.forget(old)
	}
	c, row := part.grow()
	copy(c.vector(row), p.Dense)
	c.bare[row] = len(p.Dense) == 0
	c.index(row, d.c.columns.number(p.Meta))
	part.settle(d.c.head.Collection.Metric, id, at, hasDocument(p))
	part.note(p.Sparse)
	d.fresh += perPosting * int64(len(p.Sparse.Index))
	return 0, true, nil
}

// remove deletes a point, unless a newer version is there, which it returns. The
// deletion is remembered even where there was no point: its upsert may be late.
func (d *draft) remove(t *search.Tombstone, now int64) (stopped search.Version, ok bool, err error) {
	part := d.part(t.Tenant)
	old, known := part.ids.get(t.ID)
	if known && t.Version < old.version {
		return old.version, false, nil
	}
	if known {
		d.bury(old)
		part.forget(old)
	}
	at := slot{version: t.Version, record: d.c.head.Next}
	if err := d.writeMark(at.record, t, now); err != nil {
		return 0, false, err
	}
	d.mark(part, search.Key{Tenant: strings.Clone(t.Tenant), ID: strings.Clone(t.ID)}, at, now)
	return 0, true, nil
}

// mark notes that an id was deleted.
func (d *draft) mark(p *partDraft, key search.Key, at slot, when int64) {
	at.block = -1
	p.ids.put(d.by, key.ID, at)
	d.marks = append(d.marks, mark{
		at: when, collection: d.c.head.Collection.Name, id: d.c.id, key: key, record: at.record,
	})
}

// forgetMark ends the memory of a deletion, unless the id was written since.
func (d *draft) forgetMark(m mark) {
	p := d.part(m.key.Tenant)
	if s, ok := p.ids.get(m.key.ID); ok && s.record == m.record {
		p.ids.remove(d.by, m.key.ID)
		d.bury(s)
	}
}

// bury leaves the record of a slot to be removed once nobody reads it.
func (d *draft) bury(s slot) {
	d.graves = append(d.graves, grave{id: d.c.id, record: s.record, since: d.since})
}

// writePoint puts a point's records into the file.
func (d *draft) writePoint(number uint64, p *search.Point) error {
	var flags byte
	if hasDocument(p) {
		flags |= rowHasDoc
		if len(p.Sparse.Index) > 0 {
			flags |= rowHasWords
		}
		record := newDocument(p)
		seal(number, record)
		d.c.head.Bytes += int64(len(record))
		if err := d.docs.Put(recordKey(number), record); err != nil {
			return err
		}
	}
	return d.writeRow(number, p.Version, appendFloats(newRow(flags, p.Version, p.Key), p.Dense))
}

func (d *draft) writeMark(number uint64, t *search.Tombstone, now int64) error {
	record := newRow(rowDeleted, t.Version, t.Key)
	return d.writeRow(number, t.Version, appendTime(record, now))
}

// writeRow puts a row record, not yet sealed, into the file and the sums.
func (d *draft) writeRow(number uint64, v search.Version, record []byte) error {
	seal(number, record)
	d.c.head.Next = number + 1
	d.c.head.Newest = max(d.c.head.Newest, v)
	d.c.head.count(number, record, 1)
	return d.rows.Put(recordKey(number), record)
}

// erase takes a record out of the file.
func (d *draft) erase(number uint64) error {
	key := recordKey(number)
	record := d.rows.Get(key)
	if len(record) < sumLen {
		return errDamaged
	}
	d.c.head.count(number, record, -1)
	if err := d.rows.Delete(key); err != nil {
		return err
	}
	d.c.head.Bytes -= int64(len(d.docs.Get(key)))
	return d.docs.Delete(key)
}
