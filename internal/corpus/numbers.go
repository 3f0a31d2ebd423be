package corpus

import (
	"bytes"
	"math"
	"strconv"
)

// parseNumbers reads an array that is known to be valid JSON; false where anything in it is no
// number of 32 bits. Numbers are most of a line, and encoding/json takes five times as long over them.
func parseNumbers(array []byte) (numbers []float32, ok bool) {
	if len(array) < 2 || array[0] != '[' {
		return nil, false
	}
	array = array[1 : len(array)-1]
	numbers = make([]float32, 0, 1+bytes.Count(array, []byte{','}))
	for one := range bytes.SplitSeq(array, []byte{','}) {
		x, ok := parseDecimal(one)
		if !ok {
			long, err := strconv.ParseFloat(string(bytes.TrimSpace(one)), 32)
			if err != nil {
				return nil, false
			}
			x = float32(long)
		}
		numbers = append(numbers, x)
	}
	return numbers, true
}

// parseDecimal reads a number of JSON that has at most 15 digits and no exponent, as most are; false
// for the others. Digits and power of ten are exact as float64, so their quotient is the
// float64 next to the number (Clinger, How to Read Floating Point Numbers Accurately, 1990). To
// round it once more, to a float32, is wrong only where it lies in the middle of two: that is left
// to others. So few digits make no number that is too small or large for a float32.
func parseDecimal(text []byte) (float32, bool) {
	digits, negative := text, len(text) > 0 && text[0] == '-'
	if negative {
		digits = text[1:]
	}
	if len(digits) > len(tens) {
		return 0, false
	}
	mantissa, point := uint64(0), len(digits)-1
	for i, c := range digits {
		switch {
		case '0' <= c && c <= '9':
			mantissa = 10*mantissa + uint64(c-'0')
		case c == '.' && point == len(digits)-1:
			point = i
		default:
			return 0, false
		}
	}
	if len(digits) == 0 || mantissa >= 1<<53 {
		return 0, false
	}
	x := float64(mantissa) / tens[len(digits)-1-point]
	const middle, below = 1 << 28, 1<<29 - 1 // of the bits that a float64 has more
	if math.Float64bits(x)&below == middle {
		return 0, false
	}
	if negative {
		x = -x
	}
	return float32(x), true
}

// tens are the powers of ten that are needed; all are exact.
var tens = [...]float64{1, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15}
