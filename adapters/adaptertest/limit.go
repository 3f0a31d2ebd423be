package adaptertest

import (
	"errors"
	"strings"

	"github.com/lanewise/lanewise/fault"
	"github.com/lanewise/lanewise/search"
)

var limitChecks = []check{ //nolint:gochecknoglobals // a constant table
	{name: "metadata up to the limit", run: limitMeta},
	{name: "large points", run: limitLarge},
}

// limitMeta writes metadata of exactly the limit, and one byte more.
func limitMeta(b *bench) {
	if b.MaxMeta == 0 {
		b.Skip("not applicable: the adapter states no limit (Suite.MaxMeta)")
	}
	b.create(docs, 2, search.Dot)
	object := func(bytes int) []byte { return []byte(`{"x":"` + strings.Repeat("x", bytes-len(`{"x":""}`)) + `"}`) }
	p := at("a", 1, 1)
	p.Meta = object(b.MaxMeta)
	b.put(docs, p)
	got := b.get(everything, p.Key)
	if len(got) != 1 {
		b.Fatalf("got %d points", len(got))
	}
	samePoint(b, p, got[0])
	p.Version, p.Meta = 2, object(b.MaxMeta+1)
	_, err := b.store.Write(b.Context(), search.Batch{Collection: docs, Upserts: []search.Point{p}})
	if !errors.Is(err, fault.Invalid) || !strings.Contains(fault.Field(err), "meta") {
		b.Errorf("one byte more: got %v about %q, want invalid about the metadata", err, fault.Field(err))
	}
}

// limitLarge writes points that fill an engine's messages, together and each.
func limitLarge(b *bench) {
	long := 3_000_000
	if b.MaxMeta > 0 {
		long = b.MaxMeta / 2
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
