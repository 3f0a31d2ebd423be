package router

import (
	"context"
	"errors"
	"math/bits"
	"strconv"

	"github.com/lanewise/lanewise/balance"
	"github.com/lanewise/lanewise/fault"
	"github.com/lanewise/lanewise/search"
)

// ask gets one shard's answer from whichever replica is fastest.
func (r *Router) ask(ctx context.Context, s *shard, q search.Query) answer {
	result, err := balance.Do(ctx, s.pool, balance.Call{Class: class(q)},
		func(ctx context.Context, replica Replica) (search.Result, error) {
			result, err := replica.Store.Search(ctx, q)
			if err == nil && len(result.Lists) != len(q.Legs) {
				err = fault.New(fault.Unavailable, "replica %s answered %d lists to %d legs", replica.Name, len(result.Lists), len(q.Legs))
			}
			return result, whole(err)
		})
	return answer{result: result, err: err}
}

// whole turns a replica's partial answer into its failure: a replica that
// routes to shards of its own and misses some is, for this router, unavailable,
// and another replica may have them all.
func whole(err error) error {
	if errors.Is(err, fault.Partial) {
		return fault.New(fault.Unavailable, "%v", err)
	}
	return err
}

// class groups queries whose latencies can be compared: by the size of the
// answer, to a power of four, and by what makes a search slower.
func class(q search.Query) string {
	rows := 0
	for _, leg := range q.Legs {
		rows += leg.K
	}
	name := "k" + strconv.Itoa((bits.Len(uint(rows))+1)/2)
	if !q.Filter.IsZero() {
		name += "f"
	}
	if q.Legs[0].Exact {
		name += "x"
	}
	return name
}
