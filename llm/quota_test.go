package llm_test

import (
	"context"
	"errors"
	"io"
	"testing"
	"testing/synctest"
	"time"

	"github.com/lanewise/lanewise/balance/quota"
	"github.com/lanewise/lanewise/fault"
	"github.com/lanewise/lanewise/llm"
)

// billed answers with one word, and says what it cost.
type billed struct{ tokens int }

func (b billed) Generate(context.Context, llm.Prompt) (llm.Stream, error) {
	return &bill{chunks: []llm.Chunk{{Content: "yes", Finish: "stop", Usage: &llm.Usage{CompletionTokens: b.tokens}}}}, nil
}

// bill is the stream of a billed answer.
type bill struct{ chunks []llm.Chunk }

func (b *bill) Next() (llm.Chunk, error) {
	if len(b.chunks) == 0 {
		return llm.Chunk{}, io.EOF
	}
	c := b.chunks[0]
	b.chunks = b.chunks[1:]
	return c, nil
}

func (b *bill) Close() error { return nil }

// A generation reserves what it may cost and settles with what it did; an upstream
// whose quota is used up is passed over, and then waited for.
func TestGenerator_keepsWithinQuotas(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, err := quota.New(quota.Limit{Tokens: 6000}) // 1,000 at once, 100 a second
		if err != nil {
			t.Fatal(err)
		}
		g, err := llm.New(llm.Config{Upstreams: []llm.Upstream{{Name: "paid", Provider: billed{tokens: 300}, Quota: b}}})
		if err != nil {
			t.Fatal(err)
		}
		defer g.Close() //nolint:errcheck // nothing is open
		prompt := llm.Prompt{Messages: []llm.Message{{Role: llm.User, Content: "well?"}}, MaxTokens: 600}
		ask := func(ctx context.Context) error {
			s, err := g.Generate(ctx, prompt)
			if err != nil {
				return err
			}
			for err == nil {
				_, err = s.Next()
			}
			return s.Close()
		}
		if err := ask(t.Context()); err != nil || b.Left().Tokens != 700 {
			t.Errorf("%v, %v tokens are left: want the 300 that were used taken, not the 600 that were reserved", err, b.Left().Tokens)
		}
		if err := ask(t.Context()); err != nil || b.Left().Tokens != 400 {
			t.Errorf("%v, %v tokens are left, want 400", err, b.Left().Tokens)
		}
		short, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := ask(short); !errors.Is(err, fault.Overloaded) || fault.RetryAfter(err) < 2*time.Second || fault.RetryAfter(err) > 3*time.Second {
			t.Errorf("%v, retry after %v: want the time until 600 tokens are there", err, fault.RetryAfter(err))
		}
		start := time.Now()
		if err := ask(t.Context()); err != nil || time.Since(start) < 2*time.Second || time.Since(start) > 3*time.Second {
			t.Errorf("%v after %v: want a call with time to wait for its quota", err, time.Since(start))
		}
	})
}
