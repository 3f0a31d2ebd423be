// Package prompt lays out what a language model reads to answer a question from
// retrieved passages: a system message, the passages, the conversation so far and
// the question, which is last. It chooses the passages that fit into a model's
// window, fences them, since they are data that anybody may have written, and
// resolves the citations of an answer.
//
// Everything here is pure: the same input gives the same prompt.
package prompt

import (
	"cmp"
	"slices"

	"github.com/lanewise/lanewise/fault"
	"github.com/lanewise/lanewise/internal/tokens"
	"github.com/lanewise/lanewise/llm"
)

// Request is what a prompt is made of.
type Request struct {
	Question string
	Tenant   string
	Turns    []llm.Message // the conversation before the question, oldest first
	Passages []llm.Source  // best first; their N is not read
	Order    Order
	Fence    Fence
}

// Packed is a prompt that fits.
type Packed struct {
	Messages []llm.Message
	Sources  []llm.Source // that are in it, in their order
	LeftOut  []llm.Source // that are not, best first: they did not fit
	Turns    int          // oldest turns that are not in it
	Tokens   int          // of the messages, as estimated
}

// Room for a prompt where the model's window is not known: what a window of 8,192
// tokens leaves beside an answer.
const unknownRoom = 6_800

// Pack lays a prompt out in at most room tokens, as estimated by llm.Prompt's Tokens; 0:
// the model's window is not known, and a common one is assumed, in which at least the
// best passage is kept. Passages are taken whole, the best first; one that does not fit
// is left out, and smaller ones behind it may still be taken. The conversation gets a quarter
// of the room at most, its newest turns first. If not even one passage fits beside the question,
// the error is a *fault.WindowError.
func (t *Template) Pack(r Request, room int) (Packed, error) {
	p := packing{template: t, Request: r, room: room, keepOne: room <= 0}
	if p.keepOne {
		p.room = unknownRoom
	}
	arranged, ranks := r.Order.Arrange(r.Passages)
	p.all = r.Fence.blocks(arranged, ranks)
	for i := range p.all {
		p.all[i].cost = tokens.Estimate(p.all[i].text)
	}
	dropped := p.talk(p.room / 4)
	out, kept, err := p.fill()
	if err != nil && dropped < len(r.Turns) {
		dropped = p.talk(0) // passages matter more than the conversation
		out, kept, err = p.fill()
	}
	if err != nil {
		return Packed{}, err
	}
	out.Turns = dropped
	for i, s := range arranged {
		if kept[i] {
			out.Sources = append(out.Sources, s)
		} else {
			out.LeftOut = append(out.LeftOut, s)
		}
	}
	slices.SortFunc(out.LeftOut, func(a, b llm.Source) int { return cmp.Compare(ranks[a.N-1], ranks[b.N-1]) })
	return out, nil
}

// packing is a prompt in the making.
type packing struct {
	Request
	template *Template
	room     int
	keepOne  bool
	all      blocks // in the order of the prompt
	talked   []llm.Message
}

// fill chooses passages, and lays them out. kept says which of all are in the prompt.
func (p *packing) fill() (out Packed, kept []bool, err error) {
	kept = make([]bool, len(p.all))
	out, err = p.lay(kept)
	if err != nil {
		return Packed{}, nil, err
	}
	left := p.room - out.Tokens
	p.each(func(i int) {
		if cost := p.all[i].cost; cost <= left || p.keepOne && p.all[i].rank == 0 {
			kept[i], left = true, left-cost
		}
	})
	for {
		out, err = p.lay(kept)
		over := out.Tokens - p.room
		if err != nil || over <= 0 || !p.drop(kept, over) {
			break
		}
	}
	if err == nil && (out.Tokens > p.room && !p.keepOne || len(p.all) > 0 && !slices.Contains(kept, true)) {
		err = p.tooLong()
	}
	return out, kept, err
}

// each goes through the passages, best first.
func (p *packing) each(f func(i int)) {
	at := make([]int, len(p.all))
	for i, b := range p.all {
		at[b.rank] = i
	}
	for _, i := range at {
		f(i)
	}
}

// drop leaves the worst passages out until over tokens are saved: what a template
// writes around passages is only known when it has. It reports whether there were any.
func (p *packing) drop(kept []bool, over int) (some bool) {
	var worst []int
	p.each(func(i int) {
		if kept[i] {
			worst = append(worst, i)
		}
	})
	if p.keepOne && len(worst) > 0 {
		worst = worst[1:]
	}
	for _, i := range slices.Backward(worst) {
		if over <= 0 {
			break
		}
		kept[i], some = false, true
		over -= p.all[i].cost
	}
	return some
}

func (p *packing) tooLong() error {
	return &fault.WindowError{Message: "no passage fits beside the question into the model's window: ask a model with a larger one, or with a smaller max_tokens"}
}

// lay writes the prompt out with the passages that are kept.
func (p *packing) lay(kept []bool) (Packed, error) {
	v := view{Tenant: Clean(p.Tenant), Question: Clean(p.Question)}
	for i, b := range p.all {
		if kept[i] {
			v.Sources = append(v.Sources, b)
		}
	}
	text, err := p.template.render(v)
	if err != nil {
		return Packed{}, err
	}
	m := []llm.Message{{Role: llm.System, Content: text.system}}
	if p.Order == Stable {
		m = append(m, p.sourcesFirst(text)...)
	} else {
		m = append(m, p.talked...)
		m = append(m, llm.Message{Role: llm.User, Content: joined(text.sources, text.question)})
	}
	return Packed{Messages: m, Tokens: llm.Prompt{Messages: m}.Tokens()}, nil
}

// sourcesFirst puts the passages before the conversation, into its first message
// if that is the user's: chat templates want users and assistants to take turns.
func (p *packing) sourcesFirst(text rendered) []llm.Message {
	if len(p.talked) == 0 {
		return []llm.Message{{Role: llm.User, Content: joined(text.sources, text.question)}}
	}
	m := []llm.Message{{Role: llm.User, Content: text.sources}}
	rest := p.talked
	if rest[0].Role == llm.User {
		m[0].Content, rest = joined(text.sources, rest[0].Content), rest[1:]
	}
	m = append(m, rest...)
	return append(m, llm.Message{Role: llm.User, Content: text.question})
}

func joined(sources, question string) string {
	if sources == "" {
		return question
	}
	return sources + "\n" + question
}

// talk takes the newest turns that fit into room tokens, and returns how many
// older ones are left out. A conversation does not begin with an answer.
func (p *packing) talk(room int) (dropped int) {
	p.talked = nil
	from := len(p.Turns)
	for from > 0 {
		room -= llm.Prompt{Messages: p.Turns[from-1 : from]}.Tokens()
		if room < 0 {
			break
		}
		from--
	}
	if from > 0 {
		for from < len(p.Turns) && p.Turns[from].Role == llm.Assistant {
			from++
		}
	}
	for _, m := range p.Turns[from:] {
		p.talked = append(p.talked, llm.Message{Role: m.Role, Content: Clean(m.Content)})
	}
	return from
}
