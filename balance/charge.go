package balance

import "time"

// charge keeps the lease of a cancelled attempt for another while, or until the
// pool is closed.
func (c *core) charge(a *attempt, d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.tasks.closed.Load() {
		a.release()
		return
	}
	c.charges[a] = time.AfterFunc(d, func() {
		a.release()
		c.mu.Lock()
		defer c.mu.Unlock()
		delete(c.charges, a)
	})
}

// discharge ends every charge, and whatever else ends with the pool.
func (c *core) discharge() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for a, timer := range c.charges {
		timer.Stop()
		a.release()
	}
	clear(c.charges)
	for _, f := range c.closers {
		f()
	}
	c.closers = nil
}
