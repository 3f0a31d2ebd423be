package config

import (
	"io"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"

	"github.com/lanewise/lanewise/rerank"
)

// Each kind of upstream reaches its server as that server expects it.
func TestRerank_kinds(t *testing.T) {
	for _, c := range []struct {
		upstream RerankUpstream
		answer   string
		want     string // path and body of the call
	}{
		{RerankUpstream{Kind: kindTEI}, `[{"index": 0, "score": 2}]`, `/rerank {"query":"q","texts":["a"],"truncate":true}`},
		{RerankUpstream{Kind: kindCohere, Model: "m"}, `{"results": [{"index": 0, "relevance_score": 2}]}`,
			`/v1/rerank {"model":"m","query":"q","documents":["a"],"top_n":1}`},
	} {
		var got string
		web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			body, _ := io.ReadAll(r.Body)
			got = r.URL.Path + " " + string(body)
			_, _ = io.WriteString(w, c.answer)
		}))
		u := c.upstream
		u.URL = web.URL
		cfg := Local(filepath.Join(t.TempDir(), "store"))
		cfg.Rerank.Upstreams = []RerankUpstream{u}
		system, err := cfg.Build(t.Context(), Options{})
		if err != nil {
			t.Fatal(err)
		}
		s, err := system.Router.Rerank(t.Context(), rerank.Batch{Query: "q", Texts: []string{"a"}})
		if err != nil || s.Values[0] != 2 || got != c.want {
			t.Errorf("%s: %v, %v\n got %s\nwant %s", u.Kind, s, err, got, c.want)
		}
		if err := system.Close(); err != nil {
			t.Error(err)
		}
		web.Close()
	}
}

func TestRerank_mistakes(t *testing.T) {
	for upstream, want := range map[string]string{
		"{kind: tei, url: http://x, model: m}":    "rerank.upstreams[0].model: has no meaning here",
		"{kind: cohere, url: http://x}":           "rerank.upstreams[0].model: missing",
		"{kind: cohera, url: http://x, model: m}": `unknown kind "cohera"; did you mean cohere?`,
		"{kind: tei}":                           "rerank.upstreams[0].url: missing",
		"{kind: tei, url: http://x, slots: -1}": "rerank.upstreams[0].slots: must not be negative",
	} {
		text := "shards:\n  - {name: a, replicas: [{path: a}]}\nrerank:\n  upstreams:\n    - " + upstream + "\n"
		if _, err := parse("f.yaml", []byte(text), func(string) (string, bool) { return "", false }); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want %q", upstream, err, want)
		}
	}
}
