package sim

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/lanewise/lanewise/fault"
)

// thirdCall returns when a call of 1 ms is answered by a single worker that has
// a running and a queued call of 100 ms, both cancelled after 10 ms.
func thirdCall(t *testing.T, kind Cancel) (took time.Duration) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		s := newServer(1, kind)
		start := time.Now()
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
		defer cancel()
		var wg sync.WaitGroup
		for range 2 {
			wg.Go(func() {
				if err := s.serve(ctx, 100*time.Millisecond); !errors.Is(err, context.DeadlineExceeded) {
					t.Errorf("cancelled call: %v", err)
				}
			})
		}
		synctest.Wait()
		wg.Go(func() {
			if err := s.serve(t.Context(), time.Millisecond); err != nil {
				t.Error(err)
			}
			took = time.Since(start)
		})
		wg.Wait()
		if s.wait() != 0 {
			t.Errorf("%s: the idle server would let a call wait for %v", kind, s.wait())
		}
	})
	return took
}

func TestServer_thatIsDownRefuses(t *testing.T) {
	s := newServer(1, Drop)
	s.set(1, true)
	if err := s.serve(t.Context(), time.Hour); !errors.Is(err, fault.Unavailable) {
		t.Errorf("error %v, want unavailable", err)
	}
}

func TestServer_waitIsUntilTheNextWorkerIsFree(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer(2, Drop)
		var wg sync.WaitGroup
		for _, ms := range []time.Duration{30, 50, 40} {
			wg.Go(func() { _ = s.serve(t.Context(), ms*time.Millisecond) })
			synctest.Wait()
		}
		if got := s.wait(); got != 50*time.Millisecond { // 30+40 and 50
			t.Errorf("wait %v, want 50ms", got)
		}
		wg.Wait()
	})
}
