package sim

import (
	"slices"
	"sync"
	"time"
)

// tallyWindow is the length of the windows in which extra attempts are counted.
const tallyWindow = 10 * time.Second

// tally counts attempts by window and shard.
type tally struct {
	mu      sync.Mutex
	shards  int
	windows []counts
	marks   [][]int // calls at each replica of the first shard, at each event and at the end
}

// counts is the number of attempts at each shard.
type counts struct{ first, extra []int }

func newTally(shards int) *tally { return &tally{shards: shards} }

func (t *tally) add(at time.Duration, shard int, extra bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	w := int(at / tallyWindow)
	for len(t.windows) <= w {
		t.windows = append(t.windows, counts{make([]int, t.shards), make([]int, t.shards)})
	}
	if extra {
		t.windows[w].extra[shard]++
	} else {
		t.windows[w].first[shard]++
	}
}

// worst is the largest share of extra attempts of any window, over all shards
// and of one shard.
func (t *tally) worst() (lane, shard float64) {
	for _, w := range t.windows {
		first, extra := 0, 0
		for i := range w.first {
			first, extra = first+w.first[i], extra+w.extra[i]
			if w.first[i] > minWindow {
				shard = max(shard, float64(w.extra[i])/float64(w.first[i]))
			}
		}
		if first > minWindow*t.shards {
			lane = max(lane, float64(extra)/float64(first))
		}
	}
	return lane, shard
}

// minWindow is the number of first attempts below which a window at the end of a
// run tells nothing.
const minWindow = 500

// mark notes how many calls each replica has had.
func (t *tally) mark(replicas []*server) {
	t.mu.Lock()
	defer t.mu.Unlock()
	calls := make([]int, len(replicas))
	for i, s := range replicas {
		calls[i] = s.calls()
	}
	t.marks = append(t.marks, calls)
}

// Result is what became of a run. Latencies leave out the first tenth, in which
// the queues fill.
type Result struct {
	Model     Model
	Latencies []time.Duration // of answered queries, sorted; from the time at which a query was due
	Failed    float64         // share of the queries without an answer in time
	Extra     float64         // hedges and failovers, as a share of the first attempts
	SlowShare float64         // of its shard's attempts, at the first replica of the first shard
	Took      time.Duration
	tally     *tally
}

func (p *plaza) result(latencies []time.Duration) Result {
	r := Result{Model: p.model, Took: time.Since(p.start), tally: p.tally}
	counted := latencies[len(latencies)/10:]
	for _, l := range counted {
		if l == failed {
			r.Failed++
		} else {
			r.Latencies = append(r.Latencies, l)
		}
	}
	r.Failed /= float64(len(counted))
	slices.Sort(r.Latencies)
	first, extra := 0, 0
	for _, w := range p.tally.windows {
		for i := range w.first {
			first, extra = first+w.first[i], extra+w.extra[i]
		}
	}
	r.Extra = float64(extra) / float64(max(first, 1))
	p.tally.mark(p.servers[0])
	last := len(p.tally.marks) - 1
	r.SlowShare = share(p.tally.marks[last])
	return r
}

// share is the part of the calls that the first replica had.
func share(calls []int) float64 {
	total := 0
	for _, n := range calls {
		total += n
	}
	return float64(calls[0]) / float64(max(total, 1))
}

// between is the first replica's share between two marks.
func (r Result) between(from, to int) float64 {
	diff := slices.Clone(r.tally.marks[to])
	for i := range diff {
		diff[i] -= r.tally.marks[from][i]
	}
	return share(diff)
}

// P returns the latency that a share q of the counted queries had at most; one
// that failed counts as the deadline.
func (r Result) P(q float64) time.Duration {
	n := len(r.Latencies)
	total := float64(n) / (1 - r.Failed)
	if i := int(q * total); i < n {
		return r.Latencies[i]
	}
	return r.Model.Deadline
}

// Mean returns the mean latency of the answered queries.
func (r Result) Mean() time.Duration {
	var sum time.Duration
	for _, l := range r.Latencies {
		sum += l
	}
	return sum / time.Duration(max(len(r.Latencies), 1))
}
