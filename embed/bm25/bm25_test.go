package bm25

import (
	"errors"
	"flag"
	"fmt"
	"math"
	"os"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"github.com/lanewise/lanewise/fault"
	"github.com/lanewise/lanewise/internal/wellformed"
	"github.com/lanewise/lanewise/search"
)

var update = flag.Bool("update", false, "write testdata/golden.txt anew")

func encoder(tb testing.TB, language string) *Encoder {
	tb.Helper()
	e, err := New(Config{Language: language})
	if err != nil {
		tb.Fatal(err)
	}
	return e
}

// counts is a query's vector of these terms, each once.
func counts(terms ...string) map[uint32]float32 {
	m := map[uint32]float32{}
	for _, t := range terms {
		m[termOf(t)]++
	}
	return m
}

func asMap(v search.Sparse) map[uint32]float32 {
	m := map[uint32]float32{}
	for i, term := range v.Index {
		m[term] = v.Value[i]
	}
	return m
}

func TestQuery_terms(t *testing.T) {
	for _, c := range []struct {
		language, text string
		want           []string
	}{
		{"", "", nil},
		{"", " \t\n\x00\x1b…!?", nil},
		{"", "The cat, the CAT.", []string{"the", "cat", "the", "cat"}},
		{"en", "The cats were running", []string{"cat", "run"}},
		{"en", "what is it that they are", nil},
		{"en", "the reader's buffer isn't", []string{"reader", "buffer", "isn"}},
		{"fr", "l'homme’x", []string{"homm", "x"}},
		{"ru", "в книгах", []string{"книг"}},
		{"", "readFile", []string{"readfile", "read", "file"}},
		{"", "read_file", []string{"read_file", "read", "file"}},
		{"", "io.Reader", []string{"io.reader", "io", "reader"}},
		{"en", "io.ReadFile", []string{"io.readfile", "io", "readfil", "read", "file"}},
		{"en", "readfile", []string{"readfil"}},
		{"", "HTTPServer", []string{"httpserver", "http", "server"}},
		{"", "v2", []string{"v2"}},
		{"", "utf8 int64 X509Cert", []string{"utf8", "utf", "int64", "int", "64", "x509cert", "509", "cert"}},
		{"en", "IDs of APIs", []string{"id", "api"}},
		{"", "x.y t_T", []string{"x.y", "t_t"}},
		{"", "3.14 in 2024.", []string{"3.14", "14", "in", "2024"}},
		{"", "a C 7", []string{"a", "c", "7"}},
		{"", "___ _x_ __init__", []string{"x", "init"}},
		{"", "... .NET 'quoted' end.", []string{"net", "quoted", "end"}},
		{"", "a\x00b\x07c\u200bd", []string{"a", "b", "cd"}},
		{"", "東京都", []string{"東京", "京都"}},
		{"", "水 Go言語 タワー", []string{"水", "go", "言語", "タワ", "ワー"}},
		{"", "서울 ไทย", []string{"서울", "ไท", "ทย"}},
		{"", "שָׁלוֹם \u202bعَرَبِيّ\u202c مـــرحبا", []string{"שלום", "عربي", "مرحبا"}},
		{"", "ＡＢＣ ﬁne cafe\u0301 CAFÉ", []string{"abc", "fine", "café", "café"}},
		{"", "ΟΔΟΣ οδός", []string{"οδοσ", "οδόσ"}},
		{"", "\xff\xfeabc\xc3", []string{"abc"}},
		{"", "don't O'Neill", []string{"don", "t", "o", "neill"}},
	} {
		got := asMap(encoder(t, c.language).Query(c.text))
		if diff := cmp.Diff(counts(c.want...), got); diff != "" {
			t.Errorf("%q in %q (-want +got): %s", c.text, c.language, diff)
		}
	}
}

func TestLength_countsWordsOnce(t *testing.T) {
	for text, want := range map[string]int{
		"": 0, "the": 0, "cat": 1, "the cat and the cat": 2, "readFile": 2, "io.Reader": 2, "v2": 1, "x.y": 1, "t_T": 1, "東京都": 2, "2024": 1,
		"http.StatusOK": 3, "__init__": 1,
	} {
		if got := encoder(t, "en").Length(text); got != want {
			t.Errorf("%q has %d words, want %d", text, got, want)
		}
	}
}

func TestDocument_isTheFormula(t *testing.T) {
	e, err := New(Config{AvgLen: 4})
	if err != nil {
		t.Fatal(err)
	}
	want := map[uint32]float32{ // length 6: 1.2 (0.25 + 0.75 * 6/4) = 1.65
		termOf("lane"): 3 * 2.2 / (3 + 1.65), termOf("two"): 2.2 / (1 + 1.65), termOf("three"): 2.2 / (1 + 1.65), termOf("four"): 2.2 / (1 + 1.65),
	}
	got := asMap(e.Document("lane lane two three lane four"))
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if v := e.Document("?!"); len(v.Index) != 0 {
		t.Errorf("no words make %v", v)
	}
}

func TestIDF(t *testing.T) {
	for _, c := range []struct {
		docs, df uint64
		want     float64
	}{
		{0, 0, math.Log(2)}, {10, 0, math.Log(22)}, {10, 1, math.Log(1 + 9.5/1.5)}, {10, 10, math.Log(1 + 0.5/10.5)}, {10, 11, math.Log(1 + 0.5/10.5)},
	} {
		if got := IDF(c.docs, c.df); math.Abs(got-c.want) > 1e-15 {
			t.Errorf("%d of %d: %v, want %v", c.df, c.docs, got, c.want)
		}
	}
	if rare, common := IDF(1<<40, 1), IDF(1<<40, 1<<40); rare < common || common <= 0 {
		t.Errorf("rare %v, common %v", rare, common)
	}
}

func TestWeigh(t *testing.T) {
	e := encoder(t, "")
	q := e.Query("lane lane toll")
	stats := search.TermStats{Docs: 10, Counts: []uint64{3, 7}}
	got, err := e.Weigh(q, stats)
	if err != nil {
		t.Fatal(err)
	}
	for i := range q.Index {
		if want := float32(float64(q.Value[i]) * IDF(10, stats.Counts[i])); got.Value[i] != want {
			t.Errorf("term %d weighs %v, want %v", i, got.Value[i], want)
		}
	}
	if q.Value[0]+q.Value[1] != 3 {
		t.Errorf("the counts were changed: %v", q.Value)
	}
	if _, err := e.Weigh(q, search.TermStats{Docs: 10, Counts: []uint64{1}}); !errors.Is(err, fault.Invalid) {
		t.Errorf("statistics of other terms: %v", err)
	}
}

func TestNew_refuses(t *testing.T) {
	for field, c := range map[string]Config{"/language": {Language: "tlh"}, "/avg_len": {AvgLen: -1}} {
		if _, err := New(c); fault.Field(err) != field || !errors.Is(err, fault.Invalid) {
			t.Errorf("%+v: %v", c, err)
		}
	}
	for _, l := range Languages() {
		encoder(t, l)
	}
}

func TestQuery_isBounded(t *testing.T) {
	var long strings.Builder
	for i := range 20_000 {
		fmt.Fprintf(&long, "word%d ", i)
	}
	e := encoder(t, "en")
	if n := len(e.Query(long.String()).Index); n != MaxTerms {
		t.Errorf("%d bytes make %d terms, want %d", long.Len(), n, MaxTerms)
	}
	if n := len(e.Document(long.String()).Index); n < 20_000 { // a document is not cut
		t.Errorf("the document has %d terms", n)
	}
	once := strings.Repeat("東", 50_000) // without a space to cut at
	if got := asMap(e.Query(once)); len(got) > 2 || got[termOf("東東")] < 49_000 {
		t.Errorf("got %v", got)
	}
}

// TestGolden pins the vectors: those that are stored must go with those that later
// releases ask for.
func TestGolden(t *testing.T) {
	texts := []struct{ language, text string }{
		{"", "Read reads up to len(p) bytes into p. io.Reader, readFile, read_file, HTTPServer v2."},
		{"en", "Read reads up to len(p) bytes into p. io.Reader, readFile, read_file, HTTPServer v2."},
		{"es", "Los lectores leen archivos rápidamente."},
		{"fr", "Les lectrices lisaient des fichiers rapidement."},
		{"hu", "Az olvasók gyorsan olvasnak fájlokat."},
		{"no", "Leserne leser filene raskt."},
		{"ru", "Читатели быстро читают файлы."},
		{"sv", "Läsarna läser filerna snabbt."},
		{"", "東京都でGoを書く 서울 ไทย שָׁלוֹם مـــرحبا"},
	}
	var out strings.Builder
	for _, c := range texts {
		v := encoder(t, c.language).Document(c.text)
		fmt.Fprintf(&out, "%q %q\n", c.language, c.text)
		for i := range v.Index {
			fmt.Fprintf(&out, "  %08x %08x\n", v.Index[i], math.Float32bits(v.Value[i]))
		}
	}
	const name = "testdata/golden.txt"
	if *update {
		if err := os.WriteFile(name, []byte(out.String()), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), out.String()); diff != "" {
		t.Errorf("stored vectors would no longer match (-want +got): %s", diff)
	}
}

// FuzzEncoder: whatever the text, the vectors are well-formed, the same each time,
// and every term of a query is found in the document of the same text.
func FuzzEncoder(f *testing.F) {
	for _, seed := range []string{"", "the io.ReadFile's v2_X…", "東京\x00\u202eعربي\xff", "a'b.c_d.E1", strings.Repeat("Ab1_", 300), "İıſK\u0345\u0301"} {
		f.Add(seed)
	}
	var encoders []*Encoder
	for _, l := range append(Languages(), "") {
		encoders = append(encoders, encoder(f, l))
	}
	f.Fuzz(func(t *testing.T, text string) {
		for _, e := range encoders {
			doc, q := e.Document(text), e.Query(text)
			if err := wellformed.Sparse("", doc); err != nil {
				t.Fatalf("document: %v", err)
			}
			if err := wellformed.Sparse("", q); err != nil || len(q.Index) > MaxTerms {
				t.Fatalf("query of %d terms: %v", len(q.Index), err)
			}
			if diff := cmp.Diff(doc, e.Document(text)); diff != "" {
				t.Fatal(diff)
			}
			for i, term := range q.Index {
				if _, ok := slices.BinarySearch(doc.Index, term); !ok || q.Value[i] < 1 {
					t.Fatalf("term %d of the query, %v times, is not in the document", i, q.Value[i])
				}
			}
			if len(doc.Index) > 0 && e.Length(text) == 0 || e.Length(text) > utf8.RuneCountInString(text)*4 {
				t.Fatalf("%d terms in %d words", len(doc.Index), e.Length(text))
			}
		}
	})
}

func BenchmarkDocument(b *testing.B) {
	e := encoder(b, "en")
	text := strings.Repeat("Reader is the interface that wraps the basic Read method of files and buffers. ", 8)
	b.SetBytes(int64(len(text)))
	for b.Loop() {
		e.Document(text)
	}
}
