package adaptertest

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/google/go-cmp/cmp"

	"github.com/lanewise/lanewise/search"
)

var readChecks = []check{ //nolint:gochecknoglobals // a constant table
	{name: "get keeps the order of the keys", run: readGet},
	{name: "scroll walks in key order", run: readScroll},
	{name: "scroll walks through all tenants", run: readScrollTenants},
	{name: "count", run: readCount},
	{name: "stats", run: readStats},
	{name: "every JSON type comes back", run: readPayloads},
	{name: "ids and texts in every script", run: readUnicode},
}

func readGet(b *bench) {
	points := vectors(6, 20, 4)
	b.create(docs, 4, search.Cosine)
	b.put(docs, points...)
	keys := []search.Key{points[7].Key, {ID: "nobody"}, points[2].Key, {Tenant: "else", ID: points[3].ID}, points[19].Key}
	got := b.get(everything, keys...)
	want := []search.Point{points[7], points[2], points[19]}
	if len(got) != len(want) {
		b.Fatalf("got %d points, want %d", len(got), len(want))
	}
	for i := range want {
		samePoint(b, want[i], got[i])
	}
	if got := b.get(search.Fields{}, points[0].Key); len(got) != 1 || got[0].Text != "" || got[0].Dense != nil {
		b.Errorf("without fields: got %+v", got)
	}
	if got := b.get(everything); len(got) != 0 {
		b.Errorf("no keys: got %+v", got)
	}
}

// pages scrolls to the end.
func (b *bench) pages(s search.Scan) []search.Point {
	b.Helper()
	var all []search.Point
	for range 1000 {
		page, err := b.store.Scroll(b.Context(), s)
		if err != nil {
			b.Fatalf("scroll: %v", err)
		}
		if len(page.Points) > s.Limit {
			b.Fatalf("a page of %d points, the limit is %d", len(page.Points), s.Limit)
		}
		all = append(all, page.Points...)
		if !page.More {
			return all
		}
		if len(page.Points) > 0 {
			s.After = page.Points[len(page.Points)-1].Key
		}
	}
	b.Fatal("scroll does not end")
	return nil
}

func readScroll(b *bench) {
	points := vectors(7, 103, 4)
	b.create(docs, 4, search.Cosine)
	b.put(docs, points...)
	b.put(docs, search.Point{Key: search.Key{Tenant: "else", ID: "p0000"}, Version: 1, Dense: make([]float32, 4)})
	slices.SortFunc(points, func(x, y search.Point) int { return x.Compare(y.Key) })
	for _, limit := range []int{1, 10, 103, 200} {
		got := b.pages(search.Scan{Collection: docs, Limit: limit, Fields: everything})
		if diff := cmp.Diff(pointIDs(points), pointIDs(got)); diff != "" {
			b.Fatalf("limit %d: %s", limit, diff)
		}
		for i := range got {
			samePoint(b, points[i], got[i])
		}
	}
	f, err := search.ParseFilter([]byte(`{"odd":true}`))
	if err != nil {
		b.Fatal(err)
	}
	got := b.pages(search.Scan{Collection: docs, Limit: 7, Filter: f})
	odd := slices.DeleteFunc(points, func(p search.Point) bool { return !f.Match(p.Meta) })
	if diff := cmp.Diff(pointIDs(odd), pointIDs(got)); diff != "" {
		b.Error(diff)
	}
}

func readScrollTenants(b *bench) {
	b.create(docs, 2, search.Dot)
	var want []search.Key
	for _, tenant := range []string{"", "a", "a\u00e9", "b"} {
		for i := range 5 {
			k := search.Key{Tenant: tenant, ID: fmt.Sprint(i)}
			want = append(want, k)
			b.put(docs, search.Point{Key: k, Version: 1, Dense: []float32{1, 1}})
		}
	}
	var got []search.Key
	for _, p := range b.pages(search.Scan{Collection: docs, AllTenants: true, Tenant: "a", Limit: 3}) {
		got = append(got, p.Key)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		b.Error(diff)
	}
	if got := b.pages(search.Scan{Collection: docs, Tenant: "a", Limit: 3}); len(got) != 5 {
		b.Errorf("one tenant: got %d points, want 5", len(got))
	}
}

func readCount(b *bench) {
	b.create(docs, 4, search.Cosine)
	b.put(docs, vectors(8, 31, 4)...)
	b.put(docs, search.Point{Key: search.Key{Tenant: "t", ID: "x"}, Version: 1, Dense: make([]float32, 4)})
	odd, err := search.ParseFilter([]byte(`{"odd":true}`))
	if err != nil {
		b.Fatal(err)
	}
	for _, c := range []struct {
		tenant string
		filter search.Filter
		want   int
	}{{"", search.Filter{}, 31}, {"", odd, 15}, {"t", search.Filter{}, 1}, {"t", odd, 0}, {"none", search.Filter{}, 0}} {
		if n, err := b.store.Count(b.Context(), docs, c.tenant, c.filter); n != c.want || err != nil {
			b.Errorf("tenant %q: count is %d (%v), want %d", c.tenant, n, err, c.want)
		}
	}
}

func readStats(b *bench) {
	b.create(docs, 2, search.Dot)
	b.create("empty", 3, search.Euclidean)
	b.put(docs, at("a", 4, 1), at("b", 9, 1), at("c", 6, 1))
	b.write(search.Batch{Collection: docs, Deletes: []search.Tombstone{grave("a", 12)}})
	all, err := b.store.Stats(b.Context(), "")
	if err != nil {
		b.Fatal(err)
	}
	if len(all) != 2 || all[0].Collection.Name != docs || all[1].Collection.Name != "empty" {
		b.Fatalf("got %+v, want docs and empty", all)
	}
	one, err := b.store.Stats(b.Context(), docs)
	if err != nil || len(one) != 1 {
		b.Fatalf("got %+v, %v", one, err)
	}
	s := one[0]
	if s.Points != 2 || s.Collection.Dims != 2 || s.Collection.Metric != search.Dot {
		b.Errorf("got %+v, want two points of two dims", s)
	}
	if s.Newest != 12 && !b.Unconditional {
		b.Errorf("the newest version is %d, want 12, that of the deletion", s.Newest)
	}
	if want := search.Digest(search.Key{ID: "b"}, 9) + search.Digest(search.Key{ID: "c"}, 6); s.Digest != want&s.DigestMask() && s.Digest != 0 {
		b.Errorf("the digest is %#x, want %#x, that of the points which are left", s.Digest, want)
	}
}

func readPayloads(b *bench) {
	long := 100_000
	if most := b.can().MaxMeta; most > 0 {
		long = min(long, most-len(`{"long":""}`))
	}
	b.create(docs, 2, search.Dot)
	for i, meta := range []string{
		``, `{}`, `{"s":"text","empty":""}`, `{"t":true,"f":false,"n":null}`, `{"int":42,"neg":-7,"zero":0}`,
		`{"big":9007199254740993,"u64":18446744073709551615,"min":-9223372036854775808}`,
		`{"pi":3.141592653589793,"small":1e-7,"large":1.5e300}`, `{"list":[1,"two",3.5,true,null,[],{}],"none":[]}`,
		`{"deep":{"a":{"b":{"c":[{"d":1}]}}},"o":{}}`, `{"":"empty name","a.b":1,"$op":2,"with space":3,"é":4,"日本":5}`,
		`{"esc":"\"\\\/\b\f\n\r\t\u0001","quote":"it's; DROP TABLE docs; --"}`, `{"date":"2024-02-29T12:00:00Z"}`,
		`{"long":"` + strings.Repeat("0123456789", long/10+1)[:long] + `"}`,
	} {
		p := at(fmt.Sprint(i), 1, 1)
		p.Meta = json.RawMessage(meta)
		b.put(docs, p)
		got := b.get(everything, p.Key)
		if len(got) != 1 {
			b.Fatalf("%s: got %d points", meta, len(got))
		}
		if meta == "" && len(got[0].Meta) > 0 && sameJSON(got[0].Meta, []byte(`{}`)) {
			continue // an engine may keep none as the empty object
		}
		samePoint(b, p, got[0])
	}
}

func readUnicode(b *bench) {
	b.create(docs, 2, search.Dot)
	names := []string{
		"plain", "UPPER", "upper", "é", "e\u0301", "日本語", "العربية", "🙂👩‍👩‍👧", "a/b?c#d%20&e", "\"quoted\"", "it's", "back\\slash",
		" space ", "line\nbreak", "tab\t", "\u200bzero width", "\ufeffbom", strings.Repeat("long", 50), "{{}}", "0", "-1", "null",
	}
	var points []search.Point
	for _, name := range names {
		p := at(name, 1, 1)
		p.Tenant = "tenant " + name
		points = append(points, p)
	}
	b.put(docs, points...)
	for i, p := range points {
		got := b.get(everything, p.Key)
		if len(got) != 1 {
			b.Fatalf("%q: got %d points", names[i], len(got))
		}
		samePoint(b, p, got[0])
		if diff := cmp.Diff([]string{p.ID}, b.ids(p.Tenant, []float32{1, 0}, 3)); diff != "" {
			b.Errorf("%q: %s", p.Tenant, diff)
		}
	}
}
