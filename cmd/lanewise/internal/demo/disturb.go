package demo

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/lanewise/lanewise/cmd/lanewise/internal/show"
)

const (
	clients  = 4 // that query at the same time
	slowness = 500 * time.Millisecond
	stopped  = 1*replicas + 1 // s1/b
	slowed   = 2*replicas + 0 // s2/a
)

// disturb queries all the time, stops one replica and slows another half-way,
// and shows what that did to hits and latencies.
func (d *Demo) disturb(ctx context.Context) error {
	n := cmp.Or(d.cfg.Queries, 600)
	out := d.cfg.Out
	out.Line("")
	out.Line("%s", out.Bold(fmt.Sprintf("one replica stops (%s/%s) and one slows down by %s (%s/%s) while %d clients query",
		shardName(stopped), replicaName(stopped), show.Took(slowness), shardName(slowed), replicaName(slowed), clients)))
	load := &load{demo: d, half: n, total: 2 * n}
	faults := make(chan error, 1)
	load.atHalf = func() {
		d.cluster.servers[slowed].slow(slowness)
		faults <- d.cluster.servers[stopped].stop()
	}
	load.run(ctx)
	d.finished()
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if err := <-faults; err != nil {
		return fmt.Errorf("stop a replica: %w", err)
	}
	load.print(out, "before", load.results[:n])
	load.print(out, "after", load.results[n:])
	different := count(load.results, func(r result) bool { return r.diff != "" })
	failed := count(load.results, func(r result) bool { return r.err != nil })
	out.Line("  %d of %s queries failed, %d had other hits than one store with everything", failed, show.Count(2*n), different)
	for _, r := range load.results {
		if r.err != nil || r.diff != "" {
			return fmt.Errorf("%w: %q: %w", ErrDiffers, r.query, cmp.Or(r.err, fmt.Errorf("%s", r.diff)))
		}
	}
	return d.heal(ctx)
}

// heal brings both replicas back; the router finds out by itself.
func (d *Demo) heal(ctx context.Context) error {
	d.cluster.servers[slowed].slow(0)
	if err := d.cluster.servers[stopped].resume(ctx); err != nil {
		return err
	}
	d.cfg.Out.Line("  both replicas are back")
	return nil
}

// load is a closed loop of clients that share a list of queries.
type load struct {
	demo        *Demo
	half, total int
	atHalf      func() // called once, before query half, while others are under way

	mu      sync.Mutex
	next    int
	results []result // by number of the query
}

type result struct {
	query             string
	took              time.Duration
	hedges, failovers int
	answered          []string // replicas whose answer was used
	diff              string
	err               error
}

func (l *load) run(ctx context.Context) {
	l.results = make([]result, l.total)
	queries := l.queries()
	var wg sync.WaitGroup
	for range clients {
		wg.Go(func() {
			for i := l.take(); i < l.total && ctx.Err() == nil; i = l.take() {
				if i == l.half {
					l.atHalf()
				}
				l.results[i] = l.one(ctx, queries[i%len(queries)])
			}
		})
	}
	wg.Wait()
}

// queries are those with a known answer.
func (l *load) queries() []string {
	var out []string
	for q := range l.demo.answers {
		out = append(out, q)
	}
	slices.Sort(out)
	return out
}

func (l *load) take() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	i := l.next
	l.next++
	l.demo.progress("queries")(min(i+1, l.total))
	return i
}

func (l *load) one(ctx context.Context, q string) result {
	began := time.Now()
	found, err := retrieve(ctx, l.demo.cluster.system.Router, q)
	r := result{query: q, took: time.Since(began), hedges: found.Report.Hedges, failovers: found.Report.Failovers, err: err}
	if err != nil {
		return r
	}
	r.diff = difference(l.demo.answers[q], found.Hits)
	for _, a := range found.Explain.Attempts {
		if a.Lane == shardLane && a.Won {
			r.answered = append(r.answered, a.Pool+"/"+a.Member)
		}
	}
	return r
}

// print shows one phase in a line.
func (l *load) print(out show.Printer, name string, results []result) {
	took := make([]time.Duration, len(results))
	hedges, failovers := 0, 0
	for i, r := range results {
		took[i] = r.took
		hedges += r.hedges
		failovers += r.failovers
	}
	slices.Sort(took)
	out.Line("  %-7s %s queries: p50 %s, p99 %s, slowest %s; %s, %s", name, show.Count(len(results)),
		show.Took(quantile(took, 0.5)), show.Took(quantile(took, 0.99)), show.Took(took[len(took)-1]),
		show.Plural(hedges, "hedge"), show.Plural(failovers, "failover"))
	out.Line("          %s", out.Dim("answered by "+shares(results)))
}

// shares counts the answers of the replicas in the two shards that are disturbed.
func shares(results []result) string {
	counts := map[string]int{}
	for _, r := range results {
		for _, name := range r.answered {
			counts[name]++
		}
	}
	var parts []string
	for i := range shards * replicas {
		if shard := i / replicas; shard == stopped/replicas || shard == slowed/replicas {
			name := shardName(i) + "/" + replicaName(i)
			parts = append(parts, fmt.Sprintf("%s %d", name, counts[name]))
		}
	}
	return strings.Join(parts, ", ")
}

// quantile returns the nearest-rank quantile of sorted durations.
func quantile(sorted []time.Duration, q float64) time.Duration {
	return sorted[min(int(q*float64(len(sorted))), len(sorted)-1)]
}

func count(results []result, is func(result) bool) int {
	n := 0
	for _, r := range results {
		if is(r) {
			n++
		}
	}
	return n
}
