package router_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/lanewise/lanewise/balance"
	"github.com/lanewise/lanewise/embed"
	"github.com/lanewise/lanewise/fault"
	"github.com/lanewise/lanewise/llm"
	"github.com/lanewise/lanewise/rerank"
	"github.com/lanewise/lanewise/router"
	"github.com/lanewise/lanewise/search"
)

// slowStages is how long each stage of an answer takes; forever where it is longer than the answer may.
type slowStages struct{ embed, search, straggler, rerank, begin, write time.Duration }

const forever = time.Hour

// wait returns after d, or with the context's end.
func wait(ctx context.Context, d time.Duration) error {
	if d == 0 {
		return nil
	}
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

type slowEmbedder struct {
	letters
	d time.Duration
}

func (s slowEmbedder) Embed(ctx context.Context, b embed.Batch) (embed.Vectors, error) {
	if err := wait(ctx, s.d); err != nil {
		return embed.Vectors{}, err
	}
	return s.letters.Embed(ctx, b)
}

// slowModel takes a while until it begins, and then before its last words. It notes
// how long it may take when it is asked.
type slowModel struct {
	begin, write time.Duration
	left         time.Duration
}

func (s *slowModel) Generate(ctx context.Context, _ llm.Prompt) (llm.Stream, error) {
	end, _ := ctx.Deadline()
	s.left = time.Until(end)
	if err := wait(ctx, s.begin); err != nil {
		return nil, err
	}
	return &slowWords{ctx: ctx, d: s.write, scriptedStream: scriptedStream{scripted: &scripted{}, left: []llm.Chunk{{Content: "so"}, {Finish: "stop"}}}}, nil
}

type slowWords struct {
	scriptedStream
	ctx context.Context
	d   time.Duration
}

func (s *slowWords) Next() (llm.Chunk, error) {
	if len(s.left) == 1 {
		if err := wait(s.ctx, s.d); err != nil {
			return llm.Chunk{}, err
		}
	}
	return s.scriptedStream.Next()
}

// stages answers a question whose deadline is 8 s through stages that take their
// time, and returns what became of it, after how long, and what was left to the model.
func stages(t *testing.T, d slowStages) (a router.Answer, err error, took, left time.Duration) { //nolint:revive,staticcheck // the error belongs to the answer
	t.Helper()
	first, second := hit("a", 2), hit("b", 1)
	first.Text, second.Text = "a", "b"
	model := &slowModel{begin: d.begin, write: d.write}
	r := newRouter(t, router.Config{
		Embedders: []embed.Provider{slowEmbedder{d: d.embed}}, Generator: model, SearchTimeout: time.Minute,
		Reranker: reranker(func(ctx context.Context, b rerank.Batch) (rerank.Scores, error) {
			if err := wait(ctx, d.rerank); err != nil {
				return rerank.Scores{}, err
			}
			return byLength(ctx, b)
		}),
	}, []search.Store{after(d.search, first)}, []search.Store{after(max(d.search, d.straggler), second)})
	create(t, r, search.Collection{Name: "notes", Space: letters{}.Space().ID()})
	start := time.Now()
	s, err := r.Answer(t.Context(), router.Question{Question: "a", Request: router.Request{
		Collection: "notes", Timeout: 8 * time.Second, Rerank: 2, OnPartial: router.ReturnPartial,
	}})
	if err == nil {
		a, err = s.All()
		_ = s.Close()
	}
	return a, err, time.Since(start), model.left
}

// TestAnswer_stagesShareTheDeadline holds that no stage takes the time of a later
// one, and that the whole ends with the deadline.
func TestAnswer_stagesShareTheDeadline(t *testing.T) {
	const s = time.Second
	for name, c := range map[string]struct {
		stages slowStages
		answer bool          // there is one
		most   time.Duration // for the whole
		left   time.Duration // at least, for the model; 0: it is not asked
	}{
		"all in time":                      {slowStages{s / 2, s / 2, 0, s / 2, s, s}, true, 7 * s / 2, 6 * s},
		"a straggling shard":               {slowStages{0, 0, forever, 0, 2 * s, s}, true, 7 * s, 4 * s},
		"a straggler, a slow reranker":     {slowStages{0, 0, forever, forever, 2 * s, s}, true, 7 * s, 4 * s},
		"a reranker that hangs":            {slowStages{0, s, 0, forever, 2 * s, s}, true, 7 * s, 4 * s},
		"all are slow":                     {slowStages{s, s / 2, forever, forever, 2 * s, s}, true, 7 * s, 4 * s},
		"an embedder that hangs":           {slowStages{embed: forever}, false, 3 * s, 0},
		"shards that hang":                 {slowStages{search: forever}, false, 4 * s, 0},
		"a model that does not begin":      {slowStages{begin: forever}, false, 8 * s, 8 * s},
		"a model that does not end":        {slowStages{write: forever}, false, 8 * s, 8 * s},
		"a straggler, and no end in sight": {slowStages{straggler: forever, write: forever}, false, 8 * s, 4 * s},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				a, err, took, left := stages(t, c.stages)
				if (err == nil) != c.answer || c.answer && a.Finish != "stop" || !c.answer && !errors.Is(err, context.DeadlineExceeded) {
					t.Errorf("answer %q, %v", a.Text, err)
				}
				if took > c.most || left < c.left || c.left == 0 && left != 0 {
					t.Errorf("took %v, at most %v; %v were left to the model, at least %v", took, c.most, left, c.left)
				}
			})
		})
	}
}

// broken is an embedder that is down.
type broken struct{ letters }

func (broken) Embed(context.Context, embed.Batch) (embed.Vectors, error) {
	return embed.Vectors{}, fault.New(fault.Unavailable, "down")
}

// lanes answers a question over three lanes, in each of which the first member is down.
func lanes(t *testing.T, extra int) (router.Answer, error) {
	t.Helper()
	texts, err := embed.New(embed.Config{Wait: -1, Upstreams: []embed.Upstream{
		{Name: "down", Provider: broken{}}, {Name: "up", Provider: letters{}, Tier: 1},
	}})
	if err != nil {
		t.Fatal(err)
	}
	down, up := &counting{refuse: fault.New(fault.Unavailable, "down")}, says("so", 1)
	words, err := llm.New(llm.Config{Upstreams: []llm.Upstream{{Name: "down", Provider: down}, {Name: "up", Provider: up, Tier: 1}}})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := errors.Join(texts.Close(), words.Close()); err != nil {
			t.Error(err)
		}
	}()
	found := hit("a", 1)
	found.Text = "a"
	r := newRouter(t, router.Config{Embedders: []embed.Provider{texts}, Generator: words, ExtraAttempts: extra, Picker: inOrder{}},
		[]search.Store{failing(fault.New(fault.Unavailable, "down")), after(0, found)})
	create(t, r, search.Collection{Name: "notes", Space: letters{}.Space().ID()})
	s, err := r.Answer(t.Context(), router.Question{Question: "a", Request: router.Request{Collection: "notes", Explain: true}})
	if err != nil {
		return router.Answer{}, err
	}
	a, err := s.All()
	return a, errors.Join(err, s.Close())
}

// TestAnswer_lanesShareOneAllowance: three lanes need an extra attempt each.
func TestAnswer_lanesShareOneAllowance(t *testing.T) {
	for extra, ok := range map[int]bool{-1: false, 1: false, 2: false, 3: true, 8: true} {
		a, err := lanes(t, extra)
		switch {
		case (err == nil) != ok:
			t.Errorf("%d extra attempts: %v", extra, err)
		case ok && (a.Report.Failovers != 3 || a.Text != "so"):
			t.Errorf("%d extra attempts: %d failovers, answer %q", extra, a.Report.Failovers, a.Text)
		}
	}
}

// inOrder asks the first member that is left.
type inOrder struct{}

func (inOrder) Pick(v *balance.View) int {
	i := 0
	for i < v.Len()-1 && !v.Open(i) {
		i++
	}
	return i
}
