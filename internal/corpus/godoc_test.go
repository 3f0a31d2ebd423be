package corpus

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// fakeRoot writes a Go installation with a few packages.
func fakeRoot(t *testing.T) string {
	t.Helper()
	root := t.TempDir()
	for name, src := range map[string]string{
		"fmt/a.go":          "// Package fmt prints.\npackage fmt\n\n// Println prints a line.\nfunc Println(a ...any) (n int, err error) { return 0, nil }\n\nfunc Bare() {}\n",
		"io/io.go":          "package io\n\n// EOF is the end.\nvar EOF = error(nil)\n\nvar (\n\tErrA = 1 // the first\n\tErrB = 2\n)\n\n// Whence says from where.\nconst (\n\tSeekStart = 0 // start\n\tSeekEnd = 2\n)\n\n// Reader reads.\ntype Reader interface{ Read(p []byte) (int, error) }\n\n// T is a box.\ntype T[E any] struct{ x E }\n\n// Len is its length.\nfunc (t *T[E]) Len() int { return 1 }\n\n// NewT makes one.\nfunc NewT() *T[int] { return nil }\n",
		"io/io_windows.go":  "package io\n\n// OnlyThere is not on Linux.\nfunc OnlyThere() {}\n",
		"io/io_test.go":     "package io\n\n// Tested is not part of it.\nfunc Tested() {}\n",
		"os/js/js.go":       "//go:build js\n\npackage js\n\n// Value is a value.\ntype Value struct{}\n",
		"builtin/b.go":      "package builtin\n\n// append adds.\nfunc append(s []int, e ...int) []int\n",
		"io/internal/i.go":  "package internal\n\n// Hidden is hidden.\nfunc Hidden() {}\n",
		"cmd/go/main.go":    "package main\n\n// Run runs.\nfunc Run() {}\n",
		"vendor/x/x.go":     "package x\n\n// X is foreign.\nfunc X() {}\n",
		"crypto/testdata/t": "not Go",
	} {
		path := filepath.Join(root, "src", filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(path), 0o750); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(src), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return root
}

func TestGodoc_oneDocumentPerDocumentedSymbol(t *testing.T) {
	root := fakeRoot(t)
	docs, _, _ := collect(t, Godoc(root))
	var ids []string
	texts := map[string]Document{}
	for _, d := range docs {
		ids = append(ids, d.ID)
		texts[d.ID] = d
	}
	want := []string{
		"builtin.append", "fmt.Println", "io.SeekStart", "io.ErrA", "io.EOF",
		"io.Reader", "io.T", "io.NewT", "io.T.Len", "os/js.Value",
	}
	if diff := cmp.Diff(want, ids); diff != "" {
		t.Fatalf("ids (-want +got):\n%s", diff)
	}
	if got, want := texts["io.T.Len"].Text, "io.T.Len\npackage io, method T.Len\n\nfunc (t *T[E]) Len() int\n\nLen is its length."; got != want {
		t.Errorf("text %q, want %q", got, want)
	}
	if got, want := texts["io.ErrA"].Text, "io.ErrA\npackage io, var ErrA\n\nvar ErrA = 1\n\nthe first"; got != want {
		t.Errorf("text %q, want %q", got, want)
	}
	if got, want := string(texts["io.T.Len"].Meta), `{"package":"io","kind":"method","symbol":"T.Len"}`; got != want {
		t.Errorf("metadata %s, want %s", got, want)
	}
	stopsEarly(t, Godoc(root))
}

func TestGodoc_reportsBrokenSource(t *testing.T) {
	root := fakeRoot(t)
	if err := os.WriteFile(filepath.Join(root, "src", "io", "x.go"), []byte("package io\nfunc {"), 0o600); err != nil {
		t.Fatal(err)
	}
	var last error
	for _, err := range Godoc(root) {
		last = err
	}
	if last == nil || !strings.Contains(last.Error(), "x.go:2:6") {
		t.Fatalf("got %v, want the position x.go:2:6", last)
	}
}

func TestGodoc_missingFolder(t *testing.T) {
	for _, err := range Godoc(t.TempDir()) {
		if err == nil || !strings.Contains(err.Error(), "read Go sources") {
			t.Fatalf("got %v", err)
		}
	}
}

func TestGoRoot_namesTheRemedy(t *testing.T) {
	t.Setenv("GOROOT", t.TempDir())
	if _, err := GoRoot(); err == nil || !strings.Contains(err.Error(), "set GOROOT") {
		t.Fatalf("got %v, want advice to set GOROOT", err)
	}
	t.Setenv("GOROOT", "")
	t.Setenv("PATH", "")
	if _, err := GoRoot(); err == nil || !strings.Contains(err.Error(), "install Go") {
		t.Fatalf("got %v, want advice to install Go", err)
	}
}

// The real thing: the Go installation that runs this test.
func TestGodoc_standardLibrary(t *testing.T) {
	root, err := GoRoot()
	if err != nil {
		t.Skipf("no Go sources: %v", err)
	}
	docs, _, _ := collect(t, Godoc(root))
	i := 0
	for d, err := range Godoc(root) {
		if err != nil || d.ID != docs[i].ID || d.Text != docs[i].Text {
			t.Fatalf("read again, document %d is %s (%v), not %s", i, d.ID, err, docs[i].ID)
		}
		if i++; i == 1000 {
			break // the whole takes long under the race detector
		}
	}
	ids, size := map[string]bool{}, 0
	for _, d := range docs {
		if ids[d.ID] {
			t.Errorf("%s comes twice", d.ID)
		}
		ids[d.ID] = true
		size += len(d.Text)
		var m symbolMeta
		if err := json.Unmarshal(d.Meta, &m); err != nil || m.Package+"."+m.Symbol != d.ID || m.Kind == "" {
			t.Errorf("%s: metadata %s (%v)", d.ID, d.Meta, err)
		}
	}
	for _, id := range []string{"bufio.Scanner", "bufio.Scanner.Scan", "os.ReadFile", "net/http.Client.Do", "io.EOF", "os.ErrNotExist"} {
		if !ids[id] {
			t.Errorf("%s is missing", id)
		}
	}
	if len(docs) < 5000 {
		t.Errorf("%d documents (%d bytes), want at least 5,000", len(docs), size)
	}
	t.Logf("%d documents, %d bytes", len(docs), size)
}

func BenchmarkGodoc(b *testing.B) {
	root, err := GoRoot()
	if err != nil {
		b.Skipf("no Go sources: %v", err)
	}
	for b.Loop() {
		n := 0
		for _, err := range Godoc(root) {
			if err != nil {
				b.Fatal(err)
			}
			n++
		}
		b.ReportMetric(float64(n), "documents")
	}
}
