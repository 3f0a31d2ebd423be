package anthropic

import (
	"context"
	"encoding/json"
	"strings"
	"time"

	"github.com/lanewise/lanewise/fault"
	"github.com/lanewise/lanewise/llm"
	"github.com/lanewise/lanewise/llm/relay"
)

var _ relay.Relayer = (*Provider)(nil)

// Relay makes a call of OpenAI's chat completions: the request is said in the words
// of the Messages API, and the answer in OpenAI's, whole or event by event. What
// the Messages API has no words for is fault.Invalid, by the field's pointer: n
// above 1, logprobs, JSON mode, penalties, plain completions. Thoughts come as
// "reasoning_content".
func (p *Provider) Relay(ctx context.Context, c *relay.Call) (*relay.Reply, error) {
	body, err := p.translate(c)
	if err != nil {
		return nil, err
	}
	a, err := p.open(ctx, body)
	if err != nil {
		return nil, err
	}
	if c.Stream {
		return &relay.Reply{Stream: &relayed{answer: a, chunk: blank(body.Model)}}, nil
	}
	defer a.close()
	if _, streams := a.events.(*streamed); streams {
		return nil, a.strange("the answer is a stream, which was not asked for")
	}
	r, err := a.reply()
	if err != nil {
		return nil, err
	}
	return whole(r)
}

// completion is an answer of OpenAI's, whole or a chunk of one.
type completion struct {
	ID      string   `json:"id"`
	Object  string   `json:"object"`
	Created int64    `json:"created"`
	Model   string   `json:"model"`
	Choices []choice `json:"choices"`
	Usage   *spent   `json:"usage,omitempty"`
}

type choice struct {
	Index        int      `json:"index"`
	Message      *said    `json:"message,omitempty"`
	Delta        *said    `json:"delta,omitempty"`
	Logprobs     *float64 `json:"logprobs"` // never there
	FinishReason *string  `json:"finish_reason"`
}

// said is a message, or what a chunk adds to it.
type said struct {
	Role      string     `json:"role,omitempty"`
	Content   *string    `json:"content,omitempty"`
	Reasoning string     `json:"reasoning_content,omitempty"`
	ToolCalls []chatCall `json:"tool_calls,omitempty"`
}

type spent struct {
	Prompt     int `json:"prompt_tokens"`
	Completion int `json:"completion_tokens"`
	Total      int `json:"total_tokens"`
	Details    struct {
		Cached int `json:"cached_tokens"`
	} `json:"prompt_tokens_details"`
}

func spend(u llm.Usage) *spent {
	s := &spent{Prompt: u.PromptTokens, Completion: u.CompletionTokens, Total: u.PromptTokens + u.CompletionTokens}
	s.Details.Cached = u.CachedTokens
	return s
}

// whole says an answer in OpenAI's words.
func whole(r reply) (*relay.Reply, error) {
	var text, thoughts strings.Builder
	m := &said{Role: "assistant"}
	for _, b := range r.Content {
		switch b.Type {
		case "text":
			text.WriteString(b.Text)
		case "thinking":
			thoughts.WriteString(b.Thinking)
		case "tool_use":
			m.ToolCalls = append(m.ToolCalls, called(b))
		}
	}
	m.Reasoning = thoughts.String()
	if content := text.String(); content != "" || len(m.ToolCalls) == 0 {
		m.Content = &content
	}
	var used counts
	used.add(r.Usage)
	finish := finishReason(r.StopReason)
	usage := used.usage()
	out := completion{
		ID: r.ID, Object: "chat.completion", Created: time.Now().Unix(), Model: r.Model,
		Choices: []choice{{Message: m, FinishReason: &finish}}, Usage: spend(usage),
	}
	body, err := json.Marshal(out)
	if err != nil {
		return nil, fault.Wrap(fault.Unavailable, "encode an answer", err)
	}
	return &relay.Reply{Body: body, Usage: &relay.Usage{
		PromptTokens: usage.PromptTokens, CompletionTokens: usage.CompletionTokens, CachedTokens: usage.CachedTokens,
	}}, nil
}

// called is a tool that the model asks for.
func called(b block) chatCall {
	c := chatCall{ID: b.ID, Type: "function"}
	c.Function.Name, c.Function.Arguments = b.Name, string(b.Input)
	if len(b.Input) == 0 {
		c.Function.Arguments = "{}"
	}
	return c
}
