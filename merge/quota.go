package merge

import (
	"cmp"
	"encoding/binary"
	"math"
	"slices"
	"sync"
	"sync/atomic"
)

// DefaultConfidence is the probability with which no shard holds more of the k best hits than it
// is asked for, and so the share of queries that need no refill on random placement.
const DefaultConfidence = 0.9999

// Rows returns how many rows to ask of each shard so that, with the given probability, no
// shard holds more than that of the k best hits of all: far fewer than k of each, where points are
// placed at random. Weights are the shards' shares of the points, in any unit; where
// they add up to nothing, all shards count the same. A confidence of 0 means
// [DefaultConfidence]; at 1 every shard is asked for k.
//
// The number of best hits on a shard of share w is binomial in (k, w); each shard gets an equal
// part of the risk (union bound), which for equal shards is exact to the row. One row is added, for
// the shard's last row to stand below the k-th hit, which is what certifies an answer.
func Rows(k int, weights []float64, confidence float64) []int {
	shares := shares(weights)
	rows := make([]int, len(shares))
	risk := (1 - cmp.Or(confidence, DefaultConfidence)) / float64(len(shares))
	for i, w := range shares {
		if twin := slices.Index(shares[:i], w); twin >= 0 {
			rows[i] = rows[twin]
			continue
		}
		rows[i] = max(1, min(k, quantile(k, w, risk)+1))
	}
	return rows
}

// shares scales weights to a sum of 1, rounded up a little so that counts that differ in
// their last digits give the same rows.
func shares(weights []float64) []float64 {
	sum := 0.0
	for _, w := range weights {
		sum += max(0, w)
	}
	usable := sum > 0 && !math.IsInf(sum, 0)
	scaled := make([]float64, len(weights))
	for i, w := range weights {
		share := 1 / float64(len(weights))
		if usable {
			share = max(0, w) / sum
		}
		scaled[i] = math.Ceil(share*shareSteps) / shareSteps
	}
	return scaled
}

// shareSteps is the resolution of shares.
const shareSteps = 1 << 12

// quantile returns the smallest q with P(Binomial(k, w) > q) <= risk.
func quantile(k int, w, risk float64) int {
	if w <= 0 {
		return 0
	}
	if w >= 1 || risk <= 0 {
		return k
	}
	low, high := 0, k // the tail above k is 0
	for low < high {
		if mid := (low + high) / 2; tail(k, mid, w) <= risk {
			high = mid
		} else {
			low = mid + 1
		}
	}
	return low
}

// tail returns P(Binomial(k, w) > q). It starts with the largest term of the sum, by log-gamma, so
// that nothing underflows that matters, and walks away from it by the ratio of neighbours.
func tail(k, q int, w float64) float64 {
	from := max(q+1, min(k, int(float64(k+1)*w))) // the mode, if it is in the tail
	odds := w / (1 - w)
	top := math.Exp(logPMF(k, from, w))
	sum := top
	for j, term := from, top; j < k && term > sum*1e-17; j++ {
		term *= odds * float64(k-j) / float64(j+1)
		sum += term
	}
	for j, term := from, top; j > q+1 && term > sum*1e-17; j-- {
		term *= float64(j) / (odds * float64(k-j+1))
		sum += term
	}
	return sum
}

// logPMF returns the logarithm of P(Binomial(k, w) = j).
func logPMF(k, j int, w float64) float64 {
	return logFactorial(k) - logFactorial(j) - logFactorial(k-j) + float64(j)*math.Log(w) + float64(k-j)*math.Log1p(-w)
}

func logFactorial(n int) float64 {
	v, _ := math.Lgamma(float64(n) + 1)
	return v
}

// Quota remembers what [Rows] computed, and for which kinds of queries it does not pay. The
// zero Quota is ready, and safe for concurrent use: what is known is read without waiting for others.
type Quota struct {
	mu      sync.RWMutex
	known   map[string][]int
	classes map[string]*tally
}

// What a Quota remembers is bounded: it starts afresh when there is more.
const maxRemembered = 4096

// Rows returns [Rows] at [DefaultConfidence], from memory where it can. A class is a kind of query, such as a
// collection with a size of k: while more than 5 % of a class's queries need a
// refill, as [Quota.Saw] reports, every shard is asked for all k. The result is shared: do
// not modify it.
func (q *Quota) Rows(class string, k int, weights []float64) []int {
	var buf [1024]byte
	key := binary.AppendVarint(buf[:0], int64(k))
	for _, w := range shares(weights) {
		key = binary.AppendUvarint(key, uint64(w*shareSteps))
	}
	q.mu.RLock()
	c, rows := q.classes[class], q.known[string(key)]
	q.mu.RUnlock()
	if c != nil && c.rest() {
		return all(k, len(weights))
	}
	if rows != nil {
		return rows
	}
	rows = Rows(k, weights, DefaultConfidence)
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.known == nil || len(q.known) >= maxRemembered {
		q.known = make(map[string][]int)
	}
	q.known[string(key)] = rows
	return rows
}

// all asks every shard for everything.
func all(k, shards int) []int { return slices.Repeat([]int{k}, shards) }

// Saw tells whether a query of a class that was asked for reduced rows needed a refill.
func (q *Quota) Saw(class string, refilled bool) {
	q.mu.RLock()
	c := q.classes[class]
	q.mu.RUnlock()
	if c == nil {
		c = q.tally(class)
	}
	c.saw(refilled)
}

// tally returns the tally of a class, which it makes if there is none.
func (q *Quota) tally(class string) *tally {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.classes == nil || len(q.classes) >= maxRemembered {
		q.classes = make(map[string]*tally)
	}
	c := q.classes[class]
	if c == nil {
		c = new(tally)
		q.classes[class] = c
	}
	return c
}

// tally counts the refills of a class over its last queries. Queries that end at the same time may
// blur the counts a little, and need not wait for each other.
type tally struct{ queries, refilled, rested atomic.Int64 }

const (
	tallyMin    = 40   // queries before a class is judged
	tallyWindow = 400  // queries after which the counts are halved, to forget
	tallyRest   = 2000 // queries for which a class that does not pay is left alone
	maxRefills  = 0.05 // share of refilled queries above which it does not pay
)

func (t *tally) saw(refilled bool) {
	if refilled {
		t.refilled.Add(1)
	}
	if n := t.queries.Add(1); n >= tallyWindow && t.queries.CompareAndSwap(n, n/2) {
		t.refilled.Store(t.refilled.Load() / 2)
	}
}

// rest reports whether the class should ask for all k now. After a while it is tried again.
func (t *tally) rest() bool {
	n := t.queries.Load()
	if n < tallyMin || float64(t.refilled.Load()) <= maxRefills*float64(n) {
		return false
	}
	if t.rested.Add(1) > tallyRest {
		t.queries.Store(0)
		t.refilled.Store(0)
		t.rested.Store(0)
		return false
	}
	return true
}
