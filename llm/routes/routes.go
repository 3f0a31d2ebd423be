// Package routes picks where a question goes by what it is about.
//
// A route has example utterances, a threshold and a target: a model, a collection,
// a prompt. The score of a question is its highest cosine with the vector of
// one of them, which is how the router chains of LLM frameworks do it; of the
// routes whose threshold it reaches the one with the highest score is taken, and
// none where there is no such route.
//
// The question's vector is asked for like any other query's. Where the embedding
// lane keeps vectors, as this module's does, a search for the same text that
// follows finds it there, so that routing costs no call.
package routes

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"slices"

	"github.com/lanewise/lanewise/fault"
	"github.com/lanewise/lanewise/internal/tokens"
	"github.com/lanewise/lanewise/llm"
)

// Route is one subject.
type Route struct {
	Name     string
	Examples []string // utterances, at least one
	// Threshold is the score from which on the route is taken, up to 1; 0: 0.5. It
	// depends on the embedding model.
	Threshold float64
	Target    llm.Target
}

// Config lists the routes. Both fields must be set.
type Config struct {
	Routes []Route // at equal scores the first is taken
	// Embed returns a vector for each text, all of one length, in their order.
	Embed func(ctx context.Context, texts []string) ([][]float32, error)
}

// DefaultThreshold is that of a route which states none.
const DefaultThreshold = 0.5

// Table picks routes. It embeds the examples with the first question. Safe for
// concurrent use.
type Table struct {
	config   Config
	loading  chan struct{} // holds one token: whoever has it may embed the examples
	loaded   chan struct{} // closed when examples is set
	examples [][][]float32 // of each route, of length 1
}

// New checks c; it embeds nothing yet. Its errors are fault.Invalid and name the
// field by its pointer ("/routes/0/examples").
func New(c Config) (*Table, error) {
	var errs []error
	if len(c.Routes) == 0 {
		errs = append(errs, fault.BadField("/routes", "must not be empty"))
	}
	if c.Embed == nil {
		errs = append(errs, fault.BadField("/embed", "is missing"))
	}
	c.Routes = slices.Clone(c.Routes)
	seen := map[string]bool{}
	for i := range c.Routes {
		r := &c.Routes[i]
		r.Threshold = cmp.Or(r.Threshold, DefaultThreshold)
		at := fmt.Sprintf("/routes/%d", i)
		switch {
		case r.Name == "" || seen[r.Name]:
			errs = append(errs, fault.BadField(at+"/name", "must be there, and of one route only"))
		case len(r.Examples) == 0 || slices.Contains(r.Examples, ""):
			errs = append(errs, fault.BadField(at+"/examples", "must hold a text at least, and no empty one"))
		case !(r.Threshold > 0 && r.Threshold <= 1):
			errs = append(errs, fault.BadField(at+"/threshold", "must be above 0 and at most 1, is %v", r.Threshold))
		}
		seen[r.Name] = true
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	return &Table{config: c, loading: make(chan struct{}, 1), loaded: make(chan struct{})}, nil
}

// Routes returns the routes, with their thresholds.
func (t *Table) Routes() []Route { return slices.Clone(t.config.Routes) }

// Pick scores a question and returns where it goes. Where it cannot be scored it
// goes where questions go that fit no route, and Failed says why: the only errors
// are those of a context that has ended.
func (t *Table) Pick(ctx context.Context, text string) (llm.Routing, error) {
	scores, err := t.Score(ctx, []string{text})
	switch {
	case ctx.Err() != nil:
		return llm.Routing{}, context.Cause(ctx)
	case err != nil:
		return llm.Routing{Failed: err.Error()}, nil //nolint:nilerr // the choice says it
	}
	return t.routing(scores[0]), nil
}

// routing is the choice by the scores of all routes.
func (t *Table) routing(scores []float64) llm.Routing {
	var out llm.Routing
	thresholds := make([]float64, len(scores))
	for i, r := range t.config.Routes {
		thresholds[i] = r.Threshold
		out.Scores = append(out.Scores, llm.RouteScore{Route: r.Name, Score: scores[i], Threshold: r.Threshold})
	}
	if at := Choose(scores, thresholds); at >= 0 {
		out.Route, out.Target = t.config.Routes[at].Name, t.config.Routes[at].Target
	}
	slices.SortStableFunc(out.Scores, func(a, b llm.RouteScore) int { return cmp.Compare(b.Score, a.Score) })
	return out
}

// Choose returns the position of the highest score that reaches its threshold, the
// first of equal ones, or -1 where none does.
func Choose(scores, thresholds []float64) int {
	best := -1
	for i, score := range scores {
		if score >= thresholds[i] && (best < 0 || score > scores[best]) {
			best = i
		}
	}
	return best
}

// Score returns the scores of texts with all routes: row i is text i's, in the
// order of the routes. Errors are those of the embedding, and fault.Unavailable where
// its vectors are of no use.
func (t *Table) Score(ctx context.Context, texts []string) ([][]float64, error) {
	if err := t.load(ctx); err != nil {
		return nil, err
	}
	vectors, err := t.embed(ctx, texts)
	if err != nil {
		return nil, fmt.Errorf("embed for the semantic routes: %w", err)
	}
	out := make([][]float64, len(vectors))
	for i, v := range vectors {
		out[i] = make([]float64, len(t.examples))
		for r, examples := range t.examples {
			if out[i][r], err = nearest(v, examples); err != nil {
				return nil, err
			}
		}
	}
	return out, nil
}

// nearest is the highest cosine of a vector with some others, all of length 1.
func nearest(v []float32, others [][]float32) (float64, error) {
	best := math.Inf(-1)
	for _, o := range others {
		if len(o) != len(v) {
			return 0, fault.New(fault.Unavailable, "the semantic routes have examples of %d dims, the question %d", len(o), len(v))
		}
		sum := 0.0
		for i, x := range v {
			sum += float64(x) * float64(o[i])
		}
		best = max(best, sum)
	}
	return max(min(best, 1), -1), nil
}

// load embeds the examples, once. Those who come meanwhile wait for whoever does.
func (t *Table) load(ctx context.Context) error {
	select {
	case <-t.loaded:
		return nil
	default:
	}
	select {
	case <-t.loaded:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	case t.loading <- struct{}{}:
	}
	defer func() { <-t.loading }()
	select {
	case <-t.loaded: // by whom this one waited for
		return nil
	default:
	}
	var texts []string
	for _, r := range t.config.Routes {
		texts = append(texts, r.Examples...)
	}
	ctx, _ = tokens.Counting(ctx) // whose request comes first does not pay for them
	vectors, err := t.embed(ctx, texts)
	if err != nil {
		return fmt.Errorf("embed the examples of the semantic routes: %w", err)
	}
	for _, r := range t.config.Routes {
		t.examples = append(t.examples, vectors[:len(r.Examples)])
		vectors = vectors[len(r.Examples):]
	}
	close(t.loaded)
	return nil
}

// embed returns vectors of length 1.
func (t *Table) embed(ctx context.Context, texts []string) ([][]float32, error) {
	vectors, err := t.config.Embed(ctx, texts)
	if err != nil {
		return nil, err
	}
	if len(vectors) != len(texts) {
		return nil, fault.New(fault.Unavailable, "got %d vectors for %d texts", len(vectors), len(texts))
	}
	out := make([][]float32, len(vectors))
	for i, v := range vectors {
		out[i] = unit(v)
	}
	return out, nil
}

// unit scales a vector to length 1; a zero vector, of a text without any known
// word, stays zero and is near to nothing.
func unit(v []float32) []float32 {
	sum := 0.0
	for _, x := range v {
		sum += float64(x) * float64(x)
	}
	out := make([]float32, len(v))
	if norm := math.Sqrt(sum); norm > 0 && !math.IsInf(norm, 0) {
		for i, x := range v {
			out[i] = float32(float64(x) / norm)
		}
	}
	return out
}
