package balance

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/lanewise/lanewise/fault"
)

func TestLearn_whatWasMeasuredCountsMoreThanWhatIsDeclared(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPool(t, Config{}, server{name: "a", after: time.Second}, server{name: "b", after: time.Second})
		left := func() int64 { // of the load, after a call that was cancelled
			ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
			defer cancel()
			_, _ = Do(ctx, p, Call{NoHedge: true}, ask)
			synctest.Wait()
			n := p.set.Load().entries[0].inflight.Load()
			time.Sleep(10 * time.Second)
			return n
		}
		if n := left(); n != 1 {
			t.Errorf("%d attempts are charged, want the one whose end nobody has seen", n)
		}
		if err := p.Learn("a", true); err != nil {
			t.Fatal(err)
		}
		if n := left(); n != 0 {
			t.Errorf("%d attempts are charged to a member that was seen to stop", n)
		}
		if s := p.Snapshot().Members; !s[0].Aborts || !s[0].Measured || s[1].Aborts || s[1].Measured {
			t.Errorf("%+v", s)
		}
		if got := p.core.hedges.share.Load(); got != poolShare(false) {
			t.Errorf("a hedge share of %d, and only one of two members stops", got)
		}
		if err := p.Learn("b", true); err != nil || p.core.hedges.share.Load() != poolShare(true) {
			t.Errorf("%v: want the hedge share of a pool whose members all stop", err)
		}
		members := p.Members()
		members[1].Aborts = true
		if err := p.Learn("b", false); err != nil {
			t.Fatal(err)
		}
		if err := p.Update(members); err != nil || p.Snapshot().Members[1].Aborts {
			t.Errorf("%v: a declaration undoes a measurement", err)
		}
		if err := p.Learn("c", true); !errors.Is(err, fault.NotFound) {
			t.Errorf("%v, want not found", err)
		}
		_ = p.Close()
		idle(t, p)
	})
}
