package local

import (
	"cmp"
	"slices"
)

// ranks keeps the best k of the rows that it is offered: a heap with the worst of
// them at its top.
type ranks struct {
	part  *part
	k     int
	rows  []candidate
	least float64 // the score of the worst once there are k, below which no row gets in; -Inf before
}

// compare orders by descending score, ties by id.
func (r *ranks) compare(a, b candidate) int {
	if c := cmp.Compare(b.score, a.score); c != 0 {
		return c
	}
	return cmp.Compare(r.part.blocks[a.block].ids[a.row], r.part.blocks[b.block].ids[b.row])
}

// admits reports whether push would keep a row.
func (r *ranks) admits(x candidate) bool {
	return len(r.rows) < r.k || r.compare(x, r.rows[0]) < 0
}

// push adds a row that is admitted.
func (r *ranks) push(x candidate) {
	if len(r.rows) < r.k {
		r.rows = append(r.rows, x)
		r.up(len(r.rows) - 1)
	} else {
		r.rows[0] = x
		r.down(0)
	}
	if len(r.rows) == r.k {
		r.least = r.rows[0].score
	}
}

func (r *ranks) up(i int) {
	for i > 0 {
		above := (i - 1) / 2
		if r.compare(r.rows[i], r.rows[above]) <= 0 {
			return
		}
		r.rows[i], r.rows[above] = r.rows[above], r.rows[i]
		i = above
	}
}

func (r *ranks) down(i int) {
	for {
		worst := i
		for _, kid := range [...]int{2*i + 1, 2*i + 2} {
			if kid < len(r.rows) && r.compare(r.rows[kid], r.rows[worst]) > 0 {
				worst = kid
			}
		}
		if worst == i {
			return
		}
		r.rows[i], r.rows[worst] = r.rows[worst], r.rows[i]
		i = worst
	}
}

// best returns the best rows, at most k-1 of them, and whether there are no more.
func (r *ranks) best() (rows []candidate, exhausted bool) {
	slices.SortFunc(r.rows, r.compare)
	if len(r.rows) < r.k {
		return r.rows, true
	}
	return r.rows[:r.k-1], false
}
