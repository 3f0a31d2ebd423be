package bm25

import (
	"maps"
	"slices"
	"strings"
	"sync/atomic"

	"github.com/kljensen/snowball/english"
	"github.com/kljensen/snowball/french"
	"github.com/kljensen/snowball/hungarian"
	"github.com/kljensen/snowball/norwegian"
	"github.com/kljensen/snowball/russian"
	"github.com/kljensen/snowball/spanish"
	"github.com/kljensen/snowball/swedish"

	"github.com/lanewise/lanewise/fault"
)

// language is how the words of a language are told apart from its function words
// and brought to their stem. The zero language leaves words as they are.
type language struct {
	stop func(word string) bool
	stem func(word string, stopWords bool) string
	// clitics are what an apostrophe splits off a word's end without being a word.
	clitics string
	// known remembers stems: most words of a text are common ones, and to stem one
	// takes longer than all the rest. Each place holds one word, the last that fell
	// there.
	known []atomic.Pointer[stemmed]
}

// stemmed is a word with its stem, or without one if it is a stop word.
type stemmed struct{ word, stem string }

// knownStems is how many words are remembered. A power of two.
const knownStems = 1 << 13

// languages are those that the stemmers know, by ISO 639-1.
func languages() map[string]language {
	norsk := language{stop: norwegian.IsStopWord, stem: norwegian.Stem}
	return map[string]language{
		"en": {stop: english.IsStopWord, stem: english.Stem, clitics: " s t d m re ve ll "},
		"es": {stop: spanish.IsStopWord, stem: spanish.Stem},
		"fr": {stop: french.IsStopWord, stem: french.Stem},
		"hu": {stop: hungarian.IsStopWord, stem: hungarian.Stem},
		"nb": norsk, "nn": norsk, "no": norsk,
		"ru": {stop: russian.IsStopWord, stem: russian.Stem},
		"sv": {stop: swedish.IsStopWord, stem: swedish.Stem},
	}
}

// Languages lists the languages that have a stemmer, by their ISO 639-1 codes.
func Languages() []string { return slices.Sorted(maps.Keys(languages())) }

func languageOf(code string) (language, error) {
	if code == "" {
		return language{}, nil
	}
	l, ok := languages()[code]
	if !ok {
		return l, fault.BadField("/language", "there is no stemmer for %q; use one of %s, or none to count words as they are",
			code, strings.Join(Languages(), ", "))
	}
	l.known = make([]atomic.Pointer[stemmed], knownStems)
	return l, nil
}

// longestStem is in bytes: what is longer is no word of a language.
const longestStem = 64

// stemOf returns the form that a word counts as, and whether it counts at all.
func (l language) stemOf(word string) (string, bool) {
	if l.stem == nil || len(word) > longestStem {
		return word, true
	}
	place := &l.known[termOf(word)%knownStems]
	x := place.Load()
	if x == nil || x.word != word {
		x = &stemmed{word: strings.Clone(word)}
		if !l.stop(word) {
			x.stem = l.stem(word, false)
		}
		place.Store(x)
	}
	return x.stem, x.stem != ""
}
