package embed

import (
	"github.com/lanewise/lanewise/fault"
	"github.com/lanewise/lanewise/internal/tokens"
)

// tighten returns the smaller of each limit; 0 is none.
func (l Limits) tighten(other Limits) Limits {
	smaller := func(a, b int) int {
		if a <= 0 || b <= 0 {
			return max(a, b, 0)
		}
		return min(a, b)
	}
	return Limits{
		Inputs: smaller(l.Inputs, other.Inputs),
		Tokens: smaller(l.Tokens, other.Tokens),
		Bytes:  smaller(l.Bytes, other.Bytes),
	}
}

// part is a run of a batch's texts: from inclusive, to exclusive.
type part struct{ from, to int }

// split divides texts, each prefixed by so many bytes, into the fewest runs that
// keep their order and the limits. A text that exceeds the limits by itself is a
// run of its own: whether it is cut or refused is the upstream's business.
func (l Limits) split(texts []string, prefix int) []part {
	if l == (Limits{}) {
		return []part{{0, len(texts)}}
	}
	var parts []part
	var sum Limits
	from := 0
	for i, text := range texts {
		one := Limits{Inputs: 1, Tokens: tokens.Estimate(text) + (prefix+3)/4, Bytes: len(text) + prefix}
		if i > from && l.exceeded(sum, one) {
			parts = append(parts, part{from, i})
			from, sum = i, Limits{}
		}
		sum = Limits{Inputs: sum.Inputs + 1, Tokens: sum.Tokens + one.Tokens, Bytes: sum.Bytes + one.Bytes}
	}
	return append(parts, part{from, len(texts)})
}

func (l Limits) exceeded(sum, one Limits) bool {
	over := func(limit, n int) bool { return limit > 0 && n > limit }
	return over(l.Inputs, sum.Inputs+one.Inputs) || over(l.Tokens, sum.Tokens+one.Tokens) || over(l.Bytes, sum.Bytes+one.Bytes)
}

// check refuses an answer that is not one finite vector of s for each text.
func (s Space) check(v Vectors, texts int) error {
	if v.Dims != s.Dims {
		return fault.New(fault.Unavailable, "answer has %d dims, but space %q has %d", v.Dims, s.ID(), s.Dims)
	}
	if len(v.Data) != texts*s.Dims {
		return fault.New(fault.Unavailable, "answer has %d numbers, not %d vectors of %d", len(v.Data), texts, s.Dims)
	}
	for i, x := range v.Data {
		if x-x != 0 { // NaN and both infinities
			return fault.New(fault.Unavailable, "vector %d of the answer is not finite", i/s.Dims)
		}
	}
	return nil
}
