package static

import (
	"encoding/binary"
	"fmt"
	"unicode/utf8"
)

// kind says what becomes of a character.
type kind uint32

const (
	letter kind = iota // part of a word
	alone              // a word of its own: punctuation, ideographs
	space              // ends a word
	drop               // as if it were not there
	divide             // dropped, but combining marks are not reordered across it
	mark               // part of a word, ordered among its neighbours by class
	long               // several characters
	hangul             // a syllable, to be taken apart by arithmetic
)

// entry is what the tokenizer knows of a character: 3 bits of kind, 8 bits of
// combining class (or the number of characters, where it is long) and 21 bits
// that are added to the code point (or the place among the long ones).
type entry uint32

func newEntry(k kind, class byte, shift int) entry {
	return entry(k)<<29 | entry(class)<<21 | entry(shift)&runeMask
}

func (e entry) kind() kind       { return kind(e >> 29) }
func (e entry) class() int       { return int(e >> 21 & 0xFF) }
func (e entry) index() int       { return int(e & runeMask) }
func (e entry) rune(r rune) rune { return rune((entry(r) + e) & runeMask) }

const (
	runeMask  = 1<<21 - 1
	pageSize  = 256
	pageCount = (utf8.MaxRune + 1) / pageSize
)

// page holds the entries of 256 code points in a row.
type page [pageSize]entry

// characters is what the reference tokenizer does with each code point, in the
// version of Unicode that the reference was built with. Most pages are alike
// and shared.
type characters struct {
	pages [pageCount]*page
	long  []entry         // their rune is absolute
	ascii [pageSize]uint8 // see asciiAlone
}

// In the ASCII table, a letter stands for what it becomes, 0 for nothing, a
// space for the end of a word; what is a word of its own has the upper bit.
const asciiAlone = 0x80

// newCharacters reads runs: for each a length, a kind and what the kind needs.
// distil/characters.py writes them.
func newCharacters(runs []byte) (*characters, error) {
	t := &characters{}
	f := filler{table: t, shared: map[entry]*page{}}
	for r := (reader{data: runs}); len(r.data) > 0; {
		n := r.number()
		e := r.entry(t)
		if r.bad || n == 0 || f.next+n > utf8.MaxRune+1 {
			return nil, fmt.Errorf("%w: characters from U+%04X", errDamaged, f.next)
		}
		f.fill(n, e)
	}
	if f.next != utf8.MaxRune+1 {
		return nil, fmt.Errorf("%w: characters end at U+%04X", errDamaged, f.next)
	}
	for c := range utf8.RuneSelf {
		t.ascii[c] = t.asciiOf(rune(c))
	}
	return t, nil
}

// of returns the entry of a character.
func (t *characters) of(r rune) entry { return t.pages[r/pageSize][r%pageSize] }

// asciiOf packs the entry of an ASCII character into a byte.
func (t *characters) asciiOf(c rune) uint8 {
	switch e := t.of(c); e.kind() {
	case letter:
		return uint8(e.rune(c))
	case alone:
		return uint8(e.rune(c)) | asciiAlone
	case space:
		return ' '
	default:
		return 0
	}
}

// filler writes runs into pages, one after the other.
type filler struct {
	table  *characters
	next   int             // code point
	shared map[entry]*page // the pages that hold one entry only
}

// fill gives the next n code points the entry e.
func (f *filler) fill(n int, e entry) {
	for n > 0 {
		p, at := f.next/pageSize, f.next%pageSize
		if at == 0 && n >= pageSize {
			f.table.pages[p] = f.uniform(e)
			f.next, n = f.next+pageSize, n-pageSize
			continue
		}
		if f.table.pages[p] == nil {
			f.table.pages[p] = &page{}
		}
		f.table.pages[p][at] = e
		f.next, n = f.next+1, n-1
	}
}

// uniform returns a page that holds e everywhere.
func (f *filler) uniform(e entry) *page {
	p := f.shared[e]
	if p == nil {
		p = &page{}
		for i := range p {
			p[i] = e
		}
		f.shared[e] = p
	}
	return p
}

// reader takes the character table apart. After the first mistake it is bad and
// returns zeros.
type reader struct {
	data []byte
	bad  bool
}

func (r *reader) byte() byte {
	if len(r.data) == 0 {
		r.bad = true
		return 0
	}
	b := r.data[0]
	r.data = r.data[1:]
	return b
}

func (r *reader) number() int {
	n, size := binary.Uvarint(r.data)
	if size <= 0 || n > runeMask {
		r.bad = true
		return 0
	}
	r.data = r.data[size:]
	return int(n)
}

// signed reads a number in zigzag form.
func (r *reader) signed() int {
	n := r.number()
	return n>>1 ^ -(n & 1)
}

// entry reads the kind of a run and what belongs to it.
func (r *reader) entry(t *characters) entry {
	switch k := kind(r.byte()); k {
	case letter, alone:
		return newEntry(k, 0, r.signed())
	case mark:
		return newEntry(k, r.byte(), 0)
	case long:
		return r.long(t)
	case space, drop, divide, hangul:
		return newEntry(k, 0, 0)
	default:
		r.bad = true
		return 0
	}
}

// long reads a list of characters into t.
func (r *reader) long(t *characters) entry {
	e := newEntry(long, r.byte(), len(t.long))
	for range e.class() {
		k, class := kind(r.byte()), r.byte()
		t.long = append(t.long, newEntry(k, class, r.number()))
		r.bad = r.bad || k != letter && k != mark
	}
	return e
}
