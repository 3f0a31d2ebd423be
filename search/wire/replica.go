package wire

import (
	"fmt"

	"github.com/lanewise/lanewise/search"
)

// Keys asks for points by key: what search.Getter takes.
type Keys struct {
	Collection string
	Keys       []search.Key
	Fields     search.Fields
}

// replicaBody is every body of the replica protocol.
type replicaBody interface {
	search.Query | search.Result | search.Batch | search.Written | Keys | []search.Point |
		search.Scan | search.Page | int | []search.Stats | search.TermQuery | search.TermStats
}

// MarshalReplica writes a body of the replica protocol. A hit whose score is NaN
// or infinite is left out and counted in its list's Dropped, since JSON cannot
// carry it and nobody could rank it. Vectors that are not finite, strings that
// are not UTF-8 and metadata that is not JSON are fault.Invalid.
func MarshalReplica[T replicaBody](v T) ([]byte, error) {
	w := writer{b: make([]byte, 0, sizeOf(&v))}
	w.body(&v)
	return w.b, w.err
}

// UnmarshalReplica reads a body of the replica protocol as strictly as [Decode].
// A search.Result may share memory with data, which must not be changed
// afterwards; the other bodies do not.
func UnmarshalReplica[T replicaBody](data []byte) (T, error) {
	var v T
	_, share := any(&v).(*search.Result)
	r := newReader(data, share)
	r.body(&v)
	return v, r.finish()
}

func (w *writer) body(v any) {
	switch v := v.(type) {
	case *search.Query:
		w.query(v)
	case *search.Result:
		w.result(v)
	case *search.Batch:
		w.batch(v)
	case *search.Written:
		w.written(v)
	case *Keys:
		w.keys(v)
	case *[]search.Point:
		w.page(&search.Page{Points: *v})
	case *search.Scan:
		w.scan(v)
	case *search.Page:
		w.page(v)
	case *int:
		w.object(func() { w.int("count", *v) })
	case *[]search.Stats:
		w.stats(*v)
	case *search.TermQuery:
		w.termQuery(v)
	case *search.TermStats:
		w.termStats(v)
	default:
		w.fail(fmt.Errorf("no body of the replica protocol: %T", v))
	}
}

func (r *reader) body(v any) {
	switch v := v.(type) {
	case *search.Query:
		r.query(v)
	case *search.Result:
		r.result(v)
	case *search.Batch:
		r.batch(v)
	case *search.Written:
		r.written(v)
	case *Keys:
		r.keys(v)
	case *[]search.Point:
		var page search.Page
		r.page(&page)
		*v = page.Points
	case *search.Scan:
		r.scan(v)
	case *search.Page:
		r.page(v)
	case *int:
		r.object(countFields, func(int) { *v = int(r.integer()) })
	case *[]search.Stats:
		r.stats(v)
	case *search.TermQuery:
		r.termQuery(v)
	case *search.TermStats:
		r.termStats(v)
	default:
		r.fail("no body of the replica protocol: %T", v)
	}
}

// sizeOf guesses the length of a body, so that it is mostly written in one
// allocation.
func sizeOf(v any) int {
	size := 256
	switch v := v.(type) {
	case *search.Query:
		for i := range v.Legs {
			l := &v.Legs[i]
			size += 128 + 6*len(l.Dense) + 12*len(l.Sparse.Index) + 48*len(l.Only)
		}
	case *search.Result:
		for i := range v.Lists {
			for j := range v.Lists[i].Hits {
				size += 96 + sizeOfPoint(&v.Lists[i].Hits[j].Point)
			}
		}
	case *search.Batch:
		size += sizeOfPoints(v.Upserts) + 64*len(v.Deletes)
	case *search.Page:
		size += sizeOfPoints(v.Points)
	case *[]search.Point:
		size += sizeOfPoints(*v)
	}
	return size
}

func sizeOfPoints(points []search.Point) int {
	size := 0
	for i := range points {
		size += sizeOfPoint(&points[i])
	}
	return size
}

func sizeOfPoint(p *search.Point) int {
	text := len(p.Text) + len(p.Text)/16 // some escapes
	return 64 + len(p.Tenant) + len(p.ID) + text + len(p.Meta) + 6*len(p.Dense) + 12*len(p.Sparse.Index)
}
