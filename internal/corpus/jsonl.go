package corpus

import (
	"bufio"
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"strings"
	"unicode/utf8"

	strict "github.com/go-json-experiment/json"
)

// maxLine is the longest line of a JSONL file, in bytes.
const maxLine = 16 << 20

// maxID is the longest id of a document, in bytes.
const maxID = 512

var errLongLine = fmt.Errorf("line is longer than %d MiB", maxLine>>20)

// JSONLFile reads a file as [JSONL] does. The path "-" stands for stdin.
func JSONLFile(path string, stdin io.Reader) Documents {
	if path == "-" {
		return JSONL("stdin", stdin)
	}
	return func(yield func(Document, error) bool) {
		f, err := os.Open(path) //nolint:gosec // the file that the user names
		if err != nil {
			yield(Document{}, err)
			return
		}
		defer f.Close() //nolint:errcheck // only read
		JSONL(path, f)(yield)
	}
}

// JSONL reads one document a line: {"id": "a", "text": "…", "metadata": {…},
// "vector": […], "tenant": "…"}. An id and at least one of text and vector are
// needed; a vector is an array of numbers or the base64 of little-endian
// float32. Unknown fields are errors of their line, blank lines are passed over.
func JSONL(name string, r io.Reader) Documents {
	return func(yield func(Document, error) bool) {
		lines := bufio.NewReaderSize(r, 64<<10)
		for number := 1; ; number++ {
			line, err := readLine(lines)
			if err != nil && !errors.Is(err, errLongLine) {
				if !errors.Is(err, io.EOF) {
					yield(Document{}, fmt.Errorf("%s:%d: %w", name, number, err))
				}
				return
			}
			if number == 1 {
				line = bytes.TrimPrefix(line, []byte("\ufeff"))
			}
			if err == nil && len(bytes.TrimSpace(line)) == 0 {
				continue
			}
			if !yield(parseLine(name, number, line, err)) {
				return
			}
		}
	}
}

func parseLine(name string, number int, line []byte, err error) (Document, error) {
	var d Document
	if err == nil {
		d, err = parseDocument(line)
	}
	if err != nil {
		return Document{}, &BadLine{Path: name, Line: number, Err: err}
	}
	d.Path, d.Line = name, number
	return d, nil
}

// readLine returns the next line, which is valid until the next call. A line
// that is too long is read to its end and reported as errLongLine.
func readLine(r *bufio.Reader) ([]byte, error) {
	var long []byte
	for {
		part, err := r.ReadSlice('\n')
		switch {
		case len(long)+len(part) > maxLine:
			return nil, skipLine(r, err)
		case errors.Is(err, bufio.ErrBufferFull):
			long = append(long, part...)
			continue
		case err != nil && (!errors.Is(err, io.EOF) || len(part)+len(long) == 0):
			return nil, err
		case long != nil:
			return append(long, part...), nil
		}
		return part, nil
	}
}

// skipLine reads to the end of a line whose last part came with err.
func skipLine(r *bufio.Reader, err error) error {
	for errors.Is(err, bufio.ErrBufferFull) {
		_, err = r.ReadSlice('\n')
	}
	return errLongLine // the end of the file comes again with the next read
}

// record is a line as it is written.
type record struct {
	ID       *string         `json:"id"`
	Tenant   string          `json:"tenant"`
	Text     string          `json:"text"`
	Metadata json.RawMessage `json:"metadata"`
	Vector   vector          `json:"vector"`
}

func parseDocument(line []byte) (Document, error) {
	if !utf8.Valid(line) {
		return Document{}, errors.New("not valid UTF-8")
	}
	rec, err := parseRecord(line)
	if err == nil {
		err = rec.check()
	}
	if err != nil {
		return Document{}, err
	}
	return Document{ID: *rec.ID, Tenant: rec.Tenant, Text: rec.Text, Meta: rec.Metadata, Vector: rec.Vector}, nil
}

// parseRecord leaves to encoding/json what a stricter parser refuses, which is done with a line in
// a fraction of the time: it goes over long vectors once and not three times.
func parseRecord(line []byte) (rec record, err error) {
	if strict.Unmarshal(line, &rec, strict.RejectUnknownMembers(true)) == nil {
		return rec, nil
	}
	rec = record{}
	dec := json.NewDecoder(bytes.NewReader(line))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&rec); err != nil {
		return rec, plainJSON(err)
	}
	if rest := bytes.TrimSpace(line[dec.InputOffset():]); len(rest) > 0 {
		return rec, errors.New("more than one JSON value on the line")
	}
	return rec, nil
}

func (r *record) check() error {
	switch {
	case r.ID == nil || *r.ID == "":
		return errors.New("id is missing")
	case len(*r.ID) > maxID:
		return fmt.Errorf("id is longer than %d bytes", maxID)
	case r.Text == "" && len(r.Vector) == 0:
		return errors.New("text is missing, and there is no vector")
	}
	if string(r.Metadata) == "null" {
		r.Metadata = nil
	}
	if len(r.Metadata) > 0 && r.Metadata[0] != '{' {
		return errors.New("metadata is not a JSON object")
	}
	return nil
}

// plainJSON words the errors of encoding/json for somebody who wrote a file and
// not a Go program.
func plainJSON(err error) error {
	var kind *json.UnmarshalTypeError
	if errors.As(err, &kind) && kind.Field != "" {
		return fmt.Errorf("%s is a JSON %s, not a %s", kind.Field, kind.Value, kind.Type.Kind())
	}
	if errors.As(err, &kind) {
		return fmt.Errorf("a JSON %s, not an object", kind.Value)
	}
	if errors.Is(err, io.ErrUnexpectedEOF) {
		return errors.New("JSON ends too early")
	}
	return errors.New(strings.TrimPrefix(err.Error(), "json: "))
}

// vector is an array of numbers, or the base64 of little-endian float32.
type vector []float32

// UnmarshalJSON reads either form and refuses what is not finite.
func (v *vector) UnmarshalJSON(data []byte) error {
	if len(data) > 0 && data[0] == '"' {
		return v.unpack(data)
	}
	if numbers, ok := parseNumbers(data); ok {
		*v = numbers
		return nil
	}
	var numbers []float32
	if err := json.Unmarshal(data, &numbers); err != nil {
		return fmt.Errorf("vector: %w", plainJSON(err))
	}
	*v = numbers
	return nil
}

func (v *vector) unpack(quoted []byte) error {
	var raw []byte
	var text string
	err := json.Unmarshal(quoted, &text)
	if err == nil {
		raw, err = base64.StdEncoding.DecodeString(text)
	}
	if err != nil || len(raw)%4 != 0 {
		return errors.New("vector: not the base64 of 32-bit numbers")
	}
	out := make(vector, len(raw)/4)
	for i := range out {
		out[i] = math.Float32frombits(binary.LittleEndian.Uint32(raw[4*i:]))
		if f := float64(out[i]); math.IsNaN(f) || math.IsInf(f, 0) {
			return fmt.Errorf("vector: number %d is not finite", i)
		}
	}
	*v = out
	return nil
}
