package local

import (
	"cmp"
	"context"
	"math"
	"slices"

	"github.com/lanewise/lanewise/search"
)

// A lexical leg ranks the rows that share a term with the query by the inner product
// of the two vectors. The canonical score is a sum in float64 by rising term; the
// product of two float32 is exact in it, so that every machine gets the same bits.
//
// The ranking is MaxScore (Turtle and Flood, Query evaluation: strategies and
// optimizations, 1995), a window of rows at a time: terms that together cannot lift
// a row to the last place are not walked through but looked up for the rows that
// the others bring. A window is a block: its sums fit into the processor's cache.

const windowRows = 1 << rowBits

// lookUpCost is about how many postings can be walked through in the time that it
// takes to look up one.
const lookUpCost = 16

// recall is a lexical leg on its way through a part.
type recall struct {
	part   *part
	terms  []recallTerm // by rising dimension, which is the order of the sums
	rising []int        // indices of terms by rising bound
	lookUp int          // that many of them cannot lift a row to the last place
	rest   float64      // what those can add to a row
	slack  float64      // bounds all roundings of a sum
	whole  bool         // in this window all terms are in the sums
	heap   ranks
	sums   []float64 // of the window's rows; untouched: -0
}

// recallTerm is a term of the query that some row has.
type recallTerm struct {
	weight float64
	list   *postings
	bound  float64 // no row gets more from the term, or less than its negative
	lo, hi int     // its postings in the window
	walked bool    // it is walked through in this window
}

// untouched is the sum of nothing, -0: whatever products are added to it, even if they
// cancel out, make it another number.
func untouched() float64 { return math.Copysign(0, -1) }

// newRecall prepares a leg for its best k rows.
func newRecall(p *part, query search.Sparse, k int) *recall {
	r := &recall{part: p, heap: ranks{part: p, k: k, least: math.Inf(-1)}}
	for i, term := range query.Index {
		weight := float64(query.Value[i])
		if l, ok := p.words.lists.get(term); ok && weight != 0 {
			r.terms = append(r.terms, recallTerm{weight: weight, list: l})
		}
	}
	return r
}

// bound finds how much each term can add to a row. Rows by name need no bounds.
func (r *recall) bound() {
	total := 0.0
	r.rising = make([]int, len(r.terms))
	for i := range r.terms {
		t := &r.terms[i]
		t.bound = math.Abs(t.weight) * float64(t.list.peak())
		total += t.bound
		r.rising[i] = i
	}
	slices.SortFunc(r.rising, func(i, j int) int { return cmp.Compare(r.terms[i].bound, r.terms[j].bound) })
	r.slack = total * float64(len(r.terms)+2) * 0x1p-52
}

// run ranks the rows that pass the sieve.
func (r *recall) run(ctx context.Context, sv *sieve) error {
	r.bound()
	for {
		r.divide()
		window, ok := r.next()
		if !ok {
			return nil
		}
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if err := r.harvest(window, sv); err != nil {
			return err
		}
	}
}

// divide decides which terms are walked through from here on.
func (r *recall) divide() {
	for r.lookUp < len(r.rising) {
		t := &r.terms[r.rising[r.lookUp]]
		if r.rest+t.bound+r.slack >= r.heap.least {
			break
		}
		r.rest += t.bound
		r.lookUp++
	}
	for i, at := range r.rising {
		r.terms[at].walked = i >= r.lookUp
	}
}

// next returns the next window with a term that is walked through, and moves all
// terms there.
func (r *recall) next() (window uint32, ok bool) {
	window = nowhere
	for i := range r.terms {
		if t := &r.terms[i]; t.walked && t.hi < len(t.list.rows) {
			window = min(window, t.list.rows[t.hi].row>>rowBits)
		}
	}
	if window == nowhere {
		return 0, false
	}
	for i := range r.terms {
		r.terms[i].enter(window)
	}
	return window, true
}

// enter finds the term's postings in a window behind those before.
func (t *recallTerm) enter(window uint32) {
	t.lo = t.hi
	if first := window << rowBits; t.lo < len(t.list.rows) && t.list.rows[t.lo].row < first {
		t.lo += rowsBelow(t.list.rows[t.lo:], first)
	}
	t.hi = t.lo + rowsBelow(t.list.rows[t.lo:min(len(t.list.rows), t.lo+windowRows)], (window+1)<<rowBits)
}

// harvest sums up a window and offers its rows to the ranks.
func (r *recall) harvest(window uint32, sv *sieve) error {
	walked, others := 0, 0
	for i := range r.terms {
		if t := &r.terms[i]; t.walked {
			walked += t.hi - t.lo
		} else {
			others += t.hi - t.lo
		}
	}
	r.whole = walked*lookUpCost >= others
	if r.whole {
		walked += others
	}
	for i := range r.terms {
		if t := &r.terms[i]; t.walked || r.whole {
			add(r.sums, t.list.rows[t.lo:t.hi], t.weight)
		}
	}
	if walked >= windowRows/2 {
		return r.sweep(window, sv)
	}
	for i := range r.terms {
		t := &r.terms[i]
		if !t.walked && !r.whole {
			continue
		}
		for _, p := range t.list.rows[t.lo:t.hi] {
			if err := r.take(window, int(p.row%windowRows), sv); err != nil {
				return err
			}
		}
	}
	return nil
}

// missing is what a row may get beside its sum in this window.
func (r *recall) missing() float64 {
	if r.whole {
		return 0
	}
	return r.rest
}

// add adds a term's products to the sums of its rows.
func add(sums []float64, rows []posting, weight float64) {
	sums = sums[:windowRows]
	for _, p := range rows {
		sums[p.row%windowRows] += weight * float64(p.value)
	}
}

// sweep takes all sums of a window in turn.
func (r *recall) sweep(window uint32, sv *sieve) error {
	more := r.missing() + r.slack
	for row, sum := range r.sums {
		if sum+more < r.heap.least {
			r.sums[row] = untouched()
			continue
		}
		if err := r.take(window, row, sv); err != nil {
			return err
		}
	}
	return nil
}

// take offers a row to the ranks, if it has a sum, and clears that.
func (r *recall) take(window uint32, row int, sv *sieve) error {
	sum := r.sums[row]
	r.sums[row] = untouched()
	if math.Float64bits(sum) == math.Float64bits(untouched()) || sum+r.missing()+r.slack < r.heap.least {
		return nil
	}
	b := r.part.blocks[window]
	if !b.isLive(row) {
		return nil
	}
	if !r.whole {
		sum, _ = r.score(window<<rowBits | uint32(row)) //nolint:gosec // below windowRows
	}
	x := candidate{score: sum, block: int32(window), row: int32(row), exact: true} //nolint:gosec // see slot
	if !r.heap.admits(x) {
		return nil
	}
	ok, err := sv.look(b, row)
	if ok {
		r.heap.push(x)
	}
	return err
}

// score returns the score of a row of the window, and whether it has any of the terms.
func (r *recall) score(row uint32) (sum float64, found bool) {
	for i := range r.terms {
		t := &r.terms[i]
		if at := t.lo + rowsBelow(t.list.rows[t.lo:t.hi], row); at < t.hi && t.list.rows[at].row == row {
			sum += t.weight * float64(t.list.rows[at].value)
			found = true
		}
	}
	return sum, found
}

// open makes the window as large as the part.
func (r *recall) open() {
	for i := range r.terms {
		r.terms[i].lo, r.terms[i].hi = 0, len(r.terms[i].list.rows)
	}
}

// only ranks rows by name.
func (r *recall) only(slots []slot, sv *sieve) error {
	r.open()
	for _, at := range slots {
		sum, found := r.score(rowNumber(int(at.block), int(at.row)))
		if !found {
			continue
		}
		ok, err := sv.look(r.part.blocks[at.block], int(at.row))
		if err != nil {
			return err
		}
		if x := (candidate{score: sum, block: at.block, row: at.row, exact: true}); ok && r.heap.admits(x) {
			r.heap.push(x)
		}
	}
	return nil
}
