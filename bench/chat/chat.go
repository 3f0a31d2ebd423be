// Package chat loads a server that has OpenAI's /v1/chat/completions and reports the time to the first token, the
// time between tokens, tokens a second and, where the server tells, how much of the prompts it had cached.
package chat

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/lanewise/lanewise/bench"
	"github.com/lanewise/lanewise/bench/data"
	"github.com/lanewise/lanewise/fault"
	"github.com/lanewise/lanewise/internal/openaiwire"
	"github.com/lanewise/lanewise/llm"
	"github.com/lanewise/lanewise/llm/openai"
)

// Workload says what is asked. Call i of one seed always is the same one.
type Workload struct {
	Model   string
	Whole   bool    // answers come in one piece; else streamed
	Prompt  int     // words of a question, on average; 0: 200
	Sigma   float64 // of the logarithm of their number: 0 makes all questions as long, 1 very mixed ones
	Prefix  int     // words that stand before the question and are shared; 0: none
	Shared  int     // how many of these beginnings there are; 0: 1
	Zipf    float64 // their shares are 1/(i+1)^Zipf
	Output  int     // most tokens of an answer; 0: 64
	Timeout time.Duration
	Seed    uint64
}

func (w Workload) check() error {
	switch {
	case w.Model == "":
		return fault.BadField("/model", "is empty")
	case w.Prompt < 0 || w.Prefix < 0 || w.Shared < 0 || w.Output < 0 || w.Prompt > 1e6 || w.Prefix > 1e6 || w.Shared > 1e6:
		return fault.BadField("/prompt", "numbers of words and tokens must be 0 to 1,000,000")
	case !(w.Sigma >= 0 && w.Sigma <= 3) || !(w.Zipf >= 0):
		return fault.BadField("/sigma", "must be 0 to 3, and the exponent of the shares not negative")
	}
	return nil
}

// prompt makes call i.
func (w Workload) prompt(i int) llm.Prompt {
	rng := rand.New(rand.NewPCG(w.Seed, uint64(i)))
	var messages []llm.Message
	if w.Prefix > 0 {
		shared := data.NewZipf(max(w.Shared, 1), w.Zipf).Draw(rng.Float64())
		messages = append(messages, llm.Message{Role: llm.System, Content: text(rand.New(rand.NewPCG(w.Seed, 1<<40+uint64(shared))), w.Prefix)})
	}
	n := float64(cmp.Or(w.Prompt, 200)) * math.Exp(w.Sigma*rng.NormFloat64()-w.Sigma*w.Sigma/2)
	messages = append(messages, llm.Message{Role: llm.User, Content: text(rng, max(int(n), 1))})
	return llm.Prompt{Model: w.Model, Messages: messages, MaxTokens: cmp.Or(w.Output, 64)}
}

// text is n short words: about as many tokens.
func text(rng *rand.Rand, n int) string {
	const syllables = "la ne wi se ro ta mi ku po de"
	parts := strings.Fields(syllables)
	var b strings.Builder
	for range n {
		b.WriteString(parts[rng.IntN(len(parts))])
		b.WriteString(parts[rng.IntN(len(parts))])
		b.WriteByte(' ')
	}
	return b.String()
}

// Result is what came of a load.
type Result struct {
	bench.Result
	First   bench.Distribution // from when the call was due to the first words of its answer
	Between bench.Distribution // mean time between the tokens of an answer behind the first one
	Tokens  int                // of the answers
	Prompt  int                // tokens of the prompts, as reported
	Cached  int                // of these, those that the server had cached; 0 where it does not tell
}

// Figures are those of the load, with the times to the first words and between tokens.
func (r Result) Figures() []bench.Figure {
	figures := append(r.Result.Figures(), r.First.Figures("first_")...)
	figures = append(figures, r.Between.Figures("between_")...)
	figures = append(figures, bench.Figure{Name: "tokens", Unit: "1/s", Better: bench.Higher, Rounds: []float64{float64(r.Tokens) / max(r.Took.Seconds(), 1e-9)}})
	if r.Cached > 0 {
		figures = append(figures, bench.Figure{Name: "cached", Unit: "%", Better: bench.Higher, Rounds: []float64{100 * float64(r.Cached) / float64(r.Prompt)}})
	}
	return figures
}

// Target is a server.
type Target struct {
	URL, Key string
	TLS      *tls.Config // of https URLs; nil: the system's settings
}

// client carries the calls; nil: the one that costs least.
func (t Target) client() *http.Client {
	if t.TLS == nil {
		return nil
	}
	c := openaiwire.NewHTTPClient()
	c.Transport = &http.Transport{Proxy: http.ProxyFromEnvironment, TLSClientConfig: t.TLS.Clone(), ForceAttemptHTTP2: true, MaxIdleConnsPerHost: 64}
	return c
}

// With makes calls of the workload to a server, for a search of the highest rate (see bench.SLO), and ends its
// connections afterwards.
func (w Workload) With(t Target, load func(bench.Call) error) error {
	if err := w.check(); err != nil {
		return err
	}
	ask, err := w.asker(t)
	if err != nil {
		return err
	}
	defer ask.close()
	return load(w.caller(ask))
}

// Run makes the load on a server.
func (w Workload) Run(ctx context.Context, l bench.Load, t Target) (Result, error) {
	if err := w.check(); err != nil {
		return Result{}, err
	}
	ask, err := w.asker(t)
	if err != nil {
		return Result{}, err
	}
	defer ask.close()
	loaded, err := l.Run(ctx, w.caller(ask))
	return Result{
		Result: loaded, First: ask.first.Distribution(), Between: ask.between.Distribution(), Tokens: ask.tokens, Prompt: ask.prompted, Cached: ask.cached,
	}, err
}

// caller returns the call of a load.
func (w Workload) caller(ask *asker) bench.Call {
	return func(ctx context.Context, turn bench.Turn) error {
		if w.Timeout > 0 {
			var cancel context.CancelFunc
			ctx, cancel = context.WithDeadline(ctx, turn.Due.Add(w.Timeout))
			defer cancel()
		}
		seen, err := ask.once(ctx, w.prompt(turn.Index))
		if err == nil && turn.Recorded {
			ask.enter(turn, seen)
		}
		return err
	}
}

// Try makes the first call, to see whether it can be made.
func (w Workload) Try(ctx context.Context, t Target) error {
	if err := w.check(); err != nil {
		return err
	}
	ask, err := w.asker(t)
	if err != nil {
		return err
	}
	defer ask.close()
	_, err = ask.once(ctx, w.prompt(0))
	return err
}

// asker makes calls, and keeps what the load itself does not.
type asker struct {
	provider       *openai.Provider
	whole          *openaiwire.Client // nil: answers are streamed
	client         *http.Client       // nil: their own
	first, between *bench.Recorder

	mu                       sync.Mutex
	tokens, prompted, cached int
}

// answer is what was seen of one.
type answer struct {
	first, last time.Time // when words came; zero: there were none, or they came in one piece
	usage       llm.Usage
}

func (w Workload) asker(t Target) (*asker, error) {
	a := &asker{first: bench.NewRecorder(0), between: bench.NewRecorder(0), client: t.client()}
	var err error
	if a.provider, err = openai.New(openai.Config{URL: t.URL, Key: t.Key, Model: w.Model, Client: a.client}); err != nil {
		return nil, err
	}
	if w.Whole {
		a.whole, err = openaiwire.New(openaiwire.Config{URL: t.URL, Key: t.Key, Client: a.client})
	}
	return a, err
}

func (a *asker) close() {
	_ = a.provider.Close() // drops idle connections only
	if a.whole != nil {
		a.whole.Close()
	}
	if a.client != nil {
		a.client.CloseIdleConnections()
	}
}

func (a *asker) once(ctx context.Context, p llm.Prompt) (answer, error) {
	if a.whole != nil {
		return a.inOnePiece(ctx, p)
	}
	stream, err := a.provider.Generate(ctx, p)
	if err != nil {
		return answer{}, err
	}
	defer stream.Close()
	var seen answer
	for {
		chunk, err := stream.Next()
		switch {
		case errors.Is(err, io.EOF):
			return seen, nil
		case err != nil:
			return seen, err
		}
		if chunk.Content != "" {
			if seen.last = time.Now(); seen.first.IsZero() {
				seen.first = seen.last
			}
		}
		if chunk.Usage != nil {
			seen.usage = *chunk.Usage
		}
	}
}

// longestAnswer bounds an answer that comes in one piece, in bytes.
const longestAnswer = 16 << 20

func (a *asker) inOnePiece(ctx context.Context, p llm.Prompt) (answer, error) {
	type message struct {
		Role    llm.Role `json:"role"`
		Content string   `json:"content"`
	}
	body := struct {
		Model     string    `json:"model"`
		Messages  []message `json:"messages"`
		MaxTokens int       `json:"max_tokens"`
	}{Model: p.Model, MaxTokens: p.MaxTokens}
	for _, m := range p.Messages {
		body.Messages = append(body.Messages, message(m))
	}
	resp, err := a.whole.Post(ctx, "/chat/completions", body)
	if err != nil {
		return answer{}, err
	}
	defer resp.Body.Close()
	var got struct {
		Choices []struct{} `json:"choices"`
		Usage   struct {
			Prompt     int `json:"prompt_tokens"`
			Completion int `json:"completion_tokens"`
			Details    struct {
				Cached int `json:"cached_tokens"`
			} `json:"prompt_tokens_details"`
		} `json:"usage"`
	}
	if err := a.whole.ReadJSON(ctx, resp, longestAnswer, &got); err != nil {
		return answer{}, err
	}
	if len(got.Choices) == 0 {
		return answer{}, fault.New(fault.Unavailable, "an answer without choices")
	}
	u := got.Usage
	return answer{usage: llm.Usage{PromptTokens: u.Prompt, CompletionTokens: u.Completion, CachedTokens: u.Details.Cached}}, nil
}

func (a *asker) enter(turn bench.Turn, seen answer) {
	if !seen.first.IsZero() {
		a.first.Record(0, seen.first.Sub(turn.Due))
	}
	if n := seen.usage.CompletionTokens; n > 1 && seen.last.After(seen.first) {
		a.between.Record(0, seen.last.Sub(seen.first)/time.Duration(n-1))
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.tokens += seen.usage.CompletionTokens
	a.prompted += seen.usage.PromptTokens
	a.cached += seen.usage.CachedTokens
}

// Goodput counts the answers a second whose first words came in time.
func (r Result) Goodput(first time.Duration) bench.Figure {
	return bench.Figure{
		Name: fmt.Sprintf("goodput first<=%s", first), Unit: "1/s", Better: bench.Higher,
		Rounds: []float64{float64(r.First.Within(first)) / max(r.Took.Seconds(), 1e-9)},
	}
}
