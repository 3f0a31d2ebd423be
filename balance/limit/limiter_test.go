package limit

import (
	"container/heap"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/lanewise/lanewise/fault"
)

// model is a server with a queue, and callers who send calls by chance and are
// turned away where the limit is reached. Its time is its own.
type model struct {
	slots   int           // calls that it runs at a time
	mean    time.Duration // of a call, besides rare stalls
	load    float64       // share of what it can do
	stalls  float64       // share of calls that take 10 to 50 times as long
	routers int           // that send, each with a limit of its own

	limits   []*Limiter
	inflight []int
	free     []time.Duration // by slot
	ends     ends
	now      time.Duration
	rng      *rand.Rand
	done     int
	turned   int
}

var epoch = time.Unix(1e9, 0)

// ending is a call under way.
type ending struct {
	at, took time.Duration
	router   int
}

// ends is a heap.
type ends []ending

func (e ends) Len() int           { return len(e) }
func (e ends) Less(i, j int) bool { return e[i].at < e[j].at }
func (e ends) Swap(i, j int)      { e[i], e[j] = e[j], e[i] }
func (e *ends) Push(x any)        { *e = append(*e, x.(ending)) }
func (e *ends) Pop() any {
	last := (*e)[len(*e)-1]
	*e = (*e)[:len(*e)-1]
	return last
}

func newModel(m model) *model {
	m.rng = rand.New(rand.NewPCG(1, uint64(m.slots)))
	m.free = make([]time.Duration, m.slots)
	m.routers = max(m.routers, 1)
	m.inflight = make([]int, m.routers)
	for range m.routers {
		m.limits = append(m.limits, New(Config{}.WithDefaults()))
	}
	return &m
}

// run sends calls for a while.
func (m *model) run(d time.Duration) {
	m.done, m.turned = 0, 0
	for end := m.now + d; m.now < end; {
		gap := float64(m.mean) * (1 + 29*m.stalls) / float64(m.slots) / m.load
		m.now += time.Duration(m.rng.ExpFloat64() * gap)
		for len(m.ends) > 0 && m.ends[0].at <= m.now {
			m.end(heap.Pop(&m.ends).(ending))
		}
		m.send(m.rng.IntN(m.routers))
	}
}

func (m *model) send(router int) {
	if m.inflight[router] >= m.limits[router].Now() {
		m.turned++
		return
	}
	m.inflight[router]++
	work := float64(m.mean) * math.Exp(0.5*m.rng.NormFloat64()-0.125)
	if m.rng.Float64() < m.stalls {
		work *= 10 + 40*m.rng.Float64()
	}
	slot := 0
	for i, free := range m.free {
		if free < m.free[slot] {
			slot = i
		}
	}
	begin := max(m.now, m.free[slot])
	m.free[slot] = begin + time.Duration(work)
	heap.Push(&m.ends, ending{m.free[slot], m.free[slot] - m.now, router})
}

func (m *model) end(e ending) {
	m.limits[e.router].Observe(Sample{Took: e.took, At: epoch.Add(e.at), Inflight: m.inflight[e.router]})
	m.inflight[e.router]--
	m.done++
}

// share is the part of what the server can do that it has done in d.
func (m *model) share(d time.Duration) float64 {
	return float64(m.done) * float64(m.mean) * (1 + 29*m.stalls) / float64(m.slots) / float64(d)
}

func TestLimiter_letsInWhatKeepsTheServerBusyAndNotMuchMore(t *testing.T) {
	const d = 12 * time.Second
	for _, c := range []struct {
		slots, routers int
		load           float64
		least, most    int // of a router's limit in the end
	}{
		{4, 1, 1.05, 4, 16}, {4, 8, 1.5, 4, 32}, {16, 1, 1.5, 12, 48}, {64, 8, 1.05, 4, 40},
	} {
		m := newModel(model{slots: c.slots, mean: 20 * time.Millisecond, load: 0.6, stalls: 0.01, routers: c.routers})
		m.run(d)
		m.run(d)
		if turned := float64(m.turned) / float64(m.done); turned > 0.02 {
			t.Errorf("%+v: %.1f %% are turned away at 60 %% load", c, 100*turned)
		}
		for m.load = c.load; m.now < 7*d; {
			m.run(d)
		}
		if now := m.limits[0].Now(); now < c.least || now > c.most {
			t.Errorf("%+v: a limit of %d", c, now)
		}
		if share := m.share(d); share < 0.80 {
			t.Errorf("%+v: the server does %.0f %% of what it can", c, 100*share)
		}
	}
}

// A member that is slow from the start, and under a load beyond its own, looks
// as if that were usual. The trials find out.
func TestLimiter_findsTheLimitInAnOverloadThatItStartsIn(t *testing.T) {
	m := newModel(model{slots: 4, mean: 10 * time.Millisecond, load: 3})
	m.run(100 * time.Second)
	if now := m.limits[0].Now(); now > 24 {
		t.Errorf("a limit of %d for a server of 4 slots", now)
	}
}

// A member that becomes slower for good, without a queue, keeps what it needs.
func TestLimiter_aSlowerServerIsNotThrottledForGood(t *testing.T) {
	m := newModel(model{slots: 64, mean: 10 * time.Millisecond, load: 0.7})
	m.run(20 * time.Second)
	m.mean, m.load = 40*time.Millisecond, 0.7 // a quarter as many calls, each four times as long
	m.run(20 * time.Second)
	m.run(20 * time.Second)
	if turned := float64(m.turned) / float64(m.done); turned > 0.02 {
		t.Errorf("%.1f %% are turned away by a limit of %d, and the server has 64 slots", 100*turned, m.limits[0].Now())
	}
}

func TestLimiter_shrinksForAServerThatSaysItIsFull(t *testing.T) {
	l := New(Config{}.WithDefaults())
	now := epoch
	for range 1000 {
		now = now.Add(5 * time.Millisecond)
		l.Observe(Sample{Took: time.Millisecond, At: now, Inflight: l.Now(), Refused: true})
	}
	if l.Now() != 4 {
		t.Errorf("a limit of %d after a thousand refusals, want the least", l.Now())
	}
}

func TestLimiter_aClockThatStandsStillOrJumpsBreaksNothing(t *testing.T) {
	l := New(Config{}.WithDefaults())
	for i := range 10_000 {
		at := epoch
		switch i % 3 {
		case 1:
			at = at.Add(-time.Hour)
		case 2:
			at = at.Add(time.Duration(i) * time.Hour)
		}
		l.Observe(Sample{Class: i % 64, Took: time.Duration(i%5 - 2), At: at, Inflight: i % 100})
		if now := l.Now(); now < 4 || now > 4096 {
			t.Fatalf("a limit of %d", now)
		}
	}
	still := New(Config{}.WithDefaults())
	for range 10_000 {
		still.Observe(Sample{Took: time.Hour, At: epoch, Inflight: 64})
	}
	if still.Now() != 64 {
		t.Errorf("a limit of %d: no time has passed", still.Now())
	}
}

// Calls of another class take longer by nature.
func TestLimiter_doesNotCompareClasses(t *testing.T) {
	l := New(Config{}.WithDefaults())
	now := epoch
	for i := range 100_000 {
		now = now.Add(time.Millisecond)
		class := i / 5000 % 2
		l.Observe(Sample{Class: class, Took: time.Duration(1+20*class) * time.Millisecond, At: now, Inflight: 10})
	}
	if l.Now() != 64 {
		t.Errorf("a limit of %d: no call took longer than usual", l.Now())
	}
}

func TestConfig_namesWrongFields(t *testing.T) {
	for want, c := range map[string]Config{
		"limit.least":     {Least: -1},
		"limit.most":      {Start: 10, Most: 5},
		"limit.tolerance": {Tolerance: 1},
	} {
		err := c.WithDefaults().Validate()
		if !errors.Is(err, fault.Invalid) || !strings.Contains(err.Error(), want) {
			t.Errorf("%+v: %v, want an invalid %s", c, err, want)
		}
	}
	if err := (Config{}).WithDefaults().Validate(); err != nil {
		t.Error(err)
	}
}

func BenchmarkObserve(b *testing.B) {
	l := New(Config{}.WithDefaults())
	now := epoch
	b.ReportAllocs()
	for b.Loop() {
		now = now.Add(50 * time.Microsecond)
		l.Observe(Sample{Took: time.Millisecond, At: now, Inflight: l.Now()})
	}
}

func Example() {
	l := New(Config{Start: 8}.WithDefaults())
	now := time.Now()
	for range 1000 { // calls that take five times as long as the first ones did
		now = now.Add(5 * time.Millisecond)
		l.Observe(Sample{Took: time.Second, At: now, Inflight: l.Now()})
	}
	fmt.Println(l.Now() >= 8)
	// Output: true
}
