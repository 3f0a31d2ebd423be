package discovery_test

import (
	"context"
	"fmt"

	"github.com/lanewise/lanewise/balance"
	"github.com/lanewise/lanewise/discovery"
)

func ExampleFollow() {
	pool, err := balance.NewPool[string](balance.Config{Name: "embed"})
	if err != nil {
		fmt.Println(err)
		return
	}
	source := discovery.Static{
		{Name: "a", Address: "10.0.0.1:8080"},
		{Name: "b", Address: "10.0.0.2:8080", State: discovery.Terminating},
	}
	f := discovery.Follow("embed", source, nil, func(found []discovery.Member) error {
		members := make([]balance.Member[string], len(found))
		for i, m := range found {
			members[i] = balance.Member[string]{Name: m.Name, Target: "http://" + m.Address, Weight: m.Weight}
		}
		return pool.Update(members)
	})
	defer f.Close()
	fmt.Println(f.First(context.Background()))
	answer, err := balance.Do(context.Background(), pool, balance.Call{}, func(_ context.Context, url string) (string, error) {
		return "answered by " + url, nil
	})
	fmt.Println(answer, err)
	// Output:
	// <nil>
	// answered by http://10.0.0.1:8080 <nil>
}
