package static

import (
	"fmt"
	"strings"
)

const (
	inner    = "##" // begins the name of a piece that continues a word
	maxPiece = 32   // bytes; the longest piece of the model has 18

	hashStart = 14695981039346656037 // FNV-1a, 64 bits
	hashPrime = 1099511628211
	hashInner = 0x9E3779B97F4A7C15 // sets the continuing pieces apart
)

// vocabulary finds word pieces. It is an open hash table over the text of all
// tokens; a slot holds 32 bits of the hash and the token's id plus 1.
type vocabulary struct {
	text  string
	ends  []uint32 // in text, by id
	slots []uint64
}

// newVocabulary reads the tokens, each followed by a newline, in order of their ids.
func newVocabulary(text string, tokens int) (*vocabulary, error) {
	size := 1
	for size < 2*tokens {
		size *= 2
	}
	v := &vocabulary{text: text, ends: make([]uint32, 0, tokens), slots: make([]uint64, size)}
	for at := 0; at < len(text); {
		n := strings.IndexByte(text[at:], '\n')
		if n < 0 || n > maxPiece || len(v.ends) == tokens {
			return nil, fmt.Errorf("%w: vocabulary at byte %d", errDamaged, at)
		}
		v.ends = append(v.ends, uint32(at+n))
		v.insert(uint32(len(v.ends)-1), text[at:at+n])
		at += n + 1
	}
	if len(v.ends) != tokens {
		return nil, fmt.Errorf("%w: %d tokens instead of %d", errDamaged, len(v.ends), tokens)
	}
	return v, nil
}

// insert puts a token into the table.
func (v *vocabulary) insert(id uint32, token string) {
	piece, isInner := strings.CutPrefix(token, inner)
	h := hashOf(isInner)
	for i := range len(piece) {
		h = (h ^ uint64(piece[i])) * hashPrime
	}
	mask := uint64(len(v.slots) - 1)
	at := h & mask
	for v.slots[at] != 0 {
		at = (at + 1) & mask
	}
	v.slots[at] = h>>32<<32 | uint64(id+1)
}

// hashOf returns the hash of an empty piece.
func hashOf(isInner bool) uint64 {
	if isInner {
		return hashStart ^ hashInner
	}
	return hashStart
}

// name returns the text of a token.
func (v *vocabulary) name(id uint32) string {
	from := uint32(0)
	if id > 0 {
		from = v.ends[id-1] + 1
	}
	return v.text[from:v.ends[id]]
}

// find returns the token that is piece, whose hash is h.
func (v *vocabulary) find(piece []byte, h uint64, isInner bool) (id uint32, ok bool) {
	mask := uint64(len(v.slots) - 1)
	for at := h & mask; v.slots[at] != 0; at = (at + 1) & mask {
		slot := v.slots[at]
		if slot>>32 != h>>32 {
			continue
		}
		id := uint32(slot) - 1
		if name, is := strings.CutPrefix(v.name(id), inner); is == isInner && name == string(piece) {
			return id, true
		}
	}
	return 0, false
}

// longest returns the longest token that begins rest, and its length in bytes;
// 0 if there is none. It looks at no more than maxPiece bytes. Lengths that end
// inside a character find nothing, because no token does.
func (v *vocabulary) longest(rest []byte, isInner bool) (id uint32, size int) {
	var hashes [maxPiece]uint64 // of the beginnings of rest
	h := hashOf(isInner)
	limit := min(len(rest), maxPiece)
	for i, c := range rest[:limit] {
		h = (h ^ uint64(c)) * hashPrime
		hashes[i] = h
	}
	for n := limit; n > 0; n-- {
		if id, ok := v.find(rest[:n], hashes[n-1], isInner); ok {
			return id, n
		}
	}
	return 0, 0
}

// pieces appends the tokens of a word: always the longest that fits (WordPiece;
// M. Schuster and K. Nakajima, ICASSP 2012). A word that cannot be put together
// is one unknown token.
func (v *vocabulary) pieces(dst []uint32, word []byte) []uint32 {
	before := len(dst)
	for at := 0; at < len(word); {
		id, n := v.longest(word[at:], at > 0)
		if n == 0 {
			return append(dst[:before], unknownToken)
		}
		dst = append(dst, id)
		at += n
	}
	return dst
}
