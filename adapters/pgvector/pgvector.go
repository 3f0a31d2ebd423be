// Package pgvector makes a PostgreSQL with the pgvector extension a
// [search.Store].
//
// # What it keeps
//
// All tables are in one schema. Each collection has a table of its own, whose
// primary key (tenant, id) is ordered bytewise; the table "collections" holds the
// descriptors, "store" the schema's version and the highest epoch, "changes" the
// sums behind [search.Stats]. Text and metadata are kept as they came. A second
// form of the metadata, the column "fields", serves the filters: every path with
// the list of its values, numbers rounded as [search.Filter] reads them. All
// filters are pushed down, as parameters.
//
// # What it promises
//
// A batch is one transaction. An older version never overwrites a newer one, and a
// deletion is remembered for 24 hours. A write of a lower epoch than the store has seen
// is fault.Conflict. Searches scan exactly unless Config.HNSW is set; scores are
// computed again in float64, and a list whose order float32 could not tell for
// certain says so by Prefix = false. With HNSW the scan goes on until the list is full, and
// where the index finds too few rows the table is scanned: a filter never cuts
// a list short.
//
// # What it cannot
//
// Keys and texts with a NUL byte or invalid UTF-8, more than 16,000 dims (2,000
// with HNSW) and sparse legs are fault.Invalid: sparsevec has a billion dims, and terms
// are numbered by 32 bits, so a sparse vector is stored but not searched. pgvector sums in float32: vectors whose
// squares do not fit it (sizes above about 1e18 or below 1e-20) are scored rightly but may be missed.
package pgvector

import (
	"cmp"
	"context"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/lanewise/lanewise/fault"
	"github.com/lanewise/lanewise/search"
)

// Config says where the database is. Zero values mean the defaults stated.
type Config struct {
	// DSN is a URL or a list of keywords as libpq reads them, TLS included; the environment's PG*
	// variables and ~/.pgpass fill in what it leaves out. Required.
	DSN         string
	Schema      string        // that holds the tables, made if it is not there; empty: "lanewise"
	MaxConns    int           // open at the same time, further calls wait; 0: the DSN's pool_max_conns, else 16
	DialTimeout time.Duration // 0: the DSN's connect_timeout, else 2 s
	HNSW        *HNSW         // index of collections that are created, and used where a table has one; nil: exact scans
	External    []External    // tables that are there already, read as they are
	FieldIndex  bool          // a GIN index on the metadata of collections that are created: for selective filters
}

// HNSW sets up the approximate index. Zero values mean pgvector's defaults.
type HNSW struct {
	M              int // links of a vertex; 0: 16
	EFConstruction int // search breadth while building; 0: 64
	EF             int // least search breadth of a query, at most 1000; 0: 40
}

// Store is a PostgreSQL database. Safe for concurrent use.
type Store struct {
	pool    *pgxpool.Pool
	config  Config
	address string        // names the server in errors
	tables  sync.Map      // name of a collection → *table
	prepare chan struct{} // held while the schema is looked at
	ready   atomic.Bool   // the schema is there
	batches atomic.Uint64
}

var _ search.Store = (*Store)(nil)

// New returns a store with connections of its own. It does not connect yet. A
// Config that cannot work is fault.Invalid.
func New(c Config) (*Store, error) {
	c.Schema = cmp.Or(c.Schema, "lanewise")
	if err := c.check(); err != nil {
		return nil, err
	}
	settings, err := pgxpool.ParseConfig(c.DSN)
	if err != nil { // its text would repeat the DSN, which may hold a password
		return nil, fault.BadField("/dsn", "is not a PostgreSQL URL or keyword list, or names a file that cannot be read")
	}
	if c.MaxConns > 0 {
		settings.MaxConns = int32(min(c.MaxConns, 1<<16)) //nolint:gosec // bounded
	} else if !strings.Contains(c.DSN, "pool_max_conns") {
		settings.MaxConns = 16
	}
	conn := settings.ConnConfig
	if c.DialTimeout > 0 {
		conn.ConnectTimeout = c.DialTimeout
	} else if conn.ConnectTimeout == 0 {
		conn.ConnectTimeout = 2 * time.Second
	}
	if conn.RuntimeParams["application_name"] == "" {
		conn.RuntimeParams["application_name"] = "lanewise"
	}
	settings.AfterConnect = registerFloats
	pool, err := pgxpool.NewWithConfig(context.Background(), settings)
	if err != nil {
		return nil, fault.BadField("/dsn", "does not make a pool of connections")
	}
	return &Store{
		pool: pool, config: c, address: conn.Host + ":" + strconv.Itoa(int(conn.Port)), prepare: make(chan struct{}, 1),
	}, nil
}

func (c Config) check() error {
	switch {
	case c.DSN == "":
		return fault.BadField("/dsn", "is empty")
	case len(c.Schema) > longestIdentifier || !storable(c.Schema):
		return fault.BadField("/schema", "must be at most %d bytes of UTF-8", longestIdentifier)
	case c.MaxConns < 0:
		return fault.BadField("/max_conns", "must not be negative")
	case c.HNSW == nil:
		return nil
	case c.HNSW.M != 0 && (c.HNSW.M < 2 || c.HNSW.M > 100):
		return fault.BadField("/hnsw/m", "is %d, it must be 2 to 100", c.HNSW.M)
	case c.HNSW.EFConstruction != 0 && (c.HNSW.EFConstruction < 4 || c.HNSW.EFConstruction > widest):
		return fault.BadField("/hnsw/ef_construction", "is %d, it must be 4 to %d", c.HNSW.EFConstruction, widest)
	case c.HNSW.EF < 0 || c.HNSW.EF > widest:
		return fault.BadField("/hnsw/ef", "is %d, it must be 1 to %d", c.HNSW.EF, widest)
	}
	return nil
}

// Close waits for the calls under way and closes the connections. Calls that
// come later are fault.Unavailable. It may be called twice.
func (s *Store) Close() error {
	s.pool.Close()
	return nil
}

// do runs a call on a connection. A table that is gone was dropped by another
// client, or the database was set up anew: what is remembered of it is forgotten, and
// the call is run once more.
func (s *Store) do(ctx context.Context, op string, call func(*pgxpool.Conn) error) error {
	return s.bare(ctx, op, func(conn *pgxpool.Conn) error {
		if !s.ready.Load() {
			if err := s.setUp(ctx, conn); err != nil {
				return err
			}
		}
		return call(conn)
	})
}

// on is do for a call on one collection. An external one needs nothing set up.
func (s *Store) on(ctx context.Context, collection, op string, call func(*pgxpool.Conn) error) error {
	if s.config.external(collection) != nil {
		return s.bare(ctx, op, call)
	}
	return s.do(ctx, op, call)
}

// bare is do without a schema. A connection that breaks in the call may be one that a
// server left behind when it ended, and it may be back: the call is run once more, on a new
// one. All calls may be repeated: writes carry their versions.
func (s *Store) bare(ctx context.Context, op string, call func(*pgxpool.Conn) error) error {
	broke, err := s.try(ctx, call)
	switch {
	case err == nil || ctx.Err() != nil:
	case isGone(err):
		s.tables.Clear()
		s.ready.Store(false)
		_, err = s.try(ctx, call)
	case broke:
		s.pool.Reset()
		_, err = s.try(ctx, call)
	}
	return s.classify(ctx, op, err)
}

// try runs a call on a connection, and says whether that broke in it.
func (s *Store) try(ctx context.Context, call func(*pgxpool.Conn) error) (broke bool, err error) {
	if err := ctx.Err(); err != nil {
		return false, err
	}
	conn, err := s.pool.Acquire(ctx)
	if err != nil {
		return false, err
	}
	defer conn.Release()
	err = call(conn)
	return conn.Conn().IsClosed(), err
}
