package adaptertest

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/lanewise/lanewise/fault"
	"github.com/lanewise/lanewise/search"
)

// limitChecks hold a store to what it declares: up to its limits everything is
// taken, and one more is refused, with the field.
var limitChecks = []check{ //nolint:gochecknoglobals // a constant table
	{name: "large points", run: limitLarge},
	{name: "metadata up to the declared limit", run: limitMeta},
	{name: "texts up to the declared limit", run: limitText},
	{name: "ids up to the declared limit", run: limitID},
	{name: "dims up to the declared limit", run: limitDims},
	{name: "lists up to the declared length", run: limitRows},
	{name: "filters up to the declared order and depth", run: limitFilter},
	{name: "exact search as declared", run: limitKinds},
}

// can is what the store declares, or nothing.
func (b *bench) can() search.Capabilities {
	if s, ok := b.store.(interface{ Capabilities() search.Capabilities }); ok {
		return s.Capabilities()
	}
	return search.Capabilities{}
}

// limited skips a test where there is no limit to test.
func (b *bench) limited(limit int) {
	b.Helper()
	if limit == 0 {
		b.Skip("not applicable: the store declares no limit")
	}
}

// refuses reports what is not an error of kind Invalid about a field.
func (b *bench) refuses(what string, err error, field string) {
	b.Helper()
	if !errors.Is(err, fault.Invalid) || !strings.Contains(fault.Field(err), field) {
		b.Errorf("%s: got %v about %q, want invalid about %q", what, err, fault.Field(err), field)
	}
}

// keeps writes a point, gets it back, and finds that the larger one is refused.
func (b *bench) keeps(largest, larger search.Point, field string) {
	b.Helper()
	b.put(docs, largest)
	got := b.get(everything, largest.Key)
	if len(got) != 1 || got[0].Key != largest.Key || got[0].Text != largest.Text || len(got[0].Meta) < len(largest.Meta) {
		b.Errorf("a point of exactly the limit: got %d points, not the one that was written", len(got))
	}
	_, err := b.store.Write(b.Context(), search.Batch{Collection: docs, Upserts: []search.Point{larger}})
	b.refuses("one more", err, field)
}

func limitMeta(b *bench) {
	most := b.can().MaxMeta
	b.limited(most)
	b.create(docs, 2, search.Dot)
	p, q := at("a", 1, 1), at("b", 1, 1)
	p.Meta, q.Meta = objectOf(most), objectOf(most+1)
	b.keeps(p, q, "/meta")
}

// objectOf makes a JSON object of so many bytes. An array in an array is no value that
// a filter finds: an engine need not keep it a second time.
func objectOf(bytes int) json.RawMessage {
	const before, after = `{"x":[["`, `"]]}`
	return json.RawMessage(before + strings.Repeat("x", bytes-len(before)-len(after)) + after)
}

func limitText(b *bench) {
	most := b.can().MaxText
	b.limited(most)
	b.create(docs, 2, search.Dot)
	p, q := at("a", 1, 1), at("b", 1, 1)
	p.Text, q.Text = strings.Repeat("t", most), strings.Repeat("t", most+1)
	b.keeps(p, q, "/text")
}

func limitID(b *bench) {
	most := b.can().MaxID
	b.limited(most)
	b.create(docs, 2, search.Dot)
	b.keeps(at(strings.Repeat("i", most), 1, 1), at(strings.Repeat("i", most+1), 1, 1), "/id")
	shared := at(strings.Repeat("i", most/2), 1, 1)
	shared.Tenant = strings.Repeat("t", most-most/2)
	b.put(docs, shared)
	if got := b.get(everything, shared.Key); len(got) != 1 || got[0].Key != shared.Key {
		b.Errorf("tenant and id that fill the limit together: got %d points", len(got))
	}
}

func limitDims(b *bench) {
	most := b.can().MaxDims
	b.limited(most)
	b.create(docs, most, search.Dot)
	v := make([]float32, most)
	v[most-1] = 2
	b.put(docs, search.Point{Key: search.Key{ID: "a"}, Version: 1, Dense: v})
	hits := b.search(search.Query{Collection: docs, Legs: []search.Leg{{Dense: v, K: 1}}})[0].Hits
	if len(hits) != 1 || hits[0].Score != 4 {
		b.Errorf("%d dims: got %d hits, want one with the score 4", most, len(hits))
	}
	over := search.Collection{Name: "over", Dims: most + 1, Metric: search.Dot}
	_, err := b.store.Write(b.Context(), search.Batch{Create: &over})
	b.refuses("one more", err, "/dims")
}

func limitRows(b *bench) {
	most := b.can().MaxK
	b.limited(most)
	b.create(docs, 2, search.Dot)
	b.put(docs, at("a", 1, 1), at("b", 1, 2))
	if got := b.ids("", []float32{1, 0}, most); fmt.Sprint(got) != "[b a]" {
		b.Errorf("k of the limit: got %v, want both points", got)
	}
	_, err := b.store.Search(b.Context(), search.Query{Collection: docs, Legs: []search.Leg{{Dense: []float32{1, 0}, K: most + 1}}})
	b.refuses("one more", err, "/k")
}

func limitFilter(b *bench) {
	can := b.can()
	b.create(docs, 2, search.Dot)
	low, high := at("low", 1, 1), at("high", 1, 1)
	edge := strings.Repeat("m", max(can.MaxOrder, 20)-1)
	low.Meta, high.Meta = fmt.Appendf(nil, `{"a":"%sa"}`, edge), fmt.Appendf(nil, `{"a":"%sc"}`, edge)
	b.put(docs, low, high)
	b.counts(fmt.Sprintf(`{"a":{"$gt":"%sb"}}`, edge), 1)
	if can.MaxOrder > 0 {
		_, err := b.store.Count(b.Context(), docs, "", parsed(b, fmt.Sprintf(`{"a":{"$gt":"%sbb"}}`, edge)))
		b.refuses("a text that is one byte longer", err, "filter")
	}
	deep := func(levels int) string {
		return strings.Repeat(`{"$not":`, levels-1) + `{"a":"none"}` + strings.Repeat(`}`, levels-1)
	}
	levels := max(can.MaxNested, 20)
	b.counts(deep(levels), 2*(1-levels%2))
	if can.MaxNested > 0 {
		_, err := b.store.Count(b.Context(), docs, "", parsed(b, deep(levels+1)))
		b.refuses("one level more", err, "filter")
	}
}

func parsed(b *bench, text string) search.Filter {
	b.Helper()
	f, err := search.ParseFilter([]byte(text))
	if err != nil {
		b.Fatalf("%.80s: %v", text, err)
	}
	return f
}

func (b *bench) counts(text string, want int) {
	b.Helper()
	if n, err := b.store.Count(b.Context(), docs, "", parsed(b, text)); n != want || err != nil {
		b.Errorf("%.80s: count is %d (%v), want %d", text, n, err, want)
	}
}

func limitKinds(b *bench) {
	can := b.can()
	if can.Engine == "" {
		b.Skip("not applicable: the store declares nothing")
	}
	b.write(search.Batch{Create: &search.Collection{Name: docs, Dims: 2, Metric: search.Dot}})
	b.put(docs, at("a", 1, 1), at("b", 1, 2))
	ask := func(leg search.Leg) (search.List, error) {
		res, err := b.store.Search(b.Context(), search.Query{Collection: docs, Legs: []search.Leg{leg}})
		return append(res.Lists, search.List{})[0], err
	}
	list, err := ask(search.Leg{Dense: []float32{1, 0}, K: 1, Exact: true})
	switch {
	case !can.Exact:
		b.refuses("an exact leg", err, "/exact")
	case err != nil || list.Prefix != can.Prefix:
		b.Errorf("an exact leg without ties: got %+v, %v, want Prefix %t", list, err, can.Prefix)
	}
}

// limitLarge writes points that fill an engine's messages, together and each.
func limitLarge(b *bench) {
	long := 3_000_000
	if most := b.can().MaxText; most > 0 {
		long = min(long, most)
	}
	b.create(docs, 2, search.Dot)
	var points []search.Point
	for i := range 6 {
		p := at(string(rune('a'+i)), 1, float32(i))
		p.Text = strings.Repeat("0123456789", long/10)
		points = append(points, p)
	}
	b.put(docs, points...)
	q := search.Query{Collection: docs, Legs: []search.Leg{{Dense: []float32{1, 0}, K: 6}}, Fields: search.Fields{Text: true}}
	for i, h := range b.search(q)[0].Hits {
		if h.ID != points[5-i].ID || h.Text != points[5-i].Text {
			b.Errorf("hit %d is %q with a text of %d bytes", i, h.ID, len(h.Text))
		}
	}
}
