package pgvector

import (
	"context"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"
)

// grace is how much longer than the caller a statement may run, so that it is the
// caller's context that ends first. The server's end matters where a cancellation is lost.
const grace = 100 * time.Millisecond

// queueSettings puts settings before the statements of a batch. A batch is a transaction,
// and they end with it. A breadth above 0 is for an approximate search. With replan each
// statement is planned for its own values: a plan for any values does not know whether the tenant, or
// what passes the filter, is better found by the index or by a scan.
func queueSettings(ctx context.Context, batch *pgx.Batch, breadth int, replan bool) {
	limit := "0" // none
	if deadline, ok := ctx.Deadline(); ok {
		limit = strconv.FormatInt((max(time.Until(deadline), 0) + grace).Milliseconds(), 10)
	}
	if breadth == 0 {
		batch.Queue("select set_config('statement_timeout', $1, true)", limit)
		return
	}
	mode := "auto"
	if replan {
		mode = "force_custom_plan"
	}
	batch.Queue(`select set_config('statement_timeout', $1, true), set_config('plan_cache_mode', $2, true),
		set_config('hnsw.iterative_scan', 'strict_order', true), set_config('hnsw.ef_search', $3, true)`,
		limit, mode, strconv.Itoa(breadth))
}
