// Package llm turns a prompt into a stream of text: the words of generation,
// and a balanced lane over providers.
package llm

import (
	"context"

	"github.com/lanewise/lanewise/internal/tokens"
	"github.com/lanewise/lanewise/llm/relay"
)

// Role is who speaks in a message.
type Role string

// The roles.
const (
	System    Role = "system"
	User      Role = "user"
	Assistant Role = "assistant"
)

// Message is one turn of a conversation.
type Message struct {
	Role    Role
	Content string
}

// Source is a retrieved passage that an answer may cite as [N].
type Source struct {
	N     int // from 1
	ID    string
	Text  string
	Score float64
}

// Prompt is a generation to make. Messages is the prompt as a model reads it;
// Question and Sources are what it was made from, for providers that do not
// generate but quote.
type Prompt struct {
	Model     string // empty: the upstream's own
	Messages  []Message
	Question  string
	Sources   []Source
	MaxTokens int // of the answer; 0: the upstream's own limit
	Session   string
	Tenant    string // whose allowance of tokens it is taken from

	// Refit lays the prompt out again for a model's window; nil: it is sent as it is. Where several models may
	// answer it is called for each that is tried, one after the other, and last for the one that does; once
	// more where that one finds the prompt too long.
	Refit func(w Window) (Prompt, error)
	// Extra says that the generation is itself an extra attempt: another model has failed, and the request's
	// allowance (balance.WithAllowance) pays for it.
	Extra bool
	// NoWait says that another model may be asked: where all upstreams are busy, the generation fails at once.
	NoWait bool
}

// Tokens estimates what a model has to read.
func (p Prompt) Tokens() int {
	sum := 0
	for _, m := range p.Messages {
		sum += tokens.Estimate(m.Content) + 4 // what a chat template puts around a message
	}
	return max(sum, 1)
}

// Window is what a model takes, in tokens. A zero field is not known.
type Window struct {
	Context int    // of prompt and answer together
	Output  int    // of the answer
	Model   string // whose window it is: a public name; empty: not known
}

// Usage counts tokens as the upstream reports them, or as estimated.
type Usage = relay.Usage

// Citation is a passage that the answer rests on.
type Citation struct {
	N     int // of the Source
	Quote string
}

// Chunk is a part of an answer, in order. Usage and Model come with the last one.
type Chunk struct {
	Content   string
	Citations []Citation // known to quoting providers only
	Model     string
	Usage     *Usage
	Finish    string // why the answer ended: "stop", "length", …; empty while it goes on
}

// Stream is an answer in the making. Next returns io.EOF after the last chunk.
// Close may be called at any time and settles the lease; it is not safe to call
// Next concurrently.
type Stream interface {
	Next() (Chunk, error)
	Close() error
}

// Provider starts generations; ctx governs the whole stream. Safe for concurrent use.
type Provider interface {
	Generate(ctx context.Context, p Prompt) (Stream, error)
}
