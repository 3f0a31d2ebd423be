package pgvector_test

import (
	"context"
	"fmt"
	"os"
	"sync/atomic"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/lanewise/lanewise/adapters/pgvector"
)

// serverVariable names the database that the tests may use: scripts/servers/postgres
// starts one and prints it.
const serverVariable = "LANEWISE_TEST_POSTGRES"

// dsn returns the test server, or skips where there is none.
func dsn(tb testing.TB) string {
	tb.Helper()
	url := os.Getenv(serverVariable)
	if url == "" {
		tb.Skipf("%s is not set: scripts/servers/postgres up prints it", serverVariable)
	}
	return url
}

var schemas atomic.Int64 //nolint:gochecknoglobals // numbers the schemas of this process

// open returns a store in a schema of its own, which goes when the test ends.
func open(tb testing.TB, c pgvector.Config) *pgvector.Store {
	tb.Helper()
	if c.DSN == "" {
		c.DSN = dsn(tb)
	}
	if c.Schema == "" {
		c.Schema = freshSchema(tb)
	}
	s, err := pgvector.New(c)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := s.Close(); err != nil {
			tb.Error(err)
		}
	})
	return s
}

// freshSchema names a schema and removes it when the test ends.
func freshSchema(tb testing.TB) string {
	tb.Helper()
	schema := fmt.Sprintf(`lanewise test "%d.%d"`, os.Getpid(), schemas.Add(1))
	tb.Cleanup(func() { execute(tb, "drop schema if exists "+pgx.Identifier{schema}.Sanitize()+" cascade") })
	return schema
}

// execute runs SQL on a connection of its own.
func execute(tb testing.TB, sql string) {
	tb.Helper()
	ctx := context.Background() // also runs in cleanups
	conn, err := pgx.Connect(ctx, dsn(tb))
	if err != nil {
		tb.Fatal(err)
	}
	defer conn.Close(ctx) //nolint:errcheck // it is done
	if _, err := conn.Exec(ctx, sql); err != nil {
		tb.Errorf("%s: %v", sql, err)
	}
}

// connect opens a connection that lasts as long as the test.
func connect(tb testing.TB) *pgx.Conn {
	tb.Helper()
	conn, err := pgx.Connect(tb.Context(), dsn(tb))
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = conn.Close(context.Background()) })
	return conn
}

// exec runs SQL on a connection.
func exec(tb testing.TB, conn *pgx.Conn, sql string) {
	tb.Helper()
	if _, err := conn.Exec(tb.Context(), sql); err != nil {
		tb.Fatalf("%s: %v", sql, err)
	}
}
