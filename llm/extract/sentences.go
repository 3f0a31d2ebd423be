package extract

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// Abbreviations, in lower case and without the last point, that do not end a
// sentence; the others only where a number follows.
const (
	abbreviations = " e.g i.e vs cf al approx resp viz ca mr mrs ms dr prof st "
	beforeNumbers = " no fig figs sec sect eq p pp vol ch art par rfc "
)

// Bounds of a sentence that is worth quoting, in characters.
const (
	shortest = 12
	longest  = 480
)

// sentences divides a text into the sentences of its prose and its lists, in
// order, each on one line. Headings, tables and code are left out; a text of
// nothing else yields its first piece of code, cut to the longest sentence.
func sentences(text string) []string {
	var found []string
	all := blocks(text)
	for _, b := range all {
		if b.kind != prose && b.kind != item {
			continue
		}
		for _, s := range divide(b.text) {
			if worthQuoting(s) {
				found = append(found, cut(s, longest))
			}
		}
	}
	if len(found) > 0 {
		return found
	}
	for _, b := range all {
		if b.kind == code && worthQuoting(b.text) {
			return []string{cut(b.text, longest)}
		}
	}
	return nil
}

// divide splits a paragraph on one line into its sentences.
func divide(text string) []string {
	var found []string
	from := 0
	for at := 0; at < len(text); {
		r, size := utf8.DecodeRuneInString(text[at:])
		at += size
		if !terminal(r) {
			continue
		}
		end := at + runOf(text[at:])
		if r == '.' && end == at && abbreviated(text[from:at-1], text[end:]) || !breaks(r, text[end:]) {
			at = end
			continue
		}
		found = append(found, strings.TrimSpace(text[from:end]))
		from, at = end, end
	}
	if rest := strings.TrimSpace(text[from:]); rest != "" {
		found = append(found, rest)
	}
	return found
}

// runOf returns the length of the further ends and closing marks at the front.
func runOf(text string) int {
	return len(text) - len(strings.TrimLeftFunc(text, func(r rune) bool { return terminal(r) || closing(r) }))
}

// breaks reports whether a sentence that ended in r does end before rest: at the
// end of the text, or at a space that no small letter follows.
func breaks(r rune, rest string) bool {
	if rest == "" || wide(r) {
		return true
	}
	if rest[0] != ' ' {
		return false // a decimal point, a version, a qualified name
	}
	next, _ := utf8.DecodeRuneInString(rest[1:])
	return !unicode.IsLower(next)
}

// abbreviated reports whether the point between before and rest belongs to a
// shortened word or an initial.
func abbreviated(before, rest string) bool {
	word := before[strings.LastIndexByte(before, ' ')+1:]
	word = strings.TrimLeft(word, "(\"'[`")
	if r, size := utf8.DecodeRuneInString(word); size == len(word) && unicode.IsUpper(r) {
		return true // J. Smith
	}
	word = " " + strings.ToLower(word) + " "
	if strings.Contains(abbreviations, word) {
		return true
	}
	rest = strings.TrimLeft(rest, " ")
	return rest != "" && rest[0] >= '0' && rest[0] <= '9' && strings.Contains(beforeNumbers, word)
}

// worthQuoting reports whether a sentence can say something by itself: not
// "See also:", not a number.
func worthQuoting(s string) bool {
	letters := 0
	for _, r := range s {
		if unicode.IsLetter(r) {
			letters++
		}
	}
	if strings.ContainsFunc(s, func(r rune) bool { return r > 0x2e7f }) {
		return letters >= shortest/2 // scripts without spaces say more with less
	}
	return letters >= shortest && strings.Count(s, " ") >= 2
}

// cut shortens s to at most so many characters, between words where there are any.
func cut(s string, characters int) string {
	if utf8.RuneCountInString(s) <= characters {
		return s
	}
	kept := string([]rune(s)[:max(characters-2, 0)])
	if i := strings.LastIndexByte(kept, ' '); i > len(kept)/2 {
		kept = kept[:i]
	}
	return strings.TrimRight(kept, " ,;:") + " …"
}
