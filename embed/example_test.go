package embed_test

import (
	"context"
	"fmt"

	"github.com/lanewise/lanewise/embed"
	"github.com/lanewise/lanewise/fault"
)

func Example() {
	a, b := &fake{answer: func(embed.Batch) (embed.Vectors, error) {
		return embed.Vectors{}, fault.New(fault.Unavailable, "restarting")
	}}, &fake{}
	e, err := embed.New(embed.Config{Upstreams: []embed.Upstream{
		{Name: "gpu-0", Provider: a},
		{Name: "gpu-1", Provider: b, Tier: 1},
	}})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer e.Close() //nolint:errcheck // an example
	for range 2 {   // the second time from the cache
		v, err := e.Embed(context.Background(), embed.Batch{Texts: []string{"toll"}, Task: embed.QueryTask})
		fmt.Println(v.Row(0), err)
	}
	fmt.Println(e.Stats().Hits, "of 2 from the cache")
	// Output:
	// [4 116 108 5] <nil>
	// [4 116 108 5] <nil>
	// 1 of 2 from the cache
}
