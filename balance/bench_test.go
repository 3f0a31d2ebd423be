package balance

import (
	"context"
	"fmt"
	"testing"
	"time"
)

// BenchmarkPick is the cost of one choice by the default picker.
func BenchmarkPick(b *testing.B) {
	for _, n := range []int{3, 8, 256} {
		b.Run(fmt.Sprintf("members=%d", n), func(b *testing.B) {
			candidates := make([]Candidate, n)
			for i := range candidates {
				candidates[i] = Candidate{Weight: 1, Queue: float64(i % 5), Latency: time.Duration(i+1) * time.Millisecond}
			}
			v := viewOf(time.Hour, candidates...)
			v.rand = nil
			b.ReportAllocs()
			for b.Loop() {
				if (Fastest{}).Pick(v) < 0 {
					b.Fatal("nobody was picked")
				}
			}
		})
	}
}

// BenchmarkPickAffinity is the cost of one choice by affinity.
func BenchmarkPickAffinity(b *testing.B) {
	v := viewOf(time.Hour, make([]Candidate, 12)...)
	v.key = hash("tenant")
	b.ReportAllocs()
	for b.Loop() {
		v.affine()
	}
}

// BenchmarkCallParallel has many goroutines call one pool. How often they wait for
// each other is what BenchmarkContention of package router counts.
func BenchmarkCallParallel(b *testing.B) {
	p := benchPool(b)
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if _, err := Do(b.Context(), p, Call{}, func(context.Context, int) (int, error) { return 1, nil }); err != nil {
				b.Error(err)
				return
			}
		}
	})
}

func benchPool(b *testing.B) *Pool[int] {
	b.Helper()
	p, err := NewPool(Config{}, memberNamed(0), memberNamed(1), memberNamed(2))
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = p.Close() })
	return p
}

// BenchmarkObserve is the cost of entering one latency.
func BenchmarkObserve(b *testing.B) {
	b.Run("member", func(b *testing.B) {
		var l latencies
		i := 0
		for b.Loop() {
			i++
			l.observe(&sample{took: time.Duration(i * 7919 % 1000), at: time.Duration(i)})
		}
	})
	b.Run("lane", func(b *testing.B) {
		c := lane(b, LaneConfig{}).class("")
		i := 0
		for b.Loop() {
			i++
			c.observe(time.Duration(i * 7919 % 10_000_000))
		}
	})
}
