package openaiwire

import (
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"math"
	"strconv"
)

// Vector is an embedding, in JSON a list of numbers or, as openai-python asks
// for it, the base64 text of little-endian float32.
type Vector []float32

// UnmarshalJSON reads either form; null, NaN and infinite numbers are errors.
func (v *Vector) UnmarshalJSON(data []byte) error {
	if len(data) > 0 && data[0] == '"' {
		return v.base64(data)
	}
	if len(data) < 2 || data[0] != '[' {
		return fmt.Errorf("an embedding is neither a list nor base64")
	}
	*v = (*v)[:0]
	for rest := data[1:]; ; {
		number, next := numeral(rest)
		if len(number) == 0 {
			if len(*v) == 0 && len(next) > 0 && next[0] == ']' {
				return nil
			}
			return fmt.Errorf("an embedding holds something that is no number")
		}
		f, err := strconv.ParseFloat(string(number), 32) // out of range: ±Inf and an error
		if err != nil {
			return fmt.Errorf("an embedding holds %.20q, which is no float32", number)
		}
		*v = append(*v, float32(f))
		if len(next) == 0 || next[0] != ',' {
			return nil // the ']': encoding/json has validated the syntax
		}
		rest = next[1:]
	}
}

// numeral splits a number and the white space around it from the front of a list.
func numeral(data []byte) (number, rest []byte) {
	start := 0
	for start < len(data) && blank(data[start]) {
		start++
	}
	end := start
	for end < len(data) && !blank(data[end]) && data[end] != ',' && data[end] != ']' {
		end++
	}
	number = data[start:end]
	for end < len(data) && blank(data[end]) {
		end++
	}
	return number, data[end:]
}

func blank(b byte) bool { return b == ' ' || b == '\n' || b == '\t' || b == '\r' }

func (v *Vector) base64(data []byte) error {
	var text string
	if err := json.Unmarshal(data, &text); err != nil {
		return err
	}
	raw, err := base64.StdEncoding.DecodeString(text)
	if err != nil || len(raw)%4 != 0 {
		return fmt.Errorf("an embedding is a string that is not the base64 of float32 numbers")
	}
	*v = make([]float32, len(raw)/4)
	for i := range *v {
		f := math.Float32frombits(binary.LittleEndian.Uint32(raw[4*i:]))
		if math.IsNaN(float64(f)) || math.IsInf(float64(f), 0) {
			return fmt.Errorf("an embedding's number %d is not finite", i)
		}
		(*v)[i] = f
	}
	return nil
}

// MaxVectors bounds the bytes of an answer with vectors: 32 for each number,
// which is more than any server prints, and 1 MiB for what is around them. With
// dims 0 none are known yet.
func MaxVectors(rows, dims int) int64 {
	if dims == 0 {
		dims = 1 << 15
	}
	return int64(rows)*int64(dims+32)*32 + 1<<20
}
