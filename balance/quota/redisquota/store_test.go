package redisquota_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"go.uber.org/goleak"

	"github.com/lanewise/lanewise/balance/quota"
	"github.com/lanewise/lanewise/balance/quota/redisquota"
	"github.com/lanewise/lanewise/fault"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// open returns a store on the real server that LANEWISE_TEST_REDIS names, with keys
// of its own.
func open(t *testing.T) *redisquota.Store {
	t.Helper()
	address := os.Getenv("LANEWISE_TEST_REDIS")
	if address == "" {
		t.Skip("LANEWISE_TEST_REDIS is not set: host:port of a Redis server to test on")
	}
	client := redis.NewClient(&redis.Options{Addr: address})
	prefix := fmt.Sprintf("lanewise-test:%d:", time.Now().UnixNano())
	t.Cleanup(func() {
		keys, _ := client.Keys(context.Background(), prefix+"*").Result()
		for _, key := range keys {
			_ = client.Del(context.Background(), key).Err()
		}
		_ = client.Close()
	})
	return redisquota.New(client, prefix)
}

func exchange(t *testing.T, s quota.Store, l quota.Limit, give, want quota.Amount) quota.Amount {
	t.Helper()
	got, err := s.Exchange(t.Context(), "upstream", l, quota.Trade{Give: give, Want: want})
	if err != nil {
		t.Fatal(err)
	}
	return got
}

// still is a limit that refills so slowly that a test does not notice.
func still() quota.Limit { return quota.Limit{Requests: 0.001, Tokens: 0.001, Burst: 1e6} }

func TestExchange_grantsWhatIsThereAndNoMore(t *testing.T) {
	s := open(t)
	for i, c := range []struct{ give, want, granted quota.Amount }{
		{quota.Amount{}, quota.Amount{Requests: 400, Tokens: 999}, quota.Amount{Requests: 400, Tokens: 999}},
		{quota.Amount{}, quota.Amount{Requests: 700, Tokens: 0.5}, quota.Amount{Requests: 600, Tokens: 0.5}},
		{quota.Amount{Requests: 50}, quota.Amount{Requests: 80, Tokens: 80}, quota.Amount{Requests: 50, Tokens: 0.5}},
		{quota.Amount{Requests: 1e9}, quota.Amount{}, quota.Amount{}},
		{quota.Amount{}, quota.Amount{Requests: 1e9}, quota.Amount{Requests: 1000}},
	} {
		got := exchange(t, s, still(), c.give, c.want)
		if math.Abs(got.Requests-c.granted.Requests) > 0.01 || math.Abs(got.Tokens-c.granted.Tokens) > 0.01 {
			t.Errorf("step %d: granted %+v, want %+v", i, got, c.granted)
		}
	}
}

func TestExchange_refillsByTheServersClock(t *testing.T) {
	s := open(t)
	fast := quota.Limit{Requests: 60_000_000, Burst: 0.01}
	first := exchange(t, s, fast, quota.Amount{}, quota.Amount{Requests: 600_000, Tokens: 5})
	second := exchange(t, s, fast, quota.Amount{}, quota.Amount{Requests: 600_000})
	if first.Requests != 600_000 || second.Requests <= 0 || second.Requests >= 600_000 {
		t.Errorf("granted %v and then %v, want all and then what came in since", first.Requests, second.Requests)
	}
	if first.Tokens != 0 {
		t.Errorf("%v tokens granted of a quota without tokens", first.Tokens)
	}
}

func TestExchange_isAtomic(t *testing.T) {
	s := open(t)
	var mu sync.Mutex
	var wg sync.WaitGroup
	total := 0.0
	for range 8 {
		wg.Go(func() {
			for range 50 {
				got, err := s.Exchange(t.Context(), "upstream", still(), quota.Trade{Want: quota.Amount{Requests: 7}})
				if err != nil {
					t.Error(err)
					return
				}
				mu.Lock()
				total += got.Requests
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	if math.Abs(total-1000) > 0.1 {
		t.Errorf("%v granted to all, want the 1000 that there were", total)
	}
}

func TestShared_overRedis(t *testing.T) {
	s := open(t)
	limit := quota.Limit{Requests: 1000, Burst: 1}
	q, err := quota.NewShared(quota.SharedConfig{Key: "upstream", Limit: limit, Store: s, Routers: 2, Period: 10 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	begun, granted := time.Now(), 0
	deadline := begun.Add(30 * time.Second)
	for granted < 1000 && time.Now().Before(deadline) {
		if _, err := q.Reserve(0); err == nil {
			granted++
		}
	}
	if err := q.Close(); err != nil || granted != 1000 {
		t.Errorf("%d calls granted (%v), want the 1000 that there were", granted, err)
	}
	got := exchange(t, s, limit, quota.Amount{}, quota.Amount{Requests: 1000}).Requests
	if most := time.Since(begun).Minutes()*1000 + 1; got > most {
		t.Errorf("%v are left after all were used, want at most the %v that came in since", got, most)
	}
}

func TestExchange_withoutAServerIsUnavailable(t *testing.T) {
	client := redis.NewClient(&redis.Options{Addr: "127.0.0.1:1", MaxRetries: -1, DialTimeout: time.Second})
	defer func() { _ = client.Close() }()
	_, err := redisquota.New(client, "").Exchange(t.Context(), "upstream", still(), quota.Trade{Want: quota.Amount{Requests: 1}})
	if !errors.Is(err, fault.Unavailable) {
		t.Errorf("error %v, want unavailable", err)
	}
}

// Routers that share an upstream's quota lease slices of it from Redis; while
// that is away, each takes its own share.
func Example() {
	client := redis.NewClient(&redis.Options{Addr: "127.0.0.1:1", MaxRetries: -1}) // nobody listens there
	defer func() { _ = client.Close() }()
	shared, err := quota.NewShared(quota.SharedConfig{
		Key:     "upstream",
		Limit:   quota.Limit{Requests: 3000, Tokens: 1_000_000},
		Store:   redisquota.New(client, ""),
		Routers: 4,
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	for range time.Tick(10 * time.Millisecond) {
		if shared.Alone() {
			break
		}
	}
	fmt.Println("alone:", shared.Alone())
	fmt.Println("lease returned:", shared.Close() == nil)
	// Output:
	// alone: true
	// lease returned: false
}
