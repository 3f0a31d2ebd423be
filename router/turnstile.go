package router

import (
	"context"
	"sync"
	"sync/atomic"
)

// turnstile counts the calls that are under way in some part of the router, so that
// others can wait for their end, or keep new ones out for a moment. Its zero
// value is open and empty. Calls do not wait for each other.
type turnstile struct {
	mu      sync.RWMutex  // read-locked by who comes in
	entered atomic.Uint64 // calls that ever came in
	inside  *crowd        // that newcomers join; nil: nobody came since the last wait
	earlier []*crowd      // not empty yet, closed to newcomers
	shut    chan struct{} // closed when the turnstile opens again; nil: it is open
}

// crowd is a number of calls that are waited for together.
type crowd struct {
	n      atomic.Int64
	closed atomic.Bool
	once   sync.Once
	empty  chan struct{} // closed once nobody is left and nobody can come
}

// enter lets n calls in together, as soon as the turnstile is open. Each of them must leave.
func (g *turnstile) enter(ctx context.Context, n int) (*crowd, error) {
	for {
		c, shut := g.join(n)
		switch {
		case c != nil:
			return c, nil
		case shut == nil:
			g.gather()
			continue
		}
		select {
		case <-shut:
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
}

// join adds n calls to the crowd that is inside. It returns what keeps newcomers
// out, if anything does, and nothing where there is no crowd yet.
func (g *turnstile) join(n int) (*crowd, chan struct{}) {
	g.mu.RLock()
	defer g.mu.RUnlock()
	if g.shut != nil || g.inside == nil {
		return nil, g.shut
	}
	g.inside.n.Add(int64(n))
	g.entered.Add(1)
	return g.inside, nil
}

// gather makes the crowd that newcomers join, if there is none.
func (g *turnstile) gather() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.inside == nil {
		g.inside = &crowd{empty: make(chan struct{})}
	}
}

// leave takes one call out.
func (g *turnstile) leave(c *crowd) {
	c.n.Add(-1)
	c.settle()
}

// settle tells those who wait that the crowd is gone, if it is. Of who leaves last
// and who closes it one at least sees what the other has done.
func (c *crowd) settle() {
	if c.gone() {
		c.once.Do(func() { close(c.empty) })
	}
}

// gone reports whether nobody is left and nobody can come.
func (c *crowd) gone() bool { return c.closed.Load() && c.n.Load() == 0 }

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
		if c == nil || c.gone() {
			continue
		}
		c.closed.Store(true)
		c.settle()
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
	g.mu.Lock() // nobody comes in between the two counts
	defer g.mu.Unlock()
	quiet = g.inside == nil || g.inside.n.Load() == 0
	for _, c := range g.earlier {
		quiet = quiet && c.n.Load() == 0
	}
	return g.entered.Load(), quiet
}
