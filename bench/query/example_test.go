package query_test

import (
	"context"
	"fmt"
	"time"

	"github.com/lanewise/lanewise/bench"
	"github.com/lanewise/lanewise/bench/data"
	"github.com/lanewise/lanewise/bench/query"
)

// nothing finds no document.
type nothing struct{}

func (nothing) Search(context.Context, query.Ask) (query.Answer, error) {
	return query.Answer{Coverage: 1}, nil
}

func ExamplePlan() {
	mix := query.Mix{Queries: []data.Query{{Text: "what is a lane?"}}}
	load := bench.Load{Rate: 500, Constant: true, Duration: 100 * time.Millisecond}
	result, err := query.Plan{Load: load, Mix: mix}.Run(context.Background(), nothing{})
	fmt.Println(result.Failed(), result.Coverage, err)
	// Output: 0 1 <nil>
}
