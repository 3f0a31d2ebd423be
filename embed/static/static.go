package static

import (
	"context"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"

	"github.com/lanewise/lanewise/embed"
	"github.com/lanewise/lanewise/fault"
)

// Dims is the length of every vector.
const Dims = 256

// modelName is the name of the embedding space. It must change whenever
// model.bin does, because vectors of two models cannot be compared.
const modelName = "static"

const (
	block       = 64      // texts embedded between two looks at the context
	keepTokens  = 1 << 16 // a longer token buffer is not kept for the next call
	firstTokens = 512
)

// Provider embeds texts with the built-in model. It is safe for concurrent use
// and needs no closing. Its tables take about 1 MB beside the model itself,
// which stays in the pages of the binary.
type Provider struct {
	model   *model
	scratch sync.Pool // of *scratch
}

var (
	_ embed.Provider    = (*Provider)(nil)
	_ embed.TokenReader = (*Provider)(nil)
)

// scratch is what embedding one text needs and the next one can use again.
type scratch struct {
	split  splitter
	tokens []uint32
	sum    sum
}

// New checks the built-in model and builds its tables, which takes a few
// milliseconds. An error means that the binary is damaged.
func New() (*Provider, error) {
	m, err := readModel(modelFile)
	if err != nil {
		return nil, fmt.Errorf("read the built-in embedding model: %w", err)
	}
	p := &Provider{model: m}
	p.scratch.New = func() any { return &scratch{tokens: make([]uint32, 0, firstTokens)} }
	return p, nil
}

// Space returns the identity of the model's space: 256 dimensions, normalised,
// without prefixes.
func (p *Provider) Space() embed.Space {
	return embed.Space{Model: modelName, Dims: Dims, Normalized: true}
}

// Embed returns a vector of length 1 for each text. A text without a single word
// that the model knows (an empty one, or one in a script that it never saw) has
// the zero vector, whose cosine with anything is 0.
//
// A text may be of any length and counts as a whole; nothing is cut off. Bytes
// that are not UTF-8 are ignored. Queries and documents are embedded alike. A
// bulk batch uses all processors that GOMAXPROCS allows, any other batch one.
// The only errors are that of a context that ends early and, for token ids that
// are none of the model's, fault.Invalid.
func (p *Provider) Embed(ctx context.Context, b embed.Batch) (embed.Vectors, error) {
	if err := p.checkIDs(b.IDs); err != nil {
		return embed.Vectors{}, err
	}
	out := embed.Vectors{Dims: Dims, Data: make([]float32, b.Len()*Dims)}
	lanes := 1
	if b.Bulk {
		lanes = min(runtime.GOMAXPROCS(0), (b.Len()+block-1)/block)
	}
	var next, tokens atomic.Int64
	work := func() {
		for ctx.Err() == nil {
			from := int(next.Add(block)) - block
			if from >= b.Len() {
				return
			}
			to := min(from+block, b.Len())
			tokens.Add(int64(p.embed(b, from, out.Data[from*Dims:to*Dims])))
		}
	}
	var others sync.WaitGroup
	for range lanes - 1 {
		others.Go(work)
	}
	work()
	others.Wait()
	if ctx.Err() != nil {
		return embed.Vectors{}, fmt.Errorf("embed %d texts: %w", b.Len(), context.Cause(ctx))
	}
	out.Tokens = int(tokens.Load())
	return out, nil
}

// ReadsTokens says that texts may come as ids of the model's word pieces.
func (p *Provider) ReadsTokens() {}

// checkIDs refuses ids that the model has no row for.
func (p *Provider) checkIDs(ids [][]uint32) error {
	rows := len(p.model.rows) / Dims
	for i, text := range ids {
		for _, id := range text {
			if int(id) >= rows {
				return fault.New(fault.Invalid, "text %d has the token id %d, but the model has ids below %d", i, id, rows)
			}
		}
	}
	return nil
}

// embed writes the vectors of the batch's texts from a position on to out, as many
// as there is room for, and returns the number of tokens.
func (p *Provider) embed(b embed.Batch, from int, out []float32) int {
	s := p.scratch.Get().(*scratch)
	tokens := 0
	for i := range len(out) / Dims {
		var ids []uint32
		if b.IDs != nil {
			ids = b.IDs[from+i]
		} else {
			ids = p.model.tokenize(&s.split, s.tokens[:0], b.Texts[from+i])
			s.tokens = ids // grown
		}
		tokens += len(ids)
		p.model.vector((*[Dims]float32)(out[i*Dims:]), &s.sum, ids)
	}
	if cap(s.tokens) <= keepTokens {
		p.scratch.Put(s)
	}
	return tokens
}
