package llm

import (
	"errors"
	"io"
	"sync"
	"sync/atomic"

	"github.com/lanewise/lanewise/balance"
	"github.com/lanewise/lanewise/fault"
	"github.com/lanewise/lanewise/llm/relay"
)

// passage is a relayed stream that holds a lease, and gives it back exactly once:
// at its end, at its first error or at Close.
type passage struct {
	*trip
	*arrived
	won *balance.Won[*arrived]

	next int   // of the events that were held
	err  error // what Next ended with
	ends bool  // a finish reason was seen
	done bool  // the end mark was seen, or made up

	once    sync.Once
	closed  atomic.Bool
	said    atomic.Int64                // events with content
	counted atomic.Pointer[relay.Usage] // nil: not reported
}

var _ relay.Stream = (*passage)(nil)

// Next returns the next event for the client. The one that reports the usage is
// left out where the client did not ask for it, and the end mark is put where the
// upstream forgot it.
func (p *passage) Next() (relay.Event, error) {
	for p.err == nil {
		e, err := p.read()
		if err != nil {
			return p.end(err)
		}
		p.note(e)
		if p.closed.Load() {
			return p.end(errClosed)
		}
		if e.Counts && !e.Choices && !p.call.Usage {
			continue
		}
		return e, nil
	}
	return relay.Event{}, p.err
}

func (p *passage) read() (relay.Event, error) {
	if p.next < len(p.held) {
		p.next++
		e := p.held[p.next-1]
		e.More = p.next < len(p.held)
		return e, nil
	}
	p.held = nil
	if p.done {
		return relay.Event{}, io.EOF
	}
	p.watch.begin()
	e, err := p.stream.Next()
	p.watch.pause()
	return e, p.watch.reason(err)
}

// note keeps what an event says about the whole answer.
func (p *passage) note(e relay.Event) {
	if e.Says {
		p.said.Add(1)
	}
	if e.Counts {
		used := e.Usage // a copy, since e must not move to the heap for the others
		p.counted.Store(&used)
	}
	p.ends, p.done = p.ends || e.Ends, p.done || e.Done
}

// end handles the end of the events. With a finish reason the answer is whole,
// however the connection ended; without one, and without the end mark, it was cut off.
func (p *passage) end(err error) (relay.Event, error) {
	last := errors.Is(err, io.EOF)
	switch {
	case p.done && last:
		p.err = io.EOF
		p.settle(nil)
		return relay.Event{}, io.EOF
	case p.ends && !p.closed.Load() && (last || p.call.Answers <= 1):
		p.done = true
		return relay.Event{Raw: []byte("data: [DONE]\n\n"), Look: relay.Look{Done: true}}, nil
	case last:
		err = fault.New(fault.Unavailable, "the answer of %q broke off", p.route.Upstream)
	}
	p.err = err
	p.settle(err)
	return relay.Event{}, err
}

// Close ends the answer.
func (p *passage) Close() error {
	p.settle(errLeft)
	return p.won.Close()
}

// settle reports the real cost and the outcome, and closes the upstream's stream.
func (p *passage) settle(err error) {
	p.once.Do(func() {
		p.closed.Store(true)
		p.won.Done(p.cost(p.counted.Load(), p.said.Load()), err)
		_ = p.won.Close() // again by Close, which returns the same
	})
}
