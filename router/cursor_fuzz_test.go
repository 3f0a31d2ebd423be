package router

import (
	"encoding/base64"
	"errors"
	"testing"

	"github.com/lanewise/lanewise/fault"
)

// A cursor is ours or it is refused, and so is what one holds: the body is tried with and without a signature.
func FuzzCursor(f *testing.F) {
	c := newCursors([]byte("a key of thirty-two bytes or more"))
	whole := page{collection: "docs", tenant: "t", k: 2, candidates: []candidate{{"a", 0.5, 0.5}, {"b", 0.25, 4}}}
	text, err := c.encode(whole)
	if err != nil {
		f.Fatal(err)
	}
	f.Add([]byte(text), true)
	f.Add(whole.body(), false)
	f.Fuzz(func(t *testing.T, data []byte, signed bool) {
		cursor := string(data)
		if !signed {
			packed, err := pack(data)
			if err != nil {
				t.Fatal(err)
			}
			cursor = base64.RawURLEncoding.EncodeToString(append(c.sign(packed), packed...))
		}
		p, err := c.decode(cursor)
		if err != nil {
			if !errors.Is(err, fault.Invalid) {
				t.Errorf("%v", err)
			}
			return
		}
		again, err := c.encode(p)
		if err != nil {
			t.Fatal(err)
		}
		if read, err := c.decode(again); again != "" && (err != nil || len(read.candidates) > len(p.candidates) || read.k != p.k) {
			t.Errorf("%+v is read back as %+v, %v", p, read, err)
		}
	})
}
