package llm

import "time"

// Report enters how many calls the named upstream has by its own metrics, running
// and waiting, those of others among them; package telemetry does. It corrects what
// the lane counts by itself and never replaces it: calls of others count as load,
// less and less until lasts has passed. An unknown upstream is fault.NotFound, a
// figure that cannot be true fault.Invalid, and dropped.
func (g *Generator) Report(upstream string, calls float64, lasts time.Duration) error {
	return g.pool.Report(upstream, calls, lasts)
}
