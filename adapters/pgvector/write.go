package pgvector

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/lanewise/lanewise/fault"
	"github.com/lanewise/lanewise/search"
)

// remembered is how long the version of a deletion is kept.
const remembered = 24 * time.Hour

// Write applies a batch in one transaction. A lower epoch than the store has seen,
// and a different Create of a collection that is there, are fault.Conflict; what
// PostgreSQL cannot hold is fault.Invalid and names its field.
func (s *Store) Write(ctx context.Context, b search.Batch) (search.Written, error) {
	if err := checkBatch(&b); err != nil {
		return search.Written{}, err
	}
	var out search.Written
	if b.Create == nil && s.config.external(b.Collection) != nil || b.Create != nil && s.config.external(b.Create.Name) != nil {
		return search.Written{}, fault.BadField("/collection", "collection %q is external: lanewise only reads it", b.Collection)
	}
	err := s.do(ctx, "write", func(conn *pgxpool.Conn) (err error) {
		switch {
		case b.Create != nil:
			err = s.create(ctx, conn, &b)
		case b.Drop:
			err = s.drop(ctx, conn, &b)
		default:
			out, err = s.change(ctx, conn, &b)
		}
		return err
	})
	if err != nil {
		return search.Written{}, err
	}
	return out, nil
}

// change applies points and tombstones.
func (s *Store) change(ctx context.Context, conn *pgxpool.Conn, b *search.Batch) (search.Written, error) {
	t, err := s.table(ctx, conn, b.Collection)
	if err != nil {
		return search.Written{}, err
	}
	ops, err := operations(t, b)
	if err != nil {
		return search.Written{}, err
	}
	var out search.Written
	err = pgx.BeginFunc(ctx, conn, func(tx pgx.Tx) error {
		if err := s.fence(ctx, tx, b.Epoch); err != nil {
			return err
		}
		if len(ops) == 0 {
			return nil
		}
		e := edit{s: s, t: t, tx: tx}
		if err := e.run(ctx, ops, len(b.Deletes) > 0); err != nil {
			return err
		}
		out = e.out
		return nil
	})
	return out, err
}

// operation is an upsert or, without a point, a deletion.
type operation struct {
	key     search.Key
	version search.Version
	point   *search.Point
	fields  []byte // of the point, for the filters
}

// operations checks a batch and puts it into the order of the keys: two batches that
// lock their rows in the same order cannot wait for each other. Of one key, upserts
// come before deletions, as they do in the batch.
func operations(t *table, b *search.Batch) ([]operation, error) {
	ops := make([]operation, 0, len(b.Upserts)+len(b.Deletes))
	for i := range b.Upserts {
		p := &b.Upserts[i]
		if err := checkPoint(t.Dims, p); err != nil {
			return nil, within(fmt.Sprintf("/upserts/%d", i), err)
		}
		fields, err := fieldsOf(p.Meta)
		if err != nil {
			return nil, within(fmt.Sprintf("/upserts/%d", i), err)
		}
		ops = append(ops, operation{key: p.Key, version: p.Version, point: p, fields: fields})
	}
	for i := range b.Deletes {
		if err := checkKey(b.Deletes[i].Key); err != nil {
			return nil, within(fmt.Sprintf("/deletes/%d", i), err)
		}
		ops = append(ops, operation{key: b.Deletes[i].Key, version: b.Deletes[i].Version})
	}
	slices.SortStableFunc(ops, func(x, y operation) int { return x.key.Compare(y.key) })
	return ops, nil
}

// edit is the part of a write transaction that changes points.
type edit struct {
	s      *Store
	t      *table
	tx     pgx.Tx
	out    search.Written
	points int64          // more than before
	digest uint64         // wrapping sum
	newest search.Version // of what was applied
}

func (e *edit) run(ctx context.Context, ops []operation, deletes bool) error {
	stopped, err := e.apply(ctx, ops)
	if err != nil {
		return err
	}
	if err := e.readNewer(ctx, stopped); err != nil {
		return err
	}
	if deletes {
		if err := e.forget(ctx); err != nil {
			return err
		}
	}
	if e.out.Applied == 0 {
		return nil
	}
	return e.sum(ctx)
}

// upsertInto is the one statement for points and marks: a row of the arrays is an
// operation. A row that is newer stays, is locked all the same, and nothing is returned.
func upsertInto(t *table) string {
	return "insert into " + t.name + ` as old (tenant, id, version, dense, sparse, text, meta, fields, deleted)
		select tenant, id, version, dense, sparse, text, meta, fields::jsonb, case when gone then now() end
		from unnest($1::text[], $2::text[], $3::bigint[], $4::vector[], $5::bytea[], $6::text[], $7::text[], $8::text[], $9::boolean[])
			as new (tenant, id, version, dense, sparse, text, meta, fields, gone)
		on conflict (tenant, id) do update set version = excluded.version, dense = excluded.dense, sparse = excluded.sparse,
			text = excluded.text, meta = excluded.meta, fields = excluded.fields, deleted = excluded.deleted,
			was = case when old.deleted is null then old.version end
		where excluded.version >= old.version returning tenant, id, was`
}

// apply sends the operations and returns those that newer versions stopped. A statement
// must not write a row twice: of one key, each operation is in a round of its own.
func (e *edit) apply(ctx context.Context, ops []operation) ([]operation, error) {
	if err := registerVectors(ctx, e.tx.Conn()); err != nil {
		return nil, err
	}
	var batch pgx.Batch
	queueSettings(ctx, &batch, 0, false)
	all := rounds(ops)
	for _, round := range all {
		batch.Queue(upsertInto(e.t), arguments(round)...)
	}
	results := e.tx.SendBatch(ctx, &batch)
	if _, err := results.Exec(); err != nil {
		return nil, errors.Join(err, results.Close())
	}
	var stopped []operation
	for _, round := range all {
		rows, err := results.Query()
		if err == nil {
			stopped, err = e.heard(rows, round, stopped)
		}
		if err != nil {
			return nil, errors.Join(err, results.Close())
		}
	}
	return stopped, results.Close()
}

// largestStatement is about how many bytes of points go into one statement: PostgreSQL
// takes no list above 1 GB.
const largestStatement = 64 << 20

// rounds deals operations, which are in the order of their keys, out to lists without
// two of the same key, and of a bounded size.
func rounds(ops []operation) [][]*operation {
	var same [][]*operation // the first operations of all keys, the second ones, …
	for i, n := 0, 0; i < len(ops); i++ {
		if n++; i == 0 || ops[i].key != ops[i-1].key {
			n = 0
		}
		if n == len(same) {
			same = append(same, nil)
		}
		same[n] = append(same[n], &ops[i])
	}
	var all [][]*operation
	for _, round := range same {
		size := largestStatement
		for _, o := range round {
			if size += o.size(); size > largestStatement {
				all, size = append(all, nil), o.size()
			}
			all[len(all)-1] = append(all[len(all)-1], o)
		}
	}
	return all
}

// size is about what an operation takes in its statement.
func (o *operation) size() int {
	size := 100 + len(o.key.Tenant) + len(o.key.ID) + len(o.fields)
	if p := o.point; p != nil {
		size += 4*len(p.Dense) + 8*len(p.Sparse.Index) + len(p.Text) + len(p.Meta)
	}
	return size
}

// heard counts what a round changed, and appends to stopped what it did not.
func (e *edit) heard(rows pgx.Rows, round []*operation, stopped []operation) ([]operation, error) {
	changed := make(map[search.Key]*int64, len(round))
	var k search.Key
	var was *int64
	_, err := pgx.ForEachRow(rows, []any{&k.Tenant, &k.ID, &was}, func() error {
		changed[k], was = was, nil
		return nil
	})
	for _, o := range round {
		if was, ok := changed[o.key]; ok {
			e.count(o, was)
		} else {
			stopped = append(stopped, *o)
		}
	}
	return stopped, err
}

// arguments of upsertInto, a list for each column.
func arguments(round []*operation) []any {
	n := len(round)
	tenants, ids, texts, metas, fields := make([]string, n), make([]string, n), make([]*string, n), make([]*string, n), make([]*string, n)
	versions, dense, sparse, gone := make([]int64, n), make([][]float32, n), make([][]byte, n), make([]bool, n)
	for i, o := range round {
		tenants[i], ids[i], versions[i] = o.key.Tenant, o.key.ID, toBigint(uint64(o.version))
		p := o.point
		if gone[i] = p == nil; gone[i] {
			continue
		}
		dense[i], sparse[i], texts[i], fields[i] = p.Dense, encodeSparse(p.Sparse), &p.Text, new(string(o.fields))
		if len(p.Meta) > 0 {
			metas[i] = new(string(p.Meta))
		}
	}
	return []any{tenants, ids, versions, dense, sparse, texts, metas, fields, gone}
}

// count notes what an operation did to the sums.
func (e *edit) count(o *operation, was *int64) {
	e.out.Applied++
	e.newest = max(e.newest, o.version)
	if was != nil {
		e.points--
		e.digest -= search.Digest(o.key, search.Version(fromBigint(*was)))
	}
	if o.point != nil {
		e.points++
		e.digest += search.Digest(o.key, o.version)
	}
}

// readNewer finds the newest version that stopped a write. The rows are locked since.
func (e *edit) readNewer(ctx context.Context, stopped []operation) error {
	if len(stopped) == 0 {
		return nil
	}
	tenants, ids := make([]string, len(stopped)), make([]string, len(stopped))
	for i := range stopped {
		tenants[i], ids[i] = stopped[i].key.Tenant, stopped[i].key.ID
	}
	var newer *int64
	err := e.tx.QueryRow(ctx, "select max(version) from "+e.t.name+
		" where (tenant, id) in (select * from unnest($1::text[], $2::text[]))", tenants, ids).Scan(&newer)
	if err == nil && newer != nil {
		e.out.Newer = search.Version(fromBigint(*newer))
	}
	return err
}

// forget removes marks whose time is over, some with each deletion. It passes over
// what another transaction has locked.
func (e *edit) forget(ctx context.Context) error {
	_, err := e.tx.Exec(ctx, "delete from "+e.t.name+" where (tenant, id) in (select tenant, id from "+e.t.name+
		" where deleted < now() - $1::interval order by deleted limit 1000 for update skip locked)", remembered)
	return err
}

// sum appends to the changes, where nobody waits for anybody, and now and then adds
// them up.
func (e *edit) sum(ctx context.Context) error {
	const often = 256 // batches
	_, err := e.tx.Exec(ctx, "insert into "+e.s.name("changes")+" values ($1, $2, $3, $4)",
		e.t.number, e.points, int64(e.digest), toBigint(uint64(e.newest))) //nolint:gosec // the same bits
	if err != nil || e.s.batches.Add(1)%often != 0 {
		return err
	}
	return e.s.addUp(ctx, e.tx, e.t)
}

// addUp replaces the changes of a collection by their sum. Sums of digests wrap.
func (s *Store) addUp(ctx context.Context, tx pgx.Tx, t *table) error {
	_, err := tx.Exec(ctx, "with gone as (delete from "+s.name("changes")+" where ctid = any(array(select ctid from "+s.name("changes")+
		" where collection = $1 for update skip locked)) returning *) insert into "+s.name("changes")+
		" select $1, sum(points), "+wrappedSum+", max(newest) from gone having count(*) > 0", t.number)
	return err
}

// wrappedSum adds bigints modulo 2^64.
const wrappedSum = `(mod(sum(digest::numeric) + 9223372036854775808 + 18446744073709551616 * 1000000000000, 18446744073709551616)
	- 9223372036854775808)::bigint`

// encodeSparse packs a sparse vector, little-endian: the indices, then the values.
func encodeSparse(v search.Sparse) []byte {
	if len(v.Index) == 0 {
		return nil
	}
	packed := make([]byte, 0, 8*len(v.Index))
	for _, x := range v.Index {
		packed = binary.LittleEndian.AppendUint32(packed, x)
	}
	for _, x := range v.Value {
		packed = binary.LittleEndian.AppendUint32(packed, math.Float32bits(x))
	}
	return packed
}

func decodeSparse(packed []byte) search.Sparse {
	n := len(packed) / 8
	if n == 0 {
		return search.Sparse{}
	}
	v := search.Sparse{Index: make([]uint32, n), Value: make([]float32, n)}
	for i := range n {
		v.Index[i] = binary.LittleEndian.Uint32(packed[4*i:])
		v.Value[i] = math.Float32frombits(binary.LittleEndian.Uint32(packed[4*(n+i):]))
	}
	return v
}
