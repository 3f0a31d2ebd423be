package router

import (
	"cmp"
	"hash/fnv"
	"strconv"

	"github.com/lanewise/lanewise/fault"
	"github.com/lanewise/lanewise/internal/tokens"
	"github.com/lanewise/lanewise/llm"
	"github.com/lanewise/lanewise/llm/prompt"
	"github.com/lanewise/lanewise/search"
)

// answerRoom is what is kept free in a model's window for an answer whose length
// nobody limits, in tokens; in windows below four times as much a quarter is.
const answerRoom = 1024

// draft lays out the prompt of one question: once for a window that is not known,
// and again for each model that is tried (llm.Prompt's Refit). It is not safe for
// concurrent use.
type draft struct {
	template *prompt.Template
	request  prompt.Request
	shared   llm.Prompt // what all layouts have in common
	ratios   *tokens.Ratios

	refits int
	first  int // sources in the first layout for a model
	sent   prompt.Packed
}

// draft takes the passages that were found for a question, best first.
func (r *Router) draft(q Question, hits []search.Hit) (*draft, error) {
	t, err := r.template(q.Prompt)
	if err != nil {
		return nil, err
	}
	b := &draft{
		template: t, ratios: &r.ratios,
		request: prompt.Request{Question: q.Question, Tenant: q.Tenant, Turns: q.Turns, Order: r.order(q), Fence: r.fence},
		shared:  llm.Prompt{Model: q.Model, Question: q.Question, Tenant: q.Tenant, MaxTokens: q.MaxTokens, Session: q.Session},
	}
	for _, h := range hits {
		b.request.Passages = append(b.request.Passages, llm.Source{ID: h.ID, Text: h.Text, Score: h.Score})
	}
	return b, nil
}

// template returns the template of a name.
func (r *Router) template(name string) (*prompt.Template, error) {
	t, ok := r.cfg.Prompts[cmp.Or(name, "default")]
	switch {
	case ok:
		return t, nil
	case name != "" && name != "default":
		return nil, fault.BadField("/prompt", "there is no prompt %s", quoted(name))
	}
	return r.builtIn, nil
}

func (r *Router) order(q Question) prompt.Order {
	return cmp.Or(q.ContextOrder, r.cfg.ContextOrder, prompt.Rank)
}

// prompt returns the first layout, which can be made again.
func (b *draft) prompt() (llm.Prompt, error) {
	p, err := b.lay(llm.Window{})
	p.Refit = b.refit
	return p, err
}

// refit lays the prompt out for a model's window.
func (b *draft) refit(w llm.Window) (llm.Prompt, error) {
	p, err := b.lay(w)
	if err != nil {
		return llm.Prompt{}, err
	}
	if b.refits++; b.refits == 1 {
		b.first = len(b.sent.Sources)
	}
	return p, nil
}

func (b *draft) lay(w llm.Window) (llm.Prompt, error) {
	p := b.shared
	limit, room := b.divide(w)
	packed, err := b.template.Pack(b.request, room)
	if err != nil {
		return llm.Prompt{}, err //nolint:wrapcheck // it says what does not fit
	}
	b.sent = packed
	p.Messages, p.Sources, p.MaxTokens = packed.Messages, packed.Sources, limit
	p.Session = cmp.Or(p.Session, beginning(p))
	return p, nil
}

// beginning names how a prompt begins: by its tenant, its system message and its first
// two passages. Prompts that begin alike are best read by an upstream that has read
// one of them.
func beginning(p llm.Prompt) string {
	h := fnv.New64a()
	write := func(text string) {
		_, _ = h.Write([]byte(text))
		_, _ = h.Write([]byte{0})
	}
	write(p.Tenant)
	write(p.Messages[0].Content)
	for _, s := range p.Sources[:min(2, len(p.Sources))] {
		write(s.ID)
	}
	return strconv.FormatUint(h.Sum64(), 36)
}

// divide splits a window between the answer, of which limit tokens are asked for,
// and the prompt, of which room are estimated; 0: not known. The answer gets half at most.
func (b *draft) divide(w llm.Window) (limit, room int) {
	limit = b.shared.MaxTokens
	if w.Context <= 0 {
		return limit, 0
	}
	kept := cmp.Or(limit, min(answerRoom, w.Context/4))
	if w.Output > 0 {
		kept = min(kept, w.Output)
	}
	kept = min(kept, w.Context/2)
	if limit > 0 {
		limit = kept
	}
	return limit, max(b.ratios.Fit(w.Model, w.Context-kept), 1)
}

// inPrompt reports whether the model has read source n.
func (b *draft) inPrompt(n int) bool {
	for _, s := range b.sent.Sources {
		if s.N == n {
			return true
		}
	}
	return false
}

// repacked reports whether the model that answers has read less than the one that
// was asked first would have.
func (b *draft) repacked() bool { return b.refits > 1 && len(b.sent.Sources) < b.first }

// learn enters what the model counted for the prompt that it has read.
func (b *draft) learn(model string, u llm.Usage) {
	if !u.Estimated {
		b.ratios.Observe(model, b.sent.Tokens, u.PromptTokens)
	}
}

// arrange puts hits in the order in which their passages stand in the prompt: hit
// i is source i+1.
func (b *draft) arrange(hits []search.Hit) []search.Hit {
	_, ranks := b.request.Order.Arrange(b.request.Passages)
	out := make([]search.Hit, len(hits))
	for i, rank := range ranks {
		out[i] = hits[rank]
	}
	return out
}
