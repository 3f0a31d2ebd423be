package scaling_test

import (
	"flag"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/lanewise/lanewise/bench/scaling"
)

var full = flag.Bool("full", false, "days of 24 hours and 5 seeds, instead of 6 hours and one")

func day(seed uint64) scaling.Day {
	d := scaling.Day{
		Length: 6 * time.Hour, Mean: 6, Slots: 4, Service: 4, Deadline: 10,
		ColdStart: 2 * time.Minute, Least: 1, Most: 40, Seed: seed,
	}
	if *full {
		d.Length = 24 * time.Hour
	}
	return d
}

// row is what a policy came to over the seeds.
type row struct {
	scaling.Result // the sum
	missed, hours  []float64
}

// over runs a policy over the seeds, 1 and on.
func over(p scaling.Policy, coldStart time.Duration) (r row) {
	seeds := uint64(1)
	if *full {
		seeds = 5
	}
	for seed := range seeds {
		d := day(seed + 1)
		d.ColdStart = coldStart
		one := scaling.Run(d, p)
		r.Questions += one.Questions
		r.Missed += one.Missed
		r.MemberHours += one.MemberHours
		r.Changes += one.Changes
		r.missed = append(r.missed, 100*one.MissedShare())
		r.hours = append(r.hours, one.MemberHours)
	}
	return r
}

// String is the row of a table: the whole, and from the best seed to the worst.
func (r row) String() string {
	return fmt.Sprintf("%.3f %% (%.3f to %.3f) | %.0f (%.0f to %.0f) | %d", 100*r.MissedShare(), slices.Min(r.missed), slices.Max(r.missed),
		r.MemberHours, slices.Min(r.hours), slices.Max(r.hours), r.Changes)
}

// TestDesired_missesFewerDeadlines: of all targets of plain queue-length scaling that take
// no more member hours, none misses fewer deadlines.
func TestDesired_missesFewerDeadlines(t *testing.T) {
	cold := []time.Duration{2 * time.Minute}
	if *full {
		cold = []time.Duration{30 * time.Second, 2 * time.Minute, 5 * time.Minute}
	}
	for _, start := range cold {
		t.Run(start.String(), func(t *testing.T) {
			own := over(scaling.Desired(), start)
			t.Logf("| desired_replicas | 1 | %v |", own)
			for _, each := range []float64{0.1, 0.25, 0.5, 1, 2, 4} {
				plain := over(scaling.Queue(each), start)
				t.Logf("| queue length | %v | %v |", each, plain)
				if plain.MemberHours <= own.MemberHours*1.01 && plain.Missed < own.Missed {
					t.Errorf("a queue of %v a member misses fewer deadlines with no more member hours", each)
				}
			}
			for _, each := range []float64{2, 2.5, 3, 3.5} {
				t.Logf("| calls that run or wait | %v | %v |", each, over(scaling.Running(each), start))
			}
		})
	}
}

func TestRun_isRepeatable(t *testing.T) {
	d := day(7)
	d.Length = time.Hour
	if a, b := scaling.Run(d, scaling.Desired()), scaling.Run(d, scaling.Desired()); a != b {
		t.Errorf("%+v and %+v", a, b)
	}
}

func Example() {
	d := scaling.Day{Length: time.Hour, Mean: 1, Slots: 4, Service: 1, Deadline: 10, ColdStart: time.Minute, Least: 4, Most: 4, Seed: 1}
	r := scaling.Run(d, scaling.Desired())
	fmt.Println(r.Missed, "missed with members enough")
	// Output: 0 missed with members enough
}
