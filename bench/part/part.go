// Package part measures parts of lanewise by themselves: the merge, the shard map, the built-in embedding model and the
// embedded store, each beside a plain way to do the same or a bound of the machine.
package part

import (
	"container/heap"
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/lanewise/lanewise/bench"
	"github.com/lanewise/lanewise/embed"
	"github.com/lanewise/lanewise/embed/static"
	"github.com/lanewise/lanewise/fault"
	"github.com/lanewise/lanewise/merge"
	"github.com/lanewise/lanewise/search"
	"github.com/lanewise/lanewise/shardmap"
)

// Part measures one round and adds it to a report.
type Part func(ctx context.Context, r *bench.Report) error

// each is how long a figure is measured.
const each = 300 * time.Millisecond

// perCall returns the mean time of a call.
func perCall(ctx context.Context, f func()) (time.Duration, error) {
	start, n := time.Now(), 0
	for time.Since(start) < each {
		if err := ctx.Err(); err != nil {
			return 0, err
		}
		f()
		n++
	}
	return time.Since(start) / time.Duration(n), nil
}

func micros(name string, d time.Duration) bench.Figure {
	return bench.Figure{Name: name, Unit: "µs", Better: bench.Lower, Rounds: []float64{float64(d) / float64(time.Microsecond)}}
}

func ratio(name string, a, b time.Duration) bench.Figure {
	return bench.Figure{Name: name, Better: bench.Lower, Rounds: []float64{float64(a) / float64(b)}}
}

// Merge joins the k best hits of each of some shards, beside container/heap in the same order of hits, which neither drops
// duplicates nor checks.
func Merge(shards, k int) Part {
	return func(ctx context.Context, r *bench.Report) error {
		if shards < 1 || k < 1 || shards > 10_000 || k > 10_000 {
			return fault.New(fault.Invalid, "%d lists of %d hits cannot be merged: 1 to 10,000 of each", shards, k)
		}
		lists := lists(shards, k)
		runs, m, dst := make([]merge.Run, shards), new(merge.Merger), make([]search.Hit, 0, k)
		for i, l := range lists {
			runs[i].Check(l, nil)
		}
		tree, err := perCall(ctx, func() { m.Merge(dst, k, runs) })
		if err != nil {
			return err
		}
		plain, err := perCall(ctx, func() { byHeap(dst[:0], k, lists) })
		if err != nil {
			return err
		}
		r.Add(fmt.Sprintf("%d x %d -> %d", shards, k, k), []bench.Figure{micros("merge", tree), micros("container/heap", plain), ratio("ratio", tree, plain)})
		return nil
	}
}

// lists are sorted, with hits of different ids.
func lists(shards, k int) []search.List {
	rng := rand.New(rand.NewPCG(1, 1))
	out := make([]search.List, shards)
	for i := range out {
		for j := range k {
			out[i].Hits = append(out[i].Hits, search.Hit{Point: search.Point{Key: search.Key{ID: fmt.Sprintf("p%d.%d", i, j)}}, Score: rng.Float64()})
		}
		slices.SortFunc(out[i].Hits, merge.Better)
	}
	return out
}

// heads is a heap of lists, the one with the best next hit on top.
type heads [][]search.Hit

func (h heads) Len() int           { return len(h) }
func (h heads) Less(i, j int) bool { return merge.Better(h[i][0], h[j][0]) < 0 }
func (h heads) Swap(i, j int)      { h[i], h[j] = h[j], h[i] }
func (h *heads) Push(x any)        { *h = append(*h, x.([]search.Hit)) } //nolint:errcheck,forcetypeassert // it holds nothing else
func (h *heads) Pop() any {
	last := (*h)[len(*h)-1]
	*h = (*h)[:len(*h)-1]
	return last
}

func byHeap(dst []search.Hit, k int, lists []search.List) []search.Hit {
	h := make(heads, 0, len(lists))
	for _, l := range lists {
		h = append(h, l.Hits)
	}
	heap.Init(&h)
	for len(dst) < k && len(h) > 0 {
		dst = append(dst, h[0][0])
		if h[0] = h[0][1:]; len(h[0]) == 0 {
			heap.Pop(&h)
		} else {
			heap.Fix(&h, 0)
		}
	}
	return dst
}

// Map places the partitions on some shards, looks keys up, and lets one more shard join.
func Map(shards int) Part {
	return func(ctx context.Context, r *bench.Report) error {
		if shards < 1 || shards > 1000 {
			return fault.New(fault.Invalid, "%d shards: 1 to 1000", shards)
		}
		list := make([]shardmap.Shard, shards+1)
		for i := range list {
			list[i].Name = fmt.Sprint("s", i)
		}
		m, err := shardmap.New(list[:shards])
		if err != nil {
			return err
		}
		docs := search.Collection{Name: "docs", Dims: 1, Metric: search.Cosine, Placement: search.Placement{By: search.ByID}}
		if m, err = m.WithCollection(docs); err != nil {
			return err
		}
		ids := make([]string, 1000) // the clock costs more than one look-up
		for i := range ids {
			ids[i] = fmt.Sprint("p", i)
		}
		lookup, err := perCall(ctx, func() {
			for _, id := range ids {
				m.Owner(docs, search.Key{ID: id}, nil)
			}
		})
		if err != nil {
			return err
		}
		plan, err := shardmap.NewPlan(m, list)
		if err != nil {
			return err
		}
		needed := float64(m.Partitions()) / float64(shards+1)
		r.Add(fmt.Sprintf("%d shards, one more joins", shards), []bench.Figure{
			{Name: "lookup", Unit: "ns", Better: bench.Lower, Rounds: []float64{float64(lookup) / float64(len(ids))}},
			{Name: "largest/fair before", Better: bench.Lower, Rounds: []float64{plan.Before}},
			{Name: "largest/fair after", Better: bench.Lower, Rounds: []float64{plan.After}},
			{Name: "moved/needed", Better: bench.Lower, Rounds: []float64{float64(plan.Partitions) / needed}},
		})
		return nil
	}
}

// Embed runs the built-in model on texts of twenty words, on one core.
func Embed(ctx context.Context, r *bench.Report) error {
	model, err := static.New()
	if err != nil {
		return err
	}
	texts := make([]string, 64)
	for i := range texts {
		texts[i] = fmt.Sprintf("text %d tells how a replica that is slow is asked once more, and which of the two answers counts in the end", i)
	}
	took, err := perCall(ctx, func() { _, err = model.Embed(ctx, embed.Batch{Texts: texts}) })
	if err != nil {
		return err
	}
	one, err := perCall(ctx, func() { _, err = model.Embed(ctx, embed.Batch{Texts: texts[:1]}) })
	if err != nil {
		return err
	}
	r.Add("built-in model, 20 words a text", []bench.Figure{
		{Name: "texts", Unit: "1/s", Better: bench.Higher, Rounds: []float64{float64(len(texts)) / took.Seconds()}}, micros("a text alone", one),
	})
	return nil
}
