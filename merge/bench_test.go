package merge_test

import (
	"container/heap"
	"fmt"
	"slices"
	"testing"

	"github.com/lanewise/lanewise/merge"
	"github.com/lanewise/lanewise/search"
)

// BenchmarkTopK is goal G13. "tree" is what the router does; "heap" and "sort" are the standard
// library's ways to the same rows, but without the dedupe and without the checks, so
// that the comparison is unfair to the tree only.
func BenchmarkTopK(b *testing.B) {
	for _, size := range []struct{ shards, k int }{{1, 10}, {4, 10}, {16, 10}, {16, 100}, {64, 100}, {256, 100}, {16, 1000}} {
		lists := disjoint(size.shards, size.k)
		b.Run(fmt.Sprintf("tree/shards=%d/k=%d", size.shards, size.k), func(b *testing.B) { benchTree(b, lists, size.k) })
		b.Run(fmt.Sprintf("heap/shards=%d/k=%d", size.shards, size.k), func(b *testing.B) { benchHeap(b, lists, size.k) })
		b.Run(fmt.Sprintf("sort/shards=%d/k=%d", size.shards, size.k), func(b *testing.B) { benchSort(b, lists, size.k) })
	}
}

func benchTree(b *testing.B, lists []search.List, k int) {
	b.Helper()
	runs, m, dst := make([]merge.Run, len(lists)), new(merge.Merger), make([]search.Hit, 0, k)
	for i, l := range lists {
		runs[i].Check(l, nil)
	}
	b.ReportAllocs()
	for b.Loop() {
		m.Merge(dst, k, runs)
	}
}

// BenchmarkRun_Check is what each shard's goroutine does with its list before the merge.
func BenchmarkRun_Check(b *testing.B) {
	list, run := disjoint(1, 100)[0], new(merge.Run)
	b.ReportAllocs()
	for b.Loop() {
		run.Check(list, nil)
	}
}

type heads []*[]search.Hit

func (h heads) Len() int           { return len(h) }
func (h heads) Less(i, j int) bool { return merge.Better((*h[i])[0], (*h[j])[0]) < 0 }
func (h heads) Swap(i, j int)      { h[i], h[j] = h[j], h[i] }
func (h *heads) Push(x any)        { *h = append(*h, x.(*[]search.Hit)) }
func (h *heads) Pop() any {
	last := (*h)[len(*h)-1]
	*h = (*h)[:len(*h)-1]
	return last
}

func benchHeap(b *testing.B, lists []search.List, k int) {
	b.Helper()
	rest, h, dst := make([][]search.Hit, len(lists)), make(heads, 0, len(lists)), make([]search.Hit, 0, k)
	b.ReportAllocs()
	for b.Loop() {
		h, dst = h[:0], dst[:0]
		for i := range lists {
			rest[i] = lists[i].Hits
			h = append(h, &rest[i])
		}
		heap.Init(&h)
		for len(dst) < k && len(h) > 0 {
			top := h[0]
			dst = append(dst, (*top)[0])
			if *top = (*top)[1:]; len(*top) == 0 {
				heap.Pop(&h)
				continue
			}
			heap.Fix(&h, 0)
		}
	}
}

func benchSort(b *testing.B, lists []search.List, k int) {
	b.Helper()
	var all []search.Hit
	b.ReportAllocs()
	for b.Loop() {
		all = all[:0]
		for _, l := range lists {
			all = append(all, l.Hits...)
		}
		slices.SortFunc(all, merge.Better)
		_ = all[:min(k, len(all))]
	}
}
