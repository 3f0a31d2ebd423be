package llm

// Choice says which of several models answers, and why.
type Choice struct {
	Asked  string   // the name that the prompt had; empty: none
	Model  string   // the public name of the model that answers
	Passed []Passed // the models that were tried before it, in order
}

// Passed is a model that could not answer.
type Passed struct {
	Model string
	Err   error
}

// Chosen is a [Stream] that knows which of several models writes it.
type Chosen interface{ Choice() Choice }

// Price is what a model costs, by the million tokens, in any currency.
type Price struct {
	Prompt     float64
	Completion float64
	Cached     float64 // of prompt tokens that the upstream had read before; 0: as other prompt tokens
}

// perMillion tokens is how prices are stated.
const perMillion = 1e6

// Of returns the cost of an answer.
func (p Price) Of(u Usage) float64 {
	cached := min(max(u.CachedTokens, 0), max(u.PromptTokens, 0))
	rate := p.Cached
	if rate == 0 {
		rate = p.Prompt
	}
	fresh := max(u.PromptTokens, 0) - cached
	return (float64(fresh)*p.Prompt + float64(cached)*rate + float64(max(u.CompletionTokens, 0))*p.Completion) / perMillion
}
