package wire

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"math"
	"strconv"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/lanewise/lanewise/fault"
)

// writer appends JSON. The first error sticks; what is written after it is of
// no use. Members with zero values are left out.
type writer struct {
	b         []byte
	err       error
	checkMeta bool // metadata is checked in full
}

func (w *writer) fail(err error) {
	if w.err == nil {
		w.err = err
	}
}

// object writes braces around what members writes.
func (w *writer) object(members func()) {
	w.b = append(w.b, '{')
	members()
	w.b = append(w.b, '}')
}

// next starts another element of an array.
func (w *writer) next() {
	if last := w.b[len(w.b)-1]; last != '[' && last != '{' {
		w.b = append(w.b, ',')
	}
}

// name starts another member of an object. Names need no escapes.
func (w *writer) name(name string) {
	w.next()
	w.b = append(w.b, '"')
	w.b = append(w.b, name...)
	w.b = append(w.b, '"', ':')
}

func (w *writer) text(name, s string) {
	if s == "" {
		return
	}
	w.name(name)
	w.quote(s)
}

func (w *writer) quote(s string) {
	b, err := jsontext.AppendQuote(w.b, s)
	if err != nil {
		w.fail(fault.New(fault.Invalid, "%q is not valid UTF-8", s))
		return
	}
	w.b = b
}

func (w *writer) bool(name string, x bool) {
	if x {
		w.name(name)
		w.b = append(w.b, "true"...)
	}
}

func (w *writer) int(name string, n int) {
	if n != 0 {
		w.name(name)
		w.b = strconv.AppendInt(w.b, int64(n), 10)
	}
}

func (w *writer) uint(name string, n uint64) {
	if n != 0 {
		w.name(name)
		w.b = strconv.AppendUint(w.b, n, 10)
	}
}

// float writes x in the shortest form that gives the same bits back. Only +0 is
// left out: -0 is another number.
func (w *writer) float(name string, x float64) {
	if !finite(x) {
		w.fail(fault.New(fault.Invalid, "%s is not a finite number", name))
		return
	}
	if math.Float64bits(x) != 0 {
		w.name(name)
		w.b = appendFloat(w.b, x)
	}
}

func appendFloat(b []byte, x float64) []byte { return strconv.AppendFloat(b, x, 'g', -1, 64) }

// meta writes a JSON object that came from outside. In a result it is taken as
// the store gives it, for speed: whoever reads it checks it.
func (w *writer) meta(name string, object json.RawMessage) {
	object = bytes.TrimSpace(object)
	n := len(object)
	if n == 0 {
		return
	}
	if object[0] != '{' || object[n-1] != '}' || w.checkMeta && !json.Valid(object) {
		w.fail(fault.New(fault.Invalid, "%s is not a JSON object", name))
		return
	}
	w.name(name)
	w.b = append(w.b, object...)
}

// block is how many bytes are converted at once, on the stack: a multiple of 4
// (a number) and of 3 (what base64 takes without padding).
const block = 3 * 4 * 64

// floats writes a vector as base64 of little-endian float32.
func (w *writer) floats(name string, v []float32) {
	if len(v) == 0 {
		return
	}
	w.name(name)
	w.b = append(w.b, '"')
	var buf [block]byte
	for len(v) > 0 {
		n := min(len(v), block/4)
		for i, x := range v[:n] {
			if !finite(float64(x)) {
				w.fail(fault.New(fault.Invalid, "%s holds a number that is not finite", name))
			}
			binary.LittleEndian.PutUint32(buf[4*i:], math.Float32bits(x))
		}
		w.b = base64.StdEncoding.AppendEncode(w.b, buf[:4*n])
		v = v[n:]
	}
	w.b = append(w.b, '"')
}

// uints writes dimensions as base64 of little-endian uint32.
func (w *writer) uints(name string, v []uint32) {
	if len(v) == 0 {
		return
	}
	w.name(name)
	w.b = append(w.b, '"')
	var buf [block]byte
	for len(v) > 0 {
		n := min(len(v), block/4)
		for i, x := range v[:n] {
			binary.LittleEndian.PutUint32(buf[4*i:], x)
		}
		w.b = base64.StdEncoding.AppendEncode(w.b, buf[:4*n])
		v = v[n:]
	}
	w.b = append(w.b, '"')
}
