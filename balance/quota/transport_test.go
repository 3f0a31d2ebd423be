package quota

import (
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
)

func TestTransport_believesWhatTheUpstreamSaysIsLeft(t *testing.T) {
	said := http.Header{}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		for name := range said {
			w.Header().Set(name, said.Get(name))
		}
		w.WriteHeader(http.StatusTooManyRequests) // on errors, too
	}))
	defer server.Close()
	b, err := New(Limit{Requests: 6000, Tokens: 60_000}) // 1,000 and 10,000 at once
	if err != nil {
		t.Fatal(err)
	}
	client := &http.Client{Transport: &Transport{Bucket: b}}
	defer client.CloseIdleConnections()
	for _, step := range []struct {
		header, value string
		most          Amount // that is left then; a little comes in meanwhile
	}{
		{"X-Other", "0", Amount{1000, 10_000}},
		{"X-Ratelimit-Remaining-Requests", "-1", Amount{1000, 10_000}},
		{"X-Ratelimit-Remaining-Requests", "soon", Amount{1000, 10_000}},
		{"X-Ratelimit-Remaining-Requests", "500", Amount{500, 10_000}},
		{"Anthropic-Ratelimit-Tokens-Remaining", "70", Amount{500, 70}},
		{"X-Ratelimit-Remaining-Requests", "99999", Amount{500, 70}},
	} {
		said = http.Header{step.header: {step.value}}
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, server.URL, nil)
		if err != nil {
			t.Fatal(err)
		}
		resp, err := client.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		_, _ = io.Copy(io.Discard, resp.Body)
		_ = resp.Body.Close()
		left := b.Left()
		if step.most.Requests == 1000 && left.Requests < 1000 || step.most.Tokens == 10_000 && left.Tokens < 10_000 {
			t.Errorf("%s: %s: %+v is left, want nothing changed", step.header, step.value, left)
		}
		if left.Requests > step.most.Requests+400 || left.Tokens > step.most.Tokens+4000 {
			t.Errorf("%s: %s: %+v is left, want about %+v at most", step.header, step.value, left, step.most)
		}
	}
}
