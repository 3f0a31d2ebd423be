package openai_test

import (
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"

	"github.com/lanewise/lanewise/embed"
	"github.com/lanewise/lanewise/embed/openai"
)

// TestLane_keyRevokedInMidRun holds that a key which is revoked while a lane works
// costs no caller anything, and is shown to the server once more and never again.
func TestLane_keyRevokedInMidRun(t *testing.T) {
	var revoked atomic.Bool
	var refused, taken atomic.Int64
	var last call
	inner := server(t, &last).Config.Handler
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") == "Bearer two" && revoked.Load() {
			refused.Add(1)
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		taken.Add(1)
		inner.ServeHTTP(w, r)
	}))
	defer web.Close()
	p := provider(t, openai.Config{URL: web.URL, Dims: 3, Key: "one", Keys: []string{"two", "three"}})
	e, err := embed.New(embed.Config{CacheBytes: -1, Upstreams: []embed.Upstream{{Name: "up", Provider: p}}})
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close() //nolint:errcheck // the test has its answer
	for i := range 30 {
		revoked.Store(i >= 10)
		if _, err := e.Embed(t.Context(), embed.Batch{Texts: []string{"a"}, Task: embed.QueryTask}); err != nil {
			t.Fatalf("call %d: %v", i, err)
		}
	}
	if refused.Load() != 1 || taken.Load() != 30 {
		t.Errorf("%d calls with the revoked key, %d answers", refused.Load(), taken.Load())
	}
}
