package sim

import (
	"container/list"
	"context"
	"fmt"
	"io"
	"math"
	"slices"
	"sort"
	"strings"
	"sync"
	"time"

	"github.com/lanewise/lanewise/balance"
	"github.com/lanewise/lanewise/balance/limit"
	"github.com/lanewise/lanewise/llm"
)

// Engines is a model of servers that run one language model: each reads one prompt
// at a time, as fast as it is long without what its prefix cache has of it, and
// writes so many answers side by side at a steady pace.
type Engines struct {
	Seed    uint64
	Engines int
	Slots   int     // answers that an engine writes at a time
	Load    float64 // share of what the engines can do, if every shared prompt is cached
	Calls   int
	// Topics is how many sets of passages questions are about, by Zipf's law with
	// exponent 1; 0: every prompt is of its own, with a length of a wide spread.
	Topics int
	Cache  int            // tokens that an engine's prefix cache holds
	Picker balance.Picker // a plain pool under this policy; nil: llm.Generator
}

// What engines do in a second, and how long prompts and answers are, in tokens.
const (
	readRate    = 10_000
	writeRate   = 50
	medianAsk   = 400
	spreadAsk   = 1.3 // of the logarithm
	mostAsk     = 32_000
	meanAnswer  = 100
	passages    = 4
	passageSize = 500
	questioning = 50
	patience    = 5 * time.Minute // of a client
)

// EnginesResult is what became of a run, the first half left out, in which the
// caches fill.
type EnginesResult struct {
	First []time.Duration // until the first token, sorted
	Hits  float64         // share of the tokens of prompts that were cached
	Best  float64         // the same, of one cache as large as all together that sees every call
	Skew  float64         // work of the engine with the most, over the mean
}

// P returns the time to the first token that a share q of the calls had at most.
func (r EnginesResult) P(q float64) time.Duration { return r.First[int(q*float64(len(r.First)))] }

// ask is one call of the model.
type ask struct {
	topic  int // -1: none
	prompt int // tokens
	answer int // tokens
}

// parts are the beginnings of the prompt, each with its length, that caches know.
func (a ask) parts() []int {
	if a.topic < 0 {
		return nil
	}
	return []int{passageSize, 2 * passageSize, 3 * passageSize, 4 * passageSize}
}

// prefixes is a cache of beginnings of prompts; the least recently used go first.
type prefixes struct {
	room  int
	order *list.List // of prefix; the latest first
	at    map[prefix]*list.Element
}

type prefix struct{ topic, length int }

func newPrefixes(room int) *prefixes {
	return &prefixes{room: room, order: list.New(), at: map[prefix]*list.Element{}}
}

// read returns how many tokens of a prompt were cached, and caches it.
func (p *prefixes) read(a ask) (cached int) {
	for _, n := range a.parts() {
		key := prefix{a.topic, n}
		if e, ok := p.at[key]; ok {
			cached = n
			p.order.MoveToFront(e)
			continue
		}
		p.at[key] = p.order.PushFront(key)
		if p.order.Len()*passageSize > p.room {
			delete(p.at, p.order.Remove(p.order.Back()).(prefix)) //nolint:forcetypeassert // only these are put in
		}
	}
	return cached
}

// engine is one server. It is an llm.Provider whose prompts name the call.
type engine struct {
	run   *enginesRun
	slots chan struct{}
	read  chan struct{}

	mu    sync.Mutex
	cache *prefixes
	work  float64 // seconds
}

// begin waits for the first token.
func (e *engine) begin(i int) (cached int) {
	a := e.run.asks[i]
	e.slots <- struct{}{}
	e.read <- struct{}{}
	e.mu.Lock()
	cached = e.cache.read(a)
	reads := float64(a.prompt-cached) / readRate
	if i >= len(e.run.asks)/2 {
		e.work += reads + float64(a.answer)/writeRate/float64(e.run.model.Slots)
	}
	e.mu.Unlock()
	time.Sleep(time.Duration(reads * float64(time.Second)))
	<-e.read
	e.run.calls[i].first = time.Since(e.run.start) - e.run.due[i]
	e.run.calls[i].cached = cached
	return cached
}

// finish writes the rest of the answer.
func (e *engine) finish(i int) {
	time.Sleep(time.Duration(float64(e.run.asks[i].answer) / writeRate * float64(time.Second)))
	<-e.slots
}

// Generate implements llm.Provider.
func (e *engine) Generate(_ context.Context, p llm.Prompt) (llm.Stream, error) {
	var i int
	if _, err := fmt.Sscan(p.Question, &i); err != nil {
		return nil, err
	}
	return &writing{engine: e, call: i, cached: e.begin(i)}, nil
}

// writing is an answer of an engine, in two pieces.
type writing struct {
	engine       *engine
	call, cached int
	next         int
}

// Next implements llm.Stream.
func (w *writing) Next() (llm.Chunk, error) {
	w.next++
	switch w.next {
	case 1:
		return llm.Chunk{Content: "a"}, nil
	case 2:
		w.engine.finish(w.call)
		a := w.engine.run.asks[w.call]
		return llm.Chunk{Finish: "stop", Usage: &llm.Usage{PromptTokens: a.prompt, CompletionTokens: a.answer, CachedTokens: w.cached}}, nil
	}
	return llm.Chunk{}, io.EOF
}

// Close implements llm.Stream.
func (*writing) Close() error { return nil }

// enginesRun is a run of the model under way.
type enginesRun struct {
	model   Engines
	engines []*engine
	asks    []ask
	due     []time.Duration
	start   time.Time
	calls   []struct {
		first  time.Duration
		cached int
		failed error
	}
}

// draw draws the calls and their times.
func (m Engines) draw() *enginesRun {
	r := &enginesRun{model: m, asks: make([]ask, m.Calls), due: make([]time.Duration, m.Calls)}
	r.calls = make([]struct {
		first  time.Duration
		cached int
		failed error
	}, m.Calls)
	var frequencies []float64
	if m.Topics > 0 {
		frequencies = zipf(m.Topics)
	}
	s, gap, due := draws(m.Seed, 1<<44), m.gap(), time.Duration(0)
	for i := range r.asks {
		due += s.exponential(gap)
		a := ask{topic: -1, answer: 1 + int(s.exponential(meanAnswer))}
		if m.Topics > 0 {
			a.topic = min(sort.SearchFloat64s(frequencies, s.uniform()), m.Topics-1)
			a.prompt = passages*passageSize + questioning
		} else {
			a.prompt = min(max(int(medianAsk*math.Exp(spreadAsk*s.normal())), 10), mostAsk)
		}
		r.asks[i], r.due[i] = a, due
	}
	return r
}

// gap is the mean time between calls, by what limits the engines: reading, or slots.
func (m Engines) gap() time.Duration {
	reads := medianAsk * math.Exp(spreadAsk*spreadAsk/2) / readRate
	if m.Topics > 0 {
		reads = questioning / float64(readRate)
	}
	each := max(reads, (reads+meanAnswer/float64(writeRate))/float64(m.Slots))
	return time.Duration(each / (m.Load * float64(m.Engines)) * float64(time.Second))
}

// RunEngines makes the model's calls at their times and returns what became of them.
func RunEngines(m Engines) (EnginesResult, error) {
	r := m.draw()
	for range m.Engines {
		r.engines = append(r.engines, &engine{run: r, slots: make(chan struct{}, m.Slots), read: make(chan struct{}, 1), cache: newPrefixes(m.Cache)})
	}
	make1, closer, err := r.lane()
	if err != nil {
		return EnginesResult{}, err
	}
	var wg sync.WaitGroup
	r.start = time.Now()
	for i, due := range r.due {
		time.Sleep(due - time.Since(r.start))
		wg.Go(func() { r.calls[i].failed = make1(i) })
	}
	wg.Wait()
	if err := closer.Close(); err != nil {
		return EnginesResult{}, err
	}
	return r.result()
}

// lane returns what makes a call: the generation lane, or a plain pool.
func (r *enginesRun) lane() (func(i int) error, io.Closer, error) {
	if r.model.Picker != nil {
		return r.plain()
	}
	lane, err := balance.NewLane(balance.LaneConfig{Name: "llm", HedgeDelay: -1, Seed: uint64(draws(r.model.Seed, 1<<45))})
	if err != nil {
		return nil, nil, err
	}
	c := llm.Config{Lane: lane}
	for i, e := range r.engines {
		c.Upstreams = append(c.Upstreams, llm.Upstream{Name: fmt.Sprintf("e%d", i), Provider: e, Slots: r.model.Slots})
	}
	g, err := llm.New(c)
	if err != nil {
		return nil, nil, err
	}
	filler := strings.Repeat("abc ", mostAsk)
	return func(i int) error {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		s, err := g.Generate(ctx, r.prompt(i, filler))
		for err == nil {
			_, err = s.Next()
		}
		if err == io.EOF { //nolint:errorlint // as the lane returns it
			err = s.Close()
		}
		return err
	}, g, nil
}

// prompt is a call as the lane sees it.
func (r *enginesRun) prompt(i int, filler string) llm.Prompt {
	a := r.asks[i]
	p := llm.Prompt{Question: fmt.Sprint(i), Messages: []llm.Message{{Role: llm.User, Content: fmt.Sprintf("%8d", i) + filler[:4*a.prompt-8]}}}
	for n := range len(a.parts()) {
		p.Sources = append(p.Sources, llm.Source{N: n + 1, ID: fmt.Sprintf("%d/%d", a.topic, n)})
	}
	return p
}

// plain is a pool under a policy that counts requests.
func (r *enginesRun) plain() (func(i int) error, io.Closer, error) {
	lane, err := balance.NewLane(balance.LaneConfig{Name: "plain", HedgeDelay: -1, Seed: uint64(draws(r.model.Seed, 1<<46))})
	if err != nil {
		return nil, nil, err
	}
	members := make([]balance.Member[*engine], len(r.engines))
	for i, e := range r.engines {
		members[i] = balance.Member[*engine]{Name: fmt.Sprintf("e%d", i), Target: e, Slots: r.model.Slots}
	}
	pool, err := balance.NewPool(balance.Config{Lane: lane, Picker: r.model.Picker, Limit: limit.Config{Off: true}}, members...)
	if err != nil {
		return nil, nil, err
	}
	return func(i int) error {
		_, err := balance.Do(context.Background(), pool, balance.Call{}, func(_ context.Context, e *engine) (int, error) {
			e.begin(i)
			e.finish(i)
			return 0, nil
		})
		return err
	}, pool, nil
}

func (r *enginesRun) result() (out EnginesResult, err error) {
	single := newPrefixes(r.model.Cache * r.model.Engines)
	var hits, best, all float64
	for i, a := range r.asks {
		if err := r.calls[i].failed; err != nil {
			return out, fmt.Errorf("call %d: %w", i, err)
		}
		cached := single.read(a)
		if i < len(r.asks)/2 {
			continue
		}
		out.First = append(out.First, r.calls[i].first)
		hits, best, all = hits+float64(r.calls[i].cached), best+float64(cached), all+float64(a.prompt)
	}
	slices.Sort(out.First)
	out.Hits, out.Best = hits/all, best/all
	most, sum := 0.0, 0.0
	for _, e := range r.engines {
		most, sum = max(most, e.work), sum+e.work
	}
	out.Skew = most / (sum / float64(len(r.engines)))
	return out, nil
}
