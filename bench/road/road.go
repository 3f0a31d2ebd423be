// Package road measures whole answers: a question is embedded, searched for on several shards, and answered by a model, under one
// deadline, while a script breaks parts of it. lanewise carries it as one request; beside it a chain of the same parts is
// written as people write it by hand, one call after the other with retries.
//
// The shards are real lanewise servers with real stores. The embedding upstreams and the engines are fakes
// on loopback: they embed by a table and answer with words that are known beforehand, at a pace.
package road

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/lanewise/lanewise/bench"
	"github.com/lanewise/lanewise/fault"
)

// Town is what the road leads through. Zero values mean the defaults.
type Town struct {
	Embedders int           // upstreams that embed; 0: 2
	Shards    int           // 0: 2
	Replicas  int           // of each; 0: 2
	Engines   int           // that generate; 0: 3
	Points    int           // 0: 2000
	Deadline  time.Duration // of an answer; 0: 3 s
	Words     int           // of an answer; 0: 20
	Pace      time.Duration // between words; 0: 10 ms
	Seed      uint64
	Script    Script
}

// check fills in the defaults.
func (t *Town) check() error {
	for _, n := range []struct {
		field string
		have  *int
		usual int
		most  int
	}{
		{"/embedders", &t.Embedders, 2, 100}, {"/shards", &t.Shards, 2, 100}, {"/replicas", &t.Replicas, 2, 100}, {"/engines", &t.Engines, 3, 100},
		{"/points", &t.Points, 2000, 1e6}, {"/words", &t.Words, 20, 1e4},
	} {
		if *n.have < 0 || *n.have > n.most {
			return fault.BadField(n.field, "must be 1 to %d", n.most)
		}
		if *n.have == 0 {
			*n.have = n.usual
		}
	}
	if t.Deadline < 0 || t.Pace < 0 {
		return fault.BadField("/deadline", "times must not be negative")
	}
	if t.Deadline == 0 {
		t.Deadline = 3 * time.Second
	}
	if t.Pace == 0 {
		t.Pace = 10 * time.Millisecond
	}
	return t.Script.check(*t)
}

// dims of the points, and hits that an answer rests on.
const (
	dims = 32
	hits = 5
)

// Way is one way to carry a question to its answer.
type Way string

// The ways.
const (
	Lanewise Way = "lanewise"
	ByHand   Way = "chain by hand"
)

// Result is what came of a load.
type Result struct {
	bench.Result
	InTime int     // right answers within the deadline
	Wrong  int     // answers with other sources or other words than the right ones
	Calls  float64 // that all upstreams got, for each question
}

// Figures are those of the load, with the share of right answers in time, wrong ones, and the calls of a question.
func (r Result) Figures() []bench.Figure {
	share := func(n int) []float64 { return []float64{100 * float64(n) / float64(max(r.Result.Calls(), 1))} }
	return append([]bench.Figure{
		{Name: "in time", Unit: "%", Better: bench.Higher, Rounds: share(r.InTime)},
		{Name: "wrong", Unit: "%", Better: bench.Lower, Rounds: share(r.Wrong)},
		{Name: "calls", Unit: "1/question", Better: bench.Lower, Rounds: []float64{r.Calls}},
	}, r.Result.Figures()...)
}

// carrier answers question i with the ids of its sources and its words.
type carrier interface {
	answer(ctx context.Context, i int) (sources []string, words string, err error)
	Close() error
}

var errWrong = errors.New("a wrong answer")

// Run loads one way with questions, on a town of its own. The script begins with the measured part.
func (t Town) Run(ctx context.Context, l bench.Load, by Way) (result Result, err error) {
	if err := t.check(); err != nil {
		return Result{}, err
	}
	s, err := t.build(ctx)
	if err != nil {
		return Result{}, err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	c, err := s.carrier(ctx, by)
	if err != nil {
		return Result{}, err
	}
	defer func() { err = errors.Join(err, c.Close()) }()
	playing, stop := context.WithCancel(ctx)
	played := make(chan struct{})
	go func() {
		defer close(played)
		s.play(playing, l.Warmup)
	}()
	var mu sync.Mutex
	result.Result, err = l.Run(ctx, func(ctx context.Context, turn bench.Turn) error {
		ctx, cancel := context.WithDeadline(ctx, turn.Due.Add(t.Deadline))
		defer cancel()
		sources, words, err := c.answer(ctx, turn.Index)
		wrong := err == nil && (words != t.words() || !slices.Equal(sources, s.right(turn.Index)))
		late := time.Since(turn.Due) > t.Deadline
		mu.Lock()
		defer mu.Unlock()
		switch {
		case !turn.Recorded:
		case wrong:
			result.Wrong++
		case err == nil && !late:
			result.InTime++
		}
		if wrong {
			return errWrong
		}
		return err
	})
	stop()
	<-played
	result.Calls = float64(s.calls()) / float64(max(result.Result.Calls(), 1))
	return result, err
}

// words are what the engines answer.
func (t Town) words() (text string) {
	for i := range t.Words {
		text += fmt.Sprintf("word%d ", i)
	}
	return text + "[1]"
}
