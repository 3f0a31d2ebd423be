package adaptertest

import (
	"context"
	"errors"
	"math"

	"github.com/lanewise/lanewise/fault"
	"github.com/lanewise/lanewise/search"
)

var refusalChecks = []check{ //nolint:gochecknoglobals // a constant table
	{name: "a query that does not fit is invalid", run: refuseQuery},
	{name: "a point that does not fit is invalid", run: refusePoint},
	{name: "a missing collection is not found", run: refuseMissing},
	{name: "a cancelled context ends every call", run: refuseCancelled},
}

func refuseQuery(b *bench) {
	b.create(docs, 2, search.Cosine)
	b.put(docs, at("a", 1, 1))
	nan, inf := float32(math.NaN()), float32(math.Inf(-1))
	for name, legs := range map[string][]search.Leg{
		"no legs":        {},
		"dims too few":   {{Dense: []float32{1}, K: 1}},
		"dims too many":  {{Dense: []float32{1, 2, 3}, K: 1}},
		"no vector":      {{K: 1}},
		"not a number":   {{Dense: []float32{1, nan}, K: 1}},
		"infinite":       {{Dense: []float32{inf, 1}, K: 1}},
		"k is 0":         {{Dense: []float32{1, 1}}},
		"k is negative":  {{Dense: []float32{1, 1}, K: -1}},
		"the second leg": {{Dense: []float32{1, 1}, K: 1}, {Dense: []float32{1}, K: 1}},
	} {
		_, err := b.store.Search(b.Context(), search.Query{Collection: docs, Legs: legs})
		if !errors.Is(err, fault.Invalid) {
			b.Errorf("%s: got %v, want invalid", name, err)
		}
	}
	if _, err := b.store.Scroll(b.Context(), search.Scan{Collection: docs}); !errors.Is(err, fault.Invalid) {
		b.Errorf("scroll without a limit: got %v, want invalid", err)
	}
}

func refusePoint(b *bench) {
	b.create(docs, 2, search.Cosine)
	key := search.Key{ID: "a"}
	for name, p := range map[string]search.Point{
		"dims too few":  {Key: key, Dense: []float32{1}},
		"dims too many": {Key: key, Dense: []float32{1, 2, 3}},
		"not a number":  {Key: key, Dense: []float32{float32(math.NaN()), 1}},
		"infinite":      {Key: key, Dense: []float32{1, float32(math.Inf(1))}},
		"no id":         {Dense: []float32{1, 1}},
		"meta: array":   {Key: key, Dense: []float32{1, 1}, Meta: []byte(`[1]`)},
		"meta: broken":  {Key: key, Dense: []float32{1, 1}, Meta: []byte(`{"a":`)},
	} {
		p.Version = 1
		_, err := b.store.Write(b.Context(), search.Batch{Collection: docs, Upserts: []search.Point{p}})
		if !errors.Is(err, fault.Invalid) {
			b.Errorf("%s: got %v, want invalid", name, err)
		}
	}
	for name, c := range map[string]search.Collection{
		"no name":   {Dims: 2, Metric: search.Dot},
		"no dims":   {Name: "x", Metric: search.Dot},
		"no metric": {Name: "x", Dims: 2},
	} {
		if _, err := b.store.Write(b.Context(), search.Batch{Create: &c}); !errors.Is(err, fault.Invalid) {
			b.Errorf("create with %s: got %v, want invalid", name, err)
		}
	}
}

// calls asks everything of a collection that can be asked.
func (b *bench) calls(ctx context.Context, name string) map[string]error {
	leg := []search.Leg{{Dense: []float32{1, 1}, K: 1}}
	_, searched := b.store.Search(ctx, search.Query{Collection: name, Legs: leg})
	_, written := b.store.Write(ctx, search.Batch{Collection: name, Upserts: []search.Point{at("a", 1, 1)}})
	_, deleted := b.store.Write(ctx, search.Batch{Collection: name, Deletes: []search.Tombstone{grave("a", 1)}})
	_, got := b.store.Get(ctx, name, []search.Key{{ID: "a"}}, everything)
	_, scrolled := b.store.Scroll(ctx, search.Scan{Collection: name, Limit: 1})
	_, counted := b.store.Count(ctx, name, "", search.Filter{})
	_, described := b.store.Stats(ctx, name)
	return map[string]error{
		"search": searched, "write": written, "delete": deleted, "get": got, "scroll": scrolled, "count": counted, "stats": described,
	}
}

func refuseMissing(b *bench) {
	for call, err := range b.calls(b.Context(), "nowhere") {
		if !errors.Is(err, fault.NotFound) {
			b.Errorf("%s: got %v, want not found", call, err)
		}
	}
	b.create(docs, 2, search.Dot)
	legs := []search.Leg{{Dense: []float32{1, 1}, K: 1}, {Collection: "nowhere", Dense: []float32{1, 1}, K: 1}}
	if _, err := b.store.Search(b.Context(), search.Query{Collection: docs, Legs: legs}); !errors.Is(err, fault.NotFound) {
		b.Errorf("a leg on a missing collection: got %v, want not found", err)
	}
}

func refuseCancelled(b *bench) {
	b.create(docs, 2, search.Dot)
	ctx, cancel := context.WithCancel(b.Context())
	cancel()
	for call, err := range b.calls(ctx, docs) {
		if !errors.Is(err, context.Canceled) {
			b.Errorf("%s: got %v, want context.Canceled", call, err)
		}
	}
}
