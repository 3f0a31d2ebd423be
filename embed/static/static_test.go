package static

import (
	"context"
	"errors"
	"hash/crc32"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"

	"go.uber.org/goleak"

	"github.com/lanewise/lanewise/embed"
	"github.com/lanewise/lanewise/fault"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// vectorsOf embeds texts, which must not fail.
func vectorsOf(tb testing.TB, p *Provider, bulk bool, texts ...string) embed.Vectors {
	tb.Helper()
	v, err := p.Embed(context.Background(), embed.Batch{Texts: texts, Task: embed.DocumentTask, Bulk: bulk})
	if err != nil {
		tb.Fatal(err)
	}
	return v
}

// randomTexts returns n texts of a few words each.
func randomTexts(n int) []string {
	chance := rand.New(rand.NewPCG(1, 2))
	words := strings.Fields("open close read write file line socket deadline context cancel map slice sort naïve 日本 ∑ ...")
	texts := make([]string, n)
	for i := range texts {
		for range chance.IntN(40) {
			texts[i] += words[chance.IntN(len(words))] + " "
		}
	}
	return texts
}

// TestSpace_changesWithTheModel pins the name of the space to the model's bytes:
// whoever changes model.bin has to give the space a new name, too.
func TestSpace_changesWithTheModel(t *testing.T) {
	want := embed.Space{Model: "static", Dims: 256, Normalized: true}
	if got := newProvider(t).Space(); got != want || crc32.ChecksumIEEE(modelFile) != 0xaf3da275 {
		t.Errorf("space %+v, model %08x: a new model needs a new name of its space", got, crc32.ChecksumIEEE(modelFile))
	}
	if len(modelFile) > 8_000_000 {
		t.Errorf("model of %d bytes, want at most 8,000,000", len(modelFile))
	}
}

func TestEmbed_lengthIsOne(t *testing.T) {
	v := vectorsOf(t, newProvider(t), false, "a", "The quick brown fox", strings.Repeat("deadline exceeded. ", 3000))
	for i := range v.Rows() {
		if length := math.Sqrt(norm2(v.Row(i))); math.Abs(length-1) > 1e-6 {
			t.Errorf("vector %d has length %v", i, length)
		}
	}
}

func norm2(v []float32) (sum float64) {
	for _, x := range v {
		sum += float64(x) * float64(x)
	}
	return sum
}

func TestEmbed_noKnownWordIsZero(t *testing.T) {
	v := vectorsOf(t, newProvider(t), false, "", " \n", "\x00\xff", strings.Repeat("x", 101), "ሀሁሂ")
	if v.Rows() != 5 || norm2(v.Data) != 0 {
		t.Errorf("%d vectors, square %v; want 5 zero vectors", v.Rows(), norm2(v.Data))
	}
	if v.Tokens != 2 {
		t.Errorf("%d tokens, want the 2 unknown words", v.Tokens)
	}
}

func TestEmbed_noTexts(t *testing.T) {
	for _, bulk := range []bool{false, true} {
		if v := vectorsOf(t, newProvider(t), bulk); v.Rows() != 0 || v.Dims != Dims || v.Tokens != 0 {
			t.Errorf("bulk %t: %+v, want no rows of %d dims", bulk, v, Dims)
		}
	}
}

func TestEmbed_orderAndCaseDoNotMatter(t *testing.T) {
	v := vectorsOf(t, newProvider(t), false, "close the file", "FILE: the Close", "close the\xff file\x00")
	if slices.Equal(v.Row(0), v.Row(1)) {
		t.Error("a colon changes nothing")
	}
	if !slices.Equal(v.Row(0), v.Row(2)) {
		t.Error("bytes that are not UTF-8 change the vector")
	}
	w := vectorsOf(t, newProvider(t), false, "FILE the Close")
	if !slices.Equal(v.Row(0), w.Row(0)) {
		t.Error("the order of words changes the vector")
	}
}

// TestEmbed_bulkIsTheSame also shows that a batch has the same vectors as its
// texts one by one, whoever embeds at the same time.
func TestEmbed_bulkIsTheSame(t *testing.T) {
	p := newProvider(t)
	texts := randomTexts(1000)
	want := vectorsOf(t, p, false, texts...)
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			got := vectorsOf(t, p, true, texts...)
			if got.Tokens != want.Tokens || !slices.Equal(got.Data, want.Data) {
				t.Errorf("bulk: %d tokens, want %d; or other vectors", got.Tokens, want.Tokens)
			}
		})
	}
	all.Wait()
	for i, text := range texts {
		if one := vectorsOf(t, p, false, text); !slices.Equal(one.Data, want.Row(i)) {
			t.Errorf("text %d alone has another vector", i)
		}
	}
}

func TestEmbed_endsWithItsContext(t *testing.T) {
	cause := errors.New("enough")
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(cause)
	for _, bulk := range []bool{false, true} {
		v, err := newProvider(t).Embed(ctx, embed.Batch{Texts: randomTexts(200), Bulk: bulk})
		if !errors.Is(err, cause) || v.Data != nil {
			t.Errorf("bulk %t: %d vectors, error %v; want the context's cause", bulk, v.Rows(), err)
		}
	}
}

// TestEmbed_allocatesNothingPerToken embeds with a scratch that is warm. Embed
// itself keeps scratches in a pool, which may lose one at any time.
func TestEmbed_allocatesNothingPerToken(t *testing.T) {
	m := newProvider(t).model
	text := strings.Repeat("deadlines exceeded naïvely 日本 \u1100\u302e ", 1000)
	s := scratch{tokens: make([]uint32, 0, keepTokens)}
	var out [Dims]float32
	if got := testing.AllocsPerRun(10, func() {
		s.tokens = m.tokenize(&s.split, s.tokens[:0], text)
		m.vector(&out, &s.sum, s.tokens)
	}); got != 0 {
		t.Errorf("%v allocations for %d tokens, want 0", got, len(s.tokens))
	}
}

// TestVector_isTheExactSum compares with plain integer arithmetic, beyond the
// number of rows that a lane has room for.
func TestVector_isTheExactSum(t *testing.T) {
	m := newProvider(t).model
	chance := rand.New(rand.NewPCG(3, 4))
	for _, n := range []int{0, 1, 2, laneRows - 1, laneRows, laneRows + 1, 3*laneRows + 7} {
		tokens := make([]uint32, n)
		var want [Dims]int64
		for i := range tokens {
			tokens[i] = chance.Uint32N(uint32(len(m.vocabulary.ends)))
			for d, b := range m.row(tokens[i]) {
				if tokens[i] != unknownToken {
					want[d] += (int64(b) - bias) * int64(m.weight(tokens[i]))
				}
			}
		}
		var s sum
		var out [Dims]float32
		m.vector(&out, &s, tokens)
		if s.totals != want {
			t.Errorf("%d tokens: sums differ", n)
		}
	}
}

// TestSum_lanesHaveRoom adds the largest row that there can be, as often as the
// lanes allow.
func TestSum_lanesHaveRoom(t *testing.T) {
	var s sum
	var row [Dims]byte
	for i := range row {
		row[i] = byte(math.MaxUint8 - i%2)
	}
	for range laneRows {
		s.addRow(&row, math.MaxUint16)
	}
	s.collect(0)
	for i, got := range s.totals {
		if want := int64(row[i]) * math.MaxUint16 * laneRows; got != want {
			t.Fatalf("dimension %d: %d, want %d", i, got, want)
		}
	}
}

// TestEmbed_tokenIDs holds that the ids of a text's word pieces have its vector.
func TestEmbed_tokenIDs(t *testing.T) {
	p, err := New()
	if err != nil {
		t.Fatal(err)
	}
	text := "Scanner reads a file line by line."
	ids := p.model.tokenize(&splitter{}, nil, text)
	v, err := p.Embed(t.Context(), embed.Batch{IDs: [][]uint32{nil, ids}})
	if err != nil || v.Rows() != 2 || v.Tokens != len(ids) {
		t.Fatalf("%d rows, %d tokens, %v", v.Rows(), v.Tokens, err)
	}
	if want := vectorsOf(t, p, false, "", text); !slices.Equal(v.Data, want.Data) {
		t.Error("the vector differs from the text's")
	}
	if _, err := p.Embed(t.Context(), embed.Batch{IDs: [][]uint32{{1, 1 << 20}}}); !errors.Is(err, fault.Invalid) {
		t.Errorf("an id of no word piece: %v", err)
	}
}
