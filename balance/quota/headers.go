package quota

import "strconv"

// Headers reads what an upstream says is left of its limits, from the headers of
// its answer; get is http.Header.Get. It knows the names of OpenAI and its
// imitators, then Anthropic's, which counts tokens read and written apart: those
// read are taken, since they are what a call is known to need. Fields that it does
// not tell are -1, as [Bucket.Clamp] expects them; so is what is left of a limit of
// 0 or less, which is how Azure says that it does not know.
func Headers(get func(name string) string) Amount {
	return Amount{
		Requests: left(get, "X-Ratelimit-", "-Requests", "Anthropic-Ratelimit-Requests-"),
		Tokens:   left(get, "X-Ratelimit-", "-Tokens", "Anthropic-Ratelimit-Tokens-", "Anthropic-Ratelimit-Input-Tokens-"),
	}
}

// left returns the first figure that is told in one of the forms: OpenAI's name
// around the word, then Anthropic's before it.
func left(get func(name string) string, before, after string, others ...string) float64 {
	if n := number(get(before+"Remaining"+after), get(before+"Limit"+after)); n >= 0 {
		return n
	}
	for _, prefix := range others {
		if n := number(get(prefix+"Remaining"), get(prefix+"Limit")); n >= 0 {
			return n
		}
	}
	return -1
}

// number returns a text as a number of at least 0, or -1 where it is none or its
// limit is not above 0.
func number(text, limit string) float64 {
	if limit != "" && !(positive(limit)) {
		return -1
	}
	if n, err := strconv.ParseUint(text, 10, 53); err == nil {
		return float64(n)
	}
	return -1
}

func positive(text string) bool {
	n, err := strconv.ParseFloat(text, 64)
	return err == nil && n > 0
}
