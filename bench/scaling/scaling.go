// Package scaling simulates, in virtual time, what an autoscaler's metric is worth: one
// pool of engines whose load changes over a day, questions with a deadline for the
// beginning of their answer, members that take minutes to start, and the rules of a
// Horizontal Pod Autoscaler (every 15 s, 10 % tolerance, at most doubled or 4 more at a time,
// the largest wish of the last 5 minutes on the way down).
//
// The figures that the autoscaler sees are those of kubernetes/scaling, the code that runs.
package scaling

import (
	"math"
	"math/rand/v2"
	"time"

	"github.com/lanewise/lanewise/kubernetes/scaling"
)

// Day is what is simulated. Times are in seconds.
type Day struct {
	Length    time.Duration
	Mean      float64       // questions a second, over the day
	Slots     int           // that an engine runs at a time
	Service   float64       // mean of an answer's length; log-normal, sigma 0.5
	Deadline  float64       // until an answer has begun
	ColdStart time.Duration // of a member
	Least     int
	Most      int
	Seed      uint64
}

// Policy says how many members are wanted, by what is known of the pool.
type Policy struct {
	Name string
	Want func(f scaling.Figure, members int) float64
}

// Desired follows lanewise_desired_replicas.
func Desired() Policy {
	return Policy{Name: "desired_replicas", Want: func(f scaling.Figure, _ int) float64 { return float64(f.Desired) }}
}

// Queue wants as many members that each has so many calls waiting: a plain metric with
// an AverageValue as its target, which is never below what is there while somebody waits.
func Queue(each float64) Policy {
	return Policy{Name: "queue length", Want: func(f scaling.Figure, _ int) float64 { return f.Queue / each }}
}

// Running wants members for the calls that run or wait, each with so many.
func Running(each float64) Policy {
	return Policy{Name: "calls in flight", Want: func(f scaling.Figure, _ int) float64 { return (f.Inflight + f.Queue) / each }}
}

// Result is what a day came to.
type Result struct {
	Questions, Missed int
	MemberHours       float64 // from when a member was asked for
	Changes           int     // of the number of members
}

// MissedShare is the share of questions whose answers did not begin in time.
func (r Result) MissedShare() float64 { return float64(r.Missed) / float64(max(r.Questions, 1)) }

const (
	tick    = 0.1  // s, of the simulation
	observe = 2.0  // s, between readings
	sync    = 15.0 // s, between looks of the autoscaler
	hold    = 300.0
)

// world is a day under way.
type world struct {
	Day
	rng     *rand.Rand
	policy  Policy
	tracker *scaling.Tracker
	now     float64
	waiting []float64 // when each came, the oldest first
	running []float64 // when each ends
	members []float64 // when each is ready, the oldest first
	wishes  []wish
	reading scaling.Reading
	result  Result
}

type wish struct{ at, n float64 }

// Run simulates a day under a policy.
func Run(d Day, p Policy) Result {
	target := scaling.Target{ColdStart: d.ColdStart, Least: d.Least, Most: d.Most}
	w := &world{
		Day: d, policy: p, rng: rand.New(rand.NewPCG(d.Seed, 1)), //nolint:gosec // a simulation
		tracker: scaling.NewTracker(func(string, string) scaling.Target { return target }),
	}
	for range d.Least {
		w.members = append(w.members, 0)
	}
	for steps := int(d.Length.Seconds() / tick); steps > 0; steps-- {
		w.step()
	}
	w.result.Missed += len(w.waiting)
	return w.result
}

func (w *world) step() {
	before := w.now
	w.now += tick
	w.result.MemberHours += float64(len(w.members)) * tick / 3600
	w.arrive()
	w.finish()
	w.begin()
	if passes(before, w.now, observe) {
		w.tell()
	}
	if passes(before, w.now, sync) {
		w.scale()
	}
}

func passes(before, now, every float64) bool {
	return math.Floor(before/every) != math.Floor(now/every)
}

// rate is the load at this time of the day: two humps, a night, and bursts.
func (w *world) rate() float64 {
	x := w.now / w.Length.Seconds()
	shape := 0.25 + 1.5*math.Pow(math.Sin(math.Pi*x), 2)*(1+0.35*math.Sin(6*math.Pi*x))
	if burst := math.Mod(w.now, 5400); burst > 3600 && burst < 4200 { // ten minutes, half as much again, within a minute
		shape *= 1 + 0.5*min(1, (burst-3600)/60)
	}
	return w.Mean * shape
}

func (w *world) arrive() {
	for n := w.poisson(w.rate() * tick); n > 0; n-- {
		w.waiting = append(w.waiting, w.now)
		w.reading.Calls++
		w.result.Questions++
	}
}

// poisson draws a number of events (Knuth, TAOCP vol. 2, 3.4.1).
func (w *world) poisson(mean float64) (n int) {
	none := math.Exp(-mean)
	for p := w.rng.Float64(); p > none; n++ {
		p *= w.rng.Float64()
	}
	return n
}

func (w *world) finish() {
	still := w.running[:0]
	for _, end := range w.running {
		if end > w.now {
			still = append(still, end)
		} else {
			w.reading.Ended++
		}
	}
	w.running = still
}

func (w *world) ready() (n int) {
	for _, at := range w.members {
		if at <= w.now {
			n++
		}
	}
	return n
}

// begin gives free slots to those that wait. Who has waited for too long has left.
func (w *world) begin() {
	for len(w.waiting) > 0 && w.now-w.waiting[0] > w.Deadline {
		w.waiting = w.waiting[1:]
		w.result.Missed++
		w.reading.Ended++
	}
	for free := w.ready()*w.Slots - len(w.running); free > 0 && len(w.waiting) > 0; free-- {
		w.waiting = w.waiting[1:]
		const sigma = 0.5
		took := w.Service * math.Exp(sigma*w.rng.NormFloat64()-sigma*sigma/2)
		w.running = append(w.running, w.now+took)
	}
}

// tell gives the tracker what a router would.
func (w *world) tell() {
	r := &w.reading
	r.Lane, r.Pool, r.MeanCost = "llm", "llm", 1
	r.Members = w.ready()
	r.Slots = r.Members * w.Slots
	r.Inflight, r.Waiting, r.Load = int64(len(w.running)), int64(len(w.waiting)), int64(len(w.running))
	w.tracker.Observe(time.Unix(0, 0).Add(time.Duration(w.now*float64(time.Second))), map[string][]scaling.Reading{"r": {*r}})
}

// scale is the autoscaler.
func (w *world) scale() {
	have := float64(len(w.members))
	want := math.Ceil(w.policy.Want(w.tracker.Figures()[0], len(w.members)) - 1e-9)
	if math.Abs(want-have) <= 0.1*have {
		want = have
	}
	want = min(max(want, float64(w.Least)), float64(w.Most))
	w.wishes = append(w.wishes, wish{w.now, want})
	for w.wishes[0].at < w.now-hold {
		w.wishes = w.wishes[1:]
	}
	if want < have {
		for _, past := range w.wishes {
			want = max(want, min(past.n, have))
		}
	}
	want = min(want, max(2*have, have+4))
	w.resize(int(want))
}

func (w *world) resize(want int) {
	if want != len(w.members) {
		w.result.Changes++
	}
	for len(w.members) < want {
		w.members = append(w.members, w.now+w.ColdStart.Seconds())
	}
	w.members = w.members[:min(want, len(w.members))] // the newest go first
}
