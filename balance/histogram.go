package balance

import (
	"math/bits"
	"sync/atomic"
	"time"
)

// histogram counts latencies in buckets that are exact below 256 µs and at most
// 1/128 of their value wide above, up to an hour: the layout of HdrHistogram (Tene)
// at two digits. That library's counters need a lock; these are atomic, so that
// all calls of a lane can enter their latencies at once.
type histogram [buckets]atomic.Uint32

const (
	fineBits = 7                           // of a value, behind its first, that tell the bucket
	highest  = 3_600_000_000               // µs: an hour
	buckets  = (33 - fineBits) << fineBits // highest has 32 bits
)

// bucketOf returns the bucket of a latency.
func bucketOf(took time.Duration) int {
	us := min(max(took.Microseconds(), 1), highest)
	shift := max(bits.Len64(uint64(us))-fineBits-1, 0) //nolint:gosec // positive
	return shift<<fineBits + int(us>>shift)
}

// valueOf returns the largest latency of a bucket, in whole microseconds.
func valueOf(bucket int) time.Duration {
	shift := max(bucket>>fineBits-1, 0)
	return time.Duration((bucket-shift<<fineBits+1)<<shift-1) * time.Microsecond
}

// latest counts the last half to 2*half latencies that were entered: each
// histogram takes half of them in turn.
type latest struct {
	entered atomic.Int64
	filling atomic.Int32 // which half
	halves  [2]histogram
}

// half is how many latencies a histogram takes.
const half = 2000

// enter counts a latency and returns how many there have been.
func (l *latest) enter(took time.Duration) int64 {
	l.halves[l.filling.Load()][bucketOf(took)].Add(1)
	n := l.entered.Add(1)
	if n%half == 0 { // only this goroutine is here, unless it sleeps for thousands of calls
		next := 1 - l.filling.Load()
		for i := range l.halves[next] {
			l.halves[next][i].Store(0)
		}
		l.filling.Store(next)
	}
	return n
}

// quantile returns the latency that a share of the counted ones do not exceed.
func (l *latest) quantile(share float64) time.Duration {
	n := l.entered.Load()
	if n > half {
		n = half + n%half
	}
	rank := uint64(max(1, share*float64(n)+0.5))
	bucket, seen := -1, uint64(0)
	for seen < rank && bucket+1 < buckets {
		bucket++
		seen += uint64(l.halves[0][bucket].Load() + l.halves[1][bucket].Load())
	}
	return valueOf(bucket)
}
