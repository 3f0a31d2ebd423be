package balance

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

type valueKey struct{}

// TestScope_isAsAContextOfPackageContext compares a scope with what context.WithCancelCause
// gives, however it ends, and whether or not somebody waits for the end.
func TestScope_isAsAContextOfPackageContext(t *testing.T) {
	mine, theirs := errors.New("mine"), errors.New("theirs")
	for name, c := range map[string]struct {
		parent, own error // why they are cancelled; nil: they are not
	}{
		"goes on":           {},
		"is cancelled":      {own: mine},
		"its parent is":     {parent: theirs},
		"after its parent":  {parent: theirs, own: mine},
		"by a bare context": {own: context.Canceled},
	} {
		for _, watched := range []bool{false, true} {
			synctest.Test(t, func(t *testing.T) {
				parent, end := context.WithCancelCause(context.WithValue(t.Context(), valueKey{}, "value"))
				want, cancel := context.WithCancelCause(parent)
				got := &scope{parent: parent}
				if watched {
					_ = got.Done()
				}
				if c.parent != nil {
					end(c.parent)
				}
				if c.own != nil {
					cancel(c.own)
					got.cancel(c.own)
					got.cancel(errors.New("too late"))
				}
				if why := got.cause(); !errors.Is(why, context.Cause(want)) || (why == nil) != (want.Err() == nil) {
					t.Errorf("%s: cause %v, want %v", name, why, context.Cause(want))
				}
				alike(t, name, [2]context.Context{got, want})
				derived, cancelDerived := context.WithCancel(got)
				synctest.Wait()
				alike(t, name+", derived", [2]context.Context{derived, want})
				cancelDerived()
				cancel(nil)
				got.cancel(nil)
				end(nil)
			})
		}
	}
}

// alike compares what a context says with what another one does.
func alike(t *testing.T, name string, both [2]context.Context) {
	t.Helper()
	got, want := both[0], both[1]
	if !errors.Is(got.Err(), want.Err()) || (got.Err() == nil) != (want.Err() == nil) {
		t.Errorf("%s: error %v, want %v", name, got.Err(), want.Err())
	}
	if a, b := context.Cause(got), context.Cause(want); !errors.Is(a, b) || (a == nil) != (b == nil) {
		t.Errorf("%s: context.Cause %v, want %v", name, a, b)
	}
	if got.Value(valueKey{}) != "value" {
		t.Errorf("%s: the parent's value is lost", name)
	}
	select {
	case <-got.Done():
		if want.Err() == nil {
			t.Errorf("%s: done too early", name)
		}
	default:
		if want.Err() != nil {
			t.Errorf("%s: not done", name)
		}
	}
}

func TestScope_endsWhoWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &scope{parent: t.Context()}
		ctx, cancel := context.WithTimeout(s, time.Hour)
		defer cancel()
		var wg sync.WaitGroup
		for _, waits := range []context.Context{s, ctx} {
			wg.Go(func() {
				<-waits.Done()
				if why := context.Cause(waits); !errors.Is(why, errLost) {
					t.Errorf("ended with %v, want %v", why, errLost)
				}
			})
		}
		time.Sleep(time.Minute)
		s.cancel(errLost)
		wg.Wait()
	})
}

// TestDo_theContextEndsWithTheCall: what was derived from it ends, too, and its
// values stay.
func TestDo_theContextEndsWithTheCall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPool(t, Config{}, server{name: "a"})
		ctx := context.WithValue(t.Context(), valueKey{}, "value")
		var kept, derived context.Context
		var cancel context.CancelFunc
		_, err := Do(ctx, p, Call{}, func(ctx context.Context, _ server) (string, error) {
			kept = ctx
			derived, cancel = context.WithTimeout(ctx, time.Hour)
			return "", ctx.Err()
		})
		defer cancel()
		synctest.Wait()
		if err != nil || kept.Err() == nil || derived.Err() == nil || kept.Value(valueKey{}) != "value" {
			t.Errorf("%v; context %v, derived %v; want both to have ended", err, kept.Err(), derived.Err())
		}
		_ = p.Close()
	})
}
