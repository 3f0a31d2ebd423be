package openai

import (
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"math"
	"strconv"

	"github.com/lanewise/lanewise/embed"
)

// answer is the body of a successful call.
type answer struct {
	Data []struct {
		Index     *int   `json:"index"` // some servers leave it out: then the order counts
		Embedding vector `json:"embedding"`
	} `json:"data"`
	Usage struct {
		PromptTokens int `json:"prompt_tokens"`
		TotalTokens  int `json:"total_tokens"`
	} `json:"usage"`
}

// vectors puts the rows in order. Each of the rows must be there once, with dims
// finite numbers; dims 0 accepts any length that all rows share.
func (a *answer) vectors(rows, dims int) (embed.Vectors, error) {
	if len(a.Data) != rows {
		return embed.Vectors{}, fmt.Errorf("%d vectors for %d texts", len(a.Data), rows)
	}
	if dims == 0 {
		dims = len(a.Data[0].Embedding)
	}
	v := embed.Vectors{Dims: dims, Data: make([]float32, rows*dims), Tokens: max(a.Usage.PromptTokens, a.Usage.TotalTokens, 0)}
	seen := make([]bool, rows)
	for at, d := range a.Data {
		if d.Index != nil {
			at = *d.Index
		}
		switch {
		case at < 0 || at >= rows || seen[at]:
			return embed.Vectors{}, fmt.Errorf("index %d is out of range or there twice", at)
		case len(d.Embedding) != dims || dims == 0:
			return embed.Vectors{}, fmt.Errorf("vector %d has %d dims, not %d", at, len(d.Embedding), dims)
		}
		seen[at] = true
		copy(v.Row(at), d.Embedding)
	}
	return v, nil
}

// vector is an embedding, in JSON a list of numbers or, as openai-python asks
// for it, the base64 text of little-endian float32.
type vector []float32

// UnmarshalJSON reads either form; null, NaN and infinite numbers are errors.
func (v *vector) UnmarshalJSON(data []byte) error {
	if len(data) > 0 && data[0] == '"' {
		return v.base64(data)
	}
	if len(data) < 2 || data[0] != '[' {
		return fmt.Errorf("an embedding is neither a list nor base64")
	}
	*v = (*v)[:0]
	for rest := data[1:]; ; {
		number, next := token(rest)
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

// token splits a number and the white space around it from the front of a list.
func token(data []byte) (number, rest []byte) {
	start := 0
	for start < len(data) && space(data[start]) {
		start++
	}
	end := start
	for end < len(data) && !space(data[end]) && data[end] != ',' && data[end] != ']' {
		end++
	}
	number = data[start:end]
	for end < len(data) && space(data[end]) {
		end++
	}
	return number, data[end:]
}

func space(b byte) bool { return b == ' ' || b == '\n' || b == '\t' || b == '\r' }

func (v *vector) base64(data []byte) error {
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
