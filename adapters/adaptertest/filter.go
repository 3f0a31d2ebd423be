package adaptertest

import (
	"encoding/json"
	"fmt"

	"github.com/google/go-cmp/cmp"

	"github.com/lanewise/lanewise/search"
)

var filterChecks = []check{ //nolint:gochecknoglobals // a constant table
	{name: "the filter's truth table", run: filterTable},
	{name: "a filtered search equals brute force", run: filterSearch},
}

// documents is the metadata of the truth table's points.
func documents() []string {
	return []string{
		``, `{}`, `{"a":null}`, `{"a":[]}`, `{"a":0}`, `{"a":1}`, `{"a":1.0}`, `{"a":-1}`, `{"a":2.5}`, `{"a":"1"}`,
		`{"a":"x"}`, `{"a":"X"}`, `{"a":""}`, `{"a":"é"}`, `{"a":"e\u0301"}`, `{"a":true}`, `{"a":false}`,
		`{"a":[1,2]}`, `{"a":["x",1]}`, `{"a":[null,1]}`, `{"a":[[1]]}`, `{"a":{"b":1}}`, `{"a":{"b":[1,"x"]}}`,
		`{"a":[{"b":1},{"b":2}]}`, `{"a":{}}`, `{"a.b":1}`, `{"b":1}`, `{"a":9007199254740993}`, `{"a":9007199254740992}`,
		`{"a":18446744073709551615}`, `{"a":-9223372036854775808}`, `{"a":1e300}`, `{"a":1,"b":"x"}`, `{"a":2,"b":"x"}`,
	}
}

// conditions is the truth table's other side.
func conditions() []string {
	list := []string{
		`{}`, `{"a":1}`, `{"a":{"$eq":null}}`, `{"a":{"$exists":true}}`, `{"a":{"$exists":false}}`, `{"a.b":1}`,
		`{"a.b":{"$exists":true}}`, `{"a":{"$in":[]}}`, `{"a":{"$nin":[]}}`, `{"a":{"$in":[1,"x",true]}}`,
		`{"a":{"$nin":[1,"x",true]}}`, `{"$not":{"a":1}}`, `{"$not":{"a":{"$gt":0}}}`, `{"$or":[{"a":1},{"b":1}]}`,
		`{"$and":[{"a":{"$gte":1}},{"a":{"$lt":2}}]}`, `{"a":{"$gte":1,"$lt":2}}`, `{"a":1,"b":"x"}`,
		`{"$and":[{"$not":{"a":1}},{"$or":[{"a":{"$exists":true}},{"b":1}]}]}`,
	}
	for _, op := range []string{"$eq", "$ne", "$gt", "$gte", "$lt", "$lte"} {
		for _, v := range []string{`0`, `1`, `2.5`, `"x"`, `"é"`, `9007199254740993`, `18446744073709551615`} {
			list = append(list, fmt.Sprintf(`{"a":{%q:%s}}`, op, v))
		}
	}
	return append(list, `{"a":true}`, `{"a":{"$ne":true}}`)
}

func filterTable(b *bench) {
	b.create(docs, 2, search.Dot)
	var points []search.Point
	for i, doc := range documents() {
		points = append(points, search.Point{
			Key: search.Key{ID: fmt.Sprintf("%02d", i)}, Version: 1, Dense: []float32{1, 0}, Meta: json.RawMessage(doc),
		})
	}
	b.put(docs, points...)
	for _, text := range conditions() {
		f, err := search.ParseFilter([]byte(text))
		if err != nil {
			b.Fatalf("%s: %v", text, err)
		}
		b.filterAgrees(text, points, f)
	}
}

// filterAgrees asks the same condition in every way that a store offers.
func (b *bench) filterAgrees(text string, points []search.Point, f search.Filter) {
	b.Helper()
	if b.can().CheckFilter(f) != nil {
		_, err := b.store.Count(b.Context(), docs, "", f)
		b.refuses(text+", which the store declares not to answer", err, "filter")
		return
	}
	want := []string{}
	for _, p := range points {
		if f.Match(p.Meta) {
			want = append(want, p.ID)
		}
	}
	n, err := b.store.Count(b.Context(), docs, "", f)
	if err != nil || n != len(want) {
		b.Errorf("%s: count is %d (%v), want %d", text, n, err, len(want))
	}
	page, err := b.store.Scroll(b.Context(), search.Scan{Collection: docs, Filter: f, Limit: 100})
	if err != nil {
		b.Fatalf("%s: scroll: %v", text, err)
	}
	if diff := cmp.Diff(want, pointIDs(page.Points)); diff != "" {
		b.Errorf("%s: scroll: %s", text, diff)
	}
	list := b.search(search.Query{
		Collection: docs, Filter: f, Legs: []search.Leg{{Dense: []float32{1, 0}, K: 100, Exact: true}},
	})[0]
	got := make([]string, len(list.Hits))
	for i, h := range list.Hits {
		got[i] = h.ID
	}
	if diff := cmp.Diff(want, got); diff != "" && b.Tolerance == 0 {
		b.Errorf("%s: search: %s", text, diff)
	}
	if len(got) != len(want) {
		b.Errorf("%s: search finds %d points, want %d", text, len(got), len(want))
	}
}

func pointIDs(points []search.Point) []string {
	ids := make([]string, len(points))
	for i, p := range points {
		ids[i] = p.ID
	}
	return ids
}

func filterSearch(b *bench) {
	points := vectors(5, 400, 16)
	b.create(docs, 16, search.Cosine)
	b.put(docs, points...)
	for _, text := range []string{`{"odd":true}`, `{"n":{"$lt":7}}`, `{"n":{"$gte":395}}`, `{"n":-1}`, `{"$not":{"odd":true}}`} {
		f, err := search.ParseFilter([]byte(text))
		if err != nil {
			b.Fatal(err)
		}
		b.compare(search.Cosine, points, search.Query{
			Collection: docs, Filter: f, Legs: []search.Leg{{Dense: query(3, 16), K: 10, Exact: true}},
		}, 0)
	}
}
