// Package llm turns a prompt into a stream of text: the words of generation,
// and a balanced lane over providers.
package llm

import "context"

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
}

// Usage counts tokens as the upstream reports them, or as estimated.
type Usage struct {
	PromptTokens     int
	CompletionTokens int
	CachedTokens     int // of the prompt's: those that the upstream had read before; 0 also where it does not say
	Estimated        bool
}

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
