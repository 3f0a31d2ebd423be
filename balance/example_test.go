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

// Each shard has a pool of its replicas; a question goes to all shards at once.
func ExampleEach() {
	var parts []balance.Part[string]
	for i := range 3 {
		name := fmt.Sprint("s", i)
		p, err := balance.NewPool(balance.Config{Name: name}, balance.Member[string]{Name: "a", Target: name + "-a"}, balance.Member[string]{Name: "b", Target: name + "-b"})
		if err != nil {
			fmt.Println(err)
			return
		}
		defer func() { _ = p.Close() }()
		parts = append(parts, balance.Part[string]{Pool: p, Call: balance.Call{Prefer: "b"}})
	}
	answers := make([]string, len(parts)) // by position: done needs no lock
	balance.Each(context.Background(), parts,
		func(_ context.Context, at int, replica string) (string, error) {
			return fmt.Sprintf("answer of %s to question %d", replica, at), nil
		},
		func(at int, answer string, err error) {
			if err == nil {
				answers[at] = answer
			}
		})
	for _, answer := range answers {
		fmt.Println(answer)
	}
	// Output:
	// answer of s0-b to question 0
	// answer of s1-b to question 1
	// answer of s2-b to question 2
}
