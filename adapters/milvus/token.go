package milvus

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"math"
	"math/bits"
	"unicode/utf8"
)

// A token is a scalar as a string: a letter for its type and then text whose byte
// order is the order of the values of that type. Equal values have equal tokens.
const (
	falseToken = "f"
	trueToken  = "t"
	numberType = "n" // followed by a number's text
	stringType = "s" // followed by the string
	hashType   = "h" // followed by the hash of a string that is too long to be kept
)

const (
	maxKept     = 255             // bytes of a string that are kept; of a longer one up to the rune that ends there
	maxOrdered  = maxKept - 3 - 1 // bytes of a string that can be compared by order with all that is kept
	bias        = 0x4000          // makes binary exponents positive
	negative    = "0"             // the first letter of a number
	zero        = "1"             //
	positive    = "2"             //
	mantissaTop = uint64(1) << 63 //
	all64       = math.MaxUint64  // complements a mantissa
	all16       = 1<<16 - 1       // complements an exponent
	numberForm  = "%s%s%04x%016x" // type, sign, exponent, mantissa
	numberAfter = "o"             // behind every token of a number
	stringAfter = "t"             // behind every token of a string
)

// equalToken returns the token by which a scalar of a filter or of the metadata is
// found as equal; false for null.
func equalToken(x any) (string, bool) {
	switch x := x.(type) {
	case bool:
		if x {
			return trueToken, true
		}
		return falseToken, true
	case string:
		if len(x) <= maxKept {
			return stringType + x, true
		}
		sum := sha256.Sum256([]byte(x))
		return hashType + hex.EncodeToString(sum[:]), true
	case int64, uint64, float64:
		return numberToken(x), true
	default:
		return "", false
	}
}

// orderToken returns the token by which a scalar stands in order: that of a long
// string is a part of it. False for what has no order.
func orderToken(x any) (string, bool) {
	switch x := x.(type) {
	case string:
		return stringType + prefix(x), true
	case int64, uint64, float64:
		return numberToken(x), true
	default:
		return "", false
	}
}

// prefix cuts a string behind a whole rune.
func prefix(s string) string {
	if len(s) <= maxKept {
		return s
	}
	n := maxKept
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
		return numberType + zero
	}
	shift := bits.LeadingZeros64(mantissa)
	mantissa <<= shift
	exponent += bias - shift
	if minus {
		return fmt.Sprintf(numberForm, numberType, negative, all16-exponent, all64-mantissa)
	}
	return fmt.Sprintf(numberForm, numberType, positive, exponent, mantissa)
}
