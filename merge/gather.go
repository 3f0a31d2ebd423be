package merge

import (
	"github.com/lanewise/lanewise/search"
)

// Refill asks for a shard's list once more, with more rows.
type Refill struct{ Shard, Rows int }

// Tally is what a [Gather] cost and what it is worth.
type Tally struct {
	RowsAsked int   // refills included
	RowsSaved int   // that asking every shard for k would have cost beyond that; never negative
	Refills   int   // lists that were asked for again
	Unsorted  int   // lists that had to be sorted
	Uncertain []int // shards that answered and yet may hide a hit
}

// Gather joins the lists of one leg and finds out which shards must be asked again before the
// join is what a single store with everything would have answered. It holds no
// connection and no clock; its owner does the asking:
//
//	g.Start(k, rows)
//	// ask every shard i for rows[i]; Put or Fail each, in any order, also at once
//	for again := g.Next(); len(again) > 0; again = g.Next() {
//		// ask those for so many rows; Put or Fail each
//	}
//	list, tally := g.List(), g.Tally()
//
// The rule is the first round of the threshold algorithm (Fagin, Lotem, Naor, "Optimal
// aggregation algorithms for middleware", PODS 2001): a shard can hide a hit unless it is exhausted,
// or k of its rows are left, or its last row scores strictly below the k-th hit. The zero Gather is
// ready to Start, also again.
type Gather struct {
	k     int
	asked int // rows, in all
	runs  []Run
	state []shardState
	merge Merger
	list  search.List
	tally Tally
}

// shardState is what is known of one shard's part.
type shardState struct {
	asked    int // rows of the last request
	before   int // rows that came for the request before that; -1: there was none
	waiting  bool
	answered bool
	failed   bool // at its last request
	doubtful bool // may hide a hit, and asking again is of no use
}

// Start begins a leg of k hits, for which shard i was or will be asked for asked[i] rows.
func (g *Gather) Start(k int, asked []int) {
	g.k, g.asked, g.list, g.tally = k, 0, search.List{}, Tally{}
	g.runs, g.state = grow(g.runs, len(asked)), grow(g.state, len(asked))
	for i, rows := range asked {
		g.runs[i] = Run{hash: g.runs[i].hash[:0]}
		g.state[i] = shardState{asked: rows, before: -1, waiting: true}
		g.asked += rows
	}
}

// Put hands in a shard's answer, which takes the place of an earlier one. Rows that keep
// refuses (nil: none) are dropped and counted: those of other tenants, and those that
// the shard does not own. Different shards may Put at the same time.
func (g *Gather) Put(shard int, l search.List, keep func(*search.Hit) bool) {
	s := &g.state[shard]
	if s.answered {
		s.before = g.runs[shard].rows
	}
	g.runs[shard].Check(l, keep)
	s.waiting, s.answered = false, true
}

// Fail says that a shard did not answer, or not a second time. What it gave before counts,
// but nothing certifies what it kept back. Different shards may Fail at the same time.
func (g *Gather) Fail(shard int) {
	g.state[shard].waiting, g.state[shard].failed = false, true
}

// Next merges what is there and returns the shards that must be asked again; none: the
// list is final. Shards that were asked and neither Put nor Fail count as failed.
func (g *Gather) Next() []Refill {
	g.list = g.merge.Merge(g.list.Hits[:0], g.k, g.runs)
	var again []Refill
	for i := range g.state {
		if rows := g.need(i); rows > 0 {
			again = append(again, Refill{i, rows})
			g.state[i].asked, g.state[i].waiting = rows, true
			g.asked += rows
			g.tally.Refills++
		}
	}
	return again
}

// need returns how many rows shard i must be asked for next, or 0.
func (g *Gather) need(i int) int {
	s, r := &g.state[i], &g.runs[i]
	s.failed, s.waiting, s.doubtful = s.failed || s.waiting, false, false
	enough := g.k + g.lost(i) // rows that are sure to hold k good ones, if no more are lost
	switch {
	case !s.answered || g.certified(i):
		return 0
	case s.asked >= enough && !r.prefix && !s.failed:
		return 0 // an approximate index that was asked for k gave what it gives
	}
	next := enough
	if s.before >= 0 || s.asked >= enough { // not the first refill: more was lost than the last one allowed for
		next = max(enough, 2*s.asked)
	}
	stuck := s.before >= 0 && r.rows <= s.before && r.rows < s.asked && s.asked >= enough
	if s.doubtful = s.failed || stuck || next > g.limit(); s.doubtful {
		return 0
	}
	return next
}

// limit keeps a shard that returns nothing but useless rows from being asked for its whole
// collection.
func (g *Gather) limit() int { return 1024 + 32*g.k }

// certified reports whether shard i cannot hide a hit. A list that a longer request would
// change proves nothing about the rows behind it.
func (g *Gather) certified(i int) bool {
	r := &g.runs[i]
	return g.state[i].answered && (r.exhausted || r.prefix && g.merge.certified(i, g.k, g.runs, g.list.Hits))
}

// lost returns how many rows of shard i were dropped or displaced by newer ones.
func (g *Gather) lost(i int) int {
	return g.runs[i].rows - len(g.runs[i].hits) + g.merge.lost[i]
}

// List returns the merged list, once Next returned nothing. It belongs to the caller.
func (g *Gather) List() search.List { return g.list }

// Tally returns what the leg cost, once Next returned nothing. A shard with an approximate index
// (no Prefix) that was asked for at least k rows is not called uncertain: its answer is as good
// as that of asking every shard for k.
func (g *Gather) Tally() Tally {
	t := g.tally
	t.RowsAsked = g.asked
	t.RowsSaved = max(0, g.k*len(g.state)-g.asked)
	for i := range g.state {
		if g.runs[i].unsorted {
			t.Unsorted++
		}
		if g.state[i].doubtful {
			t.Uncertain = append(t.Uncertain, i)
		}
	}
	return t
}
