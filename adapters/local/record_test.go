package local

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/lanewise/lanewise/search"
)

func samplePoint() search.Point {
	return search.Point{
		Key: search.Key{Tenant: "t", ID: "é"}, Version: 1 << 60, Dense: []float32{1, -2.5}, Text: "text",
		Meta: []byte(`{"a":1}`), Sparse: search.Sparse{Index: []uint32{3, 9}, Value: []float32{0.5, -1}},
	}
}

func TestRecords_roundTrip(t *testing.T) {
	p := samplePoint()
	record := appendFloats(newRow(rowHasDoc, p.Version, p.Key), p.Dense)
	seal(7, record)
	r, err := decodeRow(7, record)
	if err != nil {
		t.Fatal(err)
	}
	dense := make([]float32, 2)
	putFloats(dense, r.dense)
	if r.key != p.Key || r.version != p.Version || r.flags != rowHasDoc || !cmp.Equal(dense, p.Dense) {
		t.Errorf("got %+v with %v", r, dense)
	}
	doc := newDocument(&p)
	seal(7, doc)
	d, err := decodeDocument(7, doc)
	if err != nil {
		t.Fatal(err)
	}
	if string(d.text) != p.Text || string(d.meta) != string(p.Meta) || !cmp.Equal(d.sparse, p.Sparse) {
		t.Errorf("got %+v", d)
	}
}

func TestRecords_anyFlippedBitIsDamage(t *testing.T) {
	p := samplePoint()
	record := appendFloats(newRow(rowHasDoc, p.Version, p.Key), p.Dense)
	seal(7, record)
	doc := newDocument(&p)
	seal(7, doc)
	for bit := range 8 * len(record) {
		record[bit/8] ^= 1 << (bit % 8)
		if _, err := decodeRow(7, record); err == nil {
			t.Fatalf("row: bit %d was flipped unseen", bit)
		}
		record[bit/8] ^= 1 << (bit % 8)
	}
	for bit := range 8 * len(doc) {
		doc[bit/8] ^= 1 << (bit % 8)
		if _, err := decodeDocument(7, doc); err == nil {
			t.Fatalf("document: bit %d was flipped unseen", bit)
		}
		doc[bit/8] ^= 1 << (bit % 8)
	}
	if _, err := decodeRow(8, record); err == nil {
		t.Error("a row passes under another number")
	}
}

func TestRecords_cutShort(t *testing.T) {
	p := samplePoint()
	rowOf := func(b []byte) error { _, err := decodeRow(1, b); return err }
	docOf := func(b []byte) error { _, err := decodeDocument(1, b); return err }
	for _, c := range []struct {
		whole  []byte
		decode func([]byte) error
	}{
		{newRow(0, p.Version, p.Key), rowOf},
		{appendTime(newRow(rowDeleted, 1, p.Key), 5), rowOf},
		{newDocument(&p), docOf},
	} {
		for n := range c.whole {
			short := append([]byte(nil), c.whole[:n]...)
			if n >= sumLen {
				seal(1, short) // a right checksum over the wrong body
			}
			if c.decode(short) == nil {
				t.Errorf("%d of %d bytes pass", n, len(c.whole))
			}
		}
	}
}

func FuzzRecords_neverPanic(f *testing.F) {
	p := samplePoint()
	f.Add(appendFloats(newRow(0, p.Version, p.Key), p.Dense))
	f.Add(newDocument(&p))
	f.Fuzz(func(_ *testing.T, b []byte) {
		if len(b) >= sumLen {
			seal(1, b)
		}
		_, _ = decodeRow(1, b)
		_, _ = decodeDocument(1, b)
	})
}
