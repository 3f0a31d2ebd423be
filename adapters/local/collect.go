package local

import (
	"cmp"
	"math"
	"slices"
)

// collector keeps the rows that may be among the best k of one probe. It drops a
// row only when k others are surely better.
type collector struct {
	*probe
	part      *part
	threshold float64 // rows whose upper bound is below it are out
	rows      []candidate
	scratch   []float64
}

// roomFor bounds the candidates that a collector has room for from the start.
const roomFor = 1024

// candidate is a row with the interval that holds its score × unit, or, once it
// was scored exactly, with its score.
type candidate struct {
	lower, upper float64
	score        float64
	block, row   int32
	exact        bool
}

func newCollector(p *probe, from *part) *collector {
	c := &collector{probe: p, part: from, threshold: math.Inf(-1)}
	c.rows = make([]candidate, 0, min(c.limit(), from.points, roomFor))
	return c
}

// limit is the number of candidates at which the list is cut.
func (c *collector) limit() int { return 4*c.k + 64 }

// add takes a row whose upper bound reached the threshold.
func (c *collector) add(lower, upper float64, block, row int) {
	c.rows = append(c.rows, candidate{lower: lower, upper: upper, block: int32(block), row: int32(row)}) //nolint:gosec // see slot
	if len(c.rows) >= c.limit() {
		c.cut()
	}
}

// cut drops what is surely not among the best k. Where many rows are too close
// to tell, it scores them all and keeps k.
func (c *collector) cut() {
	if len(c.rows) <= c.k {
		return
	}
	c.scratch = c.scratch[:0]
	for i := range c.rows {
		c.scratch = append(c.scratch, c.rows[i].lower)
	}
	c.threshold = max(c.threshold, atRank(c.scratch, len(c.scratch)-c.k))
	c.rows = slices.DeleteFunc(c.rows, func(x candidate) bool { return x.upper < c.threshold })
	if len(c.rows) > c.limit()/2 {
		c.settle()
	}
}

// atRank returns the number that would be at index n if the numbers, of which none is NaN, were sorted. It
// moves them about (Hoare, Algorithm 65: Find, CACM 1961).
func atRank(numbers []float64, n int) float64 {
	lo, hi := 0, len(numbers)-1
	for lo < hi {
		pivot := numbers[lo+(hi-lo)/2]
		i, j := lo, hi
		for i <= j {
			for numbers[i] < pivot {
				i++
			}
			for pivot < numbers[j] {
				j--
			}
			if i <= j {
				numbers[i], numbers[j] = numbers[j], numbers[i]
				i, j = i+1, j-1
			}
		}
		switch {
		case n <= j:
			hi = j
		case n >= i:
			lo = i
		default:
			return numbers[n]
		}
	}
	return numbers[n]
}

// settle scores all candidates exactly, orders them and keeps the best k.
func (c *collector) settle() {
	for i := range c.rows {
		x := &c.rows[i]
		if x.exact {
			continue
		}
		x.score = c.exact(c.part.blocks[x.block].vector(int(x.row)))
		x.lower, x.upper, x.exact = x.score*c.unit, x.score*c.unit, true
	}
	slices.SortFunc(c.rows, c.compare)
	if len(c.rows) >= c.k {
		c.rows = c.rows[:c.k]
		c.threshold = max(c.threshold, c.rows[c.k-1].lower)
	}
}

// compare orders by descending score, ties by id.
func (c *collector) compare(a, b candidate) int {
	if better := cmp.Compare(b.score, a.score); better != 0 {
		return better
	}
	return cmp.Compare(c.id(a), c.id(b))
}

func (c *collector) id(x candidate) string { return c.part.blocks[x.block].ids[x.row] }

// merge takes the candidates of another collector of the same probe.
func (c *collector) merge(other *collector) {
	c.rows = append(c.rows, other.rows...)
	c.threshold = max(c.threshold, other.threshold)
}

// best returns the best rows, at most k-1 of them, and whether there are no more.
func (c *collector) best() (rows []candidate, exhausted bool) {
	c.cut()
	c.settle()
	if len(c.rows) < c.k {
		return c.rows, true
	}
	return c.rows[:c.k-1], false
}
