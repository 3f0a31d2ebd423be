package openaiwire

import (
	"net/http"
	"strconv"
	"strings"
	"time"
)

// dimensions are what upstreams limit by the minute.
func dimensions() []string { return []string{"Requests", "Tokens", "Input-Tokens", "Output-Tokens"} }

// ResetAfter returns for how long an answer's rate-limit headers say that a limit
// stays used up, seen from now; of several limits the longest, and 0 where none is
// used up or none says when it is filled again. OpenAI tells it as a duration
// ("6m0s", "120ms"), Azure as seconds, Anthropic as a time by RFC 3339. Nobody is
// waited for longer than an hour.
func ResetAfter(h http.Header, now time.Time) time.Duration {
	longest := time.Duration(0)
	for _, what := range dimensions() {
		for _, form := range [...]func(part string) string{
			func(part string) string { return "X-Ratelimit-" + part + "-" + what },
			func(part string) string { return "Anthropic-Ratelimit-" + what + "-" + part },
		} {
			if strings.TrimSpace(h.Get(form("Remaining"))) == "0" {
				longest = max(longest, until(h.Get(form("Reset")), now))
			}
		}
	}
	return min(longest, maxWait)
}

// until reads a duration, seconds or a time.
func until(text string, now time.Time) time.Duration {
	text = strings.TrimSpace(text)
	if _, err := strconv.ParseFloat(text, 64); err == nil {
		return number(text, time.Second)
	}
	if d, err := time.ParseDuration(text); err == nil {
		return max(d, 0)
	}
	if at, err := time.Parse(time.RFC3339, text); err == nil {
		return max(at.Sub(now), 0)
	}
	return 0
}
