package embed

import "github.com/lanewise/lanewise/internal/tokens"

// Limits is what a provider accepts in one call. Zero fields are unlimited.
type Limits struct {
	Inputs int // texts
	Tokens int // estimated, all texts together
	Bytes  int // of all texts together
	Window int // tokens of one text: what the model reads of it
}

// Limiter is a provider that accepts batches up to a size. The [Embedder] asks
// before each call, so it must be quick, and splits larger batches.
type Limiter interface{ Limits() Limits }

// size is what a text of the batch counts for, behind a prefix of so many bytes.
func (b Batch) size(at, prefix int) Limits {
	if b.IDs != nil { // in JSON an id takes about six bytes
		return Limits{Inputs: 1, Tokens: len(b.IDs[at]), Bytes: 6 * len(b.IDs[at])}
	}
	text := b.Texts[at]
	return Limits{Inputs: 1, Tokens: tokens.Estimate(text) + (prefix+3)/4, Bytes: len(text) + prefix}
}

// total is what all texts of the batch count for.
func (b Batch) total(prefix int) (sum Limits) {
	for at := range b.Len() {
		sum = sum.plus(b.size(at, prefix))
	}
	return sum
}

// part returns a run of the batch's texts.
func (b Batch) part(p part) Batch {
	if b.IDs != nil {
		b.IDs = b.IDs[p.from:p.to]
	} else {
		b.Texts = b.Texts[p.from:p.to]
	}
	return b
}

// cut returns a batch of one text that is that at a position, shortened to so many
// tokens.
func (b Batch) cut(at, size int) Batch {
	b = b.part(part{at, at + 1})
	if b.IDs != nil {
		b.IDs = [][]uint32{b.IDs[0][:size]}
	} else {
		b.Texts = []string{tokens.Cut(b.Texts[0], size)}
	}
	return b
}

func (l Limits) plus(o Limits) Limits {
	return Limits{Inputs: l.Inputs + o.Inputs, Tokens: l.Tokens + o.Tokens, Bytes: l.Bytes + o.Bytes}
}

func (l Limits) minus(o Limits) Limits {
	return Limits{Inputs: l.Inputs - o.Inputs, Tokens: l.Tokens - o.Tokens, Bytes: l.Bytes - o.Bytes}
}

// each combines every field of two limits.
func (l Limits) each(o Limits, f func(a, b int) int) Limits {
	return Limits{
		Inputs: f(l.Inputs, o.Inputs), Tokens: f(l.Tokens, o.Tokens), Bytes: f(l.Bytes, o.Bytes), Window: f(l.Window, o.Window),
	}
}

// tighten returns the smaller of each limit; 0 is none.
func (l Limits) tighten(other Limits) Limits {
	return l.each(other, func(a, b int) int {
		if a <= 0 || b <= 0 {
			return max(a, b, 0)
		}
		return min(a, b)
	})
}

// loosen returns the larger of each limit; 0 is none.
func (l Limits) loosen(other Limits) Limits {
	return l.each(other, func(a, b int) int {
		if a <= 0 || b <= 0 {
			return 0
		}
		return max(a, b)
	})
}

// reached reports whether a sum is as large as a limit allows.
func (l Limits) reached(sum Limits) bool {
	at := func(limit, n int) bool { return limit > 0 && n >= limit }
	return at(l.Inputs, sum.Inputs) || at(l.Tokens, sum.Tokens) || at(l.Bytes, sum.Bytes)
}

// exceeded reports whether a sum is larger than a limit allows.
func (l Limits) exceeded(sum Limits) bool {
	over := func(limit, n int) bool { return limit > 0 && n > limit }
	return over(l.Inputs, sum.Inputs) || over(l.Tokens, sum.Tokens) || over(l.Bytes, sum.Bytes)
}

// part is a run of a batch's texts: from inclusive, to exclusive.
type part struct{ from, to int }

func (p part) len() int { return p.to - p.from }

// split divides a batch, whose texts are each prefixed by so many bytes, into the
// fewest runs that keep their order and the limits. A text that exceeds the limits
// by itself is a run of its own: whether it is refused is the upstream's business.
func (l Limits) split(b Batch, prefix int) []part {
	var parts []part
	var sum Limits
	from := 0
	for i := range b.Len() {
		one := b.size(i, prefix)
		if i > from && l.exceeded(sum.plus(one)) {
			parts = append(parts, part{from, i})
			from, sum = i, Limits{}
		}
		sum = sum.plus(one)
	}
	return append(parts, part{from, b.Len()})
}
