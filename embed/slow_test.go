package embed_test

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/lanewise/lanewise/embed"
)

// paced is an upstream that takes as long for each call as it is told to.
type paced struct {
	takes time.Duration
	calls atomic.Int64
}

func (*paced) Space() embed.Space { return embed.Space{Model: "model", Dims: dims} }

func (p *paced) Embed(ctx context.Context, b embed.Batch) (embed.Vectors, error) {
	p.calls.Add(1)
	select {
	case <-time.After(p.takes):
		return vectors(b), nil
	case <-ctx.Done():
		return embed.Vectors{}, ctx.Err()
	}
}

// An upstream that is ten times as slow as the two beside it is looked at now and then, and no more: hardly a text
// waits for it.
func TestLane_aSlowUpstream(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		slow, quick, other := &paced{takes: 50 * ms}, &paced{takes: 5 * ms}, &paced{takes: 5 * ms}
		lane := over(t, 0, slow, quick, other)
		const n, every = 4000, 5 * ms
		took := make([]time.Duration, n)
		var callers sync.WaitGroup
		for i := range n {
			time.Sleep(every)
			callers.Go(func() {
				start := time.Now()
				if _, err := lane.Embed(t.Context(), query(fmt.Sprint("text ", i))); err != nil {
					t.Error(err)
				}
				took[i] = time.Since(start)
			})
		}
		callers.Wait()
		slices.Sort(took)
		if p50, p98 := took[n/2], took[n*98/100]; p50 > 9*ms || p98 > 15*ms {
			t.Errorf("p50 %s and p98 %s beside a slow upstream", p50, p98)
		}
		all := slow.calls.Load() + quick.calls.Load() + other.calls.Load()
		if share := float64(slow.calls.Load()) / float64(all); share > 0.03 || slow.calls.Load() == 0 {
			t.Errorf("%d of %d calls went to the slow one", slow.calls.Load(), all)
		}
	})
}
