package balance

// LeastInflight picks the member with the fewest outstanding calls by weight.
type LeastInflight struct{}

// Pick implements [Picker].
func (LeastInflight) Pick(v *View) int { return v.least(inflightCost) }

// TwoChoices picks the one with fewer outstanding calls by weight of two random
// members (Mitzenmacher, The power of two choices, IEEE TPDS 2001).
type TwoChoices struct{}

// Pick implements [Picker].
func (TwoChoices) Pick(v *View) int {
	i, j := v.pair()
	if j >= 0 && inflightCost(v.At(j)) < inflightCost(v.At(i)) {
		return j
	}
	return i
}

func inflightCost(c Candidate) float64 { return (c.Queue + 1) / c.Weight }
