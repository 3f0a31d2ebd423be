package scaling

import (
	"cmp"
	"math"
	"time"
)

// Target says how full members should be, and how long it takes to get one. Zero values
// mean the defaults.
type Target struct {
	// Utilisation is the share of its rate that a member should be used at. Default 0.8.
	Utilisation float64
	// ColdStart is how long it takes until a member that was asked for answers: work is
	// planned for that far ahead. Default 60 s.
	ColdStart time.Duration
	// Drain is the time within which a backlog should be gone. Default 30 s.
	Drain time.Duration
	// Idle is for how long a pool must have had no call before it needs no member at
	// all. Default 5 min.
	Idle time.Duration
	// Slots are the calls that a member runs at a time, where its upstream's
	// configuration does not say. Without either there is no desired number.
	Slots int
	// Least and Most bound the answer. Most 0: no bound.
	Least, Most int
}

// WithDefaults returns t with its zero values filled in.
func (t Target) WithDefaults() Target {
	t.Utilisation = cmp.Or(t.Utilisation, 0.8)
	t.ColdStart = cmp.Or(t.ColdStart, time.Minute)
	t.Drain = cmp.Or(t.Drain, 30*time.Second)
	t.Idle = cmp.Or(t.Idle, 5*time.Minute)
	return t
}

// Need is what a pool has to do.
type Need struct {
	Arrivals float64 // work that arrives in a second
	Growth   float64 // of that, by the second; a fall counts as none
	Backlog  float64 // work for which the members have no slots
	Rate     float64 // work that one member does in a second when its slots are full; 0: not known
	Members  int     // now
}

// ceiling bounds the answer where Target.Most does not: a number that overflows is a
// mistake of the input.
const ceiling = 1 << 20

// Desired returns how many members the pool needs: those that do, at the target's
// utilisation, the work that will arrive when a member asked for now is ready, and work
// off the backlog within the drain time. The growth that is planned for at most doubles
// the arrivals: a burst is no trend. Where no rate has been measured yet, a pool with
// work needs what it has, and at least one.
//
// It never falls as arrivals, growth or backlog rise. Numbers that are none, and
// negative ones, count as zero.
func Desired(n Need, t Target) int {
	t = t.WithDefaults()
	arrivals, backlog := real0(n.Arrivals), real0(n.Backlog)
	ahead := min(real0(n.Growth)*t.ColdStart.Seconds(), arrivals)
	work := arrivals + ahead + backlog/t.Drain.Seconds()
	want := 0.0
	switch each := real0(n.Rate) * t.Utilisation; {
	case arrivals == 0 && backlog == 0:
	case !(each > 0):
		want = float64(max(n.Members, 1))
	default:
		want = math.Ceil(work/each - 1e-9) // not one more for a rounding error
		want = max(want, 1)
	}
	most := ceiling
	if t.Most > 0 {
		most = t.Most
	}
	return max(int(min(want, float64(most))), min(t.Least, most))
}

// real0 is v, or 0 where v is negative or no number.
func real0(v float64) float64 {
	if !(v > 0) {
		return 0
	}
	return min(v, math.MaxFloat32) // sums and products of these stay finite
}
