package bench

import (
	"fmt"
	"maps"
	"slices"
	"time"
)

// Result is what came of a load.
type Result struct {
	Latency  Distribution   // of the answers, from when their calls were due
	Lateness Distribution   // how much later than due the calls began: the generator's own
	Errors   map[string]int // calls that failed, by class (see ClassOf)
	Series   []Slot         // over time
	Took     time.Duration  // without the warm-up, until the last answer
	Planned  time.Duration
	Cut      bool // ended before its time
}

// Calls returns how many calls were made, failed ones included.
func (r Result) Calls() int { return r.Latency.Count() + r.Failed() }

// Failed returns how many calls had no answer.
func (r Result) Failed() (n int) {
	for _, m := range r.Errors {
		n += m
	}
	return n
}

// Rate returns the answers a second.
func (r Result) Rate() float64 {
	if r.Took <= 0 {
		return 0
	}
	return float64(r.Latency.Count()) / r.Took.Seconds()
}

// Invalid says why the figures do not count, or nothing: the generator did not keep to its plan. Its calls then came
// in other numbers or other bunches than those that were asked for.
func (r Result) Invalid() string {
	late := r.Lateness.Quantile(0.99)
	switch {
	case r.Calls() == 0:
		return "no call was made"
	case late > time.Millisecond && late > r.Latency.Quantile(0.99)/10:
		return fmt.Sprintf("the generator was late: its p99 is %s: this machine, or --limit, cannot do that rate", round(late))
	}
	return ""
}

// Figures returns the result as figures of a report.
func (r Result) Figures() []Figure {
	figures := []Figure{
		{Name: "rate", Unit: "1/s", Better: Higher, Rounds: []float64{r.Rate()}},
		{Name: "errors", Unit: "%", Better: Lower, Rounds: []float64{100 * float64(r.Failed()) / float64(max(r.Calls(), 1))}},
	}
	figures = append(figures, r.Latency.Figures("")...)
	return append(figures, Millis("late_p99", Neither, r.Lateness.Quantile(0.99)))
}

// Figures returns the mean, the maximum and the percentiles beyond which there is one latency at least, each name
// behind a prefix.
func (d Distribution) Figures(prefix string) (out []Figure) {
	for _, p := range []struct {
		name string
		q    float64
	}{{"p50", 0.5}, {"p90", 0.9}, {"p95", 0.95}, {"p99", 0.99}, {"p99.9", 0.999}, {"p99.99", 0.9999}, {"max", 1}} {
		if p.q == 1 || (1-p.q)*float64(d.Count()) >= 1 {
			out = append(out, Millis(prefix+p.name, Lower, d.Quantile(p.q)))
		}
	}
	return append(out, Millis(prefix+"mean", Lower, d.Mean()))
}

// Millis returns a figure of one latency.
func Millis(name string, better Direction, d time.Duration) Figure {
	return Figure{Name: name, Unit: "ms", Better: better, Rounds: []float64{float64(d) / float64(time.Millisecond)}}
}

// ErrorNote lists the errors by class, or is empty.
func (r Result) ErrorNote() (note string) {
	for i, class := range slices.Sorted(maps.Keys(r.Errors)) {
		if i > 0 {
			note += ", "
		}
		note += fmt.Sprintf("%d %s", r.Errors[class], class)
	}
	return note
}

// round cuts a latency for people.
func round(d time.Duration) time.Duration {
	for unit := time.Second; unit > time.Microsecond; unit /= 10 {
		if d >= 10*unit {
			return d.Round(unit / 10)
		}
	}
	return d.Round(time.Microsecond)
}
