package pgvector

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/lanewise/lanewise/fault"
	"github.com/lanewise/lanewise/search"
)

// External is a table that is there already and that is read as it is. All of its rows
// belong to the tenant "". Nothing is ever written, and the schema of this package need
// not be there.
type External struct {
	Name   string        // that the collection has here; required
	From   string        // the table, "table" or "schema.table"; empty: Name
	ID     string        // column of the ids; empty: the primary key, of one column
	Text   string        // column of the texts; empty: no texts
	Vector string        // column of the vectors; empty: the only one of type vector
	Meta   string        // json or jsonb column of the metadata; empty: all other columns
	Space  string        // id of the vectors' embedding space; empty: not known, and only vectors can be searched for
	Metric search.Metric // empty: that of the approximate index on the vectors, which there must be then
}

// external returns the external collection of that name, or nil.
func (c Config) external(name string) *External {
	for i := range c.External {
		if c.External[i].Name == name {
			return &c.External[i]
		}
	}
	return nil
}

// column is one of a table's.
type column struct {
	name, kind string
	length     int  // of a vector; -1: not said
	primary    bool // a part of the primary key
}

// shape is what the catalog says of a table.
type shape struct {
	columns []column
	indexed map[string]string // names of the operator classes of HNSW indexes, by column
}

// readExternal describes an external table by what the catalog says of it.
func (s *Store) readExternal(ctx context.Context, q *pgxpool.Conn, x *External) (*table, error) {
	source := quote(strings.SplitN(cmp.Or(x.From, x.Name), ".", 2)...)
	found, err := readShape(ctx, q, source)
	switch {
	case err != nil:
		return nil, err
	case len(found.columns) == 0:
		return nil, s.noTable(ctx, q, source)
	}
	v := &view{source: source}
	if err := v.choose(x, found); err != nil {
		return nil, fault.Wrap(fault.Conflict, "table "+source, err)
	}
	t := &table{
		Collection: search.Collection{
			Name: x.Name, Dims: v.vector.length, Metric: x.Metric, Space: x.Space, Placement: search.Placement{By: search.ByExternal},
		},
		name: v.query(), view: v,
	}
	indexed := metricOfOps(found.indexed[v.vector.name])
	t.Metric = cmp.Or(t.Metric, indexed)
	t.hnsw = indexed != "" && t.Metric == indexed
	if t.Metric == "" {
		return nil, fault.New(fault.Conflict, "table %s has no HNSW index that would say how its vectors are compared: name the metric", source)
	}
	if t.Dims <= 0 {
		err = q.QueryRow(ctx, "select coalesce((select vector_dims("+quote(v.vector.name)+") from "+source+
			" where "+quote(v.vector.name)+" is not null limit 1), 0)").Scan(&t.Dims)
	}
	if err == nil && t.Dims <= 0 {
		err = fault.New(fault.Conflict, "table %s has no vectors, and its column %s does not say how long they are", source, v.vector.name)
	}
	return t, err
}

// noTable lists the tables that have vectors, for somebody who misspelt one.
func (s *Store) noTable(ctx context.Context, q *pgxpool.Conn, source string) error {
	rows, err := q.Query(ctx, `select distinct c.oid::regclass::text from pg_class c join pg_attribute a on a.attrelid = c.oid
		join pg_type t on t.oid = a.atttypid where c.relkind in ('r', 'p', 'v', 'm') and t.typname = 'vector' and not a.attisdropped order by 1 limit 20`)
	if err != nil {
		return err
	}
	names, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return err
	}
	return fault.New(fault.NotFound, "there is no table %s; with vectors there are: %s", source, cmp.Or(strings.Join(names, ", "), "none"))
}

func readShape(ctx context.Context, q *pgxpool.Conn, source string) (shape, error) {
	out := shape{indexed: map[string]string{}}
	rows, err := q.Query(ctx, `select a.attname, format_type(a.atttypid, null), a.atttypmod, coalesce(a.attnum = any(p.indkey), false),
			coalesce((select o.opcname from pg_index i join pg_class ic on ic.oid = i.indexrelid join pg_am m on m.oid = ic.relam
				join pg_opclass o on o.oid = i.indclass[0]
				where i.indrelid = a.attrelid and i.indkey[0] = a.attnum and m.amname = 'hnsw' and i.indpred is null and i.indisvalid
					and exists (select from pg_extension e where e.extname = 'vector' and string_to_array(e.extversion, '.')::int[] >= '{0,8}')
				limit 1), '')
		from pg_attribute a left join pg_index p on p.indrelid = a.attrelid and p.indisprimary
		where a.attrelid = to_regclass($1) and a.attnum > 0 and not a.attisdropped order by a.attnum`, source)
	if err != nil {
		return out, err
	}
	var c column
	var ops string
	_, err = pgx.ForEachRow(rows, []any{&c.name, &c.kind, &c.length, &c.primary, &ops}, func() error {
		out.columns = append(out.columns, c)
		out.indexed[c.name] = ops
		return nil
	})
	return out, err
}

func metricOfOps(ops string) search.Metric {
	return map[string]search.Metric{
		opsOf(search.Cosine): search.Cosine, opsOf(search.Dot): search.Dot, opsOf(search.Euclidean): search.Euclidean,
	}[ops]
}

// view presents a table as one that this package made: a query with the same columns.
type view struct {
	source   string
	id       column
	vector   column
	text     string
	metadata string // expression of type jsonb
}

func (v *view) choose(x *External, found shape) error {
	for _, c := range found.columns {
		if c.name == x.ID || x.ID == "" && c.primary {
			if v.id.name != "" {
				return fault.BadField("/id", "is needed: the primary key has several columns")
			}
			v.id = c
		}
		if c.kind == "vector" && (c.name == x.Vector || x.Vector == "") {
			if v.vector.name != "" {
				return fault.BadField("/vector", "is needed: there are %s", found.names("vector"))
			}
			v.vector = c
		}
	}
	switch {
	case v.id.name == "":
		return fault.BadField("/id", "names no column: there are %s", found.names(""))
	case v.vector.name == "":
		return fault.BadField("/vector", "names no column of type vector: there are %s", cmp.Or(found.names("vector"), "none"))
	case x.Text != "" && !found.has(x.Text):
		return fault.BadField("/text", "names no column: there are %s", found.names(""))
	}
	v.text = x.Text
	return v.chooseMeta(x, found)
}

func (v *view) chooseMeta(x *External, found shape) error {
	if x.Meta != "" {
		i := slices.IndexFunc(found.columns, func(c column) bool { return c.name == x.Meta })
		if i < 0 || found.columns[i].kind != "json" && found.columns[i].kind != "jsonb" {
			return fault.BadField("/meta", "names no column of type json or jsonb: there are %s", cmp.Or(found.names("jsonb"), found.names("json"), "none"))
		}
		v.metadata = quote(x.Meta) + "::jsonb"
		return nil
	}
	const most = 40 // columns in one call; PostgreSQL takes 100 arguments
	var rest []string
	for _, c := range found.columns {
		if c.name != v.text && c.kind != "vector" && (c.name != v.id.name || !c.primary) {
			rest = append(rest, literal(c.name)+", "+quote(c.name))
		}
	}
	v.metadata = "'{}'::jsonb"
	for part := range slices.Chunk(rest, most) {
		v.metadata += " || jsonb_build_object(" + strings.Join(part, ", ") + ")"
	}
	return nil
}

// literal writes a name as a text of SQL.
func literal(s string) string {
	return "e'" + strings.NewReplacer(`\`, `\\`, `'`, `\'`).Replace(s) + "'"
}

func (found shape) has(name string) bool {
	return slices.ContainsFunc(found.columns, func(c column) bool { return c.name == name })
}

// names lists the columns of a type, or all.
func (found shape) names(kind string) string {
	var names []string
	for _, c := range found.columns {
		if kind == "" || c.kind == kind {
			names = append(names, c.name)
		}
	}
	return strings.Join(names, ", ")
}

// query is the table with the columns of this package's own. PostgreSQL takes such a query
// apart, so that the table's indexes are used.
func (v *view) query() string {
	text := "null::text"
	if v.text != "" {
		text = quote(v.text) + "::text"
	}
	return fmt.Sprintf(`(select ''::text as tenant, %[1]s::text collate "C" as id, %[1]s as key, (%[2]d)::bigint as version, %[3]s as dense,
		null::bytea as sparse, %[4]s as text, (%[5]s)::text as meta, (%[5]s) as fields, null::timestamptz as deleted from %[6]s)`,
		quote(v.id.name), toBigint(0), quote(v.vector.name), text, v.metadata, v.source)
}

// among appends the condition that a row has one of the ids, in a form that the index of
// the column can answer.
func (v *view) among(st *statement, ids []string) {
	switch v.id.kind {
	case "smallint", "integer", "bigint":
		var numbers []int64
		for _, id := range ids {
			if n, err := strconv.ParseInt(id, 10, 64); err == nil {
				numbers = append(numbers, n)
			}
		}
		st.write("key = any(", st.param(numbers), "::bigint[])")
	case "text", "character varying":
		st.write("key = any(", st.param(ids), "::text[])")
	default:
		st.write("id = any(", st.param(ids), "::text[])")
	}
}

// Walk reads a page of an external collection in the order of its id column: the points,
// whole, and where the next page starts, which is empty behind the last one. An empty after
// starts. It is meant for copies of a collection.
func (s *Store) Walk(ctx context.Context, name, after string, limit int) (found []search.Point, next string, err error) {
	err = s.on(ctx, name, "walk", func(conn *pgxpool.Conn) error {
		t, err := s.table(ctx, conn, name)
		if err != nil {
			return err
		}
		if t.view == nil {
			return fault.BadField("/collection", "collection %q is not external", name)
		}
		everything := search.Fields{Text: true, Meta: true, Vector: true}
		st := new(statement)
		selectPoints(st, t, everything)
		if after != "" {
			st.write(" where key > ", st.param(after), "::text::", t.view.id.kind)
		}
		st.write(" order by key limit ", st.param(int64(limit)))
		found, err = points(ctx, conn, st, everything)
		return err
	})
	if err == nil && len(found) == limit {
		next = found[limit-1].ID
	}
	return found, next, err
}

// Version asks the server for its version and pgvector's.
func (s *Store) Version(ctx context.Context) (string, error) {
	var server, extension string
	err := s.bare(ctx, "ask for the version", func(conn *pgxpool.Conn) error {
		return conn.QueryRow(ctx, `select current_setting('server_version'),
			coalesce((select extversion from pg_extension where extname = 'vector'), 'missing')`).Scan(&server, &extension)
	})
	number, _, _ := strings.Cut(server, " ")
	return number + ", pgvector " + extension, err
}
