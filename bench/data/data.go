// Package data reads, draws and writes sets of vectors and of queries for benchmarks:
// JSON lines, fvecs and bvecs (http://corpus-texmex.irisa.fr), and NumPy's npy, versions 1 and 2.
package data

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/lanewise/lanewise/fault"
)

// Query is one query of a set: a text or a vector.
type Query struct {
	ID     string    `json:"id,omitempty"`
	Text   string    `json:"text,omitempty"`
	Vector []float32 `json:"vector,omitempty"`
}

// Queries reads a set by its file's ending: .jsonl (an object with "text" or "vector" a line, BEIR's queries included), .fvecs,
// .bvecs or .npy. A set that is empty, or that cannot be read, is fault.Invalid with the file and, in JSON lines, the line.
func Queries(path string) ([]Query, error) {
	if ext(path) != ".jsonl" {
		rows, err := Vectors(path)
		if err != nil {
			return nil, err
		}
		queries := make([]Query, len(rows))
		for i, v := range rows {
			queries[i].Vector = v
		}
		return queries, nil
	}
	file, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("read queries: %w", err)
	}
	defer file.Close()
	return lines(path, file)
}

func lines(path string, from io.Reader) (queries []Query, err error) {
	in := bufio.NewScanner(from)
	in.Buffer(nil, 16<<20)
	for n := 1; in.Scan(); n++ {
		if strings.TrimSpace(in.Text()) == "" {
			continue
		}
		var q Query
		switch err := json.Unmarshal(in.Bytes(), &q); {
		case err != nil:
			return nil, fault.New(fault.Invalid, "%s:%d: %v", path, n, err)
		case (q.Text == "") == (len(q.Vector) == 0):
			return nil, fault.New(fault.Invalid, `%s:%d: must have either "text" or "vector"`, path, n)
		}
		queries = append(queries, q)
	}
	if err := in.Err(); err != nil {
		return nil, fault.New(fault.Invalid, "%s: %v", path, err)
	}
	if len(queries) == 0 {
		return nil, errEmpty(path)
	}
	return queries, nil
}

// Vectors reads all rows of an .fvecs, .bvecs or .npy file; they have the same dims. Errors are as those of Queries.
func Vectors(path string) (rows [][]float32, err error) {
	read := map[string]func(*bufio.Reader) ([][]float32, error){".fvecs": fvecs, ".bvecs": bvecs, ".npy": npy}[ext(path)]
	switch {
	case ext(path) == ".hdf5" || ext(path) == ".h5":
		return nil, fault.New(fault.Invalid, "%s: HDF5 is not read; convert it: python3 -c \"import h5py, numpy; "+
			"numpy.save('queries.npy', h5py.File('%s')['test'][:])\"", path, filepath.Base(path))
	case read == nil:
		return nil, fault.New(fault.Invalid, "%s: the name must end in .jsonl, .fvecs, .bvecs or .npy", path)
	}
	file, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("read vectors: %w", err)
	}
	defer file.Close()
	if rows, err = read(bufio.NewReaderSize(file, 1<<20)); err != nil {
		return nil, fault.New(fault.Invalid, "%s: %v", path, err)
	}
	if len(rows) == 0 {
		return nil, errEmpty(path)
	}
	return rows, nil
}

func ext(path string) string { return strings.ToLower(filepath.Ext(path)) }

func errEmpty(path string) error { return fault.New(fault.Invalid, "%s holds no query", path) }
