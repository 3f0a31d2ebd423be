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
	{name: "text that is not UTF-8 is invalid", run: refuseBytes},
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

// operations are everything that can be asked of a collection of two dims.
func (b *bench) operations(name string) map[string]func(context.Context) error {
	write := func(batch search.Batch) func(context.Context) error {
		return func(ctx context.Context) error { _, err := b.store.Write(ctx, batch); return err }
	}
	return map[string]func(context.Context) error{
		"search": func(ctx context.Context) error {
			_, err := b.store.Search(ctx, search.Query{Collection: name, Legs: []search.Leg{{Dense: []float32{1, 1}, K: 1}}})
			return err
		},
		"write":  write(search.Batch{Collection: name, Upserts: []search.Point{at("a", 1, 1)}}),
		"delete": write(search.Batch{Collection: name, Deletes: []search.Tombstone{grave("b", 1)}}),
		"get": func(ctx context.Context) error {
			_, err := b.store.Get(ctx, name, []search.Key{{ID: "a"}}, everything)
			return err
		},
		"scroll": func(ctx context.Context) error {
			_, err := b.store.Scroll(ctx, search.Scan{Collection: name, Limit: 1})
			return err
		},
		"count": func(ctx context.Context) error {
			_, err := b.store.Count(ctx, name, "", search.Filter{})
			return err
		},
		"stats": func(ctx context.Context) error { _, err := b.store.Stats(ctx, name); return err },
	}
}

// calls makes all of them, one after another.
func (b *bench) calls(ctx context.Context, name string) map[string]error {
	ended := map[string]error{}
	for call, do := range b.operations(name) {
		ended[call] = do(ctx)
	}
	return ended
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

// refuseBytes writes what no text is. Asked for such keys and tenants a store has
// nothing, or says that they are invalid.
func refuseBytes(b *bench) {
	const broken = "caf\xe9"
	b.create(docs, 2, search.Dot)
	b.put(docs, at("a", 1, 1))
	for part, p := range map[string]search.Point{
		"id":       {Key: search.Key{ID: broken}},
		"tenant":   {Key: search.Key{Tenant: broken, ID: "a"}},
		"text":     {Key: search.Key{ID: "a"}, Text: broken},
		"metadata": {Key: search.Key{ID: "a"}, Meta: []byte(`{"x":"` + broken + `"}`)},
		"field":    {Key: search.Key{ID: "a"}, Meta: []byte(`{"` + broken + `":1}`)},
	} {
		p.Version, p.Dense = 2, []float32{5, 5}
		_, err := b.store.Write(b.Context(), search.Batch{Collection: docs, Upserts: []search.Point{p}})
		if !errors.Is(err, fault.Invalid) {
			b.Errorf("%s: got %v, want invalid", part, err)
		}
	}
	name := search.Collection{Name: broken, Dims: 2, Metric: search.Dot}
	if _, err := b.store.Write(b.Context(), search.Batch{Create: &name}); !errors.Is(err, fault.Invalid) {
		b.Errorf("name of a collection: got %v, want invalid", err)
	}
	got, err := b.store.Get(b.Context(), docs, []search.Key{{ID: broken}, {Tenant: broken, ID: "a"}}, everything)
	if len(got) != 0 || err != nil && !errors.Is(err, fault.Invalid) {
		b.Errorf("get: got %+v, %v", got, err)
	}
	res, err := b.store.Search(b.Context(), search.Query{Collection: docs, Tenant: broken, Legs: []search.Leg{{Dense: []float32{1, 1}, K: 3}}})
	if err != nil && !errors.Is(err, fault.Invalid) || err == nil && len(res.Lists[0].Hits) != 0 {
		b.Errorf("search: got %+v, %v", res, err)
	}
	if n, err := b.store.Count(b.Context(), docs, broken, search.Filter{}); n != 0 || err != nil && !errors.Is(err, fault.Invalid) {
		b.Errorf("count: got %d, %v", n, err)
	}
	if got := b.get(everything, search.Key{ID: "a"}); len(got) != 1 || got[0].Text != "a" {
		b.Errorf("what was stored before: got %+v", got)
	}
}
