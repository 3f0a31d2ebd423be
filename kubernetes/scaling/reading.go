package scaling

import (
	"maps"
	"slices"
	"time"

	"github.com/lanewise/lanewise/balance"
)

// Reading is what one router knows of one pool at one moment. Its counters run from the
// router's start. Routers send their readings to each other as JSON.
type Reading struct {
	Lane     string  `json:"lane"`
	Pool     string  `json:"pool"`
	Calls    uint64  `json:"calls"`     // begun; counter
	Ended    uint64  `json:"ended"`     // attempts that are over; counter
	Waiting  int64   `json:"waiting"`   // calls that no member has room for
	Inflight int64   `json:"inflight"`  // attempts
	Load     int64   `json:"load"`      // their work
	MeanCost float64 `json:"mean_cost"` // work of a call
	Members  int     `json:"members"`
	Slots    int     `json:"slots"`    // of all members; 0: not known of one of them
	FirstMS  float64 `json:"first_ms"` // median time to an answer's beginning; 0: none yet
}

// Read takes the readings of pools.
func Read(pools []balance.Snapshot) []Reading {
	out := make([]Reading, len(pools))
	for i := range pools {
		out[i] = read(&pools[i])
	}
	return out
}

func read(p *balance.Snapshot) Reading {
	r := Reading{Lane: p.Lane, Pool: p.Pool, Calls: p.Calls, Waiting: int64(p.Waiting), MeanCost: p.MeanCost, Members: len(p.Members)}
	unknown := false
	var answers uint64
	for i := range p.Members {
		m := &p.Members[i]
		r.Ended += m.Good + m.Unknown + m.Slow + m.Bad + m.Busy
		r.Inflight += m.Inflight
		r.Load += m.Load
		r.Slots += m.Slots
		unknown = unknown || m.Slots == 0
		r.FirstMS += float64(m.Good) * typical(m.Latency)
		answers += m.Good
	}
	if unknown {
		r.Slots = 0
	}
	r.FirstMS /= max(float64(answers), 1)
	return r
}

// typical is the middle of a member's medians over the classes of calls, in milliseconds.
func typical(classes map[string]time.Duration) float64 {
	known := slices.DeleteFunc(slices.Sorted(maps.Values(classes)), func(d time.Duration) bool { return d == 0 })
	if len(known) == 0 {
		return 0
	}
	return float64(known[len(known)/2]) / float64(time.Millisecond)
}
