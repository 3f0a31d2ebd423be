package balance_test

import (
	"context"
	"errors"
	"fmt"

	"github.com/lanewise/lanewise/balance"
)

// A call goes to a member of the pool; where that fails, the next one answers.
func ExampleDo() {
	replicas, err := balance.NewPool(balance.Config{Name: "s0"},
		balance.Member[string]{Name: "s0-a", Target: "http://10.0.0.1:8080", Weight: 1000},
		balance.Member[string]{Name: "s0-b", Target: "http://10.0.0.2:8080"},
	)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer func() { _ = replicas.Close() }()

	trace := &balance.Trace{Ended: func(a balance.Attempt) { fmt.Println(a.Member, a.Reason, a.Err) }}
	ctx := balance.WithTrace(context.Background(), trace)
	answer, err := balance.Do(ctx, replicas, balance.Call{NoHedge: true}, func(_ context.Context, url string) (string, error) {
		if url == "http://10.0.0.1:8080" {
			return "", errors.New("connection refused")
		}
		return "answer of " + url, nil
	})
	fmt.Println(answer, err)
	// Output:
	// s0-a first connection refused
	// s0-b failover <nil>
	// answer of http://10.0.0.2:8080 <nil>
}
