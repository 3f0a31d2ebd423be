package quota_test

import (
	"errors"
	"fmt"
	"math"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/lanewise/lanewise/balance/quota"
	"github.com/lanewise/lanewise/fault"
)

// newTenants returns tenants with a thousand tokens a minute, all of which may be used at once.
func newTenants(t interface{ Fatal(args ...any) }, c quota.TenantsConfig) *quota.Tenants {
	if c.Limit == (quota.Limit{}) {
		c.Limit = quota.Limit{Tokens: 1000, Burst: 1}
	}
	tenants, err := quota.NewTenants(c)
	if err != nil {
		t.Fatal(err)
	}
	return tenants
}

func TestTenants_doNotTouchEachOther(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tenants := newTenants(t, quota.TenantsConfig{Own: map[string]quota.Limit{"big": {Tokens: 6000, Burst: 1}}})
		if _, err := tenants.Reserve("a", 1000); err != nil {
			t.Fatal(err)
		}
		_, err := tenants.Reserve("a", 100)
		if wait := fault.RetryAfter(err); !errors.Is(err, fault.Overloaded) || wait != 6*time.Second || !strings.Contains(err.Error(), `"a"`) {
			t.Errorf("a again: %v, after %v; want overloaded, for 6s", err, wait)
		}
		for name, left := range map[string]float64{"a": 0, "b": 1000, "big": 6000} {
			if got := tenants.Left(name).Tokens; got != left {
				t.Errorf("%s has %v left, want %v", name, got, left)
			}
		}
		time.Sleep(6 * time.Second)
		if _, err := tenants.Reserve("a", 100); err != nil {
			t.Errorf("when it said: %v", err)
		}
	})
}

func TestTenants_settleAndCancel(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tenants := newTenants(t, quota.TenantsConfig{})
		settled, err1 := tenants.Reserve("a", 600)
		cancelled, err2 := tenants.Reserve("a", 400)
		if err := errors.Join(err1, err2); err != nil {
			t.Fatal(err)
		}
		settled.Settle(50)
		settled.Cancel() // comes second
		cancelled.Cancel()
		if left := tenants.Left("a").Tokens; left != 950 {
			t.Errorf("%v left, want 950", left)
		}
	})
}

func TestTenants_withoutLimit(t *testing.T) {
	tenants, err := quota.NewTenants(quota.TenantsConfig{Own: map[string]quota.Limit{"a": {Requests: 60}}})
	if err != nil {
		t.Fatal(err)
	}
	r, err := tenants.Reserve("b", math.MaxInt64)
	if r != nil || err != nil || tenants.Len() != 0 || !math.IsInf(tenants.Left("b").Tokens, 1) {
		t.Errorf("reserved %v, %v, remembers %d, %v left", r, err, tenants.Len(), tenants.Left("b"))
	}
	r.Settle(5)
	r.Cancel()
	if got := tenants.Left("a").Requests; got != 10 {
		t.Errorf("a has %v requests left, want 10", got)
	}
}

// What has been used is not forgotten as long as there are full buckets to forget.
func TestTenants_forgetFullOnesFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tenants := newTenants(t, quota.TenantsConfig{Most: 4})
		if _, err := tenants.Reserve("busy", 1000); err != nil {
			t.Fatal(err)
		}
		for i := range 100 {
			r, err := tenants.Reserve(fmt.Sprint("passing ", i), 10)
			if err != nil {
				t.Fatal(err)
			}
			r.Cancel()
			if tenants.Len() > 4 {
				t.Fatalf("%d tenants are remembered, want 4", tenants.Len())
			}
		}
		if left := tenants.Left("busy").Tokens; left != 0 {
			t.Errorf("%v left, want 0: it was forgotten", left)
		}
	})
}

func TestTenants_memoryIsBoundedWhereAllAreBusy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tenants := newTenants(t, quota.TenantsConfig{Most: 10})
		for i := range 50 {
			if _, err := tenants.Reserve(fmt.Sprint(i), 1000); err != nil {
				t.Fatal(err)
			}
		}
		if tenants.Len() != 10 || tenants.Left("49").Tokens != 0 || tenants.Left("0").Tokens != 1000 {
			t.Errorf("%d remembered, the last has %v left, the first %v; want 10, 0 and 1000",
				tenants.Len(), tenants.Left("49").Tokens, tenants.Left("0").Tokens)
		}
	})
}

// use is one call of a tenant.
type use struct {
	tenant       string
	tokens, used int64
	reached      bool
	pause        time.Duration // after it
}

func drawUse(t *rapid.T) use {
	return use{
		tenant: rapid.SampledFrom([]string{"a", "b", "c", "d", "e"}).Draw(t, "tenant"),
		tokens: rapid.Int64Range(0, 600).Draw(t, "tokens"), used: rapid.Int64Range(0, 600).Draw(t, "used"),
		reached: rapid.Bool().Draw(t, "reached"),
		pause:   rapid.SampledFrom([]time.Duration{0, time.Second, time.Minute}).Draw(t, "pause"),
	}
}

// Whatever tenants reserve, settle and cancel: each has what a bucket of its own would have.
func TestTenants_likeBucketsOfTheirOwn(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		uses := rapid.SliceOfN(rapid.Custom(drawUse), 1, 40).Draw(rt, "uses")
		var wrong error // of the bubble's goroutine, which may not end the property's
		synctest.Test(t, func(t *testing.T) { wrong = compareWithBuckets(t, uses) })
		if wrong != nil {
			rt.Fatal(wrong)
		}
	})
}

func compareWithBuckets(t *testing.T, uses []use) error {
	t.Helper()
	limit := quota.Limit{Tokens: 1000, Requests: 30, Burst: 1}
	tenants := newTenants(t, quota.TenantsConfig{Limit: limit, Most: 8})
	own := map[string]*quota.Bucket{}
	for _, u := range uses {
		if own[u.tenant] == nil {
			own[u.tenant], _ = quota.New(limit)
		}
		got, err := tenants.Reserve(u.tenant, u.tokens)
		want, wanted := own[u.tenant].Reserve(u.tokens)
		switch {
		case (err == nil) != (wanted == nil) || fault.RetryAfter(err) != fault.RetryAfter(wanted):
			return fmt.Errorf("%+v: %w, want %w", u, err, wanted)
		case err != nil:
		case u.reached:
			got.Settle(u.used)
			want.Settle(u.used)
		default:
			got.Cancel()
			want.Cancel()
		}
		if left := own[u.tenant].Left(); tenants.Left(u.tenant) != left {
			return fmt.Errorf("after %+v: %+v left, want %+v", u, tenants.Left(u.tenant), left)
		}
		time.Sleep(u.pause)
	}
	return nil
}

func TestTenants_concurrently(t *testing.T) {
	tenants := newTenants(t, quota.TenantsConfig{Limit: quota.Limit{Tokens: 1e9, Burst: 1}, Most: 16})
	var wait sync.WaitGroup
	for g := range 8 {
		wait.Go(func() {
			for i := range 300 {
				r, err := tenants.Reserve(fmt.Sprint((g*7+i)%40), 10)
				if err != nil {
					t.Error(err)
					return
				}
				r.Settle(int64(i % 3))
			}
		})
	}
	wait.Wait()
	if tenants.Len() > 16 {
		t.Errorf("%d remembered, want at most 16", tenants.Len())
	}
}

func TestNewTenants_refuses(t *testing.T) {
	for field, c := range map[string]quota.TenantsConfig{
		"most":     {Most: -1},
		"tokens":   {Limit: quota.Limit{Tokens: -1}},
		`own["a"]`: {Own: map[string]quota.Limit{"a": {Burst: 0.5}}},
	} {
		if _, err := quota.NewTenants(c); !errors.Is(err, fault.Invalid) || !strings.Contains(err.Error(), field) {
			t.Errorf("%s: %v", field, err)
		}
	}
}

// A hundred thousand tenants take 40 MB at the most.
func TestTenants_memoryOfManyTenants(t *testing.T) {
	if testing.Short() {
		t.Skip("holds 100,000 buckets")
	}
	var before, after runtime.MemStats
	tenants := newTenants(t, quota.TenantsConfig{})
	runtime.GC()
	runtime.ReadMemStats(&before)
	for i := range 150_000 {
		if _, err := tenants.Reserve(fmt.Sprintf("tenant-%06d", i), 10); err != nil {
			t.Fatal(err)
		}
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	if grown := int64(after.HeapAlloc) - int64(before.HeapAlloc); tenants.Len() != 100_000 || grown > 40<<20 {
		t.Errorf("%d tenants take %d MiB, want 100,000 in 40", tenants.Len(), grown>>20)
	}
	runtime.KeepAlive(tenants)
}

func BenchmarkTenants_Reserve(b *testing.B) {
	tenants := newTenants(b, quota.TenantsConfig{Limit: quota.Limit{Tokens: 1e12}})
	names := make([]string, 4096)
	for i := range names {
		names[i] = fmt.Sprint("tenant-", i)
	}
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		r, err := tenants.Reserve(names[i&4095], 100)
		if err != nil {
			b.Fatal(err)
		}
		r.Settle(80)
	}
}

func ExampleTenants() {
	tenants, err := quota.NewTenants(quota.TenantsConfig{
		Limit: quota.Limit{Tokens: 6000},
		Own:   map[string]quota.Limit{"acme": {Tokens: 600_000}},
	})
	if err != nil {
		panic(err)
	}
	r, err := tenants.Reserve("acme", 2000) // an estimate, before the call
	if err != nil {
		panic(err)
	}
	r.Settle(1500) // as the upstream reports
	_, err = tenants.Reserve("small", 1000)
	_, again := tenants.Reserve("small", 1000)
	fmt.Println(err, errors.Is(again, fault.Overloaded))
	// Output: <nil> true
}
