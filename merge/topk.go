package merge

import (
	"math"
	"math/bits"
	"slices"

	"github.com/lanewise/lanewise/search"
)

// TopK returns the k best hits of all lists in the order of [Better]. Hits with a
// score that is NaN or infinite are dropped and counted. Of several hits of one point
// (collection, tenant, id) the newest version stays, and of equal versions the better
// hit. Lists may come in any order and need not be sorted.
//
// The result is Exhausted if the lists are and nothing was cut off, and a Prefix if no list
// can hide a hit that belongs in it.
func TopK(k int, lists ...search.List) search.List {
	runs := make([]Run, len(lists))
	for i, l := range lists {
		runs[i].Check(l, nil)
	}
	return new(Merger).Merge(nil, k, runs)
}

// Merger merges runs and keeps its buffers for the next time: then it allocates
// nothing. The zero Merger is ready; it is not safe for concurrent use.
//
// It is a tournament tree of losers (Knuth, The Art of Computer Programming, vol. 3, 5.4.1):
// (S-1) + (k-1)·⌈log2 S⌉ comparisons for S runs. Points that come twice are found by hash among
// the winners and everything behind them; only if there are any is every row looked up.
type Merger struct {
	head  []float64 // score of each run's next hit; -Inf behind its end
	at    []uint32  // position of each run's next hit
	loser []uint32  // of each inner place of the tree; place 0 is not used
	win   []uint32  // scratch for building the tree
	picks []pick    // the rows taken, in order
	all   []pick    // every row, where duplicates were found
	table []uint32  // open-addressing hash table: index of a pick + 1
	used  []uint32  // places of the table that are set
	first []int     // of each run: the index of its first row in dead
	dead  []bool    // rows that a newer version displaces; empty if there are none
	lost  []int     // how many rows of each run are dead
}

// pick is a row of a run.
type pick struct{ run, pos uint32 }

// Merge appends the k best hits of all runs to dst, as [TopK] does, and returns the list. The
// list's Hits are what was appended; they share nothing with the Merger.
func (m *Merger) Merge(dst []search.Hit, k int, runs []Run) search.List {
	k = max(k, 0)
	m.dead = m.dead[:0]
	m.lost = grow(m.lost, len(runs))
	clear(m.lost)
	m.take(k, runs)
	if m.repeats(runs) {
		m.displace(runs)
		m.take(k, runs)
	}
	from := len(dst)
	dst = slices.Grow(dst, len(m.picks))
	for _, p := range m.picks {
		dst = append(dst, runs[p.run].hits[p.pos])
	}
	return m.judge(k, runs, dst[from:len(dst):len(dst)])
}

// judge states what the merged hits say about the rows that are not among them.
func (m *Merger) judge(k int, runs []Run, hits []search.Hit) search.List {
	out := search.List{Hits: hits, Exhausted: true, Prefix: true}
	for i := range runs {
		r := &runs[i]
		out.Dropped += r.dropped
		out.Exhausted = out.Exhausted && r.exhausted && math.IsInf(m.head[i], -1)
		out.Prefix = out.Prefix && (r.exhausted || r.prefix && m.certified(i, k, runs, hits))
	}
	return out
}

// certified reports whether run i's shard cannot hide a hit of the k best: it has no further
// rows, or k of its rows are left after all drops, or everything that it kept back scores
// strictly below the k-th hit. The run must have been checked.
func (m *Merger) certified(i, k int, runs []Run, hits []search.Hit) bool {
	r := &runs[i]
	if r.exhausted || len(r.hits)-m.lost[i] >= k {
		return true // hits behind k others of the same shard are not among the k best
	}
	return len(hits) == k && r.bound < hits[k-1].Score
}

// take fills picks with the k best rows that are not dead.
func (m *Merger) take(k int, runs []Run) {
	m.picks = m.picks[:0]
	if len(runs) == 0 {
		return
	}
	m.start(runs)
	for w := m.build(runs); len(m.picks) < k && !math.IsInf(m.head[w], -1); w = m.replay(w, runs) {
		m.picks = append(m.picks, pick{w, m.at[w]})
		m.at[w]++
		m.settle(w, runs)
	}
}

// start points every run at its first row.
func (m *Merger) start(runs []Run) {
	n := len(runs)
	m.head, m.at, m.loser, m.win = grow(m.head, n), grow(m.at, n), grow(m.loser, n), grow(m.win, 2*n)
	clear(m.at)
	for i := range runs {
		m.settle(uint32(i), runs) //nolint:gosec // a small index
	}
}

// settle skips dead rows and looks up the score of the next one.
func (m *Merger) settle(run uint32, runs []Run) {
	hits, at := runs[run].hits, m.at[run]
	if len(m.dead) > 0 {
		for int(at) < len(hits) && m.dead[m.first[run]+int(at)] {
			at++
		}
		m.at[run] = at
	}
	if int(at) < len(hits) {
		m.head[run] = hits[at].Score
		return
	}
	m.head[run] = math.Inf(-1)
}

// build plays the tournament from scratch and returns the winner. The leaves stand at n to
// 2n-1, so that the parent of a place is half of it for any n.
func (m *Merger) build(runs []Run) uint32 {
	n := len(runs)
	for i := range n {
		m.win[n+i] = uint32(i) //nolint:gosec // a small index
	}
	for i := n - 1; i > 0; i-- {
		a, b := m.win[2*i], m.win[2*i+1]
		if m.beats(b, a, runs) {
			a, b = b, a
		}
		m.win[i], m.loser[i] = a, b
	}
	return m.win[1]
}

// replay lets the next row of the last winner climb up, and returns the new winner.
func (m *Merger) replay(run uint32, runs []Run) uint32 {
	score := m.head[run]
	for i := (int(run) + len(runs)) / 2; i > 0; i /= 2 {
		other := m.loser[i]
		if rival := m.head[other]; rival > score || rival == score && m.beats(other, run, runs) {
			m.loser[i] = run
			run, score = other, rival
		}
	}
	return run
}

// beats reports whether the next row of run a stands before that of run b.
func (m *Merger) beats(a, b uint32, runs []Run) bool {
	if m.head[a] != m.head[b] {
		return m.head[a] > m.head[b]
	}
	if math.IsInf(m.head[a], -1) { // both are at their end
		return a < b
	}
	if c := better(&runs[a].hits[m.at[a]], &runs[b].hits[m.at[b]]); c != 0 {
		return c < 0
	}
	return a < b
}

// grow returns s with length n. What it holds is not defined.
func grow[T any](s []T, n int) []T {
	if cap(s) < n {
		return make([]T, n, 1<<bits.Len(uint(n))) //nolint:gosec // n is a length
	}
	return s[:n]
}
