package config

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"strings"
	"time"

	"github.com/lanewise/lanewise/balance/abort"
	"github.com/lanewise/lanewise/embed"
	"github.com/lanewise/lanewise/internal/openaiwire"
	"github.com/lanewise/lanewise/llm"
)

// learner is a lane that is told what was measured of its upstreams.
type learner interface {
	Learn(upstream string, aborts bool) error
}

// gauged is an upstream of which it is measured whether it stops cancelled calls.
type gauged struct {
	name    string // of the upstream
	metrics string // URL
	call    func(ctx context.Context) error
}

// How often it is tried to measure an upstream, and for how long.
const (
	measureTries = 10
	measureEvery = time.Minute
)

// measure finds out, in the background, whether upstreams stop cancelled calls. Those
// that name no gauge are left alone: their calls may be billed.
func (s *System) measure(lane learner, list []gauged) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{}, len(list))
	for _, g := range list {
		go func() {
			s.measureOne(ctx, lane, g)
			done <- struct{}{}
		}()
	}
	s.opened(func() error {
		cancel()
		for range list {
			<-done
		}
		return nil
	})
}

// measureOne tries until it is known, and tells the lane.
func (s *System) measureOne(ctx context.Context, lane learner, g gauged) {
	client := openaiwire.NewHTTPClient()
	defer client.CloseIdleConnections()
	for range measureTries {
		frees, err := abort.Measure(ctx, abort.Probe{Gauge: abort.Metrics(client, g.metrics), Call: g.call})
		if err == nil {
			err = lane.Learn(g.name, frees)
		}
		switch {
		case ctx.Err() != nil:
			return
		case err == nil:
			s.log.Info("measured what becomes of cancelled calls", "upstream", g.name, "stop", frees)
			return
		}
		s.log.Warn("not known yet what becomes of cancelled calls", "upstream", g.name, "err", err)
		select {
		case <-time.After(measureEvery):
		case <-ctx.Done():
			return
		}
	}
}

// longTexts is a batch that keeps a model busy for some seconds, within its limits.
func longTexts(limits embed.Limits) []string {
	n := 512
	if limits.Inputs > 0 {
		n = min(n, limits.Inputs)
	}
	texts := make([]string, n)
	for i := range texts {
		texts[i] = strings.Repeat("a lane that moves ", 50)
	}
	return texts
}

// busyEmbedder is a call that takes long.
func busyEmbedder(p embed.Provider, limits embed.Limits) func(ctx context.Context) error {
	return func(ctx context.Context) error {
		_, err := p.Embed(ctx, embed.Batch{Texts: longTexts(limits), Task: embed.DocumentTask, Bulk: true})
		return err
	}
}

// busyGenerator is a generation that takes long.
func busyGenerator(p llm.Provider) func(ctx context.Context) error {
	return func(ctx context.Context) error {
		stream, err := p.Generate(ctx, llm.Prompt{
			Messages: []llm.Message{{Role: llm.User, Content: "Count from one to ten thousand in words."}}, MaxTokens: 4096,
		})
		if err != nil {
			return err
		}
		for err == nil {
			_, err = stream.Next()
		}
		if errors.Is(err, io.EOF) {
			err = nil
		}
		return errors.Join(err, stream.Close())
	}
}

// gauge checks how an upstream says what becomes of cancelled calls.
func (v *validator) gauge(path, metrics string, aborts bool, q Quota) {
	if metrics == "" {
		return
	}
	v.url(path+".metrics", metrics)
	v.check(!aborts, path+".metrics", "contradicts aborts: what is measured need not be declared")
	v.check(q.isZero(), path+".metrics", "contradicts quota: an upstream that counts its calls is not probed")
}

// discard is the log of a system without one.
func discard(log *slog.Logger) *slog.Logger {
	if log == nil {
		return slog.New(slog.DiscardHandler)
	}
	return log
}
