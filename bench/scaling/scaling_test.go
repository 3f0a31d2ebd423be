package scaling_test

import (
	"flag"
	"fmt"
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

// over runs a policy over the seeds.
func over(p scaling.Policy, change func(*scaling.Day)) (sum scaling.Result) {
	seeds := uint64(1)
	if *full {
		seeds = 5
	}
	for seed := range seeds {
		d := day(seed + 1)
		if change != nil {
			change(&d)
		}
		r := scaling.Run(d, p)
		sum.Questions += r.Questions
		sum.Missed += r.Missed
		sum.MemberHours += r.MemberHours
		sum.Changes += r.Changes
	}
	return sum
}

// TestDesired_missesFewerDeadlines: of all targets of plain queue-length scaling that take
// no more member hours, none misses fewer deadlines.
func TestDesired_missesFewerDeadlines(t *testing.T) {
	cold := []time.Duration{2 * time.Minute}
	if *full {
		cold = []time.Duration{30 * time.Second, 2 * time.Minute, 5 * time.Minute}
	}
	for _, start := range cold {
		change := func(d *scaling.Day) { d.ColdStart = start }
		own := over(scaling.Desired(), change)
		report(t, start, "desired_replicas", own)
		for _, each := range []float64{0.1, 0.25, 0.5, 1, 2, 4} {
			plain := over(scaling.Queue(each), change)
			report(t, start, fmt.Sprintf("queue length, %v a member", each), plain)
			if plain.MemberHours <= own.MemberHours*1.01 && plain.Missed < own.Missed {
				t.Errorf("cold start %v: a queue of %v a member misses %.3f %% with %.1f member hours; desired_replicas %.3f %% with %.1f",
					start, each, 100*plain.MissedShare(), plain.MemberHours, 100*own.MissedShare(), own.MemberHours)
			}
		}
		for _, each := range []float64{2, 2.5, 3, 3.5} {
			report(t, start, fmt.Sprintf("calls in flight, %v a member", each), over(scaling.Running(each), change))
		}
	}
}

func report(t *testing.T, start time.Duration, name string, r scaling.Result) {
	t.Helper()
	t.Logf("| %v | %s | %.2f %% | %.1f | %d |", start, name, 100*r.MissedShare(), r.MemberHours, r.Changes)
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
