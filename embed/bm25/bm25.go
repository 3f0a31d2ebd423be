// Package bm25 turns texts into sparse vectors of their words, so that the inner
// product of a query's and a document's vector is the BM25 score (Robertson and
// Zaragoza, The Probabilistic Relevance Framework: BM25 and Beyond, 2009).
//
// The document's side is the part of the formula that a document knows by itself,
// with k1 = 1.2 and b = 0.75:
//
//	tf (k1 + 1) / (tf + k1 (1 - b + b length / AvgLen))
//
// The query's side is how rare a term is among all documents, [IDF]. It needs
// statistics of the whole collection (search.TermStats, summed over its shards), so
// that a score does not depend on how the documents are spread. Length counts words
// without stop words; AvgLen is a setting and not a measurement, because a
// document's vector must not change when others arrive.
//
// # Words
//
// A text is brought into Unicode's form NFKC and lower case. Words are runs of
// letters, digits and marks; characters that only format (soft hyphens, marks of
// direction, joiners) and the vowel points of Hebrew and Arabic are passed over.
// Everything else, control characters among it, ends a word. Numbers are words.
//
// Identifiers count whole and in parts: io.ReadFile is io.readfile, io, readfile,
// read and file; read_file is read_file, read and file; HTTPServer is httpserver,
// http and server; v2 and x.y, whose parts are single characters, count whole only.
// Scripts that are written without spaces (Han, kana, Hangul, Thai, Lao, Khmer,
// Myanmar) count as overlapping pairs of characters, or as the one character of a
// run of one.
//
// With a language, its stop words are left out and other words stand for their
// stem (the Snowball stemmers of github.com/kljensen/snowball). Without, words
// count as they are.
//
// # Terms
//
// The dimension of a term is the 64-bit FNV-1a hash of its UTF-8, folded to 32 bits
// by XOR. It is stable: stored vectors depend on it. Two stems that share a hash
// count as the same word; among a million stems there are about 120 such pairs.
package bm25

import (
	"cmp"
	"math"
	"slices"

	"github.com/lanewise/lanewise/fault"
	"github.com/lanewise/lanewise/search"
)

// The constants of the formula.
const (
	k1 = 1.2
	b  = 0.75
)

const (
	// DefaultAvgLen is the AvgLen of a collection that states none, in words.
	DefaultAvgLen = 100
	// MaxTerms is how many different terms of a query count, the first ones.
	MaxTerms = 256
)

// Config says how texts become terms. Queries and documents of a collection need
// the same.
type Config struct {
	Language string // ISO 639-1: one of Languages; empty: no stemming and no stop words
	AvgLen   int    // words of a typical text; 0: DefaultAvgLen
}

// Encoder turns texts into sparse vectors. Safe for concurrent use.
type Encoder struct {
	language language
	avgLen   float64
}

// New returns an encoder. A language without a stemmer and a negative AvgLen are
// fault.Invalid.
func New(c Config) (*Encoder, error) {
	l, err := languageOf(c.Language)
	if err != nil {
		return nil, err
	}
	if c.AvgLen < 0 {
		return nil, fault.BadField("/avg_len", "is %d, it must be at least 1", c.AvgLen)
	}
	return &Encoder{language: l, avgLen: float64(cmp.Or(c.AvgLen, DefaultAvgLen))}, nil
}

// Document returns the vector of a text that is to be stored: empty if it has no
// words.
func (e *Encoder) Document(text string) search.Sparse {
	c := counter{language: e.language, terms: map[uint32]int{}}
	c.read(text)
	norm := k1 * (1 - b + b*float64(c.words())/e.avgLen)
	return c.vector(func(tf float64) float32 { return float32(tf * (k1 + 1) / (tf + norm)) })
}

// Query returns the terms of a query with the number of their occurrences: empty if
// the query has no words but stop words. [Encoder.Weigh] makes it a vector to search
// with. At most the first [MaxTerms] different terms count, so that no query costs
// more than that, however long.
func (e *Encoder) Query(text string) search.Sparse {
	c := counter{language: e.language, terms: map[uint32]int{}, most: MaxTerms}
	c.read(text)
	return c.vector(func(tf float64) float32 { return float32(tf) })
}

// Length returns the number of words of a text, as AvgLen means them.
func (e *Encoder) Length(text string) int {
	c := counter{language: e.language, terms: map[uint32]int{}}
	c.read(text)
	return c.words()
}

// Weigh returns the terms of a query with their weights: each count times [IDF].
// The statistics are those of terms.Index, in that order; others are fault.Invalid.
func (e *Encoder) Weigh(terms search.Sparse, stats search.TermStats) (search.Sparse, error) {
	if len(terms.Index) != len(terms.Value) || len(terms.Index) != len(stats.Counts) {
		return search.Sparse{}, fault.New(fault.Invalid, "a query of %d terms is weighed by the statistics of %d", len(terms.Index), len(stats.Counts))
	}
	weights := make([]float32, len(terms.Value))
	for i, n := range terms.Value {
		weights[i] = float32(float64(n) * IDF(stats.Docs, stats.Counts[i]))
	}
	return search.Sparse{Index: slices.Clone(terms.Index), Value: weights}, nil
}

// IDF is the weight of a term that df of docs documents have:
// ln(1 + (docs - df + 0.5) / (df + 0.5)), with df clamped to docs. It is always
// above 0.
func IDF(docs, df uint64) float64 {
	df = min(df, docs) // counts may be of a later moment than the number of documents
	return math.Log1p((float64(docs-df) + 0.5) / (float64(df) + 0.5))
}

// vector returns the terms that were counted, by rising dimension.
func (c *counter) vector(weight func(tf float64) float32) search.Sparse {
	if len(c.terms) == 0 {
		return search.Sparse{}
	}
	v := search.Sparse{Index: make([]uint32, 0, len(c.terms)), Value: make([]float32, len(c.terms))}
	for term := range c.terms {
		v.Index = append(v.Index, term)
	}
	slices.Sort(v.Index)
	for i, term := range v.Index {
		v.Value[i] = weight(float64(c.terms[term]))
	}
	return v
}

// termOf is the dimension of a stem: FNV-1a (Fowler, Noll, Vo, 1991) in 64 bits,
// folded.
func termOf(stem string) uint32 {
	h := uint64(0xcbf29ce484222325)
	for i := range len(stem) {
		h = (h ^ uint64(stem[i])) * 0x100000001b3
	}
	return uint32(h>>32) ^ uint32(h) //nolint:gosec // the lower half
}
