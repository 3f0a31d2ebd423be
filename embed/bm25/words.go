package bm25

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// counter reads a text and counts its terms.
type counter struct {
	language language
	terms    map[uint32]int
	length   int // words
	most     int // different terms; 0: any number
	run      []rune
	unspaced bool // run is of a script without spaces
}

// read counts the terms of a text, until there are too many of them.
func (c *counter) read(text string) {
	for len(text) > 0 && !c.full() {
		piece := text
		if len(text) > pieceLen {
			piece = text[:cut(text)]
		}
		c.readPiece(norm.NFKC.String(piece))
		text = text[len(piece):]
	}
}

// pieceLen is how many bytes are normalised at once: a query that is over after its
// first words need not be read to its end.
const pieceLen = 16 << 10

// cut returns where a long text may be cut: behind a space, or anywhere in one
// without.
func cut(text string) int {
	if i := strings.LastIndexAny(text[:pieceLen], " \n\t"); i > 0 {
		return i + 1
	}
	i := pieceLen
	for i > pieceLen-utf8.UTFMax && !utf8.RuneStart(text[i]) {
		i--
	}
	return i
}

// words is the length of the text. An identifier whose parts are all stop words is
// a word as well.
func (c *counter) words() int { return max(c.length, min(len(c.terms), 1)) }

func (c *counter) full() bool { return c.most > 0 && len(c.terms) >= c.most }

func (c *counter) readPiece(text string) {
	for _, r := range text {
		switch kindOf(r) {
		case passedOver:
			continue
		case letter:
			c.extend(r, false)
		case unspaced:
			c.extend(r, true)
		case joint:
			c.join(r)
		default:
			c.flush()
		}
		if c.full() {
			return
		}
	}
	c.flush()
}

// kind is what a character is to a word.
type kind uint8

const (
	separator kind = iota
	letter
	unspaced
	joint
	passedOver
)

func kindOf(r rune) kind {
	switch {
	case r < utf8.RuneSelf:
		return kindOfASCII(r)
	case r == '’' || r == 'ʼ':
		return joint
	case r == utf8.RuneError:
		return separator
	case isPoint(r), unicode.Is(unicode.Cf, r):
		return passedOver
	case unicode.In(r, unicode.Han, unicode.Hiragana, unicode.Katakana, unicode.Hangul, unicode.Thai, unicode.Lao, unicode.Khmer, unicode.Myanmar):
		if unicode.IsLetter(r) || unicode.IsMark(r) {
			return unspaced
		}
	case r == 'ー': // lengthens a vowel of katakana, and of hiragana as well
		return unspaced
	}
	if unicode.IsLetter(r) || unicode.IsDigit(r) || unicode.IsMark(r) || unicode.Is(unicode.Nl, r) {
		return letter
	}
	return separator
}

func kindOfASCII(r rune) kind {
	switch {
	case 'a' <= r && r <= 'z', 'A' <= r && r <= 'Z', '0' <= r && r <= '9', r == '_':
		return letter
	case r == '.', r == '\'':
		return joint
	default:
		return separator
	}
}

// isPoint reports whether r is a vowel point of Hebrew or Arabic, or the stroke
// that stretches an Arabic word: most texts go without them.
func isPoint(r rune) bool {
	switch {
	case r == 'ـ', r == 0x0670:
		return true
	case 0x0591 <= r && r <= 0x05c7, 0x0610 <= r && r <= 0x061a, 0x064b <= r && r <= 0x065f:
		return unicode.Is(unicode.Mn, r)
	}
	return false
}

// extend adds a character to the run, or begins another one.
func (c *counter) extend(r rune, spaceless bool) {
	if c.unspaced != spaceless {
		c.flush()
		c.unspaced = spaceless
	}
	c.run = append(c.run, r)
}

// join adds a dot or an apostrophe that stands behind a letter. Whether one follows,
// too, shows later.
func (c *counter) join(r rune) {
	last := len(c.run) - 1
	if last < 0 || c.unspaced || isJoint(c.run[last]) {
		c.flush()
		return
	}
	if r != '.' {
		r = '\''
	}
	c.run = append(c.run, r)
}

func isJoint(r rune) bool { return r == '.' || r == '\'' }

// flush counts the run.
func (c *counter) flush() {
	run := c.run
	c.run = c.run[:0]
	for len(run) > 0 && isJoint(run[len(run)-1]) {
		run = run[:len(run)-1]
	}
	switch {
	case len(run) == 0:
	case c.unspaced:
		c.pairs(run)
	default:
		c.chunk(run)
	}
}

// pairs counts the overlapping pairs of a run.
func (c *counter) pairs(run []rune) {
	if len(run) == 1 {
		c.word(string(run))
		return
	}
	for i := range len(run) - 1 {
		c.length++
		c.add(string(run[i : i+2]))
	}
}

// add counts a term.
func (c *counter) add(stem string) {
	if term := termOf(stem); c.terms[term] > 0 || !c.full() {
		c.terms[term]++
	}
}

// word counts a word of the text, unless it is a stop word.
func (c *counter) word(word string) {
	if stem, ok := c.language.stemOf(word); ok {
		c.length++
		c.add(stem)
	}
}
