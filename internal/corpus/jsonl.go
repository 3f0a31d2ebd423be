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
	"slices"
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
	Vector   json.RawMessage `json:"vector"` // or taken

	numbers []float32
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
	return Document{ID: *rec.ID, Tenant: rec.Tenant, Text: rec.Text, Meta: rec.Metadata, Vector: rec.numbers}, nil
}

// parseRecord leaves to encoding/json what a stricter parser refuses, which is done with a line in
// a fraction of the time.
func parseRecord(line []byte) (rec record, err error) {
	short, numbers, ok := cutVector(line)
	if ok && strict.Unmarshal(short, &rec, strict.RejectUnknownMembers(true)) == nil && string(rec.Vector) == taken {
		rec.numbers = numbers
		return rec, nil
	}
	rec = record{}
	if strict.Unmarshal(line, &rec, strict.RejectUnknownMembers(true)) != nil {
		if rec, err = parseLeniently(line); err != nil {
			return rec, err
		}
	}
	rec.numbers, err = parseVector(rec.Vector)
	return rec, err
}

func parseLeniently(line []byte) (rec record, err error) {
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

// taken stands in a line for a vector that was taken out.
const taken = `"*"`

// cutVector takes the first list of numbers that is called vector out of a line: parsers go over
// it twice before they give it away. Whether it is the line's own, or one of its metadata, shows
// by where taken is found again. It returns false for a line that has no such list, or taken itself.
func cutVector(line []byte) (short []byte, numbers []float32, ok bool) {
	before, behind, found := bytes.Cut(line, []byte(`"vector":`))
	if !found || bytes.Contains(line, []byte(taken)) {
		return nil, nil, false
	}
	numbers, rest, ok := scanNumbers(trimSpace(behind))
	return slices.Concat(before, []byte(`"vector":`+taken), rest), numbers, ok
}

func (r *record) check() error {
	switch {
	case r.ID == nil || *r.ID == "":
		return errors.New("id is missing")
	case len(*r.ID) > maxID:
		return fmt.Errorf("id is longer than %d bytes", maxID)
	case r.Text == "" && len(r.numbers) == 0:
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

// parseVector reads a list of numbers, or the base64 of little-endian float32, and refuses what is
// not finite. Neither a vector that is missing nor null is one.
func parseVector(raw []byte) (numbers []float32, err error) {
	if len(raw) > 0 && raw[0] == '"' {
		return unpack(raw)
	}
	if len(raw) == 0 {
		return nil, nil
	}
	if err := json.Unmarshal(raw, &numbers); err != nil {
		return nil, fmt.Errorf("vector: %w", plainJSON(err))
	}
	return numbers, nil
}

func unpack(quoted []byte) ([]float32, error) {
	var raw []byte
	var text string
	err := json.Unmarshal(quoted, &text)
	if err == nil {
		raw, err = base64.StdEncoding.DecodeString(text)
	}
	if err != nil || len(raw)%4 != 0 {
		return nil, errors.New("vector: not the base64 of 32-bit numbers")
	}
	out := make([]float32, len(raw)/4)
	for i := range out {
		out[i] = math.Float32frombits(binary.LittleEndian.Uint32(raw[4*i:]))
		if f := float64(out[i]); math.IsNaN(f) || math.IsInf(f, 0) {
			return nil, fmt.Errorf("vector: number %d is not finite", i)
		}
	}
	return out, nil
}
