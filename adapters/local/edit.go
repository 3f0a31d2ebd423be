package local

import (
	"maps"
	"time"

	"go.etcd.io/bbolt"

	"github.com/lanewise/lanewise/fault"
	"github.com/lanewise/lanewise/search"
)

// edit is one write transaction: it changes the file through tx and builds the
// next snapshot beside the current one.
type edit struct {
	tx     *bbolt.Tx
	keeper *keeper
	now    int64 // Unix milliseconds
	by     *edition
	fields []string // that new collections index
	limit  int64    // of memory; 0: none
	old    *state
	next   *state
	drafts map[string]*draft
	dirty  bool
	txid   int
	failed error // of the file: the whole transaction is off

	graves  []grave
	marks   []mark
	removed int // graves of the keeper that this edit empties
	expired int // marks of the keeper whose time is over
}

func newEdit(current *state, k *keeper, tx *bbolt.Tx) *edit {
	return &edit{
		tx: tx, keeper: k, now: time.Now().UnixMilli(), by: new(edition), old: current, drafts: map[string]*draft{},
		next: &state{
			number: current.number + 1, epoch: current.epoch, nextID: current.nextID,
			collections: maps.Clone(current.collections),
		},
	}
}

// apply makes the changes of one batch. A batch that is refused changes nothing.
func (e *edit) apply(b *search.Batch) (search.Written, error) {
	if b.Epoch != 0 && b.Epoch < e.next.epoch {
		return search.Written{}, fault.New(fault.Conflict,
			"the write is of epoch %d, this store has seen epoch %d: read the shard map again", b.Epoch, e.next.epoch)
	}
	out, err := e.dispatch(b)
	if err == nil && b.Epoch > e.next.epoch {
		e.next.epoch = b.Epoch
		e.dirty = true
	}
	return out, err
}

func (e *edit) dispatch(b *search.Batch) (search.Written, error) {
	switch {
	case b.Create != nil && (b.Drop || len(b.Upserts)+len(b.Deletes) > 0):
		return search.Written{}, fault.BadField("/create", "stands alone in a batch")
	case b.Drop && len(b.Upserts)+len(b.Deletes) > 0:
		return search.Written{}, fault.BadField("/drop", "stands alone in a batch")
	case b.Create != nil:
		return search.Written{}, e.create(b)
	}
	d, err := e.draft(b.Collection)
	if err != nil {
		return search.Written{}, err
	}
	if b.Drop {
		e.drop(d)
		return search.Written{}, nil
	}
	if err := checkBatch(&d.c.head.Collection, b); err != nil {
		return search.Written{}, err
	}
	if err := e.admit(&d.c.head.Collection, b); err != nil {
		return search.Written{}, err
	}
	return e.change(d, b), nil
}

// draft opens a collection for changes.
func (e *edit) draft(name string) (*draft, error) {
	if d, ok := e.drafts[name]; ok {
		return d, nil
	}
	c, ok := e.next.collections[name]
	if !ok {
		return nil, errNoCollection(name)
	}
	d := newDraft(c, e.by)
	d.since = e.next.number
	d.rows, d.docs = e.tx.Bucket(bucketName('r', c.id)), e.tx.Bucket(bucketName('d', c.id))
	// Records come in the order of their numbers, so full pages stay full.
	d.rows.FillPercent, d.docs.FillPercent = 1, 1
	e.drafts[name] = d
	return d, nil
}

func (e *edit) create(b *search.Batch) error {
	want := *b.Create
	if b.Collection != "" && b.Collection != want.Name {
		return fault.BadField("/create/name", "is %q, but the batch is for %q", want.Name, b.Collection)
	}
	if err := checkCollection(&want); err != nil {
		return err
	}
	if have, ok := e.next.collections[want.Name]; ok {
		return e.createAgain(have, want)
	}
	c := &collection{id: e.next.nextID, head: header{Collection: want, Marked: true}, columns: newColumns(e.fields)}
	e.next.nextID++
	e.next.collections[want.Name] = c
	e.dirty = true
	e.note(e.makeBuckets(c.id))
	if e.failed == nil {
		_, err := e.draft(want.Name) // so that finish writes its header
		e.note(err)
	}
	return e.failed
}

// createAgain refuses a different Create, and takes over the settings of one that
// differs in them alone.
func (e *edit) createAgain(have *collection, want search.Collection) error {
	d, drafted := e.drafts[want.Name]
	if drafted {
		have = d.c
	}
	if err := sameCollection(have.head.Collection, want); err != nil || have.head.Collection == want {
		return err
	}
	d, err := e.draft(want.Name)
	if err != nil {
		return err
	}
	d.c.head.Collection = want
	e.dirty = true
	return nil
}

// note keeps the first error of the file.
func (e *edit) note(err error) {
	if e.failed == nil {
		e.failed = err
	}
}

func (e *edit) makeBuckets(id uint32) error {
	if _, err := e.tx.CreateBucket(bucketName('r', id)); err != nil {
		return err
	}
	_, err := e.tx.CreateBucket(bucketName('d', id))
	return err
}

// drop removes a collection. Its name may be used again at once.
func (e *edit) drop(d *draft) {
	name, id := d.c.head.Collection.Name, d.c.id
	delete(e.drafts, name)
	delete(e.next.collections, name)
	e.dirty = true
	e.note(e.tx.DeleteBucket(bucketName('r', id)))
	e.note(e.tx.DeleteBucket(bucketName('d', id)))
	e.note(e.tx.Bucket(collectionBucket).Delete(bucketName('c', id)[1:]))
}

// change applies points and tombstones that have been checked.
func (e *edit) change(d *draft, b *search.Batch) search.Written {
	var out search.Written
	count := func(stopped search.Version, ok bool, err error) {
		e.note(err)
		if ok {
			out.Applied++
			e.dirty = true
		}
		out.Newer = max(out.Newer, stopped)
	}
	for i := range b.Upserts {
		count(d.upsert(&b.Upserts[i]))
	}
	for i := range b.Deletes {
		count(d.remove(&b.Deletes[i], e.now))
	}
	return out
}

// finish writes what every transaction writes, and returns the next snapshot, or
// nil if there is nothing to commit.
func (e *edit) finish() (*state, error) {
	if !e.dirty {
		return nil, nil //nolint:nilnil // nothing changed, nothing failed
	}
	e.txid = e.tx.ID()
	if err := e.expire(); err != nil {
		return nil, err
	}
	if err := e.empty(); err != nil {
		return nil, err
	}
	for name, d := range e.drafts {
		e.next.collections[name] = d.done()
		e.graves = append(e.graves, d.graves...)
		e.marks = append(e.marks, d.marks...)
		if err := e.writeHeader(d.c); err != nil {
			return nil, err
		}
	}
	meta := e.tx.Bucket(metaBucket)
	if err := putNumber(meta, nextKey, uint64(e.next.nextID)); err != nil {
		return nil, err
	}
	return e.next, putNumber(meta, epochKey, e.next.epoch)
}

func (e *edit) writeHeader(c *collection) error {
	record, err := encodeHeader(c.id, &c.head)
	if err != nil {
		return err
	}
	return e.tx.Bucket(collectionBucket).Put(bucketName('c', c.id)[1:], record)
}

// expire forgets the deletions whose time is over.
func (e *edit) expire() error {
	for _, m := range e.keeper.marks {
		if m.at > e.now-remembered.Milliseconds() {
			return nil
		}
		e.expired++
		c, ok := e.next.collections[m.collection]
		if !ok || c.id != m.id {
			continue
		}
		d, err := e.draft(m.collection)
		if err != nil {
			return err
		}
		d.forgetMark(m)
	}
	return nil
}

// empty removes the records that no reader can ask for any more.
func (e *edit) empty() error {
	oldest := e.keeper.oldest(e.old)
	for _, g := range e.keeper.graves {
		if g.since > oldest {
			return nil
		}
		e.removed++
		d, err := e.draftOf(g.id)
		if err != nil {
			return err
		}
		if d == nil {
			continue
		}
		if err := d.erase(g.record); err != nil {
			return err
		}
	}
	return nil
}

// draftOf opens the collection with that number, or nothing if it was dropped.
func (e *edit) draftOf(id uint32) (*draft, error) {
	for name, c := range e.next.collections {
		if c.id == id {
			return e.draft(name)
		}
	}
	return nil, nil //nolint:nilnil // dropped, and its records with it
}
