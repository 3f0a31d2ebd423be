package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"syscall"
	"time"
)

// soak asks at a rate while faults come and go, one at a time: a right answer is always possible.
func (q *quiz) soak(ctx context.Context, s *system, o options, rate float64) (*findings, error) {
	f := &findings{lasts: o.lasts}
	load, cancel := context.WithTimeout(ctx, o.lasts)
	defer cancel()
	var acting sync.WaitGroup
	var still stalls
	acting.Go(func() { still.watch(load) })
	acting.Go(func() { q.asking(load, rate, f, &still) })
	acting.Go(func() { q.writing(load, f) })
	acting.Go(func() { s.sampling(load, o.lasts/60, f) })
	s.disturb(load, o, f)
	acting.Wait()
	return f, q.recount(ctx, f)
}

// asking sends searches in an open loop.
func (q *quiz) asking(ctx context.Context, rate float64, f *findings, still *stalls) {
	var asked sync.WaitGroup
	defer asked.Wait()
	pace := time.NewTicker(time.Duration(float64(time.Second) / rate))
	defer pace.Stop()
	for i := 0; ; i++ {
		select {
		case <-ctx.Done():
			return
		case <-pace.C:
		}
		asked.Go(func() {
			began := time.Now()
			right, err := q.ask(context.WithoutCancel(ctx), i%questions)
			f.search(right, err, still.share(began))
		})
	}
}

// writing writes point after point, each until it is acknowledged: while a replica is away that fails.
func (q *quiz) writing(ctx context.Context, f *findings) {
	rng := rand.New(rand.NewPCG(2, 2)) //nolint:gosec // reproducible on purpose
	for n := 0; pause(ctx, 50*time.Millisecond) == nil; {
		p := point{fmt.Sprintf("w%06d", n), random(rng)}
		err := q.call(context.WithoutCancel(ctx), "PUT /v1/collections/writes/points", map[string]any{"points": []point{p}}, nil)
		if err == nil {
			n++
		}
		f.write(err)
	}
}

// recount compares the points that are there with those that were acknowledged. One more was perhaps stored.
func (q *quiz) recount(ctx context.Context, f *findings) error {
	var told struct {
		Count int `json:"count"`
	}
	if err := q.call(ctx, "POST /v1/collections/writes/points/count", map[string]any{}, &told); err != nil {
		return fmt.Errorf("count what was written: %w", err)
	}
	f.lost = max(0, f.written-told.Count)
	f.doubled = max(0, told.Count-f.written-1)
	return nil
}

// disturb makes one fault after another, and waits after each until all replicas are in step again.
func (s *system) disturb(ctx context.Context, o options, f *findings) {
	rng := rand.New(rand.NewPCG(o.seed, 3)) //nolint:gosec // reproducible on purpose
	faults := []struct {
		name string
		do   func(context.Context, *server) error
	}{{"killed", s.kill}, {"stopped", s.hang}, {"slow", s.slow}, {"restarted", s.restart}, {"reload", s.reload}}
	if !s.reloads {
		faults = faults[:4]
	}
	for i := 0; pause(ctx, 2*time.Second) == nil; i++ {
		at := faults[i%len(faults)]
		victim := s.replicas[rng.IntN(shards)][rng.IntN(replicas)]
		f.begin(at.name)
		if err := at.do(context.WithoutCancel(ctx), victim); err != nil {
			f.broken(err)
			return
		}
		if err := s.whole(context.WithoutCancel(ctx)); err != nil {
			f.broken(err)
			return
		}
		f.end()
	}
}

func (s *system) kill(ctx context.Context, v *server) error {
	if err := v.end(syscall.SIGKILL); err != nil {
		return err
	}
	_ = pause(ctx, 3*time.Second)
	return v.start(ctx)
}

func (s *system) restart(ctx context.Context, v *server) error {
	if err := v.end(syscall.SIGTERM); err != nil {
		return err
	}
	return v.start(ctx)
}

func (s *system) hang(ctx context.Context, v *server) error {
	if err := v.signal(syscall.SIGSTOP); err != nil {
		return err
	}
	_ = pause(ctx, 4*time.Second)
	return v.signal(syscall.SIGCONT)
}

// slow lets a replica run for a tenth of the time.
func (s *system) slow(ctx context.Context, v *server) error {
	for range 60 {
		if err := v.signal(syscall.SIGSTOP); err != nil {
			return err
		}
		_ = pause(ctx, 90*time.Millisecond)
		if err := v.signal(syscall.SIGCONT); err != nil {
			return err
		}
		_ = pause(ctx, 10*time.Millisecond)
	}
	return nil
}

func (s *system) reload(context.Context, *server) error { return s.router.signal(syscall.SIGHUP) }

// whole waits until the router reads from every replica.
func (s *system) whole(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Minute)
	defer cancel()
	for {
		var told struct {
			Replicas []struct {
				Reads       bool   `json:"reads"`
				Why         string `json:"why"`
				Unreachable string `json:"unreachable"`
			} `json:"replicas"`
		}
		err := get(ctx, "http://"+s.router.address+"/v1/admin/replicas", &told)
		var out []string
		for _, r := range told.Replicas {
			if !r.Reads || r.Why != "" || r.Unreachable != "" {
				out = append(out, r.Why+r.Unreachable)
			}
		}
		if err == nil && len(out) == 0 {
			return nil
		}
		if pause(ctx, 500*time.Millisecond) != nil {
			return fmt.Errorf("not all replicas are in step: %w: %s", errors.Join(err, ctx.Err()), strings.Join(out, "; "))
		}
	}
}

// sampling notes the router's heap and goroutines from time to time, after a fifth of the run for warming up.
func (s *system) sampling(ctx context.Context, every time.Duration, f *findings) {
	for i := 0; pause(ctx, every) == nil; i++ {
		var page string
		if err := get(ctx, "http://"+s.router.address+"/metrics", &page); err != nil || i < 12 {
			continue
		}
		f.sample(gauge(page, "go_memstats_heap_alloc_bytes"), gauge(page, "go_goroutines"))
	}
}

// gauge reads one figure of a page in Prometheus' text format.
func gauge(page, name string) (v float64) {
	for line := range strings.Lines(page) {
		if rest, ok := strings.CutPrefix(line, name+" "); ok {
			_, _ = fmt.Sscan(rest, &v)
		}
	}
	return v
}
