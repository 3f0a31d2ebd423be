package extract

import (
	"math"
	"strings"
	"unicode"
)

// cover returns, for each sentence, the share of the question's words that it
// has, from 0 to 1. A word weighs the more the fewer of the sentences have it, as
// in BM25 (Robertson and Zaragoza, 2009), so no list of stop words is needed;
// words that no sentence has weigh nothing.
func cover(question string, sentences []string) []float64 {
	found := map[string][]int{} // sentences that have the word
	for _, w := range words(question) {
		found[w] = nil
	}
	for i, s := range sentences {
		for _, w := range words(s) {
			if in, asked := found[w]; asked && (len(in) == 0 || in[len(in)-1] != i) {
				found[w] = append(in, i)
			}
		}
	}
	shares := make([]float64, len(sentences))
	total := 0.0
	for _, w := range words(question) { // in order: sums of floats depend on it
		in := found[w]
		delete(found, w) // each word once
		if len(in) == 0 {
			continue
		}
		n, df := float64(len(sentences)), float64(len(in))
		weight := math.Log(1 + (n-df+0.5)/(df+0.5))
		total += weight
		for _, i := range in {
			shares[i] += weight
		}
	}
	for i := range shares {
		if total > 0 {
			shares[i] /= total
		}
	}
	return shares
}

// words returns the words of a text in small letters, without the commonest
// English endings; a name such as ReadLine is its parts.
func words(text string) []string {
	var list []string
	var word strings.Builder
	flush := func() {
		if word.Len() > 0 {
			list = append(list, stem(strings.ToLower(word.String())))
			word.Reset()
		}
	}
	small := false // the last rune was a small letter
	for _, r := range text {
		if !unicode.IsLetter(r) && !unicode.IsNumber(r) || small && unicode.IsUpper(r) {
			flush()
		}
		if unicode.IsLetter(r) || unicode.IsNumber(r) {
			word.WriteRune(r)
		}
		small = unicode.IsLower(r)
	}
	flush()
	return list
}

// stem drops one ending, as long as three letters are left.
func stem(word string) string {
	for _, ending := range []string{"ing", "ed", "es", "s"} {
		if short, ok := strings.CutSuffix(word, ending); ok && len(short) >= 3 {
			return short
		}
	}
	return word
}
