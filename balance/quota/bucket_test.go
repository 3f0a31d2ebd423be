package quota

import (
	"errors"
	"fmt"
	"math"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"
	"pgregory.net/rapid"

	"github.com/lanewise/lanewise/fault"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func bucket(t *testing.T, l Limit) *Bucket {
	t.Helper()
	b, err := New(l)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// take reserves and returns how long it had to be waited for; 0: it was granted.
func take(t *testing.T, b *Bucket, tokens int64) time.Duration {
	t.Helper()
	_, err := b.Reserve(tokens)
	if err != nil && !errors.Is(err, fault.Overloaded) {
		t.Fatal(err)
	}
	return fault.RetryAfter(err)
}

func TestReserve_saysWhenItWouldSucceed(t *testing.T) {
	for name, l := range map[string]Limit{
		"requests are short": {Requests: 60, Tokens: 1e9},
		"tokens are short":   {Requests: 1e9, Tokens: 6000},
		"tokens alone":       {Tokens: 6000},
	} {
		synctest.Test(t, func(t *testing.T) {
			b := bucket(t, l)
			for i := range 10 { // ten seconds' worth
				if wait := take(t, b, 100); wait != 0 {
					t.Fatalf("%s: call %d has to wait for %v", name, i, wait)
				}
			}
			wait := take(t, b, 100)
			if wait != time.Second {
				t.Errorf("%s: wait %v, want 1s", name, wait)
			}
			time.Sleep(wait - time.Nanosecond)
			if take(t, b, 100) == 0 {
				t.Errorf("%s: granted before the time that was said", name)
			}
			time.Sleep(time.Nanosecond)
			if again := take(t, b, 100); again != 0 {
				t.Errorf("%s: refused at the time that was said, for another %v", name, again)
			}
		})
	}
}

func TestReserve_takesNothingWhereOneDimensionIsShort(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := bucket(t, Limit{Requests: 600, Tokens: 600})
		if take(t, b, 100) != 0 || take(t, b, 1) == 0 {
			t.Fatal("the tokens are not used up")
		}
		if left := b.Left(); left.Requests != 99 || left.Tokens != 0 {
			t.Errorf("left %+v, want 99 requests and no tokens", left)
		}
	})
}

func TestSettle_refundsOrChargesTheDifference(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := bucket(t, Limit{Requests: 60, Tokens: 6000})
		for _, c := range []struct {
			used         int64
			cancel       bool
			tokens, reqs float64
		}{{100, false, 900, 9}, {500, false, 400, 8}, {1000, false, -600, 7}, {0, true, -600, 7}} {
			b.tokens.level = max(b.tokens.level, 500)
			before := b.tokens.level
			r, err := b.Reserve(500)
			if err != nil {
				t.Fatal(err)
			}
			if c.cancel {
				r.Cancel()
			}
			r.Settle(c.used)
			r.Settle(7)
			r.Cancel()
			want := before - float64(c.used)
			if left := b.Left(); left.Tokens != want || left.Requests != c.reqs {
				t.Errorf("used %d, cancelled %v: left %+v, want %v tokens and %v requests", c.used, c.cancel, left, want, c.reqs)
			}
		}
	})
}

func TestReserve_aCallLargerThanTheBucketGoesWhenItIsFull(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := bucket(t, Limit{Tokens: 600})
		if wait := take(t, b, 250); wait != 0 {
			t.Fatalf("a call of 250 tokens never goes: wait %v", wait)
		}
		if wait := take(t, b, 1); wait != 15100*time.Millisecond {
			t.Errorf("wait %v, want 15.1s for the debt of 150 and one more", wait)
		}
	})
}

func TestClamp_onlyLowers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := bucket(t, Limit{Requests: 60, Tokens: 6000})
		h := http.Header{}
		h.Set("x-ratelimit-remaining-requests", "3")
		h.Set("anthropic-ratelimit-tokens-remaining", "1000000")
		b.Clamp(Headers(h.Get))
		if left := b.Left(); left.Requests != 3 || left.Tokens != 1000 {
			t.Errorf("left %+v, want 3 requests and the 1000 tokens of before", left)
		}
		for _, bad := range []string{"", "-1", "many", "1e400"} {
			h.Set("x-ratelimit-remaining-requests", bad)
			if got := Headers(h.Get); got.Requests != -1 {
				t.Errorf("header %q read as %v, want not known", bad, got.Requests)
			}
		}
	})
}

func TestNew_namesWrongFields(t *testing.T) {
	for want, l := range map[string]Limit{
		"requests: must be from 0": {Requests: -1},
		"tokens: must be from 0":   {Tokens: math.NaN()},
		"burst":                    {Tokens: 1, Burst: 2},
		"one of them must be set":  {},
	} {
		if _, err := New(l); !errors.Is(err, fault.Invalid) || !strings.Contains(err.Error(), want) {
			t.Errorf("%+v: %v, want %q", l, err, want)
		}
	}
}

// TestBucket_neverGrantsMoreThanItsLimit compares what was granted over random
// times with the refill plus the burst.
func TestBucket_neverGrantsMoreThanItsLimit(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		calls := rapid.SliceOfN(rapid.Int64Range(0, 300), 1, 200).Draw(rt, "tokens")
		waits := rapid.SliceOfN(rapid.IntRange(0, 2000), 200, 200).Draw(rt, "waits")
		synctest.Test(t, func(t *testing.T) {
			b := bucket(t, Limit{Requests: 120, Tokens: 6000})
			start, requests, tokens := time.Now(), 0.0, 0.0
			for i, n := range calls {
				time.Sleep(time.Duration(waits[i]) * time.Millisecond)
				r, err := b.Reserve(n)
				if err != nil {
					continue
				}
				if n%3 == 0 {
					r.Settle(n / 2)
					n /= 2
				}
				requests, tokens = requests+1, tokens+float64(n)
				seconds := time.Since(start).Seconds()
				if requests > 20+2*seconds+1e-6 || tokens > 1000+100*seconds+1e-6 {
					rt.Fatalf("%v requests and %v tokens after %vs", requests, tokens, seconds)
				}
			}
		})
	})
}

func Example() {
	b, err := New(Limit{Requests: 600, Tokens: 60_000})
	if err != nil {
		fmt.Println(err)
		return
	}
	r, err := b.Reserve(1200) // prompt, and the answer's expected length
	if err != nil {
		fmt.Println("retry after", fault.RetryAfter(err))
		return
	}
	r.Settle(1000) // as the upstream has reported
	fmt.Printf("%.0f tokens are left\n", b.Left().Tokens)
	// Output: 9000 tokens are left
}

func BenchmarkReserve(b *testing.B) {
	q, err := New(Limit{Requests: 1e12, Tokens: 1e12})
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		r, err := q.Reserve(100)
		if err != nil {
			b.Fatal(err)
		}
		r.Settle(90)
	}
}

// A clock that stands still grants no more than a full bucket, and one that jumps
// fills it once.
func TestBucket_aClockThatStandsStillOrJumpsGrantsNoMore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, err := New(Limit{Requests: 60, Tokens: 6000}) // 10 and 1,000 at once
		if err != nil {
			t.Fatal(err)
		}
		for _, step := range []struct {
			jump time.Duration
			want int
		}{{0, 10}, {50 * 365 * 24 * time.Hour, 10}, {0, 0}} {
			time.Sleep(step.jump)
			granted := 0
			for range 1000 {
				if _, err := b.Reserve(10); err == nil {
					granted++
				}
			}
			if granted != step.want {
				t.Errorf("%d granted at one moment after %v, want %d", granted, step.jump, step.want)
			}
		}
		b.at = time.Now().Add(time.Hour) // the clock went back
		if _, err := b.Reserve(1); err == nil {
			t.Error("granted from an empty bucket by a clock that went back")
		}
	})
}
