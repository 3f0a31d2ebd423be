package pgvector

import (
	"os"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/lanewise/lanewise/search"
)

// PostgreSQL looks through the view: the table's own indexes answer.
func TestExternal_plans(t *testing.T) {
	url := os.Getenv("LANEWISE_TEST_POSTGRES")
	if url == "" {
		t.Skip("LANEWISE_TEST_POSTGRES is not set: scripts/servers/postgres up prints it")
	}
	s, err := New(Config{DSN: url, External: []External{{Name: "docs", From: "planned.articles"}}})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close() //nolint:errcheck // never fails
	err = s.bare(t.Context(), "test", func(conn *pgxpool.Conn) error {
		return pgx.BeginFunc(t.Context(), conn, func(tx pgx.Tx) error {
			for _, sql := range []string{
				"create extension if not exists vector", "create schema planned", "create table planned.articles (id bigint primary key, v vector(3))",
				"insert into planned.articles select i, array[i, i * i % 97, 1]::vector from generate_series(1, 2000) i",
				"create index on planned.articles using hnsw (v vector_l2_ops)", "analyze planned.articles",
			} {
				if _, err := tx.Exec(t.Context(), sql); err != nil {
					return err
				}
			}
			x, err := s.readExternal(t.Context(), conn, &s.config.External[0])
			if err != nil {
				return err
			}
			for want, r := range map[string]*ranking{
				"articles_v_idx": {t: x, q: &search.Query{}, leg: &search.Leg{Dense: []float32{1, 2, 3}}, ask: 10},
				"articles_pkey":  {t: x, q: &search.Query{}, leg: &search.Leg{Dense: []float32{1, 2, 3}, Only: []search.Key{{ID: "7"}}}, ask: 10, exact: true},
			} {
				st, err := r.statement()
				if err != nil {
					return err
				}
				rows, err := tx.Query(t.Context(), "explain "+st.String(), st.args...)
				if err != nil {
					return err
				}
				plan, err := pgx.CollectRows(rows, pgx.RowTo[string])
				if err != nil {
					return err
				}
				if !strings.Contains(strings.Join(plan, "\n"), want) {
					t.Errorf("%s is not used:\n%s", want, strings.Join(plan, "\n"))
				}
			}
			return pgx.ErrTxCommitRollback
		})
	})
	if err != nil && !strings.Contains(err.Error(), pgx.ErrTxCommitRollback.Error()) {
		t.Error(err)
	}
}
