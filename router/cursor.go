package router

import (
	"bytes"
	"cmp"
	"compress/flate"
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"io"
	"math"

	"github.com/lanewise/lanewise/fault"
	"github.com/lanewise/lanewise/search"
)

// A cursor carries the candidates of a search that have not been shown yet, so
// that pages partition them: no repeats and no gaps, whatever is written
// meanwhile, and no state in the router. It is signed, because it names points
// that its bearer may then read.
//
// Form: base64url(HMAC-SHA256 ‖ deflate(body)); the body is a version byte, the
// collection, the tenant, the page length, the number of candidates shown so
// far, then per candidate id, score and raw score.
const (
	maxCursor     = 64 << 10 // bytes of text
	maxCandidates = 1000
	maxCursorK    = 1000
	cursorVersion = 1
)

// page is what a cursor stands for.
type page struct {
	collection string
	tenant     string
	k          int
	candidates []candidate
}

// candidate is a hit without its payload.
type candidate struct {
	id         string
	score, raw float64
}

// cursors signs and reads cursors.
type cursors struct{ key []byte }

// newCursors draws a key where none is given.
func newCursors(key []byte) cursors {
	if len(key) > 0 {
		return cursors{key: key}
	}
	return cursors{key: []byte(rand.Text())}
}

// openCursor reads the cursor of a request that turns to a further page, which
// need not name the collection again.
func (p *plan) openCursor(c cursors) error {
	if p.Cursor == nil || *p.Cursor == "" {
		return nil
	}
	opened, err := c.decode(*p.Cursor)
	p.page, p.Collection = &opened, cmp.Or(p.Collection, opened.collection)
	return err
}

// checkPaging refuses a cursor in another place than its own, and pages over
// several collections.
func (p *plan) checkPaging() error {
	if p.Cursor == nil {
		return nil
	}
	if p.K > maxCursorK {
		return fault.BadField("/k", "pages have at most %d hits, not %d", maxCursorK, p.K)
	}
	c := p.legs[0].collection.Name
	if p.page != nil && (p.page.collection != c || p.page.tenant != p.Tenant) {
		return badCursor("belongs to another collection or tenant")
	}
	for _, l := range p.legs {
		if l.collection.Name != c {
			return badCursor("pages over several collections are not possible")
		}
	}
	return nil
}

// turn answers with the next page of an earlier search. Points that were
// deleted since are passed over and counted.
func (r *Router) turn(ctx context.Context, p *plan) (Response, error) {
	c := p.legs[0].collection
	hits := make([]search.Hit, len(p.page.candidates))
	for i, k := range p.page.candidates {
		hits[i] = search.Hit{Point: search.Point{Key: search.Key{Tenant: p.Tenant, ID: k.id}}, Collection: c.Name, Score: k.score, Raw: k.raw}
	}
	var res Response
	var err error
	if res.Hits, res.Report.Vanished, err = r.fetch(ctx, hits, p.page.k, p.Fields); err != nil {
		return Response{}, err
	}
	for i := range res.Hits {
		if c.Placement.By != search.ByKey && c.Placement.By != search.ByExternal {
			res.Hits[i].Shard = p.topo.shards[p.topo.m.Owner(c, res.Hits[i].Key, nil)].name
		}
	}
	res.Report.Complete, res.Report.Coverage = true, 1
	res.Report.Mode, res.Report.Epoch = string(p.Mode), p.topo.m.Epoch()
	rest := *p.page
	rest.candidates = rest.candidates[len(res.Hits)+res.Report.Vanished:]
	res.NextCursor, err = r.cursors.encode(rest)
	return res, err
}

// encode writes a cursor. Where the candidates do not fit into 64 KiB, the
// lowest ranked are left out. Without candidates there is no cursor.
func (c cursors) encode(p page) (string, error) {
	for n := len(p.candidates); n > 0; n = n * 9 / 10 {
		p.candidates = p.candidates[:n]
		packed, err := pack(p.body())
		if err != nil {
			return "", err
		}
		text := base64.RawURLEncoding.EncodeToString(append(c.sign(packed), packed...))
		if len(text) <= maxCursor {
			return text, nil
		}
	}
	return "", nil
}

// decode reads a cursor that a router with the same key wrote.
func (c cursors) decode(text string) (page, error) {
	if len(text) > maxCursor {
		return page{}, badCursor("is longer than %d bytes", maxCursor)
	}
	data, err := base64.RawURLEncoding.DecodeString(text)
	if err != nil || len(data) < sha256.Size {
		return page{}, badCursor("is not one of ours")
	}
	sum, packed := data[:sha256.Size], data[sha256.Size:]
	if !hmac.Equal(sum, c.sign(packed)) {
		return page{}, badCursor("was not signed with this server's key, or has been changed")
	}
	body, err := io.ReadAll(io.LimitReader(flate.NewReader(bytes.NewReader(packed)), maxCandidates*(maxIDLength+32)+4096))
	if err != nil {
		return page{}, badCursor("is damaged")
	}
	return parsePage(body)
}

func (c cursors) sign(packed []byte) []byte {
	mac := hmac.New(sha256.New, c.key)
	mac.Write(packed)
	return mac.Sum(nil)
}

func badCursor(format string, args ...any) error {
	return fault.BadField("/cursor", format, args...)
}

func pack(body []byte) ([]byte, error) {
	var out bytes.Buffer
	w, err := flate.NewWriter(&out, flate.BestSpeed)
	if err != nil {
		return nil, err
	}
	_, err = w.Write(body)
	err = errors.Join(err, w.Close())
	return out.Bytes(), err
}

func (p page) body() []byte {
	b := []byte{cursorVersion}
	b = appendText(appendText(b, p.collection), p.tenant)
	b = binary.AppendUvarint(b, uint64(p.k)) //nolint:gosec // at most maxCursorK
	b = binary.AppendUvarint(b, uint64(len(p.candidates)))
	for _, c := range p.candidates {
		b = appendText(b, c.id)
		b = binary.LittleEndian.AppendUint64(b, math.Float64bits(c.score))
		b = binary.LittleEndian.AppendUint64(b, math.Float64bits(c.raw))
	}
	return b
}

func appendText(b []byte, s string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}

// parsePage reads a body whose signature has been checked; it is still read
// with care, because another version may have signed it.
func parsePage(body []byte) (page, error) {
	in := reader{data: body}
	if in.bytes(1); len(in.data) == 0 || body[0] != cursorVersion {
		return page{}, badCursor("was written by another version")
	}
	p := page{collection: in.text(), tenant: in.text(), k: in.number(maxCursorK)}
	for range in.number(maxCandidates) {
		p.candidates = append(p.candidates, candidate{id: in.text(), score: in.float(), raw: in.float()})
	}
	if in.bad || p.k < 1 {
		return page{}, badCursor("is damaged")
	}
	return p, nil
}

// reader takes fields off the front of data; bad is set where they do not fit.
type reader struct {
	data []byte
	bad  bool
}

func (r *reader) bytes(n int) []byte {
	if n > len(r.data) {
		r.bad, r.data = true, nil
		return nil
	}
	out := r.data[:n]
	r.data = r.data[n:]
	return out
}

func (r *reader) number(limit int) int {
	v, n := binary.Uvarint(r.data)
	if n <= 0 || v > uint64(limit) { //nolint:gosec // limits are positive
		r.bad, r.data = true, nil
		return 0
	}
	r.data = r.data[n:]
	return int(v) //nolint:gosec // at most limit
}

func (r *reader) text() string { return string(r.bytes(r.number(len(r.data)))) }

func (r *reader) float() float64 {
	b := r.bytes(8)
	if len(b) < 8 {
		return 0
	}
	return math.Float64frombits(binary.LittleEndian.Uint64(b))
}

// candidatesOf turns hits into what a cursor remembers of them.
func candidatesOf(hits []search.Hit) []candidate {
	out := make([]candidate, len(hits))
	for i, h := range hits {
		out[i] = candidate{id: h.ID, score: h.Score, raw: h.Raw}
	}
	return out
}
