package config

import (
	"io"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/lanewise/lanewise/embed"
)

// Each kind of upstream reaches its server as that server expects it.
func TestEmbedUpstream_kinds(t *testing.T) {
	for _, c := range []struct {
		upstream EmbedUpstream
		answer   string
		want     string // path, header and body of the call
		space    string
	}{
		{EmbedUpstream{Kind: kindOpenAI, Keys: []Secret{"k"}, KeyHeader: "api-key", Normalized: true, Base64: true, SendDims: true, QueryType: "query"},
			`{"data": [{"embedding": [1, 2]}]}`,
			`/v1/embeddings k {"model":"m","input":["a"],"encoding_format":"base64","dimensions":2,"input_type":"query"}`, "m-2"},
		{EmbedUpstream{Kind: kindTEI, Normalized: true, QueryPrefix: "q: "}, `[[1, 2]]`,
			`/embed  {"inputs":["q: a"],"normalize":true,"truncate":false}`, "m-2-p7cb98f1d979d"},
		{EmbedUpstream{Kind: kindOllama}, `{"embeddings": [[1, 2]]}`,
			`/api/embed  {"model":"m","input":["a"],"truncate":false}`, "m-2-raw"},
		{EmbedUpstream{Kind: kindCohere, Revision: "r"}, `{"embeddings": {"float": [[1, 2]]}}`,
			`/v2/embed  {"model":"m","texts":["a"],"input_type":"search_query","embedding_types":["float"],"truncate":"NONE"}`, "m@r-2-raw"},
	} {
		var got string
		web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.Method != http.MethodPost {
				w.WriteHeader(http.StatusNotFound)
				return
			}
			body, _ := io.ReadAll(r.Body)
			got = r.URL.Path + " " + r.Header.Get("Api-Key") + " " + string(body)
			_, _ = io.WriteString(w, c.answer)
		}))
		u := c.upstream
		u.URL, u.Model, u.Dims = web.URL, "m", 2
		p, err := u.open(t.Context(), nil)
		if err != nil {
			t.Fatal(err)
		}
		_, err = p.Embed(t.Context(), embed.Batch{Texts: []string{"a"}, Task: embed.QueryTask})
		if err != nil || got != c.want || p.Space().ID() != c.space {
			t.Errorf("%s: %v, space %s\n got %s\nwant %s", u.Kind, err, p.Space().ID(), got, c.want)
		}
		_ = p.Close()
		web.Close()
	}
}

func TestEmbedUpstream_limits(t *testing.T) {
	u := EmbedUpstream{Preset: "vertex", Batch: Batch{Inputs: 10, Bytes: 1 << 20}, Window: 2048}
	if got, want := u.limits(), (embed.Limits{Inputs: 10, Tokens: 20_000, Bytes: 1 << 20, Window: 2048}); got != want {
		t.Errorf("limits %+v, want %+v", got, want)
	}
}

func TestEmbed_cacheMistakesAreNamed(t *testing.T) {
	for text, want := range map[string]string{
		"cache_ttl: -1s":                                      "embed.cache_ttl: -1s is negative",
		"cache_file_size: 2MiB":                               "embed.cache_file_size: is of nothing",
		"cache_file: vectors, cache_file_size: 1000B":         "embed.cache_file_size: must be at least 1MiB",
		"cache_file: vectors, cache_file_size: 1MiB, ttl: 1s": "embed.ttl: unknown key",
	} {
		refuses(t, "shards: [{name: s0, replicas: [{path: s0}]}]\nembed: {"+text+"}", want)
	}
	c := accepts(t, "shards: [{name: s0, replicas: [{path: s0}]}]\nembed: {cache_file: vectors, cache_ttl: 24h}").Resolved()
	if c.Embed.CacheFile != "vectors" || c.Embed.CacheFileSize != 1<<30 || c.Embed.CacheTTL != 24*time.Hour {
		t.Errorf("%+v", c.Embed)
	}
}

// What a server has embedded before a restart costs no call after it.
func TestBuild_keepsVectorsOverARestart(t *testing.T) {
	var calls atomic.Int64
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		calls.Add(1)
		_, _ = io.Copy(io.Discard, r.Body)
		_, _ = io.WriteString(w, `{"data": [{"embedding": [1, 2]}], "usage": {"prompt_tokens": 5}}`)
	}))
	defer web.Close()
	c := Local(t.TempDir())
	c.Embed.CacheFile = filepath.Join(t.TempDir(), "vectors")
	c.Embed.Upstreams = []EmbedUpstream{{Kind: kindOpenAI, URL: web.URL, Model: "m", Dims: 2}}
	for run, want := range []int64{2, 2} { // the canary and the text; then neither
		s, err := c.Build(t.Context(), Options{})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := s.embedders[0].Embed(t.Context(), embed.Batch{Texts: []string{"a"}, Task: embed.QueryTask}); err != nil {
			t.Fatal(err)
		}
		shut(t, s)
		if got := calls.Load(); got != want {
			t.Errorf("run %d: %d calls so far, want %d", run, got, want)
		}
	}
}
