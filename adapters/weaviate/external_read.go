package weaviate

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"math"
	"slices"
	"strconv"

	"github.com/google/uuid"
	pb "github.com/weaviate/weaviate/grpc/generated/protocol/v1"

	"github.com/lanewise/lanewise/fault"
	"github.com/lanewise/lanewise/search"
)

// askExternal is ask for an external class.
func (s *Store) askExternal(ctx context.Context, c *class, req *pb.SearchRequest, r *reply) error {
	o, vector := c.outline, r.vector || r.fields.Vector
	req.Collection, req.Uses_127Api = c.engine, true
	req.Properties = &pb.PropertiesRequest{ReturnAllNonrefProperties: r.fields.Meta}
	for name, wanted := range map[string]bool{o.ID: true, o.Text: r.fields.Text} {
		if wanted && name != "" && !r.fields.Meta {
			req.Properties.NonRefProperties = append(req.Properties.NonRefProperties, name)
		}
	}
	if req.Metadata == nil {
		req.Metadata = &pb.MetadataRequest{}
	}
	req.Metadata.Uuid, req.Metadata.Vector = true, vector && o.vector == ""
	if o.vector != "" {
		if vector {
			req.Metadata.Vectors = []string{o.vector}
		}
		if req.NearVector != nil {
			req.NearVector.Targets = &pb.Targets{TargetVectors: []string{o.vector}}
		}
	}
	out, err := s.rpc.Search(ctx, req)
	if err := s.judge(ctx, "search "+c.Name, err); err != nil {
		return err
	}
	r.rows = make([]row, len(out.GetResults()))
	for i, found := range out.GetResults() {
		r.rows[i] = o.row(found, r.fields)
	}
	return nil
}

// row reads an object.
func (o *outline) row(found *pb.SearchResult, f search.Fields) row {
	about, values := found.GetMetadata(), found.GetProperties().GetNonRefProps().GetFields()
	x := row{id: about.GetId(), hasKey: true, distance: float64(about.GetDistance())}
	x.ID = x.id
	if o.ID != "" {
		x.ID = plainText(plain(values[o.ID]))
		x.hasKey = x.ID != ""
	}
	if f.Text && o.Text != "" {
		x.Text = values[o.Text].GetTextValue()
	}
	if f.Meta {
		x.Meta = o.meta(values)
	}
	raw := about.GetVectorBytes()
	for _, v := range about.GetVectors() {
		if v.GetName() == o.vector && v.GetType() != pb.Vectors_VECTOR_TYPE_MULTI_FP32 {
			raw = v.GetVectorBytes()
		}
	}
	for ; len(raw) >= 4; raw = raw[4:] {
		x.Dense = append(x.Dense, math.Float32frombits(binary.LittleEndian.Uint32(raw)))
	}
	return x
}

// meta is the metadata of an object: its properties but the text, and but those that it lacks.
func (o *outline) meta(values map[string]*pb.Value) json.RawMessage {
	members := map[string]any{}
	for name, v := range values {
		if x := plain(v); x != nil && name != o.Text {
			members[name] = x
		}
	}
	text, err := json.Marshal(members)
	if err != nil || len(members) == 0 { // JSON has all that JSON can store
		return nil
	}
	return text
}

func plainText(v any) string {
	switch x := v.(type) {
	case string:
		return x
	case int64:
		return strconv.FormatInt(x, 10)
	default:
		return ""
	}
}

// plain is a value as encoding/json writes it.
func plain(v *pb.Value) any {
	switch k := v.GetKind().(type) {
	case *pb.Value_NumberValue:
		return k.NumberValue
	case *pb.Value_BoolValue:
		return k.BoolValue
	case *pb.Value_IntValue:
		return k.IntValue
	case *pb.Value_TextValue:
		return k.TextValue
	case *pb.Value_DateValue:
		return k.DateValue
	case *pb.Value_UuidValue:
		return k.UuidValue
	case *pb.Value_BlobValue:
		return k.BlobValue
	case *pb.Value_GeoValue:
		return map[string]any{"latitude": k.GeoValue.GetLatitude(), "longitude": k.GeoValue.GetLongitude()}
	case *pb.Value_PhoneValue:
		return map[string]any{"input": k.PhoneValue.GetInput(), "international": k.PhoneValue.GetInternationalFormatted()}
	case *pb.Value_ObjectValue:
		return plainObject(k.ObjectValue)
	case *pb.Value_ListValue:
		return plainList(k.ListValue)
	default:
		return nil
	}
}

func plainObject(p *pb.Properties) map[string]any {
	out := map[string]any{}
	for name, v := range p.GetFields() {
		if x := plain(v); x != nil {
			out[name] = x
		}
	}
	return out
}

func plainList(l *pb.ListValue) any {
	switch k := l.GetKind().(type) {
	case *pb.ListValue_NumberValues:
		return numbersOf(k.NumberValues.GetValues(), math.Float64frombits)
	case *pb.ListValue_IntValues:
		return numbersOf(k.IntValues.GetValues(), func(bits uint64) int64 { return int64(bits) }) //nolint:gosec // they are its bits
	case *pb.ListValue_BoolValues:
		return k.BoolValues.GetValues()
	case *pb.ListValue_TextValues:
		return k.TextValues.GetValues()
	case *pb.ListValue_DateValues:
		return k.DateValues.GetValues()
	case *pb.ListValue_UuidValues:
		return k.UuidValues.GetValues()
	case *pb.ListValue_ObjectValues:
		var out []any
		for _, one := range k.ObjectValues.GetValues() {
			out = append(out, plainObject(one))
		}
		return out
	default:
		return nil
	}
}

func numbersOf[T any](raw []byte, from func(uint64) T) []T {
	var out []T
	for ; len(raw) >= 8; raw = raw[8:] {
		out = append(out, from(binary.LittleEndian.Uint64(raw)))
	}
	return out
}

// externalIDs are those of the keys that an object can have.
func (o *outline) externalIDs(keys []search.Key) []string {
	kind := "uuid"
	if o.ID != "" {
		kind = kindOf(o.properties[o.ID])
	}
	var ids []string
	for _, k := range keys {
		n, err := strconv.ParseInt(k.ID, 10, 64)
		fits := kind == "uuid" && isUUID(k.ID) || kind == "text" && storable(k) || kind == "int" && err == nil && strconv.FormatInt(n, 10) == k.ID
		if fits && k.Tenant == "" && k.ID != "" {
			ids = append(ids, k.ID)
		}
	}
	slices.Sort(ids)
	return slices.Compact(ids)
}

// among holds for the objects with the ids.
func (o *outline) among(ids []string) *pb.Filters {
	if o.ID == "" {
		return anyOf(idProperty, ids)
	}
	var terms []*pb.Filters
	for _, id := range ids {
		term := compare(o.ID, pb.Filters_OPERATOR_EQUAL, id)
		if kindOf(o.properties[o.ID]) == "int" {
			n, _ := strconv.ParseInt(id, 10, 64) //nolint:errcheck // externalIDs has read it
			term.TestValue = &pb.Filters_ValueInt{ValueInt: n}
		}
		terms = append(terms, term)
	}
	return join(pb.Filters_OPERATOR_OR, terms...)
}

// behind fetches the objects behind an id of Weaviate's, in the order of those: none behind
// the last one. An empty id starts, with the lowest id that there can be, which is behind
// none. Where objects are too large for one message, there are fewer.
func (s *Store) behind(ctx context.Context, c *class, after string, r *reply) error {
	if after == "" {
		if err := s.ask(ctx, c, &pb.SearchRequest{Filters: nobody(), Limit: 1}, r); err != nil || len(r.rows) > 0 {
			return err
		}
		after = uuid.Nil.String()
	}
	for n := min(pageRows, s.cfg.MaxRows); ; n /= 2 {
		err := s.ask(ctx, c, &pb.SearchRequest{After: after, Limit: s.limit(n)}, r)
		if !isTooLarge(err) || n == 1 {
			return err
		}
	}
}

// tour is a way through the objects of a class.
type tour struct {
	class *class
	after string       // id of Weaviate's
	scan  *search.Scan // whose filter the objects match, and which fields of theirs are read
}

// each calls visit for the objects of a tour, page by page, until it returns false.
func (s *Store) each(ctx context.Context, t tour, visit func([]row) bool) error {
	scan, after := t.scan, t.after
	r := &reply{fields: scan.Fields}
	r.fields.Meta = r.fields.Meta || !scan.Filter.IsZero()
	for {
		if err := s.behind(ctx, t.class, after, r); err != nil || len(r.rows) == 0 {
			return err
		}
		after = r.rows[len(r.rows)-1].id
		found := slices.DeleteFunc(r.rows, func(x row) bool { return !x.hasKey || !scan.Filter.Match(x.Meta) })
		if !visit(found) {
			return nil
		}
	}
}

// externalPage is a page in the order of the keys. That is Weaviate's own where they are its
// ids; otherwise all objects are read, and those with the lowest keys kept.
func (s *Store) externalPage(ctx context.Context, c *class, scan *search.Scan) (out search.Page, err error) {
	if !scan.AllTenants {
		if _, err := (&foreign{c: c}).scope(scan.Tenant, &search.Filter{}); err != nil {
			return out, err
		}
	}
	want, sorted, after := min(scan.Limit, pageRows), c.outline.ID == "", ""
	if sorted && isUUID(scan.After.ID) {
		after = scan.After.ID
	}
	err = s.each(ctx, tour{c, after, scan}, func(rows []row) bool {
		for _, x := range rows {
			if x.Compare(scan.After) > 0 {
				out.Points = append(out.Points, x.Point)
			}
		}
		slices.SortFunc(out.Points, func(a, b search.Point) int { return a.Compare(b.Key) })
		out.Points = out.Points[:min(len(out.Points), want+1)]
		return !sorted || len(out.Points) <= want
	})
	if err != nil {
		return search.Page{}, err
	}
	out.More = len(out.Points) > want
	out.Points = out.Points[:min(len(out.Points), want)]
	for i := range out.Points {
		if !scan.Fields.Meta {
			out.Points[i].Meta = nil
		}
	}
	return out, nil
}

// externalCount counts the points that match a filter: in the server, where its condition
// is exact.
func (s *Store) externalCount(ctx context.Context, c *class, tenant string, f search.Filter) (n int, err error) {
	w := &foreign{c: c}
	filter, err := w.scope(tenant, &f)
	if err != nil {
		return 0, err
	}
	if w.verify {
		err = s.each(ctx, tour{class: c, scan: &search.Scan{Filter: f}}, func(rows []row) bool {
			n += len(rows)
			return true
		})
		return n, err
	}
	out, err := s.aggregate(ctx, c, &pb.AggregateRequest{ObjectsCount: true, Filters: filter})
	return int(out.GetObjectsCount()), err
}

// scope is condition for the points of a tenant: there is only the tenant "".
func (w *foreign) scope(tenant string, f *search.Filter) (*pb.Filters, error) {
	if tenant != "" {
		return nil, fault.BadField("/tenant", "collection %q is external: its points belong to no tenant", w.c.Name)
	}
	return w.condition(f, false)
}

// Walk reads a page of an external collection in the order of Weaviate's ids: the points,
// whole, and where the next page starts, which is empty behind the last one. An empty after
// starts. It is meant for copies of a collection.
func (s *Store) Walk(ctx context.Context, name, after string, limit int) (points []search.Point, next string, err error) {
	if err := s.enter(ctx, "walk"); err != nil {
		return nil, "", err
	}
	defer s.leave()
	switch {
	case s.cfg.external(name) == nil:
		return nil, "", fault.BadField("/collection", "collection %q is not external", name)
	case limit < 1:
		return nil, "", fault.BadField("/limit", "is %d, it must be at least 1", limit)
	case after != "" && !isUUID(after):
		return nil, "", fault.BadField("/after", "%q is no id of Weaviate", after)
	}
	r := &reply{fields: search.Fields{Text: true, Meta: true, Vector: true}}
	if err := s.withClass(ctx, name, func(c *class) error { return s.behind(ctx, c, after, r) }); err != nil {
		return nil, "", err
	}
	rows := r.rows[:min(len(r.rows), limit)]
	for _, x := range rows {
		points, next = append(points, x.Point), x.id
	}
	return points, next, nil
}
