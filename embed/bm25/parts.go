package bm25

import (
	"slices"
	"strings"
	"unicode"
)

// chunk counts a word or an identifier, of letters, digits and the joints between
// them: as a whole, and in its parts.
func (c *counter) chunk(run []rune) {
	for _, part := range c.apostrophes(run) {
		names := split(part, '.')
		if len(names) > 1 {
			c.add(lower(part))
		}
		for _, name := range names {
			c.name(name, len(names) == 1)
		}
		if len(names) > 1 && !slices.ContainsFunc(names, countsAsPart) {
			c.length++ // x.y has no other word
		}
	}
}

// apostrophes takes apart what apostrophes join, without what is no word in the
// language: reader's is reader.
func (c *counter) apostrophes(run []rune) [][]rune {
	parts := split(run, '\'')
	if n := len(parts); n > 1 && strings.Contains(c.language.clitics, " "+lower(parts[n-1])+" ") {
		parts = parts[:n-1]
	}
	return parts
}

// countsAsPart reports whether a part of something larger says enough by itself.
func countsAsPart(part []rune) bool { return len(part) > 1 }

// name counts a name without dots. One character counts only if it stands alone.
func (c *counter) name(name []rune, alone bool) {
	words := split(name, '_')
	if len(words) > 1 {
		c.add(lower(name))
		if alone && !slices.ContainsFunc(words, countsAsPart) {
			c.length++
		}
		alone = false
	}
	for _, w := range words {
		if alone || countsAsPart(w) {
			c.compound(w)
		}
	}
}

// compound counts a word, and its parts if capitals and digits show any.
func (c *counter) compound(word []rune) {
	parts := humps(word)
	if len(parts) == 1 {
		c.plain(word)
		return
	}
	c.add(c.whole(word))
	if !slices.ContainsFunc(parts, countsAsPart) {
		c.length++
	}
	for _, p := range parts {
		if countsAsPart(p) {
			c.plain(p)
		}
	}
}

// plain counts a word without inner structure.
func (c *counter) plain(word []rune) {
	if text := lower(word); isNumber(word) {
		c.length++
		c.add(text)
	} else {
		c.word(text)
	}
}

// whole is the form in which a compound counts: the same as that of the word that
// is written without capitals, so that readfile finds ReadFile.
func (c *counter) whole(word []rune) string {
	text := lower(word)
	if slices.ContainsFunc(word, unicode.IsDigit) {
		return text
	}
	if stem, ok := c.language.stemOf(text); ok {
		return stem
	}
	return text
}

func isNumber(word []rune) bool {
	return !slices.ContainsFunc(word, func(r rune) bool { return !unicode.IsDigit(r) })
}

// split cuts a run at a separator, without empty parts.
func split(run []rune, at rune) (parts [][]rune) {
	start := 0
	for i := 0; i <= len(run); i++ {
		if i < len(run) && run[i] != at {
			continue
		}
		if i > start {
			parts = append(parts, run[start:i])
		}
		start = i + 1
	}
	return parts
}

// humps cuts camelCase and letters from digits: readFile, HTTP·Server, utf·8.
func humps(word []rune) (parts [][]rune) {
	start := 0
	for i := 1; i < len(word); i++ {
		if isHump(word, i) {
			parts = append(parts, word[start:i])
			start = i
		}
	}
	return append(parts, word[start:])
}

// isHump reports whether a part begins at i > 0. The s of APIs begins none.
func isHump(word []rune, i int) bool {
	before, here := word[i-1], word[i]
	if unicode.IsDigit(before) != unicode.IsDigit(here) {
		return true
	}
	if !unicode.IsUpper(here) {
		return false
	}
	if !unicode.IsUpper(before) {
		return true
	}
	return i+1 < len(word) && unicode.IsLower(word[i+1]) && (word[i+1] != 's' || i+2 < len(word))
}

// lower returns the lower case of a run; the final sigma of Greek is a sigma.
func lower(run []rune) string {
	var b strings.Builder
	b.Grow(len(run) + 8)
	for _, r := range run {
		if r = unicode.ToLower(r); r == 'ς' {
			r = 'σ'
		}
		b.WriteRune(r)
	}
	return b.String()
}
