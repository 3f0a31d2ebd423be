package static

import "unicode/utf8"

// maxWord is the length of the longest word, in normalised characters, that is
// looked up; a longer one is unknown.
const maxWord = 100

// splitter collects the word that is being read. It is reused; between texts it
// is empty. Its memory is bounded, however long a word is.
type splitter struct {
	word  [maxWord * utf8.UTFMax]byte
	size  int             // bytes of word
	chars int             // characters of word and marks together
	marks [maxWord]uint32 // combining marks since the last letter, by class; class<<21 | rune
	held  int             // marks
}

// tokenize appends the ids of the tokens of text, as the reference tokenizer
// does: normalise, split at white space and around punctuation, look up. Its
// time is linear in the length of the text. Bytes that are not UTF-8 read as
// U+FFFD, which the reference drops.
func (m *model) tokenize(s *splitter, dst []uint32, text string) []uint32 {
	for i, r := range text {
		if r >= utf8.RuneSelf {
			dst = m.char(s, dst, m.characters.of(r), r)
			continue
		}
		c := m.characters.ascii[text[i]]
		switch {
		case c > ' ' && c < asciiAlone && s.held == 0:
			s.letter(c)
		case c == 0:
		case c == ' ':
			dst = m.endWord(s, dst)
		case c >= asciiAlone:
			dst = m.endWord(s, dst)
			s.put(rune(c &^ asciiAlone))
			dst = m.endWord(s, dst)
		default:
			s.put(rune(c))
		}
	}
	return m.endWord(s, dst)
}

// char takes in a character of any kind and appends the tokens of the words that
// it ends.
func (m *model) char(s *splitter, dst []uint32, e entry, r rune) []uint32 {
	switch e.kind() {
	case letter:
		s.put(e.rune(r))
	case alone:
		dst = m.endWord(s, dst)
		s.put(e.rune(r))
		dst = m.endWord(s, dst)
	case space:
		dst = m.endWord(s, dst)
	case drop:
	case divide:
		s.settle()
	case mark:
		s.hold(e.rune(r), e.class())
	case long:
		for _, part := range m.characters.long[e.index():][:e.class()] {
			dst = m.char(s, dst, part, 0)
		}
	case hangul:
		s.hangul(r)
	}
	return dst
}

// endWord appends the tokens of the word, if there is one, and begins a new one.
func (m *model) endWord(s *splitter, dst []uint32) []uint32 {
	if s.chars == 0 {
		return dst
	}
	s.settle()
	if s.chars > maxWord {
		dst = append(dst, unknownToken)
	} else {
		dst = m.vocabulary.pieces(dst, s.word[:s.size])
	}
	s.size, s.chars = 0, 0
	return dst
}

// letter appends an ASCII letter, when no marks are held.
func (s *splitter) letter(c byte) {
	if s.chars++; s.chars <= maxWord {
		s.word[s.size] = c
		s.size++
	}
}

// put appends a letter.
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
