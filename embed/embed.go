// Package embed turns texts into vectors: a balanced lane over providers that
// all embed into one [Space].
package embed

import "context"

// Space is the identity of an embedding space. Vectors of different spaces
// cannot be compared, so pools and collections carry it and failover stays
// inside it. It does not include the number format.
type Space struct {
	Model      string
	Revision   string // asserted by the operator; empty: none
	Dims       int
	Normalized bool // vectors have length 1
	// Prefixes that the provider puts before a query and before a document.
	QueryPrefix, DocumentPrefix string
}

// Task is what a text is embedded for; some models treat the two differently.
type Task string

// The tasks.
const (
	QueryTask    Task = "query"
	DocumentTask Task = "document"
)

// Batch is a list of texts to embed.
type Batch struct {
	Texts []string
	// IDs are the texts as ids of the model's own tokens, instead of Texts, for
	// providers that are a [TokenReader]. No prefix is put before them.
	IDs  [][]uint32
	Task Task
	Bulk bool // ingestion: gives way to single queries
}

// Len returns the number of texts, in either form.
func (b Batch) Len() int {
	if b.IDs != nil {
		return len(b.IDs)
	}
	return len(b.Texts)
}

// Vectors holds one row of Dims numbers for each text: row i is Data[i*Dims:(i+1)*Dims].
type Vectors struct {
	Dims   int
	Data   []float32
	Tokens int // used by the batch, as the upstream counts or as estimated

	// Truncated lists the rows whose texts were longer than the model's window, so
	// that only their beginning was embedded.
	Truncated []int
}

// Rows returns the number of vectors.
func (v Vectors) Rows() int {
	if v.Dims == 0 {
		return 0
	}
	return len(v.Data) / v.Dims
}

// Row returns vector i. It shares v's memory and cannot grow into the next row.
func (v Vectors) Row(i int) []float32 { return v.Data[i*v.Dims : (i+1)*v.Dims : (i+1)*v.Dims] }

// TokenReader is a provider that also takes [Batch.IDs].
type TokenReader interface{ ReadsTokens() }

// Provider embeds texts, all into one space. Safe for concurrent use.
type Provider interface {
	Space() Space
	Embed(ctx context.Context, b Batch) (Vectors, error)
}
