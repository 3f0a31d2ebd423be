package llm

import (
	"context"
	"errors"
	"io"
	"sync"
	"sync/atomic"

	"github.com/lanewise/lanewise/balance"
	"github.com/lanewise/lanewise/fault"
	"github.com/lanewise/lanewise/internal/tokens"
	"github.com/lanewise/lanewise/llm/relay"
)

var (
	errClosed = errors.New("the answer's stream is closed")
	// errLeft is how an answer ends whose reader closes it. Its class keeps the
	// upstream from being judged by it: it neither failed nor finished.
	errLeft = fault.New(fault.Invalid, "the reader left before the answer ended")
)

// answer is a Stream that holds a lease, and gives it back exactly once: at its
// end, at its first error, at Close, or when its context ends.
type answer struct {
	ctx    context.Context //nolint:containedctx // governs the whole stream
	won    *balance.Won[*opened]
	unhook func() bool
	hooked chan struct{} // closed when unhook is set
	prompt int           // estimated tokens
	learn  func(Usage)   // what the upstream reports; called once, if it does

	once  sync.Once
	close error
	done  atomic.Bool // settled

	begun   bool // the first chunk was returned
	written atomic.Int64
	used    atomic.Int64 // reported tokens; 0: none yet
	err     error        // what Next ended with
}

// follow returns the stream of an answer that has begun. It ends with ctx, even
// if nobody reads or closes it.
func follow(ctx context.Context, won *balance.Won[*opened], prompt int) *answer {
	a := &answer{ctx: ctx, won: won, prompt: prompt, hooked: make(chan struct{})}
	a.unhook = context.AfterFunc(ctx, func() {
		<-a.hooked
		a.settle(context.Cause(ctx)) //nolint:contextcheck // the context has ended; what it cost is settled all the same
	})
	close(a.hooked)
	return a
}

var _ Routed = (*answer)(nil)

// Route returns how the answer came about.
func (a *answer) Route() relay.Route { return a.won.Value.route }

// Next returns the next chunk, then io.EOF.
func (a *answer) Next() (Chunk, error) {
	switch {
	case a.err != nil:
		return Chunk{}, a.err
	case a.done.Load():
		return Chunk{}, a.end(a.reason(errClosed))
	}
	c, err := a.next()
	if err != nil {
		if a.done.Load() { // closed meanwhile, which is why it failed
			err = a.reason(errClosed)
		}
		return Chunk{}, a.end(err)
	}
	a.written.Add(int64(tokens.Estimate(c.Content)))
	if c.Usage != nil {
		if learn := a.learn; learn != nil && !c.Usage.Estimated {
			a.learn = nil
			learn(*c.Usage)
		}
		a.used.Store(int64(c.Usage.PromptTokens + c.Usage.CompletionTokens))
	}
	return c, nil
}

func (a *answer) next() (Chunk, error) {
	if !a.begun {
		a.begun = true
		return a.won.Value.first, nil
	}
	return a.won.Value.Next()
}

// reason returns why the context ended, or err if it has not.
func (a *answer) reason(err error) error {
	if a.ctx.Err() != nil {
		return context.Cause(a.ctx)
	}
	return err
}

// end settles the lease with what Next ended with.
func (a *answer) end(err error) error {
	a.err = err
	if errors.Is(err, io.EOF) {
		a.settle(nil)
	} else {
		a.settle(err)
	}
	return err
}

// Close ends the answer, also one that is being read.
func (a *answer) Close() error {
	a.settle(errLeft)
	return a.close
}

// settle reports the real cost and the outcome, and closes the upstream's stream.
func (a *answer) settle(err error) {
	a.once.Do(func() {
		a.done.Store(true)
		cost := a.used.Load()
		if cost == 0 {
			cost = int64(a.prompt) + a.written.Load()
		}
		a.won.Done(cost, err)
		a.close = a.won.Close()
		a.unhook()
	})
}
