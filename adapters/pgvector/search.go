package pgvector

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"strconv"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/lanewise/lanewise/fault"
	"github.com/lanewise/lanewise/internal/exact"
	"github.com/lanewise/lanewise/internal/wellformed"
	"github.com/lanewise/lanewise/search"
)

// spare is how many rows more than asked a search reads: enough, nearly always, to
// tell the order for certain, and one of them to tell whether there are more.
const spare = 16

// mostRounds is how often a search reads further rows to be certain, eight times as
// many each time.
const mostRounds = 3

// ranking is one leg on its way through a search.
type ranking struct {
	t     *table
	q     *search.Query
	leg   *search.Leg
	exact bool // scans the table
	ask   int  // rows to read

	rows      []row
	exhausted bool
	prefix    bool
	done      bool
}

// Search ranks the points of exactly the query's tenant. Several legs see the same
// state of the database. A leg with a sparse vector or a vector's name is fault.Invalid; so is a
// vector with other dims than the collection's, or a number that is not finite. A
// collection that is not there is fault.NotFound.
func (s *Store) Search(ctx context.Context, q search.Query) (search.Result, error) {
	var rankings []*ranking
	err := s.on(ctx, q.Collection, "search", func(conn *pgxpool.Conn) (err error) {
		if rankings, err = s.plan(ctx, conn, &q); err != nil {
			return err
		}
		if len(rankings) == 1 {
			return s.rank(ctx, conn, rankings)
		}
		snapshot := pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly}
		return pgx.BeginTxFunc(ctx, conn, snapshot, func(tx pgx.Tx) error { return s.rank(ctx, tx, rankings) })
	})
	if err != nil {
		return search.Result{}, err
	}
	res := search.Result{Lists: make([]search.List, len(rankings)), Report: search.Report{Complete: true, Coverage: 1}}
	for i, r := range rankings {
		res.Lists[i] = r.list()
	}
	return res, nil
}

// plan checks the legs and finds what they rank.
func (s *Store) plan(ctx context.Context, q *pgxpool.Conn, query *search.Query) ([]*ranking, error) {
	if len(query.Legs) == 0 {
		return nil, fault.BadField("/legs", "is empty")
	}
	rankings := make([]*ranking, len(query.Legs))
	for i := range query.Legs {
		leg := &query.Legs[i]
		t, err := s.table(ctx, q, cmp.Or(leg.Collection, query.Collection))
		if err != nil {
			return nil, err
		}
		if err := t.checkTenant(query.Tenant); err != nil {
			return nil, err
		}
		if err := checkLeg(t, leg); err != nil {
			return nil, within(fmt.Sprintf("/legs/%d", i), err)
		}
		rankings[i] = s.planLeg(t, query, leg)
	}
	return rankings, nil
}

func checkLeg(t *table, leg *search.Leg) error {
	switch {
	case len(leg.Sparse.Index) > 0:
		return fault.BadField("/sparse", "PostgreSQL has no lexical leg here")
	case leg.K < 1 || leg.K > math.MaxInt32:
		return fault.BadField("/k", "is %d, it must be at least 1", leg.K)
	case leg.Vector != "":
		return fault.BadField("/vector", "is %q, but points have one vector without a name here", leg.Vector)
	}
	return wellformed.Dense("/dense", t.Dims, leg.Dense)
}

func (s *Store) planLeg(t *table, q *search.Query, leg *search.Leg) *ranking {
	r := &ranking{t: t, q: q, leg: leg, ask: leg.K + spare}
	r.exact = leg.Exact || leg.Only != nil || !t.hnsw || s.config.HNSW == nil && t.view == nil
	if !r.exact {
		r.ask = leg.K
		if leg.EF > widest {
			r.ask = max(r.ask, min(leg.EF, math.MaxInt32)) // the scan goes on until it has visited as many
		}
	}
	return r
}

// sender is a connection or a transaction.
type sender interface {
	SendBatch(ctx context.Context, b *pgx.Batch) pgx.BatchResults
}

// rank runs the legs, all in one message, and those again that need more rows.
func (s *Store) rank(ctx context.Context, db sender, rankings []*ranking) error {
	for round := 1; ; round++ {
		var open []*ranking
		for _, r := range rankings {
			if !r.done {
				open = append(open, r)
			}
		}
		if len(open) == 0 {
			return nil
		}
		if err := s.round(ctx, db, open, round == mostRounds); err != nil {
			return err
		}
	}
}

// round runs some legs once. A batch is a transaction, so that the settings end with it.
func (s *Store) round(ctx context.Context, db sender, rankings []*ranking, last bool) error {
	var batch pgx.Batch
	queueSettings(ctx, &batch, s.breadth(rankings), isSelective(rankings[0].q))
	for _, r := range rankings {
		st, err := r.statement()
		if err != nil {
			return err
		}
		batch.Queue(st.String(), st.args...)
	}
	results := db.SendBatch(ctx, &batch)
	defer results.Close() //nolint:errcheck // an error came from one of the results before
	if _, err := results.Exec(); err != nil {
		return err
	}
	for _, r := range rankings {
		if err := r.read(results); err != nil {
			return err
		}
		r.judge(last)
	}
	return nil
}

// isSelective reports whether the best way to answer depends on the query's values.
func isSelective(q *search.Query) bool { return q.Tenant != "" || !q.Filter.IsZero() }

// breadth is hnsw.ef_search for some legs; 0: none of them uses an index.
func (s *Store) breadth(rankings []*ranking) int {
	const usual = 40 // pgvector's own
	ef, least := 0, usual
	if s.config.HNSW != nil {
		least = cmp.Or(s.config.HNSW.EF, usual)
	}
	for _, r := range rankings {
		if !r.exact {
			ef = max(ef, least, min(max(r.leg.EF, r.leg.K), widest))
		}
	}
	return ef
}

// statement returns the SQL of a leg. The limit is written out, because it decides on
// the plan; it is a number that this package computed. Vectors are only sent for the rows that
// are left, and the query is converted once and not for every row.
func (r *ranking) statement() (*statement, error) {
	st := new(statement)
	query := "(select " + st.param(r.leg.Dense) + "::real[]::vector)"
	distance, order := distanceOf(r.t.Metric, query), "distance, id"
	if !r.exact {
		distance, order = operatorOf(r.t.Metric, query), "distance"
	}
	st.write("select id, version, vector_send(dense), distance")
	for _, column := range columnsOf(r.q.Fields) {
		st.write(", ", column)
	}
	st.write(" from (select *, ", distance, " as distance from ", r.t.name, " p where ")
	st.tenant(r.q.Tenant)
	st.write(" and dense is not null")
	if !r.q.Filter.IsZero() {
		st.write(" and ")
		if err := r.t.filter(st, &r.q.Filter); err != nil {
			return nil, err
		}
	}
	if r.leg.Only != nil {
		st.write(" and ")
		if ids := idsOf(r.q.Tenant, r.leg.Only); r.t.view != nil {
			r.t.view.among(st, ids)
		} else {
			st.write("id = any(", st.param(ids), ")")
		}
	}
	st.write(" order by ", order, " limit ", strconv.Itoa(r.ask), ") as best")
	return st, nil
}

// columnsOf are the columns that a hit carries beside what is always read.
func columnsOf(f search.Fields) []string {
	var columns []string
	if f.Text {
		columns = append(columns, "text")
	}
	if f.Meta {
		columns = append(columns, "meta")
	}
	if f.Vector {
		columns = append(columns, "sparse")
	}
	return columns
}

// idsOf returns the ids of the keys of a tenant.
func idsOf(tenant string, keys []search.Key) []string {
	ids := make([]string, 0, len(keys))
	for _, k := range keys {
		if k.Tenant == tenant && storable(k.ID) {
			ids = append(ids, k.ID)
		}
	}
	return ids
}

// read takes the rows of a leg's statement.
func (r *ranking) read(results pgx.BatchResults) error {
	rows, err := results.Query()
	if err != nil {
		return err
	}
	defer rows.Close()
	r.rows = r.rows[:0]
	p := pocket{key: search.Key{Tenant: r.q.Tenant}}
	var distance float64
	targets := append([]any{&p.key.ID, &p.version, &p.dense, &distance}, p.targets(r.q.Fields)...)
	for rows.Next() {
		if err := rows.Scan(targets...); err != nil {
			return err
		}
		r.rows = append(r.rows, row{Point: p.point(), distance: distance})
	}
	return rows.Err()
}

// judge ranks the rows and says whether they are an answer. A short list of an
// approximate search may lack rows that the index did not reach: the table is scanned.
func (r *ranking) judge(last bool) {
	furthest := math.Inf(-1)
	for i := range r.rows {
		furthest = max(furthest, r.rows[i].distance) // NaN if one is
	}
	rank(r.t.Metric, r.leg.Dense, r.rows)
	full := len(r.rows) == r.ask
	switch {
	case !r.exact && full:
		r.done = true
	case !r.exact:
		r.exact, r.ask = true, r.leg.K+spare
	case !full:
		r.done, r.prefix, r.exhausted = true, true, len(r.rows) <= r.leg.K
	case r.certain(furthest):
		r.done, r.prefix = true, true
	case last:
		r.done = true
	default:
		r.ask = min(8*r.ask, math.MaxInt32)
	}
	r.rows = r.rows[:min(len(r.rows), r.cut())]
}

// cut is how many rows are kept: all while the answer is not there.
func (r *ranking) cut() int {
	if r.done {
		return r.leg.K
	}
	return 0
}

// list turns the rows into hits.
func (r *ranking) list() search.List {
	list := search.List{Hits: make([]search.Hit, len(r.rows)), Exhausted: r.exhausted, Prefix: r.prefix}
	for i, x := range r.rows {
		if !r.q.Fields.Vector {
			x.Dense = nil
		}
		list.Hits[i] = search.Hit{Point: x.Point, Collection: r.t.Name, Score: x.score, Raw: exact.Raw(r.t.Metric, x.score)}
	}
	return list
}
