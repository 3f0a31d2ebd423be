package road

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/lanewise/lanewise/embed"
	embedai "github.com/lanewise/lanewise/embed/openai"
	"github.com/lanewise/lanewise/fault"
	"github.com/lanewise/lanewise/llm"
	llmai "github.com/lanewise/lanewise/llm/openai"
	"github.com/lanewise/lanewise/merge"
	"github.com/lanewise/lanewise/router"
	"github.com/lanewise/lanewise/search"
)

// parts are the clients of everything.
type parts struct {
	embedders []embed.Provider
	shards    []router.Shard
	engines   []llm.Provider
	end       func()
}

func (s *town) clients(ctx context.Context) (p *parts, err error) {
	p = &parts{}
	if p.shards, p.end, err = s.replicas(); err != nil {
		return nil, err
	}
	for _, url := range s.urls("embed") {
		e, err := embedai.New(ctx, embedai.Config{URL: url, Model: "m", Dims: dims})
		if err != nil {
			return nil, err
		}
		p.embedders = append(p.embedders, e)
	}
	for _, url := range s.urls("llm") {
		e, err := llmai.New(llmai.Config{URL: url, Model: "m"})
		if err != nil {
			return nil, err
		}
		p.engines = append(p.engines, e)
	}
	return p, nil
}

func (p *parts) close() {
	for _, e := range p.embedders {
		_ = e.(io.Closer).Close() //nolint:errcheck,forcetypeassert // made above
	}
	for _, e := range p.engines {
		_ = e.(io.Closer).Close() //nolint:errcheck,forcetypeassert // made above
	}
	p.end()
}

func (s *town) carrier(ctx context.Context, by Way) (carrier, error) {
	p, err := s.clients(ctx)
	if err != nil {
		return nil, err
	}
	switch by {
	case Lanewise:
		return newOne(s, p) //nolint:contextcheck // the lanes outlive the call that makes them
	case ByHand:
		return &chain{town: s, parts: p}, nil
	case WithLiteLLM:
		return newProxied(ctx, s, p)
	default:
		p.close()
		return nil, fault.New(fault.Invalid, "there is no way %q: it is %s, %s or %s", by, Lanewise, ByHand, WithLiteLLM)
	}
}

// one carries a question as one request.
type one struct {
	*router.Router
	town  *town
	parts *parts
	lanes []io.Closer
}

func newOne(s *town, p *parts) (_ *one, err error) {
	o := &one{town: s, parts: p}
	defer func() {
		if err != nil {
			err = errors.Join(err, o.Close())
		}
	}()
	var embedders []embed.Upstream
	for i, e := range p.embedders {
		embedders = append(embedders, embed.Upstream{Name: fmt.Sprint("embed-", i), Provider: e})
	}
	// No cache: a chain by hand has none, and this is about lanes.
	lane, err := embed.New(embed.Config{Upstreams: embedders, CacheBytes: -1})
	if err != nil {
		return nil, err
	}
	o.lanes = append(o.lanes, lane)
	var engines []llm.Upstream
	for i, e := range p.engines {
		engines = append(engines, llm.Upstream{Name: fmt.Sprint("llm-", i), Provider: e})
	}
	generator, err := llm.New(llm.Config{Upstreams: engines})
	if err != nil {
		return nil, err
	}
	o.lanes = append(o.lanes, generator)
	o.Router, err = router.New(router.Config{Shards: p.shards, Embedders: []embed.Provider{lane}, Generator: generator, AnswerTimeout: s.Deadline})
	return o, err
}

func (o *one) answer(ctx context.Context, i int) (sources []string, words string, err error) {
	q := router.Question{Request: router.Request{Collection: "docs", Text: o.town.question(i), K: hits}}
	stream, err := o.Answer(ctx, q)
	if err != nil {
		return nil, "", err
	}
	defer stream.Close()
	a, err := stream.All()
	for _, h := range a.Hits {
		sources = append(sources, h.ID)
	}
	return sources, a.Text, err
}

// Close ends the router before the lanes, and these before the clients.
func (o *one) Close() (err error) {
	if o.Router != nil {
		err = o.Router.Close()
	}
	for _, l := range slices.Backward(o.lanes) {
		err = errors.Join(err, l.Close())
	}
	o.parts.close()
	return err
}

// chain carries a question as people write it: each step calls the next upstream in turn, with a
// timeout of a third of the deadline, and up to two retries on the upstreams behind it after 100 ms.
type chain struct {
	town  *town
	parts *parts
	turn  atomic.Int64
}

const (
	retries = 2
	pause   = 100 * time.Millisecond
)

// tried calls f with the number of the upstream to use, until it succeeds.
func (c *chain) tried(ctx context.Context, n int, f func(ctx context.Context, at int) error) (err error) {
	first := int(c.turn.Add(1))
	for attempt := range 1 + retries {
		if attempt > 0 {
			select {
			case <-time.After(pause):
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		step, cancel := context.WithTimeout(ctx, c.town.Deadline/3)
		err = f(step, (first+attempt)%n)
		cancel()
		if err == nil || ctx.Err() != nil {
			return err
		}
	}
	return err
}

func (c *chain) answer(ctx context.Context, i int) (sources []string, words string, err error) {
	var vector []float32
	err = c.tried(ctx, len(c.parts.embedders), func(ctx context.Context, at int) error {
		v, err := c.parts.embedders[at].Embed(ctx, embed.Batch{Texts: []string{c.town.question(i)}, Task: embed.QueryTask})
		if err == nil {
			vector = v.Row(0)
		}
		return err
	})
	if err != nil {
		return nil, "", err
	}
	lists := make([]search.List, len(c.parts.shards))
	g, inner := errgroup.WithContext(ctx)
	for s, shard := range c.parts.shards {
		g.Go(func() error {
			return c.tried(inner, len(shard.Replicas), func(ctx context.Context, at int) error {
				res, err := shard.Replicas[at].Store.Search(ctx, search.Query{
					Collection: "docs", Fields: search.Fields{Text: true}, Legs: []search.Leg{{Dense: vector, K: hits}},
				})
				if err == nil {
					lists[s] = res.Lists[0]
				}
				return err
			})
		})
	}
	if err := g.Wait(); err != nil {
		return nil, "", err
	}
	return c.write(ctx, c.town.question(i), lists)
}

func (c *chain) write(ctx context.Context, question string, lists []search.List) (sources []string, words string, err error) {
	var passages strings.Builder
	for _, h := range merge.TopK(hits, lists...).Hits {
		sources = append(sources, h.ID)
		passages.WriteString(h.Text + "\n")
	}
	prompt := llm.Prompt{Messages: []llm.Message{{Role: llm.System, Content: passages.String()}, {Role: llm.User, Content: question}}, MaxTokens: 200}
	err = c.tried(ctx, len(c.parts.engines), func(ctx context.Context, at int) error {
		words = ""
		stream, err := c.parts.engines[at].Generate(ctx, prompt)
		if err != nil {
			return err
		}
		defer stream.Close()
		for {
			chunk, err := stream.Next()
			if errors.Is(err, io.EOF) {
				return nil
			}
			if err != nil {
				return err
			}
			words += chunk.Content
		}
	})
	return sources, words, err
}

// Close ends the clients.
func (c *chain) Close() error {
	c.parts.close()
	return nil
}
