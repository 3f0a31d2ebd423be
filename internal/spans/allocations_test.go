//go:build !race

package spans_test

import (
	"context"
	"testing"

	"github.com/lanewise/lanewise/internal/spans"
)

// The point of the package. The race detector has a sync.Pool forget what is in it now and then.
func TestSpan_costsTwoAllocations(t *testing.T) {
	tracer := spans.New(1, func([]byte) {}).Tracer("")
	ctx, _ := tracer.Start(context.Background(), "request")
	if got := testing.AllocsPerRun(100, func() {
		_, span := tracer.Start(ctx, "below")
		span.End()
	}); got > 2 {
		t.Errorf("%v allocations", got)
	}
}
