package local

import (
	"math"

	"github.com/lanewise/lanewise/search"
)

// The index on sparse vectors is inverted: for every term (a dimension) the rows
// that have it, with their values. Rows are only ever appended to a tenant's part,
// so a list grows at its end, behind the length that every snapshot has of it, and
// is never changed where somebody may read. Rows that no longer stand for a point
// stay in the lists until the part is packed.

// rowBits is how many bits of a posting's row are the row within its block.
const rowBits = 12

// nowhere is no posting's row.
const nowhere = math.MaxUint32

// posting is a term of a row. Rows are numbered by block and row in it, so that
// their order is the order in which they were written.
type posting struct {
	row   uint32
	value float32 // never 0: such an entry is as good as none
}

// peakEvery is the number of postings that have one peak.
const peakEvery = 128

// postings is the list of one term, by rising row.
type postings struct {
	rows  []posting
	peaks []float32 // of every full run of peakEvery postings: the largest value, without its sign
}

// lexicon is an immutable snapshot of the lists of a tenant's part.
type lexicon struct {
	lists tree[uint32, *postings]
	docs  int   // points that have a sparse vector
	bytes int64 // that the lists take, about
}

// perTerm is about what a list costs beside its postings: two slices and their
// place in the tree.
const perTerm = 48 + 2*(4+8)

func rowNumber(block, row int) uint32 { return uint32(block<<rowBits | row) } //nolint:gosec // memory ends before 2^20 blocks do

// lastRow is the number of the row that was settled last.
func (p *partDraft) lastRow() uint32 {
	last := len(p.blocks) - 1
	return rowNumber(last, p.blocks[last].n-1)
}

// note remembers the sparse vector of the row that was settled last.
func (p *partDraft) note(v search.Sparse) {
	if len(v.Index) == 0 {
		return
	}
	b := &p.blocks[len(p.blocks)-1]
	b.worded[b.n-1] = true
	p.words.docs++
	if p.news == nil {
		p.news = map[uint32][]posting{}
	}
	row := p.lastRow()
	for i, term := range v.Index {
		if v.Value[i] != 0 {
			p.news[term] = append(p.news[term], posting{row, v.Value[i]})
		}
	}
}

// learn puts what was noted into the lexicon.
func (p *partDraft) learn() {
	for term, news := range p.news {
		var l postings
		if old, ok := p.words.lists.get(term); ok {
			l = *old
			p.words.bytes -= l.size()
		}
		l.append(news)
		p.words.lists.put(p.by, term, &l)
		p.words.bytes += l.size()
	}
	p.news = nil
}

// append adds postings of later rows. A list that must grow gets an eighth more room
// than it needs: most lists are short, and all of them are in memory.
func (l *postings) append(news []posting) {
	if need := len(l.rows) + len(news); need > cap(l.rows) {
		l.rows = append(make([]posting, 0, need+need/8), l.rows...)
	}
	l.rows = append(l.rows, news...)
	for from := len(l.peaks) * peakEvery; from+peakEvery <= len(l.rows); from += peakEvery {
		l.peaks = append(l.peaks, peak(l.rows[from:from+peakEvery]))
	}
}

func (l *postings) size() int64 { return int64(perTerm + 8*cap(l.rows) + 4*cap(l.peaks)) }

// peak returns the largest value without its sign.
func peak(rows []posting) (most float32) {
	for _, x := range rows {
		most = max(most, max(x.value, -x.value))
	}
	return most
}

// peak returns the largest value of the list without its sign.
func (l *postings) peak() float32 {
	most := peak(l.rows[len(l.peaks)*peakEvery:])
	for _, p := range l.peaks {
		most = max(most, p)
	}
	return most
}

// rowsBelow counts the postings, by rising row, of rows below this one.
func rowsBelow(rows []posting, row uint32) int {
	lo, hi := 0, len(rows)
	for lo < hi {
		if mid := int(uint(lo+hi) >> 1); rows[mid].row < row { //nolint:gosec // both are lengths
			lo = mid + 1
		} else {
			hi = mid
		}
	}
	return lo
}

// moved returns the lexicon after its rows got other numbers, in the same order.
// moved[block][row] is the new number, or nowhere.
func (x lexicon) moved(by *edition, moved [][]uint32) lexicon {
	packed := lexicon{docs: x.docs}
	var kept []posting
	x.lists.ascend(0, func(term uint32, l *postings) bool {
		kept = kept[:0]
		for _, p := range l.rows {
			if p.row = moved[p.row>>rowBits][p.row&(1<<rowBits-1)]; p.row != nowhere {
				kept = append(kept, p)
			}
		}
		if len(kept) > 0 {
			var n postings
			n.append(kept)
			packed.lists.put(by, term, &n)
			packed.bytes += n.size()
		}
		return true
	})
	return packed
}
