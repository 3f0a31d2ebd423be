package router

import (
	"context"
	"sync"
)

// turnstile counts the calls that are under way in some part of the router, so that
// others can wait for their end, or keep new ones out for a moment. Its zero
// value is open and empty.
type turnstile struct {
	mu      sync.Mutex
	entered uint64        // calls that ever came in
	inside  *crowd        // that newcomers join; nil: nobody came since the last wait
	earlier []*crowd      // not empty yet, closed to newcomers
	shut    chan struct{} // closed when the turnstile opens again; nil: it is open
}

// crowd is a number of calls that are waited for together.
type crowd struct {
	n      int
	closed bool
	empty  chan struct{} // closed once nobody is left and nobody can come
}

// enter lets n calls in together, as soon as the turnstile is open. Each of them must leave.
func (g *turnstile) enter(ctx context.Context, n int) (*crowd, error) {
	for {
		g.mu.Lock()
		shut := g.shut
		if shut == nil {
			defer g.mu.Unlock()
			if g.inside == nil {
				g.inside = &crowd{empty: make(chan struct{})}
			}
			g.inside.n += n
			g.entered++
			return g.inside, nil
		}
		g.mu.Unlock()
		select {
		case <-shut:
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
}

// leave takes one call out.
func (g *turnstile) leave(c *crowd) {
	g.mu.Lock()
	defer g.mu.Unlock()
	c.n--
	c.settle()
}

// settle tells those who wait that the crowd is gone.
func (c *crowd) settle() {
	if c.closed && c.n == 0 {
		close(c.empty)
	}
}

// drain waits until every call that is inside now has left. Newcomers come in meanwhile.
func (g *turnstile) drain(ctx context.Context) error {
	for _, c := range g.part() {
		select {
		case <-c.empty:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	return nil
}

// part separates those who are inside from the newcomers, and returns all crowds
// that are not gone.
func (g *turnstile) part() []*crowd {
	g.mu.Lock()
	defer g.mu.Unlock()
	var waiting []*crowd
	for _, c := range append(g.earlier, g.inside) {
		if c == nil || c.closed && c.n == 0 {
			continue
		}
		if !c.closed {
			c.closed = true
			c.settle()
		}
		waiting = append(waiting, c)
	}
	g.earlier, g.inside = waiting, nil
	return waiting
}

// pause keeps newcomers waiting and returns once nobody is inside. Unless it fails,
// the caller calls open soon. Only one caller may pause at a time.
func (g *turnstile) pause(ctx context.Context) (open func(), err error) {
	shut := make(chan struct{})
	g.mu.Lock()
	g.shut = shut
	g.mu.Unlock()
	open = func() {
		g.mu.Lock()
		g.shut = nil
		g.mu.Unlock()
		close(shut)
	}
	if err := g.drain(ctx); err != nil {
		open()
		return nil, err
	}
	return open, nil
}

// quiet reports whether nobody is inside, and how many calls ever came in.
func (g *turnstile) quiet() (entered uint64, quiet bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	quiet = g.inside == nil || g.inside.n == 0
	for _, c := range g.earlier {
		quiet = quiet && c.n == 0
	}
	return g.entered, quiet
}
