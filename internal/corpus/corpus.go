// Package corpus reads documents to ingest: a JSONL file, a folder of Markdown
// and text files, or the doc comments of a Go installation.
//
// Every reader is an iterator over documents and errors. A [BadLine] or a
// [Skipped] is about one piece of the input: the reader has passed over it and
// goes on. Any other error ends the sequence. Ids and order depend on the input
// alone, so that reading the same input again yields the same documents.
package corpus

import (
	"bytes"
	"encoding/json"
	"fmt"
	"iter"
)

// Document is one text to store.
type Document struct {
	ID     string
	Tenant string // empty: none
	Text   string
	Meta   json.RawMessage // a JSON object, or nil
	Vector []float32       // if the input carries its own; its length is the collection's business
	Path   string          // of the file that it comes from; empty: no file of the user's
	Line   int             // where it starts there, from 1
}

// Documents is a sequence of documents. The document is valid where the error
// is nil.
type Documents = iter.Seq2[Document, error]

// BadLine is a piece of the input that is not a document. The reader goes on
// behind it.
type BadLine struct {
	Path string
	Line int // from 1
	Err  error
}

// Error returns "path:line: what is wrong".
func (e *BadLine) Error() string { return fmt.Sprintf("%s:%d: %v", e.Path, e.Line, e.Err) }

// Unwrap returns what is wrong with the line.
func (e *BadLine) Unwrap() error { return e.Err }

// Skipped is a file or folder that the reader leaves out on purpose.
type Skipped struct {
	Path   string
	Reason string
}

// Error returns "path: skipped: reason".
func (e *Skipped) Error() string { return e.Path + ": skipped: " + e.Reason }

// one returns a sequence of a single error.
func one(err error) Documents {
	return func(yield func(Document, error) bool) { yield(Document{}, err) }
}

// metadata encodes a struct of strings and numbers, with its texts as they are.
func metadata(v any) json.RawMessage {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		panic(err) // a defect: strings and numbers can be encoded
	}
	return bytes.TrimSpace(b.Bytes())
}
