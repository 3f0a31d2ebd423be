package pgvector

import (
	"context"
	"errors"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/lanewise/lanewise/fault"
)

// layout is the version of the schema that this package reads and writes.
const layout = 1

// setupLock keeps two clients from making the same schema or collection at once.
const setupLock = 0x6c616e6577697365

// setUp makes the schema, once. A schema that is there already is only looked at, so
// that a user who may not create anything can work with it.
func (s *Store) setUp(ctx context.Context, conn *pgxpool.Conn) error {
	select {
	case s.prepare <- struct{}{}:
	case <-ctx.Done():
		return ctx.Err()
	}
	defer func() { <-s.prepare }()
	if s.ready.Load() {
		return nil
	}
	found, err := s.findLayout(ctx, conn)
	if err != nil {
		return err
	}
	if found == 0 {
		if found, err = s.makeLayout(ctx, conn); err != nil {
			return err
		}
	}
	if found != layout {
		return fault.New(fault.Conflict, "schema %q has layout %d, this program works with %d", s.config.Schema, found, layout)
	}
	if err := s.checkVersions(ctx, conn); err != nil {
		return err
	}
	s.ready.Store(true)
	return nil
}

// findLayout returns the version of the schema, 0 where there is none.
func (s *Store) findLayout(ctx context.Context, q querier) (int, error) {
	var there bool
	err := q.QueryRow(ctx, "select to_regclass($1) is not null", s.name("store")).Scan(&there)
	if err != nil || !there {
		return 0, err
	}
	var found int
	err = q.QueryRow(ctx, "select layout from "+s.name("store")).Scan(&found)
	return found, err
}

// querier is a connection or a transaction.
type querier interface {
	QueryRow(ctx context.Context, sql string, args ...any) pgx.Row
}

func (s *Store) makeLayout(ctx context.Context, conn *pgxpool.Conn) (int, error) {
	found := layout
	err := pgx.BeginFunc(ctx, conn, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, "select pg_advisory_xact_lock($1)", int64(setupLock)); err != nil {
			return err
		}
		there, err := s.findLayout(ctx, tx) // another client may have been first
		if err != nil || there != 0 {
			found = max(there, found)
			return err
		}
		for _, statement := range s.layoutStatements() {
			if _, err := tx.Exec(ctx, statement); err != nil {
				return err
			}
		}
		return nil
	})
	return found, err
}

func (s *Store) layoutStatements() []string {
	return []string{
		"create extension if not exists vector",
		"create schema if not exists " + quote(s.config.Schema),
		"create table " + s.name("store") + " (layout integer not null, epoch bigint not null)",
		"insert into " + s.name("store") + " values (" + strconv.Itoa(layout) + ", " + strconv.FormatInt(toBigint(0), 10) + ")",
		"create table " + s.name("collections") +
			` (number bigint generated always as identity primary key, name text collate "C" not null unique,
			   descriptor jsonb not null, hnsw boolean not null)`,
		"create table " + s.name("changes") + // sums of points, digests and newest versions, added up by Stats
			" (collection bigint not null, points bigint not null, digest bigint not null, newest bigint not null)",
		"create index on " + s.name("changes") + " (collection)",
	}
}

// checkVersions makes sure that text is UTF-8 and that the index can scan on.
func (s *Store) checkVersions(ctx context.Context, conn *pgxpool.Conn) error {
	var encoding, version string
	err := conn.QueryRow(ctx, `select current_setting('server_encoding'),
		(select extversion from pg_extension where extname = 'vector')`).Scan(&encoding, &version)
	switch {
	case err != nil:
		return err
	case encoding != "UTF8":
		return fault.New(fault.Invalid, "the database's encoding is %s, it must be UTF8", encoding)
	case s.config.HNSW != nil && !atLeast(version, 0, 8):
		return fault.New(fault.Invalid, "pgvector is %s, HNSW needs 0.8 for its iterative scans", version)
	}
	return nil
}

// atLeast compares a dotted version.
func atLeast(version string, major, minor int) bool {
	parts := strings.SplitN(version, ".", 3)
	if len(parts) < 2 {
		return false
	}
	x, errX := strconv.Atoi(parts[0])
	y, errY := strconv.Atoi(parts[1])
	return errors.Join(errX, errY) == nil && (x > major || x == major && y >= minor)
}

// name returns the quoted name of a table in the schema.
func (s *Store) name(table string) string { return quote(s.config.Schema, table) }

// quote returns a quoted identifier, in which nothing can end the quotes.
func quote(parts ...string) string { return pgx.Identifier(parts).Sanitize() }

// toBigint maps an unsigned number to PostgreSQL's signed one, keeping the order.
func toBigint(v uint64) int64 { return int64(v ^ 1<<63) } //nolint:gosec // the same bits

// fromBigint is the inverse of toBigint.
func fromBigint(v int64) uint64 { return uint64(v) ^ 1<<63 } //nolint:gosec // the same bits
