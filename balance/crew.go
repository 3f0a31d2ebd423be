package balance

import (
	"math/bits"
	"sync"
	"sync/atomic"
	"time"
)

// crew is a pool's goroutines for attempts. One that has landed its attempt waits for
// another one: to wake it costs less than half of starting one whose stack is large
// enough. No attempt waits for a goroutine: where none is free, another one is
// started, which joins the crew while that has places left. Those that wait are sent
// away after a tenth of a second, so that a pool that nobody uses has none.
type crew struct {
	jobs    [crewMost]chan *attempt // by place; nil: nobody was ever there
	taken   atomic.Uint64           // a bit for every place that has a goroutine
	free    atomic.Uint64           // a bit for every goroutine that waits
	sweeps  atomic.Bool             // somebody will look for those that wait
	closing atomic.Bool             // nobody waits any more
	mu      sync.Mutex              // guards timer
	timer   *time.Timer
	running sync.WaitGroup // goroutines that have a place
}

const (
	crewMost = 32
	crewIdle = 100 * time.Millisecond
)

// launch has a goroutine make an attempt.
func (c *crew) launch(a *attempt) {
	if at := lowest(&c.free); at >= 0 {
		c.jobs[at] <- a
		return
	}
	at := c.place()
	if at < 0 {
		go alone(a)
		return
	}
	c.running.Add(1)
	go c.work(at, a)
}

// lowest takes the lowest bit out of a set, or returns -1 where that is empty.
func lowest(set *atomic.Uint64) int {
	for {
		all := set.Load()
		if all == 0 {
			return -1
		}
		if set.CompareAndSwap(all, all&(all-1)) {
			return bits.TrailingZeros64(all)
		}
	}
}

// alone makes one attempt.
func alone(a *attempt) {
	roomy(false)
	a.race.fan.pilot.perform(a)
}

// place takes a place that nobody has, or returns -1 where there is none.
func (c *crew) place() int {
	for {
		all := c.taken.Load()
		at := bits.TrailingZeros64(^all)
		if at >= crewMost {
			return -1
		}
		if c.taken.CompareAndSwap(all, all|1<<at) {
			return at
		}
	}
}

// work makes attempts, until there was none for a while.
func (c *crew) work(at int, a *attempt) {
	defer func() { // also when a function leaves its goroutine
		c.taken.And(^(uint64(1) << at))
		c.running.Done()
	}()
	roomy(false)
	jobs := c.jobs[at]
	if jobs == nil {
		jobs = make(chan *attempt, 1)
		c.jobs[at] = jobs
	}
	for a != nil {
		a.race.fan.pilot.perform(a)
		a = nil
		c.wait(at)
		a = <-jobs
	}
}

// wait announces that the goroutine at a place is free, and has it told to end
// some time.
func (c *crew) wait(at int) {
	c.free.Or(1 << at)
	switch {
	case c.closing.Load():
		c.sweep()
	case !c.sweeps.Load() && c.sweeps.CompareAndSwap(false, true):
		c.mu.Lock()
		defer c.mu.Unlock()
		if c.timer == nil {
			c.timer = time.AfterFunc(crewIdle, c.sweep)
		} else {
			c.timer.Reset(crewIdle)
		}
	}
}

// sweep ends the goroutines that wait.
func (c *crew) sweep() {
	c.sweeps.Store(false) // first: who waits from now on sees to it
	for {
		at := lowest(&c.free)
		if at < 0 {
			return
		}
		c.jobs[at] <- nil
	}
}

// close ends the crew, as soon as nobody launches attempts any more.
func (c *crew) close() {
	c.closing.Store(true)
	c.sweep()
	c.running.Wait()
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.timer != nil {
		c.timer.Stop()
	}
}
