package local

import "github.com/lanewise/lanewise/search"

// sieve applies a filter to rows. A nil sieve lets everything pass. It looks at a
// document only when a row is good enough to be kept, and once for all probes.
type sieve struct {
	filter search.Filter
	shelf  *shelf
	known  uint64 // rows of the current word that were looked at
	passed uint64
}

// turn forgets the verdicts on the 64 rows before.
func (v *sieve) turn() {
	if v != nil {
		v.known, v.passed = 0, 0
	}
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

func (v *sieve) look(b block, row int) (bool, error) {
	if !b.docs[row] {
		return v.filter.Match(nil), nil
	}
	d, err := v.shelf.document(b.records[row])
	if err != nil {
		return false, err
	}
	return v.filter.Match(d.meta), nil
}
