package wire_test

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/lanewise/lanewise/search"
	"github.com/lanewise/lanewise/search/wire"
)

func randomVector(n int) []float32 {
	r := rand.New(rand.NewPCG(1, 2))
	v := make([]float32, n)
	for i := range v {
		v[i] = float32(r.NormFloat64() / 16)
	}
	return v
}

// searchBody is a request as a client sends it: 256 numbers and some options.
func searchBody(tb testing.TB, vector any) []byte {
	tb.Helper()
	body, err := json.Marshal(map[string]any{
		"collection": "docs", "vector": vector, "k": 10, "mode": "dense", "include": []string{"text", "metadata"},
		"filter": map[string]any{"year": map[string]any{"$gte": 2020}, "lang": "go"}, "timeout_ms": 800,
	})
	if err != nil {
		tb.Fatal(err)
	}
	return body
}

// result is the answer of one shard to a search for k points.
func result(k int, fields bool) search.Result {
	r := rand.New(rand.NewPCG(1, 2))
	list := search.List{Prefix: true}
	for i := range k {
		h := search.Hit{Score: r.Float64(), Collection: "docs", Shard: "s0"}
		h.ID, h.Version, h.Raw = fmt.Sprint("strings.Builder.Method", i), search.Version(1_754_000_000_000<<20+i), h.Score
		if fields {
			h.Text = "WriteString appends the contents of s to b's buffer. It returns the length of s and a nil error."
			h.Meta = json.RawMessage(`{"package":"strings","kind":"method","symbol":"Builder.WriteString"}`)
		}
		list.Hits = append(list.Hits, h)
	}
	return search.Result{Lists: []search.List{list}}
}

func BenchmarkDecodeSearch(b *testing.B) {
	for name, body := range map[string][]byte{
		"numbers=256": searchBody(b, randomVector(256)),
		"base64=256":  searchBody(b, base64Of(randomVector(256))),
		"text":        []byte(`{"collection":"docs","text":"read a file line by line","k":10}`),
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := wire.Decode[wire.SearchRequest](body); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkReplicaQuery(b *testing.B) {
	q := search.Query{Collection: "docs", Legs: []search.Leg{{Dense: randomVector(256), K: 10}}, Fields: search.Fields{Text: true, Meta: true}, Epoch: 3}
	benchReplica(b, q)
}

func BenchmarkReplicaResult(b *testing.B) {
	for _, k := range []int{10, 100} {
		b.Run(fmt.Sprintf("k=%d/keys", k), func(b *testing.B) { benchReplica(b, result(k, false)) })
		b.Run(fmt.Sprintf("k=%d/fields", k), func(b *testing.B) { benchReplica(b, result(k, true)) })
	}
}

func benchReplica[T search.Query | search.Result](b *testing.B, v T) {
	b.Helper()
	data, err := wire.MarshalReplica(v)
	if err != nil {
		b.Fatal(err)
	}
	b.Run("write", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := wire.MarshalReplica(v); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("read", func(b *testing.B) {
		b.ReportAllocs()
		b.SetBytes(int64(len(data)))
		for b.Loop() {
			if _, err := wire.UnmarshalReplica[T](data); err != nil {
				b.Fatal(err)
			}
		}
	})
}

// BenchmarkEncodingJSON is the yardstick: encoding/json, strict, for the same
// search body, and for a result as plain structs.
func BenchmarkEncodingJSON(b *testing.B) {
	body := searchBody(b, randomVector(256))
	b.Run("search", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := strictly[plainRequest](body); err != nil {
				b.Fatal(err)
			}
		}
	})
	data, err := wire.MarshalReplica(result(10, true))
	if err != nil {
		b.Fatal(err)
	}
	b.Run("result/k=10/fields", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := strictly[plainResult](data); err != nil {
				b.Fatal(err)
			}
		}
	})
}
