package merge

import "math/bits"

// repeats reports whether a point that was picked comes a second time, among the picks or
// behind them.
func (m *Merger) repeats(runs []Run) bool {
	m.open(len(m.picks))
	defer m.shut()
	for i := range m.picks {
		if m.insert(m.picks, i, runs) != i {
			return true
		}
	}
	mask := uint64(len(m.table) - 1) //nolint:gosec // a power of two
	for i := range runs {
		for j, h := range runs[i].hash[m.at[i]:] {
			if m.table[h&mask] != 0 && m.holds(pick{uint32(i), m.at[i] + uint32(j)}, runs) { //nolint:gosec // small indices
				return true
			}
		}
	}
	return false
}

// displace marks every row of a point but the newest one as dead.
func (m *Merger) displace(runs []Run) {
	m.list(runs)
	m.open(len(m.all))
	defer m.shut()
	for i, p := range m.all {
		j := m.insert(m.all, i, runs)
		if j == i {
			continue
		}
		// The table keeps row j, so where the new row wins it takes over that place.
		q := m.all[j]
		if m.newer(p, q, runs) {
			m.all[j] = p
			p = q
		}
		m.dead[m.first[p.run]+int(p.pos)] = true
		m.lost[p.run]++
	}
}

// newer reports whether row a displaces row b of the same point.
func (m *Merger) newer(a, b pick, runs []Run) bool {
	x, y := &runs[a.run].hits[a.pos], &runs[b.run].hits[b.pos]
	if x.Version != y.Version {
		return x.Version > y.Version
	}
	return better(x, y) < 0
}

// list numbers all rows of all runs.
func (m *Merger) list(runs []Run) {
	m.all = m.all[:0]
	m.first = grow(m.first, len(runs))
	for i := range runs {
		m.first[i] = len(m.all)
		for j := range runs[i].hits {
			m.all = append(m.all, pick{uint32(i), uint32(j)}) //nolint:gosec // small indices
		}
	}
	m.dead = grow(m.dead, len(m.all))
	clear(m.dead)
}

// open makes room for n rows. The table is kept so sparse that a look-up of a row that is
// not there mostly ends at its first place.
func (m *Merger) open(n int) {
	size := max(1024, 1<<bits.Len(uint(32*n))) //nolint:gosec // n is a length
	if n > 1<<14 {
		size = 1 << bits.Len(uint(2*n)) //nolint:gosec // n is a length
	}
	if len(m.table) < size {
		m.table = make([]uint32, size)
	}
	m.used = m.used[:0]
}

// shut empties the table.
func (m *Merger) shut() {
	for _, place := range m.used {
		m.table[place] = 0
	}
}

// insert adds rows[i] and returns i, or the index of the row of the same point that is
// there already.
func (m *Merger) insert(rows []pick, i int, runs []Run) int {
	r := &runs[rows[i].run]
	mask := uint64(len(m.table) - 1) //nolint:gosec // a power of two
	h := r.hash[rows[i].pos]
	place := h & mask
	for ; m.table[place] != 0; place = (place + 1) & mask {
		j := int(m.table[place] - 1)
		q := rows[j]
		if runs[q.run].hash[q.pos] == h && same(&r.hits[rows[i].pos], &runs[q.run].hits[q.pos]) {
			return j
		}
	}
	m.table[place] = uint32(i + 1)         //nolint:gosec // a small index
	m.used = append(m.used, uint32(place)) //nolint:gosec // below the table's length
	return i
}

// holds reports whether a row of the same point was picked.
func (m *Merger) holds(p pick, runs []Run) bool {
	r := &runs[p.run]
	mask := uint64(len(m.table) - 1) //nolint:gosec // a power of two
	h := r.hash[p.pos]
	for place := h & mask; m.table[place] != 0; place = (place + 1) & mask {
		q := m.picks[m.table[place]-1]
		if runs[q.run].hash[q.pos] == h && same(&r.hits[p.pos], &runs[q.run].hits[q.pos]) {
			return true
		}
	}
	return false
}
