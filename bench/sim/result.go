package sim

import (
	"fmt"
	"slices"
	"sync"
	"time"
)

// Extra attempts are counted by the second, and looked at over ten of them.
const (
	tallyStep   = time.Second
	tallyWindow = 10
)

// tally counts attempts by second and shard.
type tally struct {
	mu      sync.Mutex
	shards  int
	seconds [][]count // by shard
	marks   [][]int   // calls at each replica of the first shard, at each event and at the end
}

// count is a number of attempts.
type count struct{ first, extra int }

func (c *count) add(d count) { c.first, c.extra = c.first+d.first, c.extra+d.extra }

// share is the number of extra attempts as a share of the first ones.
func (c count) share() float64 { return float64(c.extra) / float64(max(c.first, 1)) }

func newTally(shards int) *tally { return &tally{shards: shards} }

func (t *tally) add(at time.Duration, shard int, c count) {
	t.mu.Lock()
	defer t.mu.Unlock()
	s := int(at / tallyStep)
	for len(t.seconds) <= s {
		t.seconds = append(t.seconds, make([]count, t.shards))
	}
	t.seconds[s][shard].add(c)
}

// over sums up seconds, for all shards and for each.
func (t *tally) over(seconds [][]count) (all count, each []count) {
	each = make([]count, t.shards)
	for _, s := range seconds {
		for i, c := range s {
			each[i].add(c)
			all.add(c)
		}
	}
	return all, each
}

// worst is the largest share of extra attempts of any ten seconds, over all shards
// and of one shard. A shorter run counts as a whole.
func (t *tally) worst() (lane, shard float64) {
	for from := range max(len(t.seconds)-tallyWindow, 0) + 1 {
		all, each := t.over(t.seconds[from:min(from+tallyWindow, len(t.seconds))])
		lane = max(lane, all.share())
		for _, c := range each {
			shard = max(shard, c.share())
		}
	}
	return lane, shard
}

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
	r.count(latencies)
	all, _ := p.tally.over(p.tally.seconds)
	r.Extra = all.share()
	p.tally.mark(p.servers[0])
	last := len(p.tally.marks) - 1
	r.SlowShare = share(p.tally.marks[last])
	return r
}

// count enters the latencies, in order of the queries.
func (r *Result) count(latencies []time.Duration) {
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

// String is the result in one line.
func (r Result) String() string {
	ms := func(q float64) float64 { return float64(r.P(q)) / float64(time.Millisecond) }
	return fmt.Sprintf("p50 %7.1f  p99 %7.1f  p99.9 %7.1f ms  failed %6.3f %%  extra %5.2f %%  slow replica %5.2f %%",
		ms(0.5), ms(0.99), ms(0.999), 100*r.Failed, 100*r.Extra, 100*r.SlowShare)
}

// P returns the latency that a share q of the counted queries had at most; one
// that failed counts as the deadline.
func (r Result) P(q float64) time.Duration {
	n := len(r.Latencies)
	if n > 0 { // or else nothing was answered
		if i := int(q * float64(n) / (1 - r.Failed)); i < n {
			return r.Latencies[i]
		}
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
