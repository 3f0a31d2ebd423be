package config

import (
	"io"
	"net/http"
	"net/http/httptest"
	"testing"

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
