package quota

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/lanewise/lanewise/fault"
)

// flaky is a store that can be away.
type flaky struct {
	Memory
	away atomic.Bool
	slow time.Duration
}

func (f *flaky) Exchange(ctx context.Context, key string, l Limit, t Trade) (Amount, error) {
	time.Sleep(f.slow)
	if f.away.Load() {
		return Amount{}, errors.New("connection refused")
	}
	return f.Memory.Exchange(ctx, key, l, t)
}

func shared(t *testing.T, c SharedConfig) *Shared {
	t.Helper()
	c.Key = "upstream"
	s, err := NewShared(c)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// spend makes calls of 100 tokens as fast as the quotas allow for a while, and
// returns how many each has let through.
func spend(d time.Duration, quotas ...*Shared) []int {
	granted := make([]int, len(quotas))
	for end := time.Now().Add(d); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		for i, q := range quotas {
			for range 20 {
				if _, err := q.Reserve(100); err == nil {
					granted[i]++
				}
			}
		}
	}
	return granted
}

func TestShared_routersTogetherKeepTheLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := &flaky{}
		c := SharedConfig{Limit: Limit{Requests: 6000, Tokens: 600_000}, Store: store, Routers: 3}
		a, b, idle := shared(t, c), shared(t, c), shared(t, c)
		synctest.Wait()
		got := spend(time.Minute, a, b)
		total := got[0] + got[1]
		if total > 6000+1000 { // a minute's refill, and the burst of ten seconds
			t.Errorf("%v calls in a minute, want at most 7000", got)
		}
		if total < 6000 {
			t.Errorf("%v calls in a minute, want all that there is but the idle router's share", got)
		}
		if got[0] < total/5 || got[1] < total/5 { // which of two leases comes first at an instant is chance
			t.Errorf("%v calls, want a fair part for each", got)
		}
		for _, q := range []*Shared{a, b, idle} {
			if err := q.Close(); err != nil {
				t.Error(err)
			}
		}
	})
}

func TestShared_withoutTheStoreEachTakesItsShareAndSaysSo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		store := &flaky{}
		s := shared(t, SharedConfig{
			Limit: Limit{Requests: 6000}, Store: store, Routers: 4,
			Log: slog.New(slog.NewTextHandler(&log, nil)),
		})
		synctest.Wait()
		if s.Alone() {
			t.Fatal("alone while the store is there")
		}
		store.away.Store(true)
		time.Sleep(1001 * time.Millisecond)
		if !s.Alone() || !strings.Contains(log.String(), "level=WARN") {
			t.Errorf("alone %v after a period without the store, log %q", s.Alone(), log.String())
		}
		spend(time.Second, s) // the rest of the lease, and the burst
		if got := spend(time.Minute, s)[0]; got < 1490 || got > 1510 {
			t.Errorf("%d calls in a minute alone, want a quarter of 6000", got)
		}
		store.away.Store(false)
		time.Sleep(1001 * time.Millisecond)
		if s.Alone() || !strings.Contains(log.String(), "is back") {
			t.Errorf("alone %v with the store back, log %q", s.Alone(), log.String())
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
}

func TestShared_noCallWaitsForTheStore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := &flaky{slow: 900 * time.Millisecond}
		s := shared(t, SharedConfig{Limit: Limit{Requests: 6000}, Store: store, Routers: 1})
		time.Sleep(10 * time.Second)
		refused := 0
		for start := time.Now(); time.Since(start) < 10*time.Second; time.Sleep(20 * time.Millisecond) {
			begun := time.Now()
			if _, err := s.Reserve(0); err != nil {
				refused++
			}
			if took := time.Since(begun); took != 0 {
				t.Fatalf("a call waited for %v", took)
			}
		}
		if refused > 0 {
			t.Errorf("%d calls were refused at half of the limit, with a slow store", refused)
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
}

func TestShared_closeReturnsTheLease(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := &flaky{}
		limit := Limit{Requests: 60, Burst: 1}
		s := shared(t, SharedConfig{Limit: limit, Store: store, Routers: 1})
		synctest.Wait()
		if _, err := s.Reserve(0); err != nil {
			t.Fatal(err)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		got, _ := store.Exchange(t.Context(), "upstream", limit, Trade{Want: Amount{Requests: 100}})
		if got.Requests != 59 {
			t.Errorf("%v requests are in the store, want 59: all but the one that was made", got.Requests)
		}
		store.away.Store(true)
		if err := s.Close(); err == nil {
			t.Error("no error though the lease could not be returned")
		}
	})
}

func TestNewShared_namesWrongFields(t *testing.T) {
	_, err := NewShared(SharedConfig{Period: -1})
	for _, want := range []string{"key", "store", "routers", "period", "one of them must be set"} {
		if !errors.Is(err, fault.Invalid) || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v does not name %s", err, want)
		}
	}
}
