package balance

import "math"

// earn gives every budget its share of a first attempt.
func (c *core) earn() {
	c.lane.hedges.earn()
	c.hedges.earn()
	c.failovers.earn()
}

// afford takes an extra attempt from the budgets that bound it.
func (c *core) afford(why Reason) bool {
	if why == Failover {
		return c.failovers.take()
	}
	if !c.hedges.take() {
		return false
	}
	if !c.lane.hedges.take() {
		c.hedges.refund()
		return false
	}
	return true
}

func (c *core) refund(why Reason) {
	if why == Failover {
		c.failovers.refund()
		return
	}
	c.hedges.refund()
	c.lane.hedges.refund()
}

// meanOver is about how many calls the mean cost is taken of.
const meanOver = 64

// meanOf is the mean cost of the last calls.
func (c *core) meanOf() float64 { return math.Float64frombits(c.meanCost.Load()) }

// mean enters the cost of a call and returns the mean of the last ones.
// Entries that are lost to a race do not matter.
func (c *core) mean(cost int64) float64 {
	old := c.meanOf()
	if old == float64(cost) {
		return old
	}
	if old == 0 {
		old = float64(cost)
	}
	mean := old + (float64(cost)-old)/meanOver
	c.meanCost.Store(math.Float64bits(mean))
	return mean
}
