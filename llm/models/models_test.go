package models_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"testing"

	"go.uber.org/goleak"

	"github.com/lanewise/lanewise/fault"
	"github.com/lanewise/lanewise/llm"
	"github.com/lanewise/lanewise/llm/models"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// pool is a model's upstreams, which fail with err or answer with words.
type pool struct {
	name  string
	err   error
	words []string
	usage *llm.Usage
	hang  bool  // it never begins
	later error // of the stream, behind the words
	log   *log
}

// log is who was asked for what.
type log struct {
	mu      sync.Mutex
	asked   []string
	prompts []llm.Prompt
	open    int // streams
}

func (l *log) add(name string, p llm.Prompt) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.asked, l.prompts = append(l.asked, name), append(l.prompts, p)
}

func (l *log) opened(n int) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.open += n
	return l.open
}

func (p *pool) Generate(ctx context.Context, prompt llm.Prompt) (llm.Stream, error) {
	p.log.add(p.name, prompt)
	if p.hang {
		<-ctx.Done()
		return nil, context.Cause(ctx)
	}
	if p.err != nil {
		return nil, p.err
	}
	p.log.opened(1)
	return &words{pool: p, left: p.words}, nil
}

// words is the stream of a pool.
type words struct {
	pool *pool
	left []string
	done bool
	once sync.Once
}

func (w *words) Next() (llm.Chunk, error) {
	switch {
	case len(w.left) > 0:
		c := llm.Chunk{Content: w.left[0]}
		w.left = w.left[1:]
		return c, nil
	case w.pool.later != nil:
		return llm.Chunk{}, w.pool.later
	case !w.done:
		w.done = true
		return llm.Chunk{Finish: "stop", Model: "on " + w.pool.name, Usage: w.pool.usage}, nil
	}
	return llm.Chunk{}, io.EOF
}

func (w *words) Close() error {
	w.once.Do(func() { w.pool.log.opened(-1) })
	return nil
}

// family is models whose upstreams are pools of the same names.
type family struct {
	log    *log
	pools  map[string]*pool
	config models.Config
}

// newFamily makes the models of names that stand in for each other in this order, for any cause.
func newFamily(names ...string) *family {
	f := &family{log: &log{}, pools: map[string]*pool{}}
	for i, name := range names {
		f.pools[name] = &pool{name: name, words: []string{"I am ", name}, log: f.log}
		m := models.Model{Name: name, Provider: f.pools[name]}
		if i+1 < len(names) {
			m.Fallbacks = []models.Fallback{{Model: names[i+1]}}
		}
		f.config.Models = append(f.config.Models, m)
	}
	return f
}

func (f *family) set(t *testing.T) *models.Set {
	t.Helper()
	s, err := models.New(f.config)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// ask reads a whole answer.
func ask(ctx context.Context, s *models.Set, p llm.Prompt) (text string, last llm.Chunk, choice llm.Choice, err error) {
	if p.Messages == nil {
		p.Messages = []llm.Message{{Role: llm.User, Content: "Who are you?"}}
	}
	stream, err := s.Generate(ctx, p)
	if err != nil {
		return "", last, choice, err
	}
	defer stream.Close() //nolint:errcheck // the fakes' have none
	choice = stream.(llm.Chosen).Choice()
	for {
		c, err := stream.Next()
		if errors.Is(err, io.EOF) {
			return text, last, choice, nil
		} else if err != nil {
			return text, last, choice, err
		}
		text, last = text+c.Content, c
	}
}

func TestGenerate_byNameAndAlias(t *testing.T) {
	f := newFamily("small", "large")
	f.config.Models[1].Aliases = []string{"big", "gpt-large"}
	f.config.Default = "big"
	s := f.set(t)
	for name, want := range map[string]string{"": "large", "small": "small", "large": "large", "big": "large", "gpt-large": "large"} {
		text, last, choice, err := ask(t.Context(), s, llm.Prompt{Model: name})
		if err != nil || text != "I am "+want || choice.Model != want || choice.Asked != name || last.Model != "on "+want {
			t.Errorf("%q: %q by %+v (%s), %v; want %s", name, text, choice, last.Model, err, want)
		}
	}
	for _, p := range f.log.prompts {
		if p.Model != "" || p.Extra {
			t.Errorf("the upstreams were asked for model %q, extra %v; want their own, first", p.Model, p.Extra)
		}
	}
	if got := strings.Join(s.Names(), " "); got != "big gpt-large large small" {
		t.Errorf("names: %s", got)
	}
}

func TestGenerate_unknownName(t *testing.T) {
	f := newFamily("small")
	_, _, _, err := ask(t.Context(), f.set(t), llm.Prompt{Model: "smal"})
	if !errors.Is(err, fault.NotFound) || fault.Field(err) != "/model" || !strings.Contains(err.Error(), "small") {
		t.Errorf("error %v", err)
	}
	f.config.Open = true
	if text, _, _, err := ask(t.Context(), f.set(t), llm.Prompt{Model: "smal"}); text != "I am small" || err != nil {
		t.Errorf("open: %q, %v", text, err)
	}
	if got := f.log.prompts[0].Model; got != "smal" {
		t.Errorf("the upstreams were asked for %q, want smal", got)
	}
}

// Every class of failure leads to the fallback for it, and to no other.
func TestGenerate_fallsBackByCause(t *testing.T) {
	for name, c := range map[string]struct {
		err  error
		want string // who answers; empty: nobody
	}{
		"full":              {fault.Busy(5, "full"), "rate"},
		"refused":           {fault.New(fault.Refused, "no credit"), "refused"},
		"too long":          {&fault.WindowError{Limit: 10, Message: "long"}, "context"},
		"wrapped":           {fmt.Errorf("generate: %w", &fault.WindowError{Message: "long"}), "context"},
		"down":              {fault.New(fault.Unavailable, "down"), "unavailable"},
		"unclassified":      {errors.New("a defect"), "unavailable"},
		"refused and down":  {errors.Join(fault.New(fault.Refused, "key"), fault.New(fault.Unavailable, "down")), "unavailable"},
		"full and down":     {errors.Join(fault.New(fault.Unavailable, "down"), fault.Busy(5, "full")), "rate"},
		"wrong everywhere":  {fault.BadField("/messages", "bad"), ""},
		"the client's key":  {fault.New(fault.Unauthorized, "who?"), ""},
		"the time is up":    {context.DeadlineExceeded, ""},
		"the client's gone": {context.Canceled, ""},
	} {
		f := newFamily("rate", "refused", "context", "unavailable")
		for i := range f.config.Models {
			f.config.Models[i].Fallbacks = nil
		}
		first := models.Model{Name: "first", Provider: &pool{name: "first", err: c.err, log: f.log}}
		for _, cause := range models.Causes() {
			first.Fallbacks = append(first.Fallbacks, models.Fallback{Model: string(cause), On: []models.Cause{cause}})
		}
		f.config.Models = append(f.config.Models, first)
		_, _, choice, err := ask(t.Context(), f.set(t), llm.Prompt{Model: "first"})
		if choice.Model != c.want || (err == nil) != (c.want != "") {
			t.Errorf("%s: %q answers, %v; want %q", name, choice.Model, err, c.want)
		}
		if c.want == "" && !errors.Is(err, c.err) {
			t.Errorf("%s: error %v, want %v", name, err, c.err)
		}
		if c.want != "" && (len(choice.Passed) != 1 || choice.Passed[0].Model != "first" || !errors.Is(choice.Passed[0].Err, c.err)) {
			t.Errorf("%s: passed over %+v", name, choice.Passed)
		}
	}
}

func TestGenerate_marksExtraAttempts(t *testing.T) {
	f := newFamily("a", "b", "c")
	f.pools["a"].err, f.pools["b"].err = fault.New(fault.Unavailable, "down"), fault.New(fault.Unavailable, "down")
	if _, _, choice, err := ask(t.Context(), f.set(t), llm.Prompt{}); choice.Model != "c" || err != nil {
		t.Fatalf("%+v, %v", choice, err)
	}
	var extra, noWait []bool
	for _, p := range f.log.prompts {
		extra, noWait = append(extra, p.Extra), append(noWait, p.NoWait)
	}
	if !slices.Equal(extra, []bool{false, true, true}) || !slices.Equal(noWait, []bool{true, true, false}) {
		t.Errorf("extra %v, no wait %v", extra, noWait)
	}
}

// The class of the error is one that tells the client what to do.
func TestGenerate_errorOfAll(t *testing.T) {
	long := &fault.WindowError{Limit: 10, Message: "long"}
	for name, c := range map[string]struct {
		first, second error
		want          error
	}{
		"both down":               {fault.New(fault.Unavailable, "1"), fault.New(fault.Unavailable, "2"), fault.Unavailable},
		"down, then wrong":        {fault.New(fault.Unavailable, "1"), fault.New(fault.Invalid, "2"), fault.Unavailable},
		"too long, then full":     {long, fault.Busy(7, "2"), fault.Overloaded},
		"too long, both":          {long, long, fault.Invalid},
		"full, then down":         {fault.Busy(7, "1"), fault.New(fault.Unavailable, "2"), fault.Overloaded},
		"down, then out of time":  {fault.New(fault.Unavailable, "1"), context.DeadlineExceeded, fault.Unavailable},
		"refused, then not there": {fault.New(fault.Refused, "1"), fault.New(fault.NotFound, "2"), fault.Refused},
	} {
		f := newFamily("a", "b")
		f.pools["a"].err, f.pools["b"].err = c.first, c.second
		_, _, _, err := ask(t.Context(), f.set(t), llm.Prompt{})
		if !errors.Is(err, c.want) || !errors.Is(fault.Of(err), c.want) {
			t.Errorf("%s: %v (%s), want %v", name, err, fault.Of(err), c.want)
		}
		if err != nil && (!strings.Contains(err.Error(), c.first.Error()) || !strings.Contains(err.Error(), c.second.Error())) {
			t.Errorf("%s: %v does not say what both said", name, err)
		}
	}
}

func TestNew_refuses(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*models.Config)
		field  string
		text   string
	}{
		"no models":        {func(c *models.Config) { c.Models = nil }, "/models", "empty"},
		"no name":          {func(c *models.Config) { c.Models[1].Name = "" }, "/models/1/name", "missing"},
		"no provider":      {func(c *models.Config) { c.Models[1].Provider = nil }, "/models/1/provider", "missing"},
		"name twice":       {func(c *models.Config) { c.Models[1].Name = "a" }, "/models/1/name", "two models"},
		"alias is a name":  {func(c *models.Config) { c.Models[1].Aliases = []string{"a"} }, "/models/1/name", "two models"},
		"negative price":   {func(c *models.Config) { c.Models[0].Price.Prompt = -1 }, "/models/0", "below zero"},
		"negative window":  {func(c *models.Config) { c.Models[0].Window.Output = -1 }, "/models/0", "below zero"},
		"unknown default":  {func(c *models.Config) { c.Default = "x" }, "/default", `"x"`},
		"unknown fallback": {func(c *models.Config) { c.Models[0].Fallbacks = []models.Fallback{{Model: "x"}} }, "/models/0/fallbacks/0/model", `"x"`},
		"unknown cause":    {func(c *models.Config) { c.Models[0].Fallbacks[0].On = []models.Cause{"mood"} }, "/models/0/fallbacks/0/on", "mood"},
		"itself":           {func(c *models.Config) { c.Models[2].Fallbacks = []models.Fallback{{Model: "c"}} }, "/models/2/fallbacks", "c, c"},
		"a circle":         {func(c *models.Config) { c.Models[2].Fallbacks = []models.Fallback{{Model: "a"}} }, "/models/0/fallbacks", "a, b, c, a"},
	} {
		f := newFamily("a", "b", "c")
		c.change(&f.config)
		_, err := models.New(f.config)
		if !errors.Is(err, fault.Invalid) || fault.Field(err) != c.field || !strings.Contains(fmt.Sprint(err), c.text) {
			t.Errorf("%s: %v (field %q)", name, err, fault.Field(err))
		}
	}
}
