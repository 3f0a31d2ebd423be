package static

import "unicode/utf8"

// maxWord is the length of the longest word, in normalised characters, that is
// looked up; a longer one is unknown.
const maxWord = 100

// splitter cuts a text into normalised words: runs of letters, and characters
// that stand alone. Its memory is bounded, however long a word is, and its time
// is linear in the length of the text. Bytes that are not UTF-8 read as U+FFFD,
// which the reference drops.
type splitter struct {
	text  string // what is left of it
	word  [maxWord * utf8.UTFMax]byte
	size  int             // bytes of word
	chars int             // characters of word and marks together, also when they do not fit
	marks [maxWord]uint32 // combining marks since the last letter, by class; class<<21 | rune
	held  int             // marks
}

// start begins a text.
func (s *splitter) start(text string) {
	s.text, s.size, s.chars, s.held = text, 0, 0, 0
}

// next reads the next word and reports whether there was one.
func (s *splitter) next(t *characters) bool {
	s.size, s.chars = 0, 0
	for at := 0; at < len(s.text); {
		c := s.text[at]
		if c >= utf8.RuneSelf {
			r, n := utf8.DecodeRuneInString(s.text[at:])
			if ends, eaten := s.take(t, r); ends {
				return s.end(at, n, eaten)
			}
			at += n
			continue
		}
		switch a := t.ascii[c]; {
		case a > ' ' && a < asciiAlone:
			s.letter(a)
		case a == ' ' && s.chars > 0:
			return s.end(at, 1, true)
		case a >= asciiAlone:
			first := s.chars == 0
			if first {
				s.letter(a &^ asciiAlone)
			}
			return s.end(at, 1, first)
		}
		at++
	}
	return s.end(len(s.text), 0, true)
}

// end finishes the word before or, if it was eaten, with the character of n
// bytes at the given place, and reports whether there is a word.
func (s *splitter) end(at, n int, eaten bool) bool {
	if eaten {
		at += n
	}
	s.text = s.text[at:]
	s.settle()
	return s.chars > 0
}

// known returns the word, or false if it is longer than any that is looked up.
func (s *splitter) known() (word []byte, ok bool) {
	return s.word[:s.size], s.chars <= maxWord
}

// take handles a character outside ASCII. It reports whether the word ends with
// it, and then whether it was eaten or begins the next word.
func (s *splitter) take(t *characters, r rune) (ends, eaten bool) {
	e := t.of(r)
	switch e.kind() {
	case space:
		return s.chars > 0, true
	case alone:
		first := s.chars == 0
		if first {
			s.put(e.rune(r))
		}
		return true, first
	case letter, mark:
		s.part(e, r)
	case long:
		for _, part := range t.long[e.index():][:e.class()] {
			s.part(part, 0)
		}
	case hangul:
		s.hangul(r)
	case divide:
		s.settle()
	case drop:
	}
	return false, false
}

// part appends a letter or keeps a mark.
func (s *splitter) part(e entry, r rune) {
	if e.kind() == mark {
		s.hold(e.rune(r), e.class())
		return
	}
	s.put(e.rune(r))
}

// letter appends an ASCII character.
func (s *splitter) letter(c byte) {
	if s.held > 0 {
		s.settle()
	}
	if s.chars++; s.chars <= maxWord {
		s.word[s.size] = c
		s.size++
	}
}

// put appends a character.
func (s *splitter) put(r rune) {
	s.settle()
	if s.chars++; s.chars <= maxWord {
		s.size += utf8.EncodeRune(s.word[s.size:], r)
	}
}

// hold keeps a combining mark behind the others whose class is not higher (the
// canonical order of Unicode).
func (s *splitter) hold(r rune, class int) {
	if s.chars++; s.chars > maxWord {
		return
	}
	at := s.held
	for at > 0 && int(s.marks[at-1]>>21) > class {
		s.marks[at] = s.marks[at-1]
		at--
	}
	s.marks[at] = uint32(class)<<21 | uint32(r)
	s.held++
}

// settle appends the marks that are held; what follows cannot move before them.
func (s *splitter) settle() {
	for _, m := range s.marks[:s.held] {
		s.size += utf8.EncodeRune(s.word[s.size:], rune(m&runeMask))
	}
	s.held = 0
}

// Hangul syllables are numbered by their parts (The Unicode Standard, 3.12).
const (
	syllables = 0xAC00
	leads     = 0x1100
	vowels    = 0x1161
	tails     = 0x11A7 // one before the first: a syllable may have none
	nVowels   = 21
	nTails    = 28
)

// hangul appends the two or three letters of a syllable.
func (s *splitter) hangul(r rune) {
	n := r - syllables
	s.put(leads + n/(nVowels*nTails))
	s.put(vowels + n/nTails%nVowels)
	if tail := n % nTails; tail > 0 {
		s.put(tails + tail)
	}
}
