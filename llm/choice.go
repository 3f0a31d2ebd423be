package llm

// Choice says which of several models answers, and why.
type Choice struct {
	Asked  string   // the name that the prompt had; empty: none
	Model  string   // the public name of the model that answers
	Passed []Passed // the models that were tried before it, in order

	Routing *Routing // why it was chosen, where that was left to the semantic routes; nil: it was named
}

// Auto is the name of a model that leaves the choice to the semantic routes.
const Auto = "auto"

// Routing is where a question goes by what it is about.
type Routing struct {
	Route  string // that was taken; empty: none fits, and the defaults hold
	Target Target
	Scores []RouteScore // of all routes, the best first
	Failed string       // why there are no scores; empty: there are
}

// Best returns the highest score, or 0 where there is none.
func (r *Routing) Best() float64 {
	if len(r.Scores) == 0 {
		return 0
	}
	return r.Scores[0].Score
}

// Target is what a semantic route leads to. An empty field leaves what the request
// has.
type Target struct {
	Model      string
	Collection string
	Prompt     string // name of a template
}

// RouteScore is how near a question is to a route.
type RouteScore struct {
	Route     string
	Score     float64 // cosine with the nearest of its examples
	Threshold float64 // from which on it is taken
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
