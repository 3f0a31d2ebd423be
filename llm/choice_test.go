package llm_test

import (
	"fmt"
	"math"
	"testing"

	"github.com/lanewise/lanewise/llm"
)

func TestPrice_of(t *testing.T) {
	p := llm.Price{Prompt: 2, Completion: 8, Cached: 0.5}
	for _, c := range []struct {
		name  string
		price llm.Price
		usage llm.Usage
		want  float64
	}{
		{"nothing", p, llm.Usage{}, 0},
		{"a million each", p, llm.Usage{PromptTokens: 1e6, CompletionTokens: 1e6}, 10},
		{"half of it cached", p, llm.Usage{PromptTokens: 1e6, CachedTokens: 5e5}, 1.25},
		{"all of it cached", p, llm.Usage{PromptTokens: 1e6, CachedTokens: 1e6}, 0.5},
		{"more cached than there is", p, llm.Usage{PromptTokens: 1e6, CachedTokens: 9e6}, 0.5},
		{"cached at the full price", llm.Price{Prompt: 2}, llm.Usage{PromptTokens: 1e6, CachedTokens: 5e5}, 2},
		{"no price", llm.Price{}, llm.Usage{PromptTokens: 5, CompletionTokens: 5}, 0},
		{"figures below zero", p, llm.Usage{PromptTokens: -5, CompletionTokens: -5, CachedTokens: -5}, 0},
	} {
		if got := c.price.Of(c.usage); math.Abs(got-c.want) > 1e-12 {
			t.Errorf("%s: %v, want %v", c.name, got, c.want)
		}
	}
}

func ExamplePrice_Of() {
	price := llm.Price{Prompt: 0.15, Completion: 0.60, Cached: 0.075}
	fmt.Printf("%.6f\n", price.Of(llm.Usage{PromptTokens: 3000, CachedTokens: 2000, CompletionTokens: 200}))
	// Output: 0.000420
}
