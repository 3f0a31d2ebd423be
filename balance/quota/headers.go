package quota

import "strconv"

// Names of the headers in which upstreams say what is left: OpenAI's and its
// imitators', then Anthropic's.
const (
	openRequests = "X-Ratelimit-Remaining-Requests"
	openTokens   = "X-Ratelimit-Remaining-Tokens" //nolint:gosec // a header's name
	antRequests  = "Anthropic-Ratelimit-Requests-Remaining"
	antTokens    = "Anthropic-Ratelimit-Tokens-Remaining" //nolint:gosec // a header's name
)

// Headers reads what an upstream says is left of its limits, from the headers of
// its answer; get is http.Header.Get. Fields that it does not tell are -1, as
// [Bucket.Clamp] expects them.
func Headers(get func(name string) string) Amount {
	return Amount{Requests: number(get(openRequests), get(antRequests)), Tokens: number(get(openTokens), get(antTokens))}
}

// number returns the first of texts that is a number of at least 0, or -1.
func number(texts ...string) float64 {
	for _, text := range texts {
		if n, err := strconv.ParseUint(text, 10, 53); err == nil {
			return float64(n)
		}
	}
	return -1
}
