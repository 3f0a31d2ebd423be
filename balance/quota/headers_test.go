package quota

import (
	"net/http"
	"testing"
)

func TestHeaders_forms(t *testing.T) {
	for name, c := range map[string]struct {
		header map[string]string
		want   Amount
	}{
		"none":                {nil, Amount{-1, -1}},
		"openai":              {map[string]string{"x-ratelimit-limit-requests": "60", "x-ratelimit-remaining-requests": "59", "x-ratelimit-remaining-tokens": "149984"}, Amount{59, 149984}},
		"anthropic":           {map[string]string{"anthropic-ratelimit-requests-remaining": "4", "anthropic-ratelimit-tokens-remaining": "70"}, Amount{4, 70}},
		"anthropic, in parts": {map[string]string{"anthropic-ratelimit-input-tokens-remaining": "50", "anthropic-ratelimit-output-tokens-remaining": "20"}, Amount{-1, 50}},
		"used up":             {map[string]string{"x-ratelimit-limit-tokens": "10", "x-ratelimit-remaining-tokens": "0"}, Amount{-1, 0}},
		"azure, not known":    {map[string]string{"x-ratelimit-limit-tokens": "0", "x-ratelimit-remaining-tokens": "0", "x-ratelimit-limit-requests": "-1", "x-ratelimit-remaining-requests": "-1"}, Amount{-1, -1}},
		"no limit to read":    {map[string]string{"x-ratelimit-limit-tokens": "many", "x-ratelimit-remaining-tokens": "5"}, Amount{-1, -1}},
	} {
		h := http.Header{}
		for k, v := range c.header {
			h.Set(k, v)
		}
		if got := Headers(h.Get); got != c.want {
			t.Errorf("%s: %+v, want %+v", name, got, c.want)
		}
	}
}
