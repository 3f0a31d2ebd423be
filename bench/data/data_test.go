package data_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/lanewise/lanewise/bench/data"
	"github.com/lanewise/lanewise/fault"
	"github.com/lanewise/lanewise/search"
)

func file(t *testing.T, name string, content []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// npy makes a file as NumPy writes it.
func npy(descr, shape string, numbers any) []byte {
	header := fmt.Sprintf("{'descr': '%s', 'fortran_order': False, 'shape': %s, }", descr, shape)
	var b bytes.Buffer
	b.WriteString("\x93NUMPY\x01\x00")
	_ = binary.Write(&b, binary.LittleEndian, uint16(len(header)))
	b.WriteString(header)
	_ = binary.Write(&b, binary.LittleEndian, numbers)
	return b.Bytes()
}

func TestQueries_everyFormat(t *testing.T) {
	var fv bytes.Buffer
	if err := data.WriteFvecs(&fv, [][]float32{{1, 2}, {3, -4}}); err != nil {
		t.Fatal(err)
	}
	want := []data.Query{{Vector: []float32{1, 2}}, {Vector: []float32{3, -4}}}
	for name, content := range map[string][]byte{
		"q.fvecs": fv.Bytes(),
		"q.npy":   npy("<f4", "(2, 2)", []float32{1, 2, 3, -4}),
		"d.NPY":   npy("<f8", "(2, 2)", []float64{1, 2, 3, -4}),
		"q.jsonl": []byte("{\"vector\": [1, 2]}\n\n{\"vector\": [3, -4]}"),
	} {
		got, err := data.Queries(file(t, name, content))
		if diff := cmp.Diff(want, got); err != nil || diff != "" {
			t.Errorf("%s: %v %s", name, err, diff)
		}
	}
	got, err := data.Queries(file(t, "q.bvecs", []byte{2, 0, 0, 0, 7, 255}))
	if diff := cmp.Diff([]data.Query{{Vector: []float32{7, 255}}}, got); err != nil || diff != "" {
		t.Errorf("bvecs: %v %s", err, diff)
	}
	got, err = data.Queries(file(t, "beir.jsonl", []byte(`{"_id": "1", "text": "what is a lane"}`)))
	if err != nil || len(got) != 1 || got[0].Text != "what is a lane" {
		t.Errorf("texts: %v %v", got, err)
	}
}

func TestQueries_refuses(t *testing.T) {
	for name, c := range map[string]struct {
		content []byte
		says    string
	}{
		"empty.jsonl":  {nil, "holds no query"},
		"empty.fvecs":  {nil, "holds no query"},
		"bad.jsonl":    {[]byte("{\"text\": \"a\"}\n{"), "bad.jsonl:2:"},
		"none.jsonl":   {[]byte(`{"id": "x"}`), `none.jsonl:1: must have either "text" or "vector"`},
		"both.jsonl":   {[]byte(`{"text": "x", "vector": [1]}`), `both.jsonl:1:`},
		"cut.fvecs":    {[]byte{2, 0, 0, 0, 1, 1}, "row 0: unexpected EOF"},
		"mixed.bvecs":  {[]byte{1, 0, 0, 0, 1, 2, 0, 0, 0, 1, 1}, "row 1 has 2 dims, the first one has 1"},
		"lying.fvecs":  {[]byte{255, 255, 255, 127}, "dims"},
		"text.npy":     {[]byte("hello world"), "no npy file"},
		"ints.npy":     {npy("<i8", "(1, 1)", []int64{1}), "float32 or float64"},
		"large.npy":    {npy("<f4", "(999999999999, 65536)", []float32{1}), "too large"},
		"cut.npy":      {npy("<f4", "(2, 2)", []float32{1, 2}), "row 1 of 2: unexpected EOF"},
		"vectors.hdf5": {nil, "h5py"},
		"notes.txt":    {nil, "must end in .jsonl, .fvecs, .bvecs or .npy"},
	} {
		_, err := data.Queries(file(t, name, c.content))
		if !errors.Is(err, fault.Invalid) || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: got %v, want %q", name, err, c.says)
		}
	}
	if _, err := data.Queries(filepath.Join(t.TempDir(), "absent.npy")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("absent: %v", err)
	}
}

// Whatever a file holds, reading it ends, in an error or in rows of the same dims.
func FuzzVectors(f *testing.F) {
	f.Add([]byte{2, 0, 0, 0, 1, 1}, 0)
	f.Add(npy("<f4", "(2, 2)", []float32{1, 2, 3, 4}), 2)
	dir := f.TempDir()
	f.Fuzz(func(t *testing.T, content []byte, kind int) {
		path := filepath.Join(dir, "q"+[]string{".fvecs", ".bvecs", ".npy"}[max(kind, -kind, 0)%3])
		if err := os.WriteFile(path, content, 0o600); err != nil {
			t.Fatal(err)
		}
		rows, err := data.Vectors(path)
		for _, r := range rows {
			if len(r) != len(rows[0]) || len(r) == 0 {
				t.Errorf("rows of %d and %d dims", len(rows[0]), len(r))
			}
		}
		if (err == nil) != (len(rows) > 0) {
			t.Errorf("%d rows, %v", len(rows), err)
		}
	})
}

func TestSpec_draws(t *testing.T) {
	for _, kind := range []string{"clustered", "uniform", "tenants"} {
		spec := data.Spec{Kind: kind, N: 2000, Dims: 8, Seed: 1, Tenants: 10}
		a, err := spec.Points()
		if err != nil || len(a) != 2000 || len(a[0].Dense) != 8 {
			t.Fatalf("%s: %d points, %v", kind, len(a), err)
		}
		b, _ := spec.Points()
		if diff := cmp.Diff(a, b); diff != "" {
			t.Errorf("%s: the same spec draws another set: %s", kind, diff)
		}
		tenants := map[string]int{}
		for _, p := range a {
			tenants[p.Tenant]++
		}
		if kind != "tenants" && len(tenants) != 1 || kind == "tenants" && (len(tenants) != 10 || tenants["t0"] < 5*tenants["t9"]) {
			t.Errorf("%s: points of tenants %v", kind, tenants)
		}
	}
	for _, bad := range []data.Spec{{Kind: "odd", N: 1, Dims: 1}, {Kind: "uniform", Dims: 1}, {Kind: "uniform", N: 1}, {Kind: "uniform", N: math.MaxInt, Dims: 1000}} {
		if _, err := bad.Points(); !errors.Is(err, fault.Invalid) {
			t.Errorf("%+v: %v", bad, err)
		}
	}
}

func TestTruth(t *testing.T) {
	point := func(id string, v ...float32) search.Point { return search.Point{Key: search.Key{ID: id}, Dense: v} }
	points := []search.Point{point("far", -1, 0), point("b", 1, 0), point("a", 2, 0), point("near", 1, 0.1)}
	got, err := data.Truth(search.Cosine, points, [][]float32{{1, 0}}, 3)
	if diff := cmp.Diff([][]string{{"a", "b", "near"}}, got); err != nil || diff != "" {
		t.Errorf("%v %s", err, diff)
	}
	if _, err := data.Truth(search.Cosine, points, [][]float32{{1}}, 3); !errors.Is(err, fault.Invalid) {
		t.Errorf("other dims: %v", err)
	}
}
