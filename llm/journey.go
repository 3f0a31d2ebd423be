package llm

import (
	"context"
	"errors"
	"io"
	"slices"
	"sync"
	"time"

	"github.com/lanewise/lanewise/fault"
	"github.com/lanewise/lanewise/llm/relay"
)

const (
	maxResumed = 2       // times that an answer goes on elsewhere
	maxText    = 1 << 20 // bytes of it that are kept for that
)

// journey is a relayed stream that goes on with another upstream where one breaks
// off: that is given the conversation with the text so far as its last turn. Only
// plain text can be continued so; with what else an answer has, its error stands.
type journey struct {
	ctx  context.Context //nolint:containedctx // governs the whole stream
	g    *Generator
	call relay.Call

	text  []byte // so far, as JSON without the quotes
	lost  bool   // the answer is more than text, or too long
	left  int    // resumptions
	fresh string // upstream that has taken over and said nothing yet; empty: none

	mu     sync.Mutex
	now    *passage
	closed bool
}

var _ relay.Stream = (*journey)(nil)

// resumable reports whether an answer may go on elsewhere.
func (g *Generator) resumable(c *relay.Call) bool {
	return c.Resume && g.resumes && c.Stream && c.Endpoint == relay.Chat && c.Answers <= 1 && !c.Tools
}

// Next returns the next event. The first one of another upstream says whose it is.
func (j *journey) Next() (relay.Event, error) {
	for {
		e, err := j.current().Next()
		switch {
		case err != nil && j.resume(err):
			continue
		case err != nil:
			return e, err
		case j.fresh == "":
		case e.Says || e.Ends:
			e.Raw, j.fresh = relay.Marked(e.Raw, j.fresh), ""
		case len(e.Data) > 0: // who speaks is known
			continue
		}
		j.note(e)
		return e, nil
	}
}

func (j *journey) current() *passage {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.now
}

// note keeps the text.
func (j *journey) note(e relay.Event) {
	if !e.Says || j.lost {
		return
	}
	j.text = append(j.text, e.Content...)
	if j.lost = len(e.Content) == 0 || len(j.text) > maxText; j.lost {
		j.text = nil
	}
}

// resume has another upstream go on after an error, and reports whether one does.
func (j *journey) resume(err error) bool {
	if errors.Is(err, io.EOF) || j.lost || j.left == 0 || len(j.text) == 0 || !fault.Elsewhere(err) || j.ctx.Err() != nil || j.over() {
		return false
	}
	j.left--
	c := j.call
	c.Continue, c.Extra = slices.Clip(j.text), true
	c.PromptTokens += len(j.text) / 4
	c.Session, c.Prefix = "", 0 // not to where it has just failed
	t := &trip{g: j.g, call: &c, avoid: j.current().route.Upstream, course: course{start: time.Now()}}
	reply, err := t.make(j.ctx)
	if err != nil {
		return false // what the client learns is the first error
	}
	next := reply.Stream.(*passage) //nolint:errcheck,forcetypeassert // the call is for a stream
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.closed {
		_ = next.Close()
		return false
	}
	j.now, j.fresh = next, reply.Route.Upstream
	return true
}

func (j *journey) over() bool {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.closed
}

// Close ends the answer.
func (j *journey) Close() error {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.closed = true
	return j.now.Close()
}
