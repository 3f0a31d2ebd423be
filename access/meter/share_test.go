package meter_test

import (
	"context"
	"errors"
	"log/slog"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/lanewise/lanewise/access"
	"github.com/lanewise/lanewise/access/meter"
	"github.com/lanewise/lanewise/balance/quota"
	"github.com/lanewise/lanewise/fault"
)

// ledger is one in memory. Its rates are refilled by the test's clock.
type ledger struct {
	mu    sync.Mutex
	away  bool
	calls int
	days  map[string]map[string]meter.Spent // by account and meter
	rates map[string]*quota.Bucket
}

func newLedger() *ledger {
	return &ledger{days: map[string]map[string]meter.Spent{}, rates: map[string]*quota.Bucket{}}
}

func (l *ledger) Exchange(_ context.Context, name string, tells []meter.Tell) ([]meter.Told, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.calls++
	if l.away {
		return nil, fault.New(fault.Unavailable, "the ledger is away")
	}
	out := make([]meter.Told, len(tells))
	for i, t := range tells {
		if l.days[t.Account] == nil {
			l.days[t.Account] = map[string]meter.Spent{}
		}
		l.days[t.Account][name] = t.Day
		for _, s := range l.days[t.Account] {
			if s.Number == t.Day.Number {
				out[i].Day.Tokens += s.Tokens
				out[i].Day.Cost += s.Cost
			}
		}
		out[i].Month = out[i].Day
		if t.Rate.Requests+t.Rate.Tokens > 0 {
			out[i].Left = l.left(t)
		}
	}
	return out, nil
}

func (l *ledger) left(t meter.Tell) quota.Amount {
	if l.rates[t.Account] == nil {
		l.rates[t.Account], _ = quota.New(t.Rate)
	}
	b := l.rates[t.Account]
	left := b.Left()
	b.Took()
	b.Level(quota.Amount{Requests: left.Requests - t.Took.Requests, Tokens: left.Tokens - t.Took.Tokens})
	return b.Left()
}

func (l *ledger) leave(away bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.away = away
}

// sharing makes n meters that share a ledger.
func sharing(t *testing.T, l meter.Ledger, n int, c meter.Config) []*meter.Meter {
	t.Helper()
	c.Ledger, c.Part = l, 1/float64(n)
	var out []*meter.Meter
	for range n {
		out = append(out, newMeter(t, c))
	}
	return out
}

func closeAll(t *testing.T, all []*meter.Meter) {
	t.Helper()
	for _, m := range all {
		if err := m.Close(); err != nil {
			t.Error(err)
		}
	}
}

// spend has a request use its estimate, and reports whether it was let in.
func spend(t *testing.T, m *meter.Meter, r meter.Request) bool {
	t.Helper()
	ch, err := m.Reserve(r)
	if err != nil && !errors.Is(err, fault.Overloaded) {
		t.Fatal(err)
	}
	ch.Settle(meter.Use{Tokens: r.Tokens})
	return err == nil
}

// What one router has used the other one does not grant again, and nobody is refused what is there.
func TestShared_budgetIsOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		all := sharing(t, newLedger(), 2, meter.Config{Tenants: access.Limits{TokensPerDay: 1000}})
		defer closeAll(t, all)
		used := 0
		for range 30 { // seconds, all through the first router
			for spend(t, all[0], of("a", 10)) {
				used += 10
			}
			time.Sleep(time.Second)
		}
		if used != 1000 {
			t.Errorf("the first router granted %d of 1000 tokens", used)
		}
		_, err := all[1].Reserve(of("a", 10)) // before it has heard of the first
		if err != nil {
			t.Errorf("a router that has heard of nobody grants its own part: %v", err)
		}
		synctest.Wait()
		if _, err := all[1].Reserve(of("a", 10)); fault.Code(err) != meter.CodeSpent {
			t.Errorf("what the first has used up: %v", err)
		}
		if got := all[1].Standings(meter.Tenant, 1)[0].Day.Tokens; got != 1000 {
			t.Errorf("the second router tells of %d tokens, want those of both", got)
		}
	})
}

// However greedy all are at one time, a budget is not passed by more than is promised.
func TestShared_overshoot(t *testing.T) {
	for _, n := range []int{2, 5} {
		synctest.Test(t, func(t *testing.T) {
			all := sharing(t, newLedger(), n, meter.Config{Tenants: access.Limits{TokensPerDay: 10_000}})
			defer closeAll(t, all)
			used := 0
			for range 40 * n {
				for _, m := range all {
					for spend(t, m, of("a", 10)) {
						used += 10
					}
					time.Sleep(time.Second / time.Duration(n)) // their seconds differ
				}
			}
			if used < 10_000 || used > 15_000 {
				t.Errorf("%d routers granted %d tokens of 10000", n, used)
			}
		})
	}
}

// A request that is larger than the part of a router goes, and one that has to wait for the next exchange is told so.
func TestShared_largeRequests(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		all := sharing(t, newLedger(), 4, meter.Config{Tenants: access.Limits{TokensPerDay: 1000}})
		defer closeAll(t, all)
		pass(t, all[0], of("a", 600)).Settle(meter.Use{Tokens: 500})
		synctest.Wait() // until that is told
		running := pass(t, all[0], of("a", 300))
		refused(t, all[0], of("a", 150), time.Second)
		running.Settle(meter.Use{Tokens: 300})
		time.Sleep(time.Second + 1)
		pass(t, all[0], of("a", 200)).Settle(meter.Use{Tokens: 200})
	})
}

func TestShared_rateIsOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		all := sharing(t, newLedger(), 2, meter.Config{})
		defer closeAll(t, all)
		l := access.Limits{RequestsPerMinute: 600, TokensPerMinute: 60_000} // 10 a second, and 100 at once
		grants := func(seconds int, who ...*meter.Meter) (n int) {
			for range seconds * 20 {
				for _, m := range who {
					for spend(t, m, by("k", l, 100)) {
						n++
					}
				}
				time.Sleep(time.Second / 20)
			}
			return n
		}
		if n := grants(60, all[0]); n < 600 || n > 715 {
			t.Errorf("one of two routers granted %d requests in a minute of 600, with a burst of 100", n)
		}
		if n := grants(60, all...); n < 570 || n > 625 {
			t.Errorf("two routers granted %d requests in a minute of 600", n)
		}
	})
}

// A rate of few requests starves nobody.
func TestShared_slowRate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		all := sharing(t, newLedger(), 3, meter.Config{})
		defer closeAll(t, all)
		n := 0
		for range 600 {
			if spend(t, all[0], by("k", access.Limits{RequestsPerMinute: 6}, 1)) {
				n++
			}
			time.Sleep(time.Second)
		}
		if n < 50 || n > 61 { // up to a second is lost between a refusal and the exchange after it
			t.Errorf("%d requests in ten minutes, want nearly 60", n)
		}
	})
}

// Without the ledger each router goes on with its part of what was left, says so once, and makes up for it afterwards.
func TestShared_ledgerAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLedger()
		var text strings.Builder
		all := sharing(t, l, 2, meter.Config{Tenants: access.Limits{TokensPerDay: 1000}, Log: slog.New(slog.NewTextHandler(&text, nil))})
		defer closeAll(t, all)
		for _, m := range all {
			pass(t, m, of("a", 100)).Settle(meter.Use{Tokens: 100})
		}
		time.Sleep(2 * time.Second)
		synctest.Wait()
		l.leave(true)
		used := 0
		for range 60 {
			for _, m := range all {
				for spend(t, m, of("a", 10)) {
					used += 10
				}
			}
			time.Sleep(time.Second)
		}
		if !all[0].Stats().Alone {
			t.Error("the statistics do not say that the ledger is away")
		}
		if used < 800 || used > 850 { // the first one was told of 100 tokens only, and has half of 900
			t.Errorf("%d tokens without the ledger, want the 800 that were left, half of them by each", used)
		}
		if _, err := all[0].Reserve(of("a", 10)); fault.Code(err) != meter.CodeSpent {
			t.Errorf("beyond the part: %v", err)
		}
		l.leave(false)
		time.Sleep(2 * time.Second)
		if spend(t, all[0], of("a", 10)) { // it asks in any case
			used += 10
		}
		time.Sleep(2 * time.Second)
		synctest.Wait()
		if all[0].Stats().Alone {
			t.Error("the statistics say that the ledger is away")
		}
		if got := all[0].Standings(meter.Tenant, 1)[0].Day.Tokens; got != int64(200+used) {
			t.Errorf("%d tokens are told of afterwards", got)
		}
		for _, line := range []string{"what the others use is not known", "it is known again"} {
			if n := strings.Count(text.String(), line); n != 2 { // once a router
				t.Errorf("%q is logged %d times\n%s", line, n, text.String())
			}
		}
	})
}

// A router that was restarted goes by the same name, so that nothing it has used counts twice; and tells a ledger that has lost everything.
func TestShared_restart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		file, l := filepath.Join(t.TempDir(), "usage.db"), newLedger()
		c := meter.Config{File: file, Ledger: l, Part: 0.5, Tenants: access.Limits{TokensPerDay: 1000}}
		for round := range 3 {
			m := newMeter(t, c)
			pass(t, m, of("a", 100)).Settle(meter.Use{Tokens: 100})
			time.Sleep(2 * time.Second)
			if got, want := m.Standings(meter.Tenant, 1)[0].Day.Tokens, int64(100*(round+1)); got != want {
				t.Errorf("after %d restarts %d tokens are told of, want %d", round, got, want)
			}
			closeAll(t, []*meter.Meter{m})
			*l = *newLedger()
		}
	})
}

// Nobody waits for the ledger, and what is idle asks it nothing.
func TestShared_idle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLedger()
		all := sharing(t, l, 1, meter.Config{Tenants: access.Limits{TokensPerDay: 1000}})
		defer closeAll(t, all)
		spend(t, all[0], of("a", 10))
		time.Sleep(time.Hour)
		synctest.Wait()
		if l.calls == 0 || l.calls > 2 {
			t.Errorf("%d exchanges in an hour with one request", l.calls)
		}
	})
}
