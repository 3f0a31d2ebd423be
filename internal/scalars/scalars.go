// Package scalars writes the values that a filter looks at as texts whose byte order is
// the order of the values, for engines whose own comparisons differ from those of
// [search.Filter].
//
// A token is a letter for the type of a value and then a text. Equal values have equal
// tokens, and only they. The form is part of what is stored: it must not change.
package scalars

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"math"
	"math/bits"
	"unicode/utf8"
)

// The letters that tokens begin with.
const (
	False  = "f" // the whole token
	True   = "t" // the whole token
	Number = "n" // followed by a number's text, 1 or 21 hexadecimal digits
	Text   = "s" // followed by the text
	hashed = "h" // followed by the hash of a text that is too long to be kept
)

// MostKept is how many bytes of a text a token keeps: of a longer one up to the rune
// that ends there. MostOrdered is how many bytes a text may have that is compared by
// order with all that is kept.
const (
	MostKept    = 255
	MostOrdered = MostKept - 3 - 1
)

const (
	bias       = 0x4000          // makes binary exponents positive
	negative   = "0"             // the first letter of a number
	zero       = "1"             //
	positive   = "2"             //
	all64      = math.MaxUint64  // complements a mantissa
	all16      = 1<<16 - 1       // complements an exponent
	numberForm = "%s%s%04x%016x" // type, sign, exponent, mantissa
)

// Equal returns the token by which a scalar, as search.Value.Any gives it, is found as
// equal; false for null.
func Equal(x any) (string, bool) {
	switch x := x.(type) {
	case bool:
		if x {
			return True, true
		}
		return False, true
	case string:
		if len(x) <= MostKept {
			return Text + x, true
		}
		sum := sha256.Sum256([]byte(x))
		return hashed + hex.EncodeToString(sum[:]), true
	case int64, uint64, float64:
		return numberToken(x), true
	default:
		return "", false
	}
}

// Order returns the token by which a scalar stands in order: that of a long text is a
// part of it. False for what has no order.
func Order(x any) (string, bool) {
	switch x := x.(type) {
	case string:
		return Text + prefix(x), true
	case int64, uint64, float64:
		return numberToken(x), true
	default:
		return "", false
	}
}

// prefix cuts a string behind a whole rune.
func prefix(s string) string {
	if len(s) <= MostKept {
		return s
	}
	n := MostKept
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n]
}

// numberToken writes an int64, uint64 or finite float64 exactly: sign, binary
// exponent and a mantissa of 64 bits that begins with a one, the latter two
// complemented for a negative number.
func numberToken(x any) string {
	var exponent int
	var mantissa uint64
	var minus bool
	switch x := x.(type) {
	case int64:
		minus = x < 0
		mantissa = uint64(max(x, -x)) //nolint:gosec // the magnitude; -2^63 is its own negative, and 2^63 as bits
	case uint64:
		mantissa = x
	case float64:
		minus = x < 0
		fraction, e := math.Frexp(math.Abs(x))
		mantissa, exponent = uint64(math.Ldexp(fraction, 64)), e-64 // below 2^64, for the fraction is below 1 by 2^-53
	}
	if mantissa == 0 {
		return Number + zero
	}
	shift := bits.LeadingZeros64(mantissa)
	mantissa <<= shift
	exponent += bias - shift
	if minus {
		return fmt.Sprintf(numberForm, Number, negative, all16-exponent, all64-mantissa)
	}
	return fmt.Sprintf(numberForm, Number, positive, exponent, mantissa)
}
