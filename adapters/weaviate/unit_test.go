package weaviate

import (
	"cmp"
	"errors"
	"maps"
	"math"
	"regexp"
	"strings"
	"testing"

	pb "github.com/weaviate/weaviate/grpc/generated/protocol/v1"
	"google.golang.org/protobuf/proto"

	"github.com/lanewise/lanewise/fault"
	"github.com/lanewise/lanewise/search"
)

func TestPointText_keepsTheOrderOfKeys(t *testing.T) {
	parts := []string{"", "\x00", "\x01", " ", "A", "a", "a ", "aa", "b", "é", "日本", "🙂"}
	var keys []search.Key
	for _, tenant := range parts {
		for _, id := range parts {
			keys = append(keys, search.Key{Tenant: tenant, ID: id})
		}
	}
	var r keyReader
	for _, a := range keys {
		for _, b := range keys {
			if got, want := cmp.Compare(pointText(a, math.MaxUint64), pointText(b, 0)), a.Compare(b); got != want && a != b {
				t.Fatalf("%q and %q compare as %d, their texts as %d", a, b, want, got)
			}
			if past := pointText(b, 7) > behind(a); past != (b.Compare(a) > 0) {
				t.Fatalf("%q stands behind %q: %v", b, a, past)
			}
			if (objectID(a) == objectID(b)) != (a == b) {
				t.Fatalf("%q and %q: objects %s and %s", a, b, objectID(a), objectID(b))
			}
		}
		if back, version, ok := r.read([]byte(pointText(a, math.MaxUint64-1))); !ok || back != a || version != math.MaxUint64-1 {
			t.Errorf("%q comes back as %q, %d", a, back, version)
		}
		if !regexp.MustCompile(`^[0-9a-f]{8}-[0-9a-f]{4}-8[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$`).MatchString(objectID(a)) {
			t.Errorf("%q has the object %s, which is no UUID", a, objectID(a))
		}
	}
	const version = "0123456789abcdef"
	for _, text := range []string{"", "61", "61!61", "6!61-" + version, "61!6-" + version, "zz!61-" + version, "61!61-", "61!61-" + version[1:], "61!61-" + version[1:] + "x"} {
		if k, _, ok := r.read([]byte(text)); ok {
			t.Errorf("%q reads as %q", text, k)
		}
	}
}

func TestEngineName_isOneToOne(t *testing.T) {
	c := Config{Prefix: "P"}
	seen := map[string]string{}
	for _, name := range []string{"docs", "Docs", "DOCS", "docs-1", "docs.1", "docs_1", "docs_5f1", "_", "__", "a_2d", "a-", "é"} {
		engine := c.engineName(name)
		if !regexp.MustCompile(`^P_[a-z0-9_]*$`).MatchString(engine) {
			t.Errorf("%q becomes %q, which Weaviate does not take or tell apart", name, engine)
		}
		if other, ok := seen[engine]; ok {
			t.Errorf("%q and %q both become %q", name, other, engine)
		}
		seen[engine] = name
	}
}

func TestTerm_tellsFieldsAndValuesApart(t *testing.T) {
	seen := map[string]bool{}
	for _, x := range [][3]string{
		{valueTerm, "a", "sb"}, {valueTerm, "as", "b"}, {valueTerm, "", "asb"}, {existsTerm, "a", "sb"}, {tenantTerm, "a", ""}, {existsTerm, "a", ""},
	} {
		seen[term(x[0], x[1], x[2])] = true
	}
	if len(seen) != 6 || seen[never] {
		t.Errorf("six different terms are %d", len(seen))
	}
}

func TestDraft_isWhatTheGeneratedTypesRead(t *testing.T) {
	c := &class{engine: "P_docs", digest: true, orders: map[string]bool{orderName("n", "n"): true}}
	p := search.Point{Key: search.Key{Tenant: "t", ID: "a"}, Version: 7, Dense: []float32{1, -2.5}, Text: "é", Meta: []byte(`{"n":1,"s":"x"}`)}
	x, err := index(&p)
	if err != nil {
		t.Fatal(err)
	}
	var d draft
	d.fence(c, 12)
	d.change(c, objectID(p.Key), &change{version: 7, point: &p, indexed: x})
	d.change(c, "gone", &change{version: 1 << 60})
	d.flushed(c, 9)
	var got pb.BatchObjectsRequest
	if err := proto.Unmarshal(d.request, &got); err != nil || len(got.GetObjects()) != 4 {
		t.Fatalf("got %v, %v", &got, err)
	}
	scalars := func(i int) map[string]any { return got.GetObjects()[i].GetProperties().GetNonRefProperties().AsMap() }
	for i, want := range []map[string]any{
		{fenceProperty: "12", fencedProperty: 1.},
		{keyProperty: pointText(p.Key, 7), tenantProperty: term(tenantTerm, "t", ""), textProperty: "é", metaProperty: string(p.Meta), digestProperty: float64(search.Digest(p.Key, 7) & digestMask)},
		{goneProperty: "1000000000000000", markProperty: scalars(2)[markProperty]},
		{goneProperty: "0000000000000009", markProperty: float64(1 << 40)},
	} {
		if o := got.GetObjects()[i]; !maps.Equal(scalars(i), want) || o.GetCollection() != "P_docs" || o.GetTenant() != "" {
			t.Errorf("object %d is %v, want %v", i, o, want)
		}
	}
	point := got.GetObjects()[1]
	lists := point.GetProperties().GetTextArrayProperties()
	if point.GetUuid() != objectID(p.Key) || len(point.GetVectorBytes()) != 8 || len(got.GetObjects()[2].GetVectorBytes()) != 0 {
		t.Errorf("got %v", point)
	}
	if len(lists) != 2 || lists[0].GetPropName() != orderName("n", "n") || len(lists[0].GetValues()) != 1 || lists[1].GetPropName() != termsProperty || len(lists[1].GetValues()) != 2 {
		t.Errorf("got %v, want the order of a number, and terms of a text and its field", lists)
	}
}

// A row takes its id, text and metadata, and a share of what all rows are read into.
func TestReply_allocatesNoMoreThanARowKeeps(t *testing.T) {
	const rows = 100
	text := func(s string) *pb.Value { return &pb.Value{Kind: &pb.Value_TextValue{TextValue: s}} }
	var all pb.SearchReply
	for i := range rows {
		key := search.Key{Tenant: "tenant", ID: strings.Repeat("i", i)}
		all.Results = append(all.Results, &pb.SearchResult{Properties: &pb.PropertiesResult{NonRefProps: &pb.Properties{Fields: map[string]*pb.Value{
			keyProperty: text(pointText(key, 7)), textProperty: text("the text"), metaProperty: text(`{"n":1}`),
		}}}})
	}
	data, err := proto.Marshal(&all)
	if err != nil {
		t.Fatal(err)
	}
	each := testing.AllocsPerRun(10, func() {
		r := reply{fields: search.Fields{Text: true, Meta: true}}
		if err := r.read(data); err != nil || len(r.rows) != rows || r.rows[1].ID != "i" || r.rows[1].Version != 7 {
			t.Fatalf("%+v, %v", r.rows, err)
		}
	}) / rows
	if each > 3.5 {
		t.Errorf("%.1f allocations a row", each)
	}
}

func TestIndex_refusesWhatIsTooMuch(t *testing.T) {
	meta := []byte(`{"x":[` + strings.Repeat(`true,1,"x",`, 200_000) + `0]}`)
	var many []byte
	for i := range 200_000 {
		many = append(many, `{"k`+strings.Repeat("x", i%7)+`":`...)
	}
	if _, err := index(&search.Point{Meta: meta}); !errors.Is(err, fault.Invalid) || fault.Field(err) != "/meta" {
		t.Errorf("got %v, want /meta to be invalid", err)
	}
	if _, err := index(&search.Point{Meta: many}); !errors.Is(err, fault.Invalid) {
		t.Errorf("broken metadata: got %v, want invalid", err)
	}
}

func TestNew_refusesWhatCannotWork(t *testing.T) {
	const good = "127.0.0.1:8080"
	for field, c := range map[string]Config{
		"/address": {Address: "http://" + good}, "/grpc": {Address: good, GRPC: "x"}, "/key": {Address: good, Key: "a\nb"},
		"/prefix": {Address: good, Prefix: "low"}, "/index": {Address: good, Index: "tree"}, "/max_rows": {Address: good, MaxRows: 1},
		"/max_ordered": {Address: good, MaxOrdered: -1}, "": {Address: good, Lag: -1},
	} {
		if _, err := New(c); !errors.Is(err, fault.Invalid) || fault.Field(err) != field {
			t.Errorf("%s: got %v", field, err)
		}
	}
	if _, err := New(Config{Address: "me:pw@" + good}); err == nil || strings.Contains(err.Error(), "pw") {
		t.Errorf("a password in the address: got %v", err)
	}
}
