package local

import (
	"math/bits"

	"github.com/lanewise/lanewise/search"
)

// sieve applies a filter to rows. A nil sieve lets everything pass. Where the
// index does not know, it reads the row's document: only of rows that are good
// enough to be kept, and once for all probes.
type sieve struct {
	filter search.Filter
	judge  *judge
	shelf  *shelf
	known  uint64 // rows of the current word that were looked at
	passed uint64
}

func newSieve(f search.Filter, cols columns, h *shelf) *sieve {
	return &sieve{filter: f, judge: newJudge(f, cols), shelf: h}
}

// begin forgets the verdicts on the 64 rows before, and returns which of the
// next ones are worth a look: where the index answers, only those that match.
func (v *sieve) begin(b block, word int, live uint64) uint64 {
	if v == nil {
		return live
	}
	v.known, v.passed = 0, 0
	if !v.judge.decides() {
		return live
	}
	for m := live; m != 0; m &= m - 1 {
		bit := m & -m
		verdict := v.judge.ask(b.chunk, word*64+bits.TrailingZeros64(m))
		if verdict == no {
			live &^= bit
		}
		if verdict == yes {
			v.known |= bit
			v.passed |= bit
		}
	}
	return live
}

// pass reports whether a row matches the filter.
func (v *sieve) pass(b block, row int) (bool, error) {
	if v == nil {
		return true, nil
	}
	bit := uint64(1) << (row % 64)
	if v.known&bit == 0 {
		ok, err := v.look(b, row)
		if err != nil {
			return false, err
		}
		v.known |= bit
		if ok {
			v.passed |= bit
		}
	}
	return v.passed&bit != 0, nil
}

// look answers for a row on its own.
func (v *sieve) look(b block, row int) (bool, error) {
	if v == nil {
		return true, nil
	}
	if verdict := v.judge.ask(b.chunk, row); verdict != unsure {
		return verdict == yes, nil
	}
	if !b.docs[row] {
		return v.filter.Match(nil), nil
	}
	d, err := v.shelf.document(b.records[row])
	if err != nil {
		return false, err
	}
	return v.filter.Match(d.meta), nil
}
