package tokens_test

import (
	"context"
	"testing"

	"github.com/lanewise/lanewise/internal/tokens"
)

func TestCounter(t *testing.T) {
	t.Parallel()
	tokens.Count(t.Context(), 5) // nobody wants to know
	ctx, c := tokens.Counting(t.Context())
	tokens.Count(context.WithoutCancel(ctx), 3)
	tokens.Count(ctx, 4)
	if got := c.Total(); got != 7 {
		t.Errorf("%d tokens, want 7", got)
	}
	if got := (*tokens.Counter)(nil).Total(); got != 0 {
		t.Errorf("%d tokens of nobody", got)
	}
}
