// Package relay holds the words of a model call that is passed on as it came: a
// request of OpenAI's API, read as far as a balancer needs and spliced where it
// must be, and its answer, whole or as events.
//
// A body keeps its bytes: only the values of "model" and "stream_options" are
// replaced ([Call.Bytes]), nothing is decoded and encoded again. The same holds
// for events, of which a server drops only the one that reports the usage to a
// client that did not ask for it.
package relay

import (
	"context"
	"sync/atomic"
	"time"
)

// Endpoint is the path of a call below the base URL of an upstream.
type Endpoint string

// The endpoints that are relayed.
const (
	Chat Endpoint = "/chat/completions"
	Text Endpoint = "/completions"
)

// Call is a request as its client sent it, and what was read of it. Its fields
// may be changed before it is passed on. Copies share the body.
type Call struct {
	Endpoint Endpoint
	// Model is the name to ask the upstream for: the client's from [Parse], and
	// whatever a chooser makes of it. Empty: the upstream's own.
	Model  string
	Stream bool // the answer is wanted as events
	Usage  bool // and with the event that reports the usage
	Tools  bool // the model may call tools, or is bound to a form of answer

	PromptTokens int // estimate of all prompts
	MaxTokens    int // of one answer; 0: no limit was set
	Answers      int // that are wanted, at least 1

	Session string // calls of the same session go to the same upstream if they can; "prompt_cache_key", or a header's; empty: by Prefix
	Prefix  uint64 // of how the prompt begins: upstreams have that in their caches; 0: not known
	Tenant  string // whose allowance of tokens it is taken from
	// Extra says that the call is itself an extra attempt of its request, which pays
	// for it (balance.WithAllowance); NoWait that another model may be asked: where all
	// upstreams are busy the call fails at once.
	Extra, NoWait bool
	// Resume allows that a stream which breaks off is continued by another upstream,
	// where that is able to. The answer says so.
	Resume bool
	// Continue is the text of an answer that broke off, as JSON without the quotes: the
	// upstream has to go on behind it, as only a [Continuer] can.
	Continue []byte

	body  *atomic.Pointer[[]byte]
	spans spans
}

// Body returns the client's bytes, which attempts may read at the same time: they
// must not be written to. It is nil once they were released.
func (c *Call) Body() []byte {
	if held := c.body.Load(); held != nil {
		return *held
	}
	return nil
}

// Prompt returns the bytes of the messages, or of the prompt, as the client wrote
// them. It is nil once the body was released.
func (c *Call) Prompt() []byte {
	body := c.Body()
	if body == nil {
		return nil
	}
	return body[c.spans.prompt.from:c.spans.prompt.to]
}

// Release lets go of the body, of all copies of the call: no attempt will be made
// any more. A stream may stay open for long, and has no use for it.
func (c *Call) Release() { c.body.Store(nil) }

// Relayer passes calls on. ctx governs the whole answer, events included. Errors
// have the classes of package fault and, where the upstream gave one, its code for
// the reason (fault.Code); a prompt that is too long is a *fault.WindowError. Safe
// for concurrent use.
type Relayer interface {
	Relay(ctx context.Context, c *Call) (*Reply, error)
}

// Continuer is a [Relayer] that may be able to go on with an answer (Call.Continue)
// instead of beginning another one.
type Continuer interface{ Continues() bool }

// Reply is an answer: either Body or Stream is set.
type Reply struct {
	Body   []byte // one JSON document
	Usage  *Usage // of Body, where the upstream reports it
	Stream Stream // must be closed
	Route  Route  // filled by the lane, not by providers
}

// Stream is an answer in the making, event by event. Next returns io.EOF behind
// the last one; an answer that breaks off, or turns into an error, ends with that.
// Close may be called at any time. It is not safe to call Next concurrently.
type Stream interface {
	Next() (Event, error)
	Close() error
}

// Event is one server-sent event. Its bytes are valid until the next call of Next.
type Event struct {
	Raw  []byte // as it came, its blank line included
	Data []byte // of its data fields; none: a comment
	Look        // at Data
	// More tells that another event has arrived already, so that nobody waits if
	// this one is not flushed.
	More bool
}

// Usage counts tokens as an upstream reports them, or as estimated.
type Usage struct {
	PromptTokens     int
	CompletionTokens int
	CachedTokens     int // of the prompt's: those that the upstream had read before; 0 also where it does not say
	Estimated        bool
	Cost             float64 // in the currency of the models' prices; 0 where they have none
}

// Route tells how an answer came about.
type Route struct {
	Upstream string        // that answered
	Model    string        // that it was asked for; empty: its own
	Why      string        // it was picked: "load", "affinity", "hedge" or "failover"
	Attempts int           // made so far
	Cached   int           // tokens of the prompt that the upstream has likely read before, by estimate; 0 also where that is not known
	Queued   time.Duration // before the first attempt began
	First    time.Duration // from the call to the first content, or to the whole answer
	Asked    string        // the public name that was asked for; empty: no chooser had a part in it
	Chosen   string        // the public name of the model that answers
	Subject  string        // the semantic route that chose it; empty: none did
	Score    float64       // of the best semantic route, whether it was taken or not; 0: they were not asked
	Unused   string        // what that route leads to beside a model, which a call that is passed on has no use for: "collection", "prompt" or both
}
