package corpus

import (
	"bytes"
	"math"
	"strconv"
)

// scanNumbers reads the list of numbers that b starts with, and returns what stands behind it;
// false where b starts with something else in JSON, or with a number that no float32 holds.
// Numbers are most of a line, and encoding/json takes ten times as long over them.
func scanNumbers(b []byte) (numbers []float32, rest []byte, ok bool) {
	if len(b) == 0 || b[0] != '[' {
		return nil, nil, false
	}
	numbers = make([]float32, 0, 1+bytes.Count(b[:1+bytes.IndexByte(b, ']')], []byte{','}))
	b = trimSpace(b[1:])
	if len(b) > 0 && b[0] == ']' {
		return numbers, b[1:], true
	}
	for {
		x, size := scanNumber(b)
		if size == 0 {
			return nil, nil, false
		}
		numbers = append(numbers, x)
		b = trimSpace(b[size:])
		switch {
		case len(b) > 0 && b[0] == ',':
			b = trimSpace(b[1:])
		case len(b) > 0 && b[0] == ']':
			return numbers, b[1:], true
		default:
			return nil, nil, false
		}
	}
}

// trimSpace passes over white space as JSON has it.
func trimSpace(b []byte) []byte {
	for len(b) > 0 && (b[0] == ' ' || b[0] == '\t' || b[0] == '\n' || b[0] == '\r') {
		b = b[1:]
	}
	return b
}

// scanNumber reads the number of JSON that b starts with; size 0 where it starts with none, or
// with one that no float32 holds. A number without exponent that has at most 15 digits, as most
// have, is the quotient of its digits and a power of ten, both exact as float64, and so the float64
// next to it (Clinger, How to Read Floating Point Numbers Accurately, 1990). To round that once
// more, to a float32, is wrong only where it lies in the middle of two: that is left to strconv.
func scanNumber(b []byte) (x float32, size int) {
	start := 0
	if len(b) > 0 && b[0] == '-' {
		start = 1
	}
	mantissa, point := scanDigits(b, start, 0)
	if point == start || b[start] == '0' && point > start+1 {
		return 0, 0
	}
	end, places := point, 0
	if end < len(b) && b[end] == '.' {
		mantissa, end = scanDigits(b, point+1, mantissa)
		if places = end - point - 1; places == 0 {
			return 0, 0
		}
	}
	short := end-start <= len(tens) && mantissa < 1e15
	if end < len(b) && b[end]|0x20 == 'e' {
		if end, short = scanExponent(b, end+1), false; end == 0 {
			return 0, 0
		}
	}
	if short {
		exact := float64(mantissa) / tens[places]
		const middle, below = 1 << 28, 1<<29 - 1 // of the bits that a float64 has more
		if math.Float64bits(exact)&below != middle {
			return float32(math.Copysign(exact, float64(1-2*start))), end
		}
	}
	long, err := strconv.ParseFloat(string(b[:end]), 32)
	if err != nil {
		return 0, 0
	}
	return float32(long), end
}

// scanDigits appends the digits of b from i on to a mantissa, which may overflow, and returns
// where they end.
func scanDigits(b []byte, i int, mantissa uint64) (uint64, int) {
	for i < len(b) && b[i]-'0' <= 9 {
		mantissa = 10*mantissa + uint64(b[i]-'0')
		i++
	}
	return mantissa, i
}

// scanExponent returns where the exponent ends whose sign, or first digit, is at i; 0: it is none.
func scanExponent(b []byte, i int) int {
	if i < len(b) && (b[i] == '+' || b[i] == '-') {
		i++
	}
	_, end := scanDigits(b, i, 0)
	if end == i {
		return 0
	}
	return end
}

// tens are the powers of ten that are needed; all are exact.
var tens = [...]float64{1, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15}
