package openaiwire_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/lanewise/lanewise/fault"
	"github.com/lanewise/lanewise/internal/openaiwire"
)

func TestResetAfter(t *testing.T) {
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	for _, c := range []struct {
		name   string
		header map[string]string
		want   time.Duration
	}{
		{"none", nil, 0},
		{"nothing used up", map[string]string{"X-Ratelimit-Remaining-Tokens": "3", "X-Ratelimit-Reset-Tokens": "9s"}, 0},
		{"openai", map[string]string{"X-Ratelimit-Remaining-Tokens": "0", "X-Ratelimit-Reset-Tokens": "6m0s", "X-Ratelimit-Remaining-Requests": "0", "X-Ratelimit-Reset-Requests": "120ms"}, 6 * time.Minute},
		{"azure", map[string]string{"X-Ratelimit-Remaining-Requests": "0", "X-Ratelimit-Reset-Requests": "12"}, 12 * time.Second},
		{"anthropic", map[string]string{"Anthropic-Ratelimit-Output-Tokens-Remaining": "0", "Anthropic-Ratelimit-Output-Tokens-Reset": "2026-03-01T12:00:20Z"}, 20 * time.Second},
		{"anthropic's input", map[string]string{"Anthropic-Ratelimit-Input-Tokens-Remaining": "0", "Anthropic-Ratelimit-Input-Tokens-Reset": "2026-03-01T12:00:04Z"}, 4 * time.Second},
		{"past", map[string]string{"Anthropic-Ratelimit-Tokens-Remaining": "0", "Anthropic-Ratelimit-Tokens-Reset": "2026-03-01T11:00:20Z"}, 0},
		{"negative", map[string]string{"X-Ratelimit-Remaining-Tokens": "0", "X-Ratelimit-Reset-Tokens": "-3s"}, 0},
		{"nonsense", map[string]string{"X-Ratelimit-Remaining-Tokens": "0", "X-Ratelimit-Reset-Tokens": "soon"}, 0},
		{"no time", map[string]string{"X-Ratelimit-Remaining-Tokens": "0"}, 0},
		{"too far", map[string]string{"X-Ratelimit-Remaining-Tokens": "0", "X-Ratelimit-Reset-Tokens": "9999h"}, time.Hour},
	} {
		h := http.Header{}
		for k, v := range c.header {
			h.Set(k, v)
		}
		if got := openaiwire.ResetAfter(h, now); got != c.want {
			t.Errorf("%s: %v, want %v", c.name, got, c.want)
		}
	}
}

// TestPost_waitsForReset holds that a refusal without Retry-After asks to wait until
// its used-up limit is filled again, and any other error does not.
func TestPost_waitsForReset(t *testing.T) {
	status, after := http.StatusTooManyRequests, ""
	c := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("X-Ratelimit-Remaining-Tokens", "0")
		w.Header().Set("X-Ratelimit-Reset-Tokens", "9s")
		w.Header().Set("Retry-After", after)
		w.WriteHeader(status)
	})
	for _, k := range []struct {
		status int
		after  string
		want   time.Duration
	}{{429, "", 9 * time.Second}, {529, "", 9 * time.Second}, {429, "2", 2 * time.Second}, {503, "", 0}} {
		status, after = k.status, k.after
		_, err := c.Post(t.Context(), "/x", 1) //nolint:bodyclose // an error has no body
		if got := fault.RetryAfter(err); got != k.want {
			t.Errorf("%d, Retry-After %q: wait %v, want %v", k.status, k.after, got, k.want)
		}
	}
}
