package meter_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/lanewise/lanewise/access"
	"github.com/lanewise/lanewise/access/meter"
	"github.com/lanewise/lanewise/fault"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func newMeter(t *testing.T, c meter.Config) *meter.Meter {
	t.Helper()
	m, err := meter.New(c)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// by is a request of a key with limits, of no tenant.
func by(name string, l access.Limits, tokens int64) meter.Request {
	return meter.Request{Caller: access.Caller{Name: name, Limits: l}, Tokens: tokens}
}

// of is a request of a tenant, by a key without limits.
func of(tenant string, tokens int64) meter.Request {
	return meter.Request{Tenant: &tenant, Tokens: tokens}
}

// pass expects a request to be let in.
func pass(t *testing.T, m *meter.Meter, r meter.Request) *meter.Charge {
	t.Helper()
	ch, err := m.Reserve(r)
	if err != nil {
		t.Fatalf("refused: %v", err)
	}
	return ch
}

// refused expects a request to be turned away with a time that is true: just before it there is no room, and then there is.
func refused(t *testing.T, m *meter.Meter, r meter.Request, wait time.Duration) {
	t.Helper()
	_, err := m.Reserve(r)
	if !errors.Is(err, fault.Overloaded) || fault.RetryAfter(err) != wait {
		t.Fatalf("%v, wait %v; want %v", err, fault.RetryAfter(err), wait)
	}
}

func TestRates_byTheMinute(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMeter(t, meter.Config{})
		l := access.Limits{RequestsPerMinute: 60, TokensPerMinute: 6000} // bursts of 10 and of 1,000
		for range 10 {
			pass(t, m, by("a", l, 10)).Settle(meter.Use{Tokens: 10})
		}
		refused(t, m, by("a", l, 0), time.Second)
		pass(t, m, by("b", l, 1000)).Settle(meter.Use{Tokens: 200}) // what the estimate took too much is given back
		pass(t, m, by("b", l, 800)).Settle(meter.Use{Tokens: 1800}) // what it took too little is owed
		refused(t, m, by("b", l, 100), 11*time.Second)
		time.Sleep(10 * time.Second)
		refused(t, m, by("b", l, 100), time.Second)
		time.Sleep(time.Second)
		pass(t, m, by("b", l, 100)).Settle(meter.Use{})
		if s := m.Stats(); s.Refused[meter.Refusal{Of: meter.Key, By: meter.Rate}] != 3 || s.Accounts != 2 {
			t.Errorf("%+v", s)
		}
	})
}

// A request that its tenant has no room for costs its key nothing.
func TestReserve_takesFromBothOrNeither(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMeter(t, meter.Config{Own: map[string]access.Limits{"small": {RequestsPerMinute: 6}}})
		r := by("a", access.Limits{RequestsPerMinute: 12, TokensPerDay: 100}, 50)
		small, other := "small", "other"
		r.Tenant = &small
		pass(t, m, r).Settle(meter.Use{Tokens: 10})
		refused(t, m, r, 10*time.Second)
		r.Tenant = &other
		pass(t, m, r).Settle(meter.Use{Tokens: 10})
		if s := m.Standings(meter.Key, 9)[0]; s.Day.Tokens != 20 || s.Running != 0 {
			t.Errorf("%+v", s)
		}
	})
}

func TestBudgets_byDayAndMonthOfUTC(t *testing.T) {
	synctest.Test(t, func(t *testing.T) { // begins at midnight of 2000-01-01
		m := newMeter(t, meter.Config{Tenants: access.Limits{TokensPerDay: 100, TokensPerMonth: 150, CostPerMonth: 2}})
		time.Sleep(6 * time.Hour)
		running := pass(t, m, of("a", 60))
		refused(t, m, of("a", 50), 18*time.Hour) // what is under way counts
		running.Settle(meter.Use{Tokens: 20})
		running.Settle(meter.Use{Tokens: 90}) // only the first counts
		pass(t, m, of("a", 80)).Settle(meter.Use{Tokens: 80})
		refused(t, m, of("a", 0), 18*time.Hour) // not even one that uses nothing
		pass(t, m, of("b", 100)).Settle(meter.Use{Tokens: 1, Cost: 2.5})
		refused(t, m, of("b", 1), 30*24*time.Hour+18*time.Hour) // to February
		time.Sleep(18*time.Hour - 1)
		refused(t, m, of("a", 1), 1)
		time.Sleep(time.Nanosecond)
		pass(t, m, of("a", 50)).Settle(meter.Use{Tokens: 50})
		_, err := m.Reserve(of("a", 1))
		if fault.RetryAfter(err) != 30*24*time.Hour || fault.Code(err) != meter.CodeSpent {
			t.Errorf("the month's budget: %v, %v", err, fault.RetryAfter(err))
		}
		time.Sleep(30 * 24 * time.Hour)
		pass(t, m, of("a", 100)).Settle(meter.Use{})
		pass(t, m, of("b", 1)).Settle(meter.Use{})
		got := m.Stats().Refused
		if got[meter.Refusal{Of: meter.Tenant, By: meter.DayBudget}] != 3 || got[meter.Refusal{Of: meter.Tenant, By: meter.MonthBudget}] != 2 {
			t.Error(got)
		}
	})
}

// A limit that changes holds for the next request, and what was used stays used.
func TestLimits_change(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMeter(t, meter.Config{})
		pass(t, m, by("a", access.Limits{TokensPerDay: 100}, 100)).Settle(meter.Use{Tokens: 100})
		refused(t, m, by("a", access.Limits{TokensPerDay: 100}, 1), 24*time.Hour)
		pass(t, m, by("a", access.Limits{TokensPerDay: 110, RequestsPerMinute: 6}, 1)).Settle(meter.Use{Tokens: 1})
		refused(t, m, by("a", access.Limits{TokensPerDay: 110, RequestsPerMinute: 6}, 1), 10*time.Second)
		pass(t, m, by("a", access.Limits{TokensPerDay: 110, RequestsPerMinute: 60}, 1)).Settle(meter.Use{})
		pass(t, m, by("a", access.Limits{}, 1000)).Settle(meter.Use{Tokens: 1000}) // no limits, no account
		if s := m.Standings(meter.Key, 9); len(s) != 1 || s[0].Day.Tokens != 101 {
			t.Errorf("%+v", s)
		}
	})
}

// The limits of tenants change without a restart, and one that makes no sense changes nothing.
func TestLimit_ofTenants(t *testing.T) {
	m := newMeter(t, meter.Config{Tenants: access.Limits{TokensPerDay: 100}})
	pass(t, m, of("a", 100)).Settle(meter.Use{Tokens: 100})
	if err := m.Limit(meter.Config{Tenants: access.Limits{TokensPerDay: -1}}); !errors.Is(err, fault.Invalid) {
		t.Error(err)
	}
	if _, err := m.Reserve(of("a", 1)); err == nil {
		t.Error("the budget is used up")
	}
	if err := m.Limit(meter.Config{Tenants: access.Limits{TokensPerDay: 220}, Part: 0.5}); err != nil {
		t.Fatal(err)
	}
	pass(t, m, of("a", 10)).Settle(meter.Use{Tokens: 10})
	if _, err := m.Reserve(of("a", 1)); err == nil {
		t.Error("what was used before is forgotten")
	}
}

func TestPart_isOfEveryLimit(t *testing.T) {
	m := newMeter(t, meter.Config{Part: 0.5, Tenants: access.Limits{TokensPerDay: 100, TokensPerMinute: 1, CostPerDay: 3}})
	pass(t, m, of("a", 1)).Settle(meter.Use{Tokens: 1})
	got := m.Standings(meter.Tenant, 1)[0].Limits
	if want := (access.Limits{TokensPerDay: 50, TokensPerMinute: 1, CostPerDay: 1.5}); got != want {
		t.Errorf("%+v", got)
	}
}

func TestNew_refusesWhatMakesNoSense(t *testing.T) {
	for _, c := range []meter.Config{
		{Tenants: access.Limits{TokensPerDay: -1}}, {Own: map[string]access.Limits{"a": {CostPerDay: -1}}}, {Most: -1}, {Part: 2}, {Part: -1}, {Every: -1},
	} {
		if _, err := meter.New(c); !errors.Is(err, fault.Invalid) {
			t.Errorf("%+v: %v", c, err)
		}
	}
}

var daily = access.Limits{TokensPerDay: 1000, CostPerMonth: 10}

// What was used is still used after a restart, whether the account was in memory at the end or not.
func TestFile_survivesARestart(t *testing.T) {
	file := filepath.Join(t.TempDir(), "a", "usage.db")
	synctest.Test(t, func(t *testing.T) {
		c := meter.Config{File: file, Tenants: daily, Most: 3}
		m := newMeter(t, c)
		for i := range 10 {
			pass(t, m, of(fmt.Sprint(i), 1000)).Settle(meter.Use{Tokens: int64(900 + i), Cost: float64(i)})
		}
		late := pass(t, m, of("3", 1))
		if err := m.Close(); err != nil {
			t.Fatal(err)
		}
		late.Settle(meter.Use{Tokens: 50}) // harmless
		time.Sleep(time.Hour)
		m = newMeter(t, c)
		for i := range 10 {
			name := fmt.Sprint(i)
			if _, err := m.Reserve(of(name, 101-int64(i))); err == nil {
				t.Errorf("%d: more than the budget", i)
			}
			pass(t, m, of(name, 100-int64(i))).Settle(meter.Use{})
		}
		if s := m.Standings(meter.Tenant, 2); len(s) != 2 || s[0].Name != "9" || s[0].Day != (meter.Use{Tokens: 909, Cost: 9}) || s[1].Month.Cost != 8 {
			t.Errorf("%+v", s)
		}
		if s := m.Stats(); s.Accounts != 3 || s.Forgotten != 0 {
			t.Errorf("%+v", s)
		}
		time.Sleep(24 * time.Hour)
		pass(t, m, of("5", 1000)).Settle(meter.Use{})
		if err := m.Close(); err != nil {
			t.Fatal(err)
		}
		time.Sleep(60 * 24 * time.Hour) // two months later nothing of it is kept
		m = newMeter(t, c)
		if s := m.Standings(meter.Tenant, 99); len(s) != 0 {
			t.Errorf("%+v", s)
		}
		if err := m.Close(); err != nil {
			t.Fatal(err)
		}
	})
}

// What a kill leaves is what was written a second before it: here the file is copied while the meter runs.
func TestFile_isASecondBehindAtMost(t *testing.T) {
	dir := t.TempDir()
	file, copied := filepath.Join(dir, "usage.db"), filepath.Join(dir, "copy.db")
	synctest.Test(t, func(t *testing.T) {
		m := newMeter(t, meter.Config{File: file, Tenants: daily})
		pass(t, m, of("a", 500)).Settle(meter.Use{Tokens: 500})
		time.Sleep(time.Second)
		synctest.Wait()
		pass(t, m, of("a", 500)).Settle(meter.Use{Tokens: 400}) // lost, in the user's favour
		if s := m.Stats(); s.Unwritten != 1 {
			t.Errorf("%+v", s)
		}
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(copied, data, 0o600); err != nil {
			t.Fatal(err)
		}
		after := newMeter(t, meter.Config{File: copied, Tenants: daily})
		if s := after.Standings(meter.Tenant, 9); len(s) != 1 || s[0].Day.Tokens != 500 {
			t.Errorf("%+v", s)
		}
		if err := errors.Join(m.Close(), after.Close()); err != nil {
			t.Fatal(err)
		}
	})
}

func TestFile_belongsToOneProcess(t *testing.T) {
	file := filepath.Join(t.TempDir(), "usage.db")
	m := newMeter(t, meter.Config{File: file})
	if _, err := meter.New(meter.Config{File: file}); !errors.Is(err, fault.Conflict) {
		t.Error(err)
	}
	if err := m.Close(); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte("no database"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := meter.New(meter.Config{File: file}); err == nil {
		t.Error("a file that is something else is taken")
	}
}

// A hundred thousand tenants, and more, take no more memory than as many as are kept.
func TestAccounts_areBounded(t *testing.T) {
	m := newMeter(t, meter.Config{Tenants: daily, Most: 1000})
	running := pass(t, m, of("running", 1))
	for i := range 100_000 {
		pass(t, m, of(fmt.Sprint("tenant-", i), 1)).Settle(meter.Use{Tokens: 1})
	}
	if s := m.Stats(); s.Accounts != 1000 || s.Unwritten != 0 || s.Forgotten == 0 {
		t.Errorf("%+v", s)
	}
	running.Settle(meter.Use{Tokens: 7})
	for _, s := range m.Standings(meter.Tenant, 2000) {
		if s.Name == "running" && s.Day.Tokens == 7 {
			return
		}
	}
	t.Error("an account with a request under way was forgotten")
}

func TestReserve_isSafeForConcurrentUse(t *testing.T) {
	file := filepath.Join(t.TempDir(), "usage.db")
	m := newMeter(t, meter.Config{File: file, Every: time.Millisecond, Tenants: access.Limits{TokensPerMonth: 1 << 30}, Most: 5})
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for i := range 300 {
				if ch, err := m.Reserve(of(fmt.Sprint(i%20), 5)); err == nil {
					ch.Settle(meter.Use{Tokens: 3})
				}
			}
		})
	}
	wg.Wait()
	var sum int64
	for _, s := range m.Standings(meter.Tenant, 99) {
		sum += s.Month.Tokens
	}
	if err := m.Close(); err != nil {
		t.Fatal(err)
	}
	again := newMeter(t, meter.Config{File: file})
	defer again.Close() //nolint:errcheck // it only reads
	var kept int64
	for _, s := range again.Standings(meter.Tenant, 99) {
		kept += s.Month.Tokens
	}
	if kept != 8*300*3 {
		t.Errorf("%d tokens are kept, %d were listed, %d were used", kept, sum, 8*300*3)
	}
}

func BenchmarkReserve(b *testing.B) {
	m, err := meter.New(meter.Config{File: filepath.Join(b.TempDir(), "f"), Tenants: access.Limits{RequestsPerMinute: 1 << 40, TokensPerMonth: 1 << 50}})
	if err != nil {
		b.Fatal(err)
	}
	defer m.Close() //nolint:errcheck // a benchmark
	caller, tenant := access.Caller{Name: "a", Limits: access.Limits{RequestsPerMinute: 1 << 40, TokensPerDay: 1 << 50}}, "t"
	for b.Loop() {
		ch, err := m.Reserve(meter.Request{Caller: caller, Tenant: &tenant, Tokens: 10})
		if err != nil {
			b.Fatal(err)
		}
		ch.Settle(meter.Use{Tokens: 10})
	}
}

func Example() {
	m, err := meter.New(meter.Config{Tenants: access.Limits{TokensPerDay: 1000}})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer m.Close() //nolint:errcheck // it has no file
	acme := "acme"
	charge, err := m.Reserve(meter.Request{Tenant: &acme, Tokens: 800}) // before: an estimate
	fmt.Println(err)
	charge.Settle(meter.Use{Tokens: 650}) // after: what it was
	_, err = m.Reserve(meter.Request{Tenant: &acme, Tokens: 400})
	fmt.Println(err)
	// Output:
	// <nil>
	// the tenant's budget of this day is used up, or what is left of it is too little for this request
}
