package pgvector

import (
	"bytes"
	"cmp"
	"context"
	"encoding/binary"
	"encoding/json"
	"math"
	"slices"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/lanewise/lanewise/fault"
	"github.com/lanewise/lanewise/search"
)

// lent is a value of a row in the driver's own memory: it is gone with the next row.
type lent []byte

// ScanBytes implements pgtype.BytesScanner; nil is null.
func (l *lent) ScanBytes(v []byte) error {
	*l = v
	return nil
}

// pocket is where the columns of every row are scanned into: the key, the version and the
// vector, then those of columnsOf.
type pocket struct {
	key                       search.Key
	version                   int64
	dense, text, meta, sparse lent
	numbers                   []float32 // room for vectors
}

// targets are the places of the columns of columnsOf.
func (p *pocket) targets(f search.Fields) []any {
	var targets []any
	if f.Text {
		targets = append(targets, &p.text)
	}
	if f.Meta {
		targets = append(targets, &p.meta)
	}
	if f.Vector {
		targets = append(targets, &p.sparse)
	}
	return targets
}

// point copies what was scanned.
func (p *pocket) point() search.Point {
	x := search.Point{
		Key: p.key, Version: search.Version(fromBigint(p.version)), Dense: p.vector(), Text: string(p.text), Sparse: decodeSparse(p.sparse),
	}
	if p.meta != nil {
		x.Meta = json.RawMessage(bytes.Clone(p.meta))
	}
	return x
}

// vector decodes what vector_send writes: the dims in two bytes, two that are not used,
// then the numbers, big-endian. Many vectors share an allocation.
func (p *pocket) vector() []float32 {
	const together = 32
	if len(p.dense) < 4 {
		return nil
	}
	sent := p.dense[4:]
	n := len(sent) / 4
	if cap(p.numbers)-len(p.numbers) < n {
		p.numbers = make([]float32, 0, n*together)
	}
	from := len(p.numbers)
	for ; len(sent) >= 4; sent = sent[4:] {
		p.numbers = append(p.numbers, math.Float32frombits(binary.BigEndian.Uint32(sent)))
	}
	return p.numbers[from:len(p.numbers):len(p.numbers)]
}

// points runs a statement that selects tenant, id, version, the vector and then the
// columns of columnsOf.
func points(ctx context.Context, conn *pgxpool.Conn, st *statement, f search.Fields) ([]search.Point, error) {
	var found []search.Point
	var p pocket
	targets := append([]any{&p.key.Tenant, &p.key.ID, &p.version, &p.dense}, p.targets(f)...)
	err := timed(ctx, conn, st, func(rows pgx.Rows) error {
		if err := rows.Scan(targets...); err != nil {
			return err
		}
		found = append(found, p.point())
		return nil
	})
	return found, err
}

// timed runs a statement that the server gives up soon after the deadline, and calls
// scan on each row.
func timed(ctx context.Context, conn *pgxpool.Conn, st *statement, scan func(pgx.Rows) error) error {
	var batch pgx.Batch
	queueSettings(ctx, &batch, 0, false)
	batch.Queue(st.String(), st.args...)
	results := conn.SendBatch(ctx, &batch)
	defer results.Close() //nolint:errcheck // an error came from one of the results before
	if _, err := results.Exec(); err != nil {
		return err
	}
	rows, err := results.Query()
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		if err := scan(rows); err != nil {
			return err
		}
	}
	return rows.Err()
}

// selectPoints begins the statement that points runs.
func selectPoints(st *statement, t *table, f search.Fields) {
	st.write("select p.tenant, p.id, p.version, ")
	if f.Vector {
		st.write("vector_send(p.dense)")
	} else {
		st.write("null::bytea")
	}
	for _, column := range columnsOf(f) {
		st.write(", p.", column)
	}
	st.write(" from ", t.name, " p")
}

// Get fetches points by key, in the order of the keys.
func (s *Store) Get(ctx context.Context, collection string, keys []search.Key, f search.Fields) ([]search.Point, error) {
	var found []search.Point
	err := s.on(ctx, collection, "get", func(conn *pgxpool.Conn) error {
		t, err := s.table(ctx, conn, collection)
		if err != nil {
			return err
		}
		var tenants, ids []string
		for _, k := range keys {
			if storable(k.Tenant) && storable(k.ID) {
				tenants, ids = append(tenants, k.Tenant), append(ids, k.ID)
			}
		}
		st := new(statement)
		selectPoints(st, t, f)
		if t.view != nil {
			st.write(" where ")
			t.view.among(st, idsOf("", keys))
			found, err = points(ctx, conn, st, f)
			found = inOrder(keys, found)
			return err
		}
		st.write(" join unnest(", st.param(tenants), "::text[], ", st.param(ids), `::text[]) with ordinality k (tenant, id, place)
			on p.tenant = k.tenant and p.id = k.id where p.deleted is null order by k.place`)
		found, err = points(ctx, conn, st, f)
		return err
	})
	if err != nil {
		return nil, err
	}
	return found, nil
}

// inOrder puts points into the order of the keys.
func inOrder(keys []search.Key, found []search.Point) []search.Point {
	byKey := make(map[search.Key]search.Point, len(found))
	for _, p := range found {
		byKey[p.Key] = p
	}
	found = found[:0]
	for _, k := range keys {
		if p, ok := byKey[k]; ok {
			found = append(found, p)
		}
	}
	return found
}

// Scroll returns one page of a collection in the order of the keys.
func (s *Store) Scroll(ctx context.Context, scan search.Scan) (search.Page, error) {
	var page search.Page
	err := s.on(ctx, scan.Collection, "scroll", func(conn *pgxpool.Conn) error {
		t, err := s.table(ctx, conn, scan.Collection)
		if err != nil {
			return err
		}
		st, err := scrollStatement(t, &scan)
		if err != nil {
			return err
		}
		page.Points, err = points(ctx, conn, st, scan.Fields)
		return err
	})
	if err != nil {
		return search.Page{}, err
	}
	if len(page.Points) > scan.Limit {
		page.Points, page.More = page.Points[:scan.Limit], true
	}
	return page, nil
}

// scrollStatement asks for one row more than the page has.
func scrollStatement(t *table, scan *search.Scan) (*statement, error) {
	switch {
	case scan.Limit < 1 || scan.Limit > 1<<30:
		return nil, fault.BadField("/limit", "is %d, it must be at least 1", scan.Limit)
	case !storable(scan.After.Tenant) || !storable(scan.After.ID):
		return nil, fault.BadField("/after", "no point has such a key: it must be UTF-8 without NUL")
	}
	if err := t.checkTenant(scan.Tenant); err != nil {
		return nil, err
	}
	st := new(statement)
	selectPoints(st, t, scan.Fields)
	st.write(" where deleted is null and (tenant, id) > (", st.param(scan.After.Tenant), ", ", st.param(scan.After.ID), ") and ")
	if scan.AllTenants {
		st.write("true")
	} else {
		st.tenant(scan.Tenant)
	}
	if !scan.Filter.IsZero() {
		st.write(" and ")
		if err := t.filter(st, &scan.Filter); err != nil {
			return nil, err
		}
	}
	st.write(" order by tenant, id limit ", st.param(int64(scan.Limit)+1))
	return st, nil
}

// Count counts the points of a tenant that match the filter.
func (s *Store) Count(ctx context.Context, collection, tenant string, f search.Filter) (int, error) {
	n := 0
	err := s.on(ctx, collection, "count", func(conn *pgxpool.Conn) error {
		t, err := s.table(ctx, conn, collection)
		if err != nil {
			return err
		}
		if err := t.checkTenant(tenant); err != nil {
			return err
		}
		st := new(statement)
		st.write("select count(*) from ", t.name, " p where deleted is null and ")
		st.tenant(tenant)
		st.write(" and ")
		if err := t.filter(st, &f); err != nil {
			return err
		}
		return timed(ctx, conn, st, func(rows pgx.Rows) error { return rows.Scan(&n) })
	})
	if err != nil {
		return 0, err
	}
	return n, nil
}

// Stats describes a collection, or all of them, by name. Bytes is what the table and its
// indexes take on disk.
func (s *Store) Stats(ctx context.Context, collection string) ([]search.Stats, error) {
	var all []search.Stats
	err := s.bare(ctx, "stats", func(conn *pgxpool.Conn) (err error) {
		all, err = s.everyStats(ctx, conn, collection)
		return err
	})
	switch {
	case err != nil:
		return nil, err
	case len(all) == 0 && collection != "":
		return nil, errNoCollection(collection)
	}
	return all, nil
}

// everyStats describes external collections and this package's own. The schema is not
// made for the sake of looking into it.
func (s *Store) everyStats(ctx context.Context, conn *pgxpool.Conn, collection string) ([]search.Stats, error) {
	all := []search.Stats{}
	for _, x := range s.config.External {
		if collection != "" && collection != x.Name {
			continue
		}
		one, err := s.externalStats(ctx, conn, x.Name)
		if err != nil {
			return nil, err
		}
		all = append(all, one)
	}
	if collection != "" && len(all) > 0 {
		return all, nil
	}
	if !s.ready.Load() {
		if found, err := s.findLayout(ctx, conn); err != nil || found == 0 {
			return all, err
		}
		if err := s.setUp(ctx, conn); err != nil {
			return nil, err
		}
	}
	own, err := s.stats(ctx, conn, collection)
	all = append(all, own...)
	slices.SortFunc(all, func(a, b search.Stats) int { return cmp.Compare(a.Collection.Name, b.Collection.Name) })
	return all, err
}

func (s *Store) externalStats(ctx context.Context, conn *pgxpool.Conn, name string) (search.Stats, error) {
	t, err := s.table(ctx, conn, name)
	if err != nil {
		return search.Stats{}, err
	}
	out := search.Stats{Collection: t.Collection}
	st := new(statement)
	st.write("select count(*), pg_total_relation_size(to_regclass(", st.param(t.view.source), "::text)) from ", t.name, " p")
	return out, timed(ctx, conn, st, func(rows pgx.Rows) error { return rows.Scan(&out.Points, &out.Bytes) })
}

func (s *Store) stats(ctx context.Context, conn *pgxpool.Conn, collection string) ([]search.Stats, error) {
	st := new(statement)
	st.write("select c.number, c.descriptor::text, c.hnsw, coalesce(d.points, 0), coalesce(d.digest, 0), d.newest from ",
		s.name("collections"), " c left join (select collection, sum(points)::bigint as points, ", wrappedSum,
		" as digest, max(newest) as newest from ", s.name("changes"), " group by collection) d on d.collection = c.number")
	switch {
	case !storable(collection):
		return nil, nil
	case collection != "":
		st.write(" where c.name = ", st.param(collection))
	}
	st.write(" order by c.name")
	all := []search.Stats{}
	var numbers []int64
	err := timed(ctx, conn, st, func(rows pgx.Rows) error {
		x, number, err := scanStats(rows)
		all, numbers = append(all, x), append(numbers, number)
		return err
	})
	if err != nil {
		return nil, err
	}
	return all, s.sizes(ctx, conn, all, numbers)
}

func scanStats(rows pgx.Rows) (x search.Stats, number int64, err error) {
	var descriptor []byte
	var hnsw bool
	var digest int64
	var newest *int64
	if err := rows.Scan(&number, &descriptor, &hnsw, &x.Points, &digest, &newest); err != nil {
		return x, 0, err
	}
	x.Digest = uint64(digest) //nolint:gosec // the same bits
	if newest != nil {
		x.Newest = search.Version(fromBigint(*newest))
	}
	return x, number, json.Unmarshal(descriptor, &x.Collection)
}

// sizes fills in the bytes. A table that was dropped meanwhile has none.
func (s *Store) sizes(ctx context.Context, conn *pgxpool.Conn, all []search.Stats, numbers []int64) error {
	names := make([]string, len(all))
	for i := range all {
		names[i] = s.newTable(numbers[i], all[i].Collection, false).name
	}
	st := new(statement)
	st.write("select coalesce(pg_total_relation_size(to_regclass(name)), 0) from unnest(", st.param(names), "::text[]) with ordinality n (name, place) order by place")
	i := 0
	return timed(ctx, conn, st, func(rows pgx.Rows) error {
		i++
		return rows.Scan(&all[i-1].Bytes)
	})
}
