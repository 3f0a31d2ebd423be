package httpapi

import (
	"testing"

	"github.com/lanewise/lanewise/embed"
)

// Whatever is sent to whatever endpoint that has a body of its own form, it is no defect of the server.
func FuzzOwnBodies(f *testing.F) {
	s, err := newServer(Config{Router: newRouter(f, nil), Embedders: []embed.Provider{letters{}}, Models: &parrot{}})
	if err != nil {
		f.Fatal(err)
	}
	for _, seed := range []string{`{"model":"letters","input":["a",""]}`, `{"model":"letters","input":[[1,2]],"dimensions":1}`, `{"query":"a","documents":["a",{"text":"b"}],"top_n":-1}`, `{"collection":"docs","limit":5}`} {
		f.Add([]byte(seed))
	}
	paths := []string{"/v1/embeddings", "/v1/rerank", "/v1/chat/completions", "/v1/admin/reindex", "/v1/admin/reembed"}
	f.Fuzz(func(t *testing.T, body []byte) {
		for _, path := range paths {
			req := newRequest("POST", path, string(body))
			req.RemoteAddr = "127.0.0.1:4000"
			req.Header.Set("Content-Type", "application/json")
			if w := do(s, req); w.Code >= 500 {
				t.Errorf("%s: %d %s", path, w.Code, w.Body)
			}
		}
	})
}
