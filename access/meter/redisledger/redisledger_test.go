package redisledger_test

import (
	"errors"
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"go.uber.org/goleak"

	"github.com/lanewise/lanewise/access"
	"github.com/lanewise/lanewise/access/meter"
	"github.com/lanewise/lanewise/access/meter/redisledger"
	"github.com/lanewise/lanewise/balance/quota"
	"github.com/lanewise/lanewise/fault"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// open returns a ledger on the real server that LANEWISE_TEST_REDIS names, with keys of its own.
func open(t *testing.T) (*redisledger.Ledger, *redis.Client) {
	t.Helper()
	address := os.Getenv("LANEWISE_TEST_REDIS")
	if address == "" {
		t.Skip("LANEWISE_TEST_REDIS is not set: host:port of a Redis server to test on")
	}
	client := redis.NewClient(&redis.Options{Addr: address})
	t.Cleanup(func() { _ = client.Close() })
	return redisledger.New(client, fmt.Sprintf("lanewise-test:%d:", time.Now().UnixNano())), client
}

func exchange(t *testing.T, l meter.Ledger, name string, tells ...meter.Tell) []meter.Told {
	t.Helper()
	got, err := l.Exchange(t.Context(), name, tells)
	if err != nil || len(got) != len(tells) {
		t.Fatalf("%d answers: %v", len(got), err)
	}
	return got
}

func tell(account string, day, month int64) meter.Tell {
	return meter.Tell{
		Account: account, Day: meter.Spent{Number: 20_780, Use: meter.Use{Tokens: day, Cost: 0.1}}, Month: meter.Spent{Number: 24_323, Use: meter.Use{Tokens: month, Cost: 0.25}},
	}
}

func TestExchange_addsUp(t *testing.T) {
	l, _ := open(t)
	exchange(t, l, "one", tell("key/a", 10, 100), tell("key/b", 7, 8))
	exchange(t, l, "one", tell("key/a", 15, 105)) // in the place of what it told before
	exchange(t, l, "one", tell("key/a", 15, 105)) // and so when it is told twice
	got := exchange(t, l, "two", tell("key/b", 0, 0), tell("key/a", 1<<40, 2))
	want := []meter.Told{
		{Day: meter.Use{Tokens: 7, Cost: 0.2}, Month: meter.Use{Tokens: 8, Cost: 0.5}},
		{Day: meter.Use{Tokens: 15 + 1<<40, Cost: 0.2}, Month: meter.Use{Tokens: 107, Cost: 0.5}},
	}
	for i := range want {
		if got[i].Day != want[i].Day || got[i].Month != want[i].Month {
			t.Errorf("%+v, want %+v", got[i], want[i])
		}
	}
	next := tell("key/a", 1, 1)
	next.Day.Number++
	if got := exchange(t, l, "one", next)[0]; got.Day.Tokens != 1 || got.Month.Tokens != 3 {
		t.Errorf("on the next day: %+v", got)
	}
}

func TestExchange_rate(t *testing.T) {
	l, _ := open(t)
	still := meter.Tell{Account: "key/a", Rate: quota.Limit{Requests: 0.001, Tokens: 0.001, Burst: 1e6}}
	still.Took = quota.Amount{Requests: 10, Tokens: 400}
	for i, want := range []quota.Amount{{Requests: 990, Tokens: 600}, {Requests: 980, Tokens: 200}, {Requests: 970, Tokens: -200}} { // below 0 where it was passed
		left := exchange(t, l, []string{"one", "two"}[i%2], still)[0].Left
		if d := left.Requests - want.Requests + left.Tokens - want.Tokens; d < 0 || d > 1 {
			t.Errorf("step %d: %+v, want %+v", i, left, want)
		}
	}
	still.Rate.Requests, still.Took = 60_000_000, quota.Amount{} // refills by the server's clock
	if got := exchange(t, l, "one", still)[0].Left; got.Requests <= 970 {
		t.Errorf("nothing has come in: %+v", got)
	}
}

// A server that knows the script no more, and nothing else, is told both; and more accounts than go in one round trip.
func TestExchange_afterARestart(t *testing.T) {
	l, client := open(t)
	if err := client.ScriptFlush(t.Context()).Err(); err != nil {
		t.Fatal(err)
	}
	var many []meter.Tell
	for i := range 2500 {
		many = append(many, tell(fmt.Sprint("tenant/", i), int64(i), 0))
	}
	for i, told := range exchange(t, l, "one", many...) {
		if told.Day.Tokens != int64(i) {
			t.Fatalf("%d: %+v", i, told)
		}
	}
}

func TestExchange_withoutAServerIsUnavailable(t *testing.T) {
	client := redis.NewClient(&redis.Options{Addr: "127.0.0.1:1", MaxRetries: -1, DialTimeout: time.Second})
	defer client.Close() //nolint:errcheck // it never was connected
	if _, err := redisledger.New(client, "").Exchange(t.Context(), "one", []meter.Tell{tell("key/a", 1, 1)}); !errors.Is(err, fault.Unavailable) {
		t.Errorf("%v, want unavailable", err)
	}
}

// Two meters have one budget.
func TestMeters_shareABudget(t *testing.T) {
	l, _ := open(t)
	var all [2]*meter.Meter
	for i := range all {
		var err error
		if all[i], err = meter.New(meter.Config{Ledger: l, Part: 0.5, Tenants: access.Limits{TokensPerMonth: 1000}}); err != nil {
			t.Fatal(err)
		}
		defer all[i].Close() //nolint:errcheck // it has no file
	}
	tenant, used := "acme", 0
	r := meter.Request{Tenant: &tenant, Tokens: 10}
	for turn := 0; ; turn++ {
		m := all[turn%2]
		ch, err := m.Reserve(r)
		if fault.Code(err) == meter.CodeSpent && all[1-turn%2].Standings(meter.Tenant, 1)[0].Month.Tokens >= 1000 {
			break
		}
		if err == nil {
			used += 10
		}
		ch.Settle(meter.Use{Tokens: 10})
	}
	if used < 1000 || used > 1500 {
		t.Errorf("%d tokens of 1000 were used", used)
	}
}

// Routers that share limits of keys and tenants add up in Redis what they use; while that is away, each grants its own part.
func Example() {
	client := redis.NewClient(&redis.Options{Addr: "127.0.0.1:1", MaxRetries: -1}) // nobody listens there
	defer client.Close()                                                           //nolint:errcheck // an example
	m, err := meter.New(meter.Config{Ledger: redisledger.New(client, ""), Part: 0.5, Tenants: access.Limits{TokensPerDay: 1000}})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer m.Close() //nolint:errcheck // an example
	acme := "acme"
	_, err = m.Reserve(meter.Request{Tenant: &acme, Tokens: 400})
	fmt.Println("granted:", err == nil)
	// Output: granted: true
}
