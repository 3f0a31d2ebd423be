package static

import (
	"bufio"
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"hash/crc32"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/lanewise/lanewise/embed"
)

// The files in testdata hold the answers of the reference; distil/golden.py
// records them.

// newProvider returns the built-in model.
func newProvider(tb testing.TB) *Provider {
	tb.Helper()
	p, err := New()
	if err != nil {
		tb.Fatal(err)
	}
	return p
}

// readLines decodes the lines of a JSONL file in testdata.
func readLines[T any](tb testing.TB, name string) []T {
	tb.Helper()
	data, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		tb.Fatal(err)
	}
	var all []T
	for dec := json.NewDecoder(bytes.NewReader(data)); dec.More(); {
		var one T
		if err := dec.Decode(&one); err != nil {
			tb.Fatalf("%s, entry %d: %v", name, len(all)+1, err)
		}
		all = append(all, one)
	}
	return all
}

// tokenCase is a text with the ids of its tokens; of a long one, that is some
// text many times over, only their checksum.
type tokenCase struct {
	Text   string
	Repeat int
	IDs    []uint32
	CRC    uint32
}

func TestTokenize_equalsReference(t *testing.T) {
	p := newProvider(t)
	cases := readLines[tokenCase](t, "tokens.jsonl")
	if len(cases) < 1500 {
		t.Fatalf("%d texts, want at least 1,500", len(cases))
	}
	var s splitter
	tokens, wrong := 0, 0
	for _, c := range cases {
		got := p.model.tokenize(&s, nil, strings.Repeat(c.Text, max(c.Repeat, 1)))
		tokens += len(got)
		if c.Repeat == 0 && slices.Equal(got, c.IDs) || c.Repeat > 0 && checksum(got) == c.CRC {
			continue
		}
		if wrong++; wrong <= 5 {
			t.Errorf("%.80q (x%d):\n got %.60v\nwant %.60v", c.Text, c.Repeat, got, c.IDs)
		}
	}
	t.Logf("%d texts, %d tokens, %d mismatches", len(cases), tokens, wrong)
}

// checksum is that of the ids as 32-bit little-endian numbers.
func checksum(ids []uint32) uint32 {
	var data []byte
	for _, id := range ids {
		data = binary.LittleEndian.AppendUint32(data, id)
	}
	return crc32.ChecksumIEEE(data)
}

// TestSplitter_everyCodePoint compares the words around each code point with
// those of the reference, in blocks of 256.
func TestSplitter_everyCodePoint(t *testing.T) {
	p := newProvider(t)
	f, err := os.Open(filepath.Join("testdata", "codepoints.txt"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	blocks, wrong := 0, 0
	for lines := bufio.NewScanner(f); lines.Scan(); blocks++ {
		var first rune
		var want uint32
		if _, err := fmt.Sscanf(lines.Text(), "%x %x", &first, &want); err != nil {
			t.Fatalf("line %d: %v", blocks+1, err)
		}
		if got := blockDigest(p.model.characters, first); got != want {
			if wrong++; wrong <= 5 {
				t.Errorf("code points U+%04X to U+%04X differ from the reference", first, first+255)
			}
		}
	}
	if blocks != pageCount || wrong > 0 {
		t.Errorf("%d of %d blocks differ, want 0 of %d", wrong, blocks, pageCount)
	}
}

// blockDigest is the checksum of the words of two texts around each code point:
// between letters, and between marks that would change places without it.
func blockDigest(table *characters, first rune) uint32 {
	var s splitter
	sum := crc32.NewIEEE()
	for r := first; r < first+pageSize; r++ {
		if r >= 0xD800 && r <= 0xDFFF {
			continue
		}
		for _, text := range []string{"a" + string(r) + "b", "x\U0001d165" + string(r) + "\u1b44"} {
			for s.start(text); s.next(table); {
				word, _ := s.known()
				sum.Write(append(word, 0))
			}
		}
		sum.Write([]byte{'\n'})
	}
	return sum.Sum32()
}

// vectorCase is a text with its vector: float32, little endian, in base64.
type vectorCase struct{ Text, Vector string }

func (c vectorCase) decode(tb testing.TB) (v [Dims]float32) {
	tb.Helper()
	data, err := base64.StdEncoding.DecodeString(c.Vector)
	if err != nil || len(data) != 4*Dims {
		tb.Fatalf("vector of %q: %d bytes, %v", c.Text, len(data), err)
	}
	for i := range v {
		v[i] = math.Float32frombits(binary.LittleEndian.Uint32(data[4*i:]))
	}
	return v
}

func TestEmbed_equalsReference(t *testing.T) {
	p := newProvider(t)
	worst, zero := 1.0, 0
	cases := readLines[vectorCase](t, "vectors.jsonl")
	for _, c := range cases {
		got, err := p.Embed(t.Context(), embed.Batch{Texts: []string{c.Text}, Task: embed.DocumentTask})
		if err != nil {
			t.Fatal(err)
		}
		want := c.decode(t)
		if cosine(want[:], want[:]) == 0 { // the reference knows no word of it
			zero++
			if got.Row(0)[0] != 0 || cosine(got.Row(0), got.Row(0)) != 0 {
				t.Errorf("%q has a vector, the reference has none", c.Text)
			}
			continue
		}
		cos := cosine(got.Row(0), want[:])
		worst = min(worst, cos)
		if cos < 0.999 {
			t.Errorf("%q: cosine %.5f with the reference, want 0.999", c.Text, cos)
		}
	}
	t.Logf("%d texts (%d without a known word), smallest cosine %.6f", len(cases), zero, worst)
}

// cosine is 0 where either vector is zero.
func cosine(a, b []float32) float64 {
	var ab, aa, bb float64
	for i := range a {
		ab += float64(a[i]) * float64(b[i])
		aa += float64(a[i]) * float64(a[i])
		bb += float64(b[i]) * float64(b[i])
	}
	if aa == 0 || bb == 0 {
		return 0
	}
	return ab / math.Sqrt(aa*bb)
}
