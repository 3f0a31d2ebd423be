package pgvector

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"unicode/utf8"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/lanewise/lanewise/fault"
	"github.com/lanewise/lanewise/search"
)

// table is a collection's table. Its name holds the collection's number, so that a
// collection which was dropped and made again is never mistaken for the old one.
type table struct {
	search.Collection
	number int64
	name   string // quoted, with its schema
	hnsw   bool   // there is an approximate index
	view   *view  // nil: made by this package
}

func (s *Store) newTable(number int64, c search.Collection, hnsw bool) *table {
	const longest = 40 // leaves room for the number below PostgreSQL's 63 bytes
	short := c.Name
	if len(short) > longest {
		short = short[:longest]
		for !utf8.ValidString(short) {
			short = short[:len(short)-1]
		}
	}
	return &table{Collection: c, number: number, name: s.name(fmt.Sprintf("%s_%d", short, number)), hnsw: hnsw}
}

// table finds a collection. What was found once is remembered: a table that is gone
// shows by an error, see Store.do.
func (s *Store) table(ctx context.Context, q *pgxpool.Conn, name string) (*table, error) {
	if t, ok := s.tables.Load(name); ok {
		return t.(*table), nil //nolint:errcheck,forcetypeassert // only tables are stored
	}
	if x := s.config.external(name); x != nil {
		t, err := s.readExternal(ctx, q, x)
		if err == nil {
			s.tables.Store(name, t)
		}
		return t, err
	}
	if !storable(name) {
		return nil, errNoCollection(name)
	}
	t, err := s.readTable(ctx, q, name)
	if err != nil {
		return nil, err
	}
	s.tables.Store(name, t)
	return t, nil
}

func (s *Store) readTable(ctx context.Context, q querier, name string) (*table, error) {
	var number int64
	var descriptor []byte
	var hnsw bool
	err := q.QueryRow(ctx, "select number, descriptor::text, hnsw from "+s.name("collections")+" where name = $1", name).
		Scan(&number, &descriptor, &hnsw)
	if errors.Is(err, pgx.ErrNoRows) {
		return nil, errNoCollection(name)
	}
	if err != nil {
		return nil, err
	}
	var c search.Collection
	if err := json.Unmarshal(descriptor, &c); err != nil {
		return nil, fault.Wrap(fault.Unavailable, fmt.Sprintf("descriptor of collection %q", name), err)
	}
	return s.newTable(number, c, hnsw), nil
}

// create makes a collection, unless the same one is there.
func (s *Store) create(ctx context.Context, conn *pgxpool.Conn, b *search.Batch) error {
	want := *b.Create
	if err := s.checkCollection(&want); err != nil {
		return err
	}
	descriptor, err := json.Marshal(want)
	if err != nil {
		return fault.Wrap(fault.Invalid, "descriptor", err)
	}
	return pgx.BeginFunc(ctx, conn, func(tx pgx.Tx) error {
		if err := s.fence(ctx, tx, b.Epoch); err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, "select pg_advisory_xact_lock($1)", int64(setupLock)); err != nil {
			return err
		}
		have, err := s.readTable(ctx, tx, want.Name)
		if err == nil {
			return s.createAgain(ctx, tx, have, want)
		}
		if !errors.Is(err, fault.NotFound) {
			return err
		}
		var number int64
		err = tx.QueryRow(ctx, "insert into "+s.name("collections")+" (name, descriptor, hnsw) values ($1, $2::text::jsonb, $3) returning number",
			want.Name, string(descriptor), s.config.HNSW != nil).Scan(&number)
		if err != nil {
			return err
		}
		return s.createTable(ctx, tx, s.newTable(number, want, s.config.HNSW != nil))
	})
}

// createAgain refuses a different Create, and takes over the settings of one that
// differs in them alone.
func (s *Store) createAgain(ctx context.Context, tx pgx.Tx, have *table, want search.Collection) error {
	switch {
	case have.Collection == want:
		return nil
	case !have.Accepts(want):
		return fault.New(fault.Conflict, "collection %q is already there, as %+v and not as %+v", have.Name, have.Collection, want)
	}
	descriptor, err := json.Marshal(want)
	if err != nil {
		return fault.Wrap(fault.Invalid, "descriptor", err)
	}
	_, err = tx.Exec(ctx, "update "+s.name("collections")+" set descriptor = $2::text::jsonb where number = $1", have.number, string(descriptor))
	s.tables.Delete(want.Name)
	return err
}

// createTable makes the table of a collection. A row is a point, or the mark of a
// deletion; "was" is the version of the point that the row's last write replaced, null
// where there was none, from which Write learns how the sums change.
func (s *Store) createTable(ctx context.Context, tx pgx.Tx, t *table) error {
	statements := []string{
		"create table " + t.name + ` (
			tenant text collate "C" not null, id text collate "C" not null, version bigint not null, was bigint,
			dense vector(` + strconv.Itoa(t.Dims) + `), sparse bytea, text text, meta text, fields jsonb, deleted timestamptz,
			primary key (tenant, id))`,
		"create index on " + t.name + " (deleted) where deleted is not null",
	}
	if h := s.config.HNSW; h != nil {
		statements = append(statements, h.statement(t))
	}
	if s.config.FieldIndex {
		statements = append(statements, "create index on "+t.name+" using gin (fields jsonb_path_ops)")
	}
	for _, statement := range statements {
		if _, err := tx.Exec(ctx, statement); err != nil {
			return err
		}
	}
	return nil
}

func (h *HNSW) statement(t *table) string {
	text := "create index on " + t.name + " using hnsw (dense " + opsOf(t.Metric) + ")"
	m, ef := h.M, h.EFConstruction
	if m == 0 {
		m = 16
	}
	if ef == 0 {
		ef = max(64, 2*m) // pgvector wants at least twice the links
	}
	return text + fmt.Sprintf(" with (m = %d, ef_construction = %d)", m, ef)
}

func opsOf(m search.Metric) string {
	switch m {
	case search.Cosine:
		return "vector_cosine_ops"
	case search.Dot:
		return "vector_ip_ops"
	default:
		return "vector_l2_ops"
	}
}

// drop removes a collection. Its name may be used again at once.
func (s *Store) drop(ctx context.Context, conn *pgxpool.Conn, b *search.Batch) error {
	err := pgx.BeginFunc(ctx, conn, func(tx pgx.Tx) error {
		if err := s.fence(ctx, tx, b.Epoch); err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, "select pg_advisory_xact_lock($1)", int64(setupLock)); err != nil {
			return err
		}
		if !storable(b.Collection) {
			return errNoCollection(b.Collection)
		}
		t, err := s.readTable(ctx, tx, b.Collection)
		if err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, "delete from "+s.name("collections")+" where number = $1", t.number); err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, "delete from "+s.name("changes")+" where collection = $1", t.number); err != nil {
			return err
		}
		_, err = tx.Exec(ctx, "drop table "+t.name)
		return err
	})
	if err == nil {
		s.tables.Delete(b.Collection)
	}
	return err
}

// fence refuses a write of a lower epoch than the store has seen, and remembers a
// higher one. The row stays locked until the transaction ends, so that no write of
// the old epoch can be applied after the first one of the new.
func (s *Store) fence(ctx context.Context, tx pgx.Tx, epoch uint64) error {
	if epoch == 0 {
		return nil
	}
	at := toBigint(epoch)
	if _, err := tx.Exec(ctx, "update "+s.name("store")+" set epoch = $1 where epoch < $1", at); err != nil {
		return err
	}
	var seen int64
	if err := tx.QueryRow(ctx, "select epoch from "+s.name("store")+" for share").Scan(&seen); err != nil {
		return err
	}
	if seen > at {
		return fault.New(fault.Conflict, "the write is of epoch %d, this store has seen epoch %d: read the shard map again",
			epoch, fromBigint(seen))
	}
	return nil
}
