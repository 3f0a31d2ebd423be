package embed_test

import (
	"fmt"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/lanewise/lanewise/embed"
)

// While an upstream is idle a text is sent at once, and to that one: by its number of calls under way a lane knows
// whether there is one. One that has joined starts slowly, so that others may get what its idleness lets out.
func TestEmbedder_idleUpstreamsGetTextsAtOnce(t *testing.T) {
	t.Run("from the start", func(t *testing.T) { sentAtOnce(t, 3) })
	t.Run("joined", func(t *testing.T) { sentAtOnce(t, 2) })
}

// sentAtOnce has three upstreams, some from the start.
func sentAtOnce(t *testing.T, first int) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		all := []*paced{{takes: 50 * ms}, {takes: 50 * ms}, {takes: 50 * ms}}
		var upstreams []embed.Upstream
		for i, p := range all {
			upstreams = append(upstreams, embed.Upstream{Name: fmt.Sprint(i), Provider: p})
		}
		lane := over(t, 0, []embed.Provider{all[0], all[1], all[2]}[:first]...)
		if err := lane.Update(upstreams); err != nil {
			t.Fatal(err)
		}
		var callers sync.WaitGroup
		defer callers.Wait()
		for i := range 5 {
			callers.Go(func() {
				if _, err := lane.Embed(t.Context(), query(fmt.Sprint("text ", i))); err != nil {
					t.Error(err)
				}
			})
			synctest.Wait() // without a tick of the clock
			busy := 0
			for _, m := range lane.Snapshot().Members {
				if m.Inflight > 1 && first == len(all) {
					t.Errorf("after text %d: upstream %s has %d calls", i, m.Name, m.Inflight)
				}
				busy += int(m.Inflight)
			}
			if busy != min(i+1, 3) {
				t.Errorf("after text %d: %d calls are under way", i, busy)
			}
		}
	})
}
