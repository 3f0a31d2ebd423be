package openai

import (
	"fmt"

	"github.com/lanewise/lanewise/embed"
	"github.com/lanewise/lanewise/internal/openaiwire"
)

// answer is the body of a successful call.
type answer struct {
	Data []struct {
		Index     *int              `json:"index"` // some servers leave it out: then the order counts
		Embedding openaiwire.Vector `json:"embedding"`
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
