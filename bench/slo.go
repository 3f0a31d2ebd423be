package bench

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/lanewise/lanewise/fault"
)

// SLO is a promise about latencies: the share Quantile of all calls is answered within Limit. A
// call that fails is not.
type SLO struct {
	Quantile float64
	Limit    time.Duration
}

// ParseSLO reads "p99=50ms".
func ParseSLO(text string) (SLO, error) {
	name, limit, _ := strings.Cut(text, "=")
	percent, err := strconv.ParseFloat(strings.TrimPrefix(name, "p"), 64)
	if err != nil || !strings.HasPrefix(name, "p") || percent <= 0 || percent >= 100 {
		return SLO{}, fault.New(fault.Invalid, "%q is not an objective such as p99=50ms: it must begin with a percentile between p0 and p100", text)
	}
	d, err := time.ParseDuration(limit)
	if err != nil || d <= 0 {
		return SLO{}, fault.New(fault.Invalid, "%q is not an objective such as p99=50ms: %q is not a duration above 0", text, limit)
	}
	return SLO{percent / 100, d}, nil
}

// String is the form that ParseSLO reads.
func (s SLO) String() string {
	return "p" + strconv.FormatFloat(100*s.Quantile, 'g', 6, 64) + "=" + s.Limit.String()
}

// Met reports whether a result keeps the promise.
func (s SLO) Met(r Result) bool {
	return r.Calls() > 0 && float64(r.Latency.Within(s.Limit)) >= s.Quantile*float64(r.Calls())
}

// Goodput returns the answers a second that came within the limit.
func (s SLO) Goodput(r Result) float64 {
	if r.Took <= 0 {
		return 0
	}
	return float64(r.Latency.Within(s.Limit)) / r.Took.Seconds()
}

// Figure is the highest rate that keeps the promise, as Highest found it.
func (s SLO) Figure(rate float64) Figure {
	return Figure{Name: "rate with " + s.String(), Unit: "1/s", Better: Higher, Rounds: []float64{rate}}
}

// Probe is one step of a search for the highest rate.
type Probe struct {
	Rate   float64
	Result Result
	Met    bool
}

// Highest finds the highest rate that keeps the promise: it doubles the load's rate until it breaks, or halves it until it holds, and
// bisects to 5 %. A rate of 0 means that none keeps it. Whether the generator was late does not matter: latencies count from
// when calls were due, so its lateness can only break the promise.
func (s SLO) Highest(ctx context.Context, l Load, call Call, seen func(Probe)) (rate float64, best Result, err error) {
	low, high := 0.0, 0.0
	for steps := 0; steps < 24 && ctx.Err() == nil; steps++ {
		switch {
		case high == 0 && low > 0:
			l.Rate = 2 * low
		case high > 0 && low == 0:
			l.Rate = high / 2
		case high > 0:
			l.Rate = (low + high) / 2
		}
		l.To = 0
		result, err := l.Run(ctx, call)
		if err != nil {
			return 0, Result{}, err
		}
		if result.Cut {
			break
		}
		p := Probe{l.Rate, result, s.Met(result)}
		seen(p)
		if p.Met {
			low, best = l.Rate, result
		} else {
			high = l.Rate
		}
		if low > 0 && high > 0 && high-low <= low/20 || high > 0 && high < 0.1 {
			break
		}
	}
	if ctx.Err() != nil {
		return low, best, fmt.Errorf("find the highest rate: %w", ctx.Err())
	}
	return low, best, nil
}
