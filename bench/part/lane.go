package part

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/lanewise/lanewise/bench"
	"github.com/lanewise/lanewise/embed"
)

// upstream is a fake one that embeds: a call takes 5 ms and 0.2 ms for each text, and four are worked on at a time.
type upstream struct{ slots chan struct{} }

const slots = 4

func newUpstream() upstream { return upstream{make(chan struct{}, slots)} }

// Space implements embed.Provider.
func (upstream) Space() embed.Space { return embed.Space{Model: "fake", Dims: 1} }

// Embed implements embed.Provider. A call that is cancelled is worked on to its end.
func (u upstream) Embed(_ context.Context, b embed.Batch) (embed.Vectors, error) {
	u.slots <- struct{}{}
	defer func() { <-u.slots }()
	time.Sleep(5*time.Millisecond + time.Duration(b.Len())*time.Millisecond/5)
	return embed.Vectors{Data: slices.Repeat([]float32{1}, b.Len()), Dims: 1}, nil
}

// Lane measures what the lane before embedding upstreams does, in real time with upstreams that are fakes in this process, each
// beside what was asked of it. Latencies beside bulk are taken for a time, once without and once with it.
func Lane(measured time.Duration) Part {
	return func(ctx context.Context, r *bench.Report) error {
		r.Note("the upstreams are fakes in this process: 5 ms a call and 0.2 ms a text, four calls at a time; no network, no model")
		for _, f := range []func(context.Context, *bench.Report) error{
			coalescing, lone, spread, func(ctx context.Context, r *bench.Report) error { return beside(ctx, r, measured) }, hit,
		} {
			if err := f(ctx, r); err != nil {
				return err
			}
		}
		return nil
	}
}

// target is a figure beside what it was asked to be.
func target(r *bench.Report, row string, asked float64, reached bench.Figure) {
	r.Add(row, []bench.Figure{{Name: "asked", Rounds: []float64{asked}}, reached})
}

func reached(v float64, better bench.Direction) bench.Figure {
	return bench.Figure{Name: "reached", Better: better, Rounds: []float64{v}}
}

// over runs f with a lane over some upstreams, which has no cache.
func over(_ context.Context, n int, cache int64, f func(*embed.Embedder) error) error {
	c := embed.Config{CacheBytes: cache}
	for i := range n {
		c.Upstreams = append(c.Upstreams, embed.Upstream{Name: fmt.Sprint("fake-", i), Provider: newUpstream(), Slots: slots})
	}
	lane, err := embed.New(c) //nolint:contextcheck // it is closed below
	if err != nil {
		return err
	}
	defer lane.Close() //nolint:errcheck // fakes have nothing to lose
	return f(lane)
}

// text returns a batch of one that nobody else asks for.
func text(id ...any) embed.Batch {
	return embed.Batch{Texts: []string{fmt.Sprintln(id...)}, Task: embed.QueryTask}
}

// callers is how long it takes 256 callers to embed four texts each, one after the other. What is told of it is a throughput:
// callers who wait for answers tell nothing of latencies.
func callers(ctx context.Context, p embed.Provider) (time.Duration, error) {
	start := time.Now()
	all, ctx := errgroup.WithContext(ctx)
	for c := range 256 {
		all.Go(func() error {
			for i := range 4 {
				if _, err := p.Embed(ctx, text(c, i)); err != nil {
					return err
				}
			}
			return ctx.Err()
		})
	}
	err := all.Wait()
	return time.Since(start), err
}

func coalescing(ctx context.Context, r *bench.Report) error {
	alone, err := callers(ctx, newUpstream())
	if err != nil {
		return err
	}
	return over(ctx, 1, -1, func(lane *embed.Embedder) error {
		batched, err := callers(ctx, lane)
		if err != nil {
			return err
		}
		target(r, "256 callers of one text each: texts a second, against a call for each (at least)", 8, reached(alone.Seconds()/batched.Seconds(), bench.Higher))
		return nil
	})
}

// lone calls directly and through a lane in turns.
func lone(ctx context.Context, r *bench.Report) error {
	direct := newUpstream()
	return over(ctx, 1, -1, func(lane *embed.Embedder) error {
		ways := []embed.Provider{direct, lane}
		took := []*bench.Recorder{bench.NewRecorder(0), bench.NewRecorder(0)}
		for i := range 200 {
			start := time.Now()
			if _, err := ways[i%2].Embed(ctx, text(i)); err != nil {
				return err
			}
			took[i%2].Record(0, time.Since(start))
		}
		target(r, "one caller alone: median time, against a direct call (at most)", 1.05,
			reached(took[1].Distribution().Quantile(0.5).Seconds()/took[0].Distribution().Quantile(0.5).Seconds(), bench.Lower))
		return nil
	})
}

func spread(ctx context.Context, r *bench.Report) error {
	var took [2]time.Duration
	for i, n := range []int{1, 3} {
		err := over(ctx, n, -1, func(lane *embed.Embedder) error {
			start := time.Now()
			_, err := lane.Embed(ctx, embed.Batch{Texts: make([]string, 10_000), Bulk: true})
			took[i] = time.Since(start)
			return err
		})
		if err != nil {
			return err
		}
	}
	target(r, "10,000 texts over three upstreams: texts a second, against one (at least)", 2.7, reached(took[0].Seconds()/took[1].Seconds(), bench.Higher))
	return nil
}

// beside takes the latencies of single texts, which come at random, without and with bulk that would fill the upstream.
func beside(ctx context.Context, r *bench.Report, measured time.Duration) error {
	load := bench.Load{Rate: 100, Warmup: measured / 2, Duration: measured, Seed: 1}
	var p99 [2]time.Duration
	for i, bulk := range []int{0, 16} {
		err := over(ctx, 1, -1, func(lane *embed.Embedder) error {
			defer saturate(ctx, lane, bulk)()
			result, err := load.Run(ctx, func(ctx context.Context, t bench.Turn) error {
				_, err := lane.Embed(ctx, text(t.Index))
				return err
			})
			p99[i] = result.Latency.Quantile(0.99)
			if why := result.Invalid(); why != "" {
				r.Doubt("single texts: " + why)
			}
			if why := result.ErrorNote(); why != "" {
				r.Note("single texts: " + why)
			}
			r.Cut = r.Cut || result.Cut
			return err
		})
		if err != nil {
			return err
		}
	}
	if !r.Cut {
		target(r, "single texts beside bulk: p99, against no bulk (at most)", 1.3, reached(p99[1].Seconds()/p99[0].Seconds(), bench.Lower))
	}
	return nil
}

// saturate has callers embed in bulk until stop.
func saturate(ctx context.Context, lane *embed.Embedder, callers int) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	var all sync.WaitGroup
	for range callers {
		all.Go(func() {
			for ctx.Err() == nil {
				_, _ = lane.Embed(ctx, embed.Batch{Texts: make([]string, 256), Bulk: true}) // the last one is cut
			}
		})
	}
	return func() { cancel(); all.Wait() }
}

func hit(ctx context.Context, r *bench.Report) error {
	return over(ctx, 1, 0, func(lane *embed.Embedder) error {
		b := text("again")
		if _, err := lane.Embed(ctx, b); err != nil {
			return err
		}
		var failed error
		took, err := perCall(ctx, func() {
			_, err := lane.Embed(ctx, b)
			failed = errors.Join(failed, err)
		})
		if err = errors.Join(err, failed); err != nil {
			return err
		}
		target(r, "a text from the cache: µs (about)", 2, reached(float64(took)/float64(time.Microsecond), bench.Lower))
		return nil
	})
}
