package wire

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"math"
	"strconv"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/lanewise/lanewise/fault"
	"github.com/lanewise/lanewise/search"
)

// Vector is a dense vector. It is read from a list of numbers or from a base64
// string (standard alphabet, padded) of little-endian float32, and written as a
// list. Every number must fit a float32; NaN and infinities are refused.
type Vector []float32

// UnmarshalJSONFrom reads a vector without decoding its numbers one by one
// through the library.
func (v *Vector) UnmarshalJSONFrom(d *jsontext.Decoder) error {
	raw, err := d.ReadValue()
	if err != nil {
		return err //nolint:wrapcheck // the library's own error, which it completes
	}
	return v.parse(raw)
}

// UnmarshalJSON is for users of encoding/json.
func (v *Vector) UnmarshalJSON(raw []byte) error { return v.parse(raw) }

// MarshalJSONTo writes the vector as a list of numbers.
func (v Vector) MarshalJSONTo(e *jsontext.Encoder) error {
	raw, err := v.MarshalJSON()
	if err != nil {
		return err
	}
	return e.WriteValue(raw) //nolint:wrapcheck // the library's own error, which it completes
}

// MarshalJSON writes the vector as a list of numbers.
func (v Vector) MarshalJSON() ([]byte, error) {
	out := make([]byte, 0, 2+12*len(v))
	out = append(out, '[')
	for i, x := range v {
		if !finite(float64(x)) {
			return nil, fault.BadField("/"+strconv.Itoa(i), "is not a finite number")
		}
		if i > 0 {
			out = append(out, ',')
		}
		out = jsontext.AppendFloat(out, float64(x), 32)
	}
	return append(out, ']'), nil
}

// parse reads valid JSON.
func (v *Vector) parse(raw []byte) (err error) {
	switch raw[0] {
	case 'n':
		*v = nil
	case '"':
		*v, err = parseBase64(raw)
	case '[':
		*v, err = parseNumbers(raw[1:])
	default:
		err = fault.BadField("", "must be a list of numbers or a base64 string of float32")
	}
	return err
}

// parseNumbers reads a list behind its opening bracket.
func parseNumbers(raw []byte) ([]float32, error) {
	out := make([]float32, 0, bytes.Count(raw, []byte{','})+1)
	for i := 0; ; {
		for isSeparator(raw[i]) {
			i++
		}
		if raw[i] == ']' {
			return out, nil
		}
		start := i
		for raw[i] != ']' && !isSeparator(raw[i]) {
			i++
		}
		x, err := parseFloat32(raw[start:i])
		if err != nil {
			return nil, fault.BadField("/"+strconv.Itoa(len(out)), "%v", err)
		}
		out = append(out, x)
	}
}

func isSeparator(c byte) bool { return c == ',' || c == ' ' || c == '\n' || c == '\t' || c == '\r' }

func parseFloat32(number []byte) (float32, error) {
	if c := number[0]; c != '-' && (c < '0' || c > '9') {
		return 0, errors.New("must be a number")
	}
	x, err := strconv.ParseFloat(string(number), 32)
	if err != nil {
		return 0, errors.New("is out of the range of a float32")
	}
	return float32(x), nil
}

// parseBase64 reads a quoted string.
func parseBase64(quoted []byte) ([]float32, error) {
	raw, err := decodeBase64(quoted)
	if err != nil {
		return nil, err
	}
	if len(raw)%4 != 0 {
		return nil, fault.BadField("", "must hold 4 bytes for each float32, holds %d", len(raw))
	}
	out := make([]float32, len(raw)/4)
	for i := range out {
		out[i] = math.Float32frombits(binary.LittleEndian.Uint32(raw[4*i:]))
		if !finite(float64(out[i])) {
			return nil, fault.BadField("", "number %d is not finite", i)
		}
	}
	return out, nil
}

// decodeBase64 reads a quoted string.
func decodeBase64(quoted []byte) ([]byte, error) {
	text := quoted[1 : len(quoted)-1]
	if bytes.IndexByte(text, '\\') >= 0 { // some encoders write "/" as "\/"
		unquoted, err := jsontext.AppendUnquote(nil, quoted)
		if err != nil {
			return nil, fault.BadField("", "not a valid string")
		}
		text = unquoted
	}
	raw := make([]byte, base64.StdEncoding.DecodedLen(len(text)))
	n, err := base64.StdEncoding.Strict().Decode(raw, text)
	if err != nil || bytes.IndexByte(text, '\n') >= 0 || bytes.IndexByte(text, '\r') >= 0 {
		return nil, fault.BadField("", "must be base64 (standard alphabet, padded)")
	}
	return raw[:n], nil
}

func finite(x float64) bool { return !math.IsNaN(x) && !math.IsInf(x, 0) }

// Sparse is a sparse vector: values[i] stands at dimension indices[i]. Indices
// are strictly increasing.
type Sparse struct {
	Indices []uint32 `json:"indices"`
	Values  Vector   `json:"values"`
}

// check names the field inside the vector at pointer at.
func (s *Sparse) check(at string) error {
	if s == nil {
		return nil
	}
	if len(s.Indices) != len(s.Values) {
		return fault.BadField(at, "has %d indices and %d values", len(s.Indices), len(s.Values))
	}
	for i := 1; i < len(s.Indices); i++ {
		if s.Indices[i] <= s.Indices[i-1] {
			return fault.BadField(at+"/indices/"+strconv.Itoa(i), "indices must increase strictly")
		}
	}
	return nil
}

// Vector returns s as package search has it.
func (s *Sparse) Vector() search.Sparse {
	if s == nil {
		return search.Sparse{}
	}
	return search.Sparse{Index: s.Indices, Value: s.Values}
}
