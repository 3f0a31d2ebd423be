package router

import (
	"context"
	"errors"
	"math/bits"
	"strconv"
	"strings"

	"github.com/lanewise/lanewise/balance"
	"github.com/lanewise/lanewise/fault"
	"github.com/lanewise/lanewise/search"
)

// asking is what one shard is asked in one round: some legs of the query, each
// for so many rows.
type asking struct {
	at   int   // position in the gathering's shards
	legs []int // of the query
	rows []int // of each of them
}

// ask gets one shard's answer from whichever replica is fastest, and hands it
// to the gathering.
func (r *Router) ask(ctx context.Context, g *gathering, a asking) error {
	q := g.queryFor(a)
	call := balance.Call{Class: class(g.query), Prefer: g.replicas[a.at], Seated: true}
	s := g.topo.shards[g.shards[a.at]]
	if err := g.seated(a.at); err != nil {
		g.fail(a, err)
		return err
	}
	said, err := balance.Do(ctx, s.pool, call,
		func(ctx context.Context, replica Replica) (answer, error) {
			result, err := replica.Store.Search(ctx, q)
			if err == nil && len(result.Lists) != len(q.Legs) {
				err = fault.New(fault.Unavailable, "replica %s answered %d lists to %d legs", replica.Name, len(result.Lists), len(q.Legs))
			}
			return answer{replica: replica.Name, result: result}, s.theirs(err)
		})
	if err != nil {
		g.fail(a, err)
		return err
	}
	g.replicas[a.at] = said.replica
	g.put(a, said.result)
	return nil
}

// answer is what a replica said.
type answer struct {
	replica string
	result  search.Result
}

// queryFor is the query as one shard gets it. The breadth of an approximate
// search follows from what the whole query asks for, not from the rows that this
// shard is expected to contribute.
func (g *gathering) queryFor(a asking) search.Query {
	q := g.query
	q.Fields = g.fields
	q.Legs = make([]search.Leg, len(a.legs))
	for i, leg := range a.legs {
		q.Legs[i] = g.query.Legs[leg]
		if q.Legs[i].K = a.rows[i]; a.rows[i] < g.query.Legs[leg].K {
			q.Legs[i].EF = max(q.Legs[i].EF, g.query.Legs[leg].K)
		}
	}
	return q
}

// theirs turns what only this replica is to blame for into its failure, so that
// another replica is asked. A replica that routes to shards of its own and misses
// some is, for this router, unavailable. One that does not know a collection of
// the map has lost it, or never had it, and one that finds fault with a vector that fits
// the map has another one: the shard's replicas are then compared.
func (s *shard) theirs(err error) error {
	switch {
	case errors.Is(err, fault.Partial):
		return fault.New(fault.Unavailable, "%v", err)
	case errors.Is(err, fault.NotFound), errors.Is(err, fault.Invalid) && strings.HasSuffix(fault.Field(err), "/dense"):
		s.hurry()
		return &mismatchError{err}
	}
	return err
}

// mismatchError is a replica that is not what the map says. It matches
// fault.Unavailable and nothing that it wraps.
type mismatchError struct{ cause error }

func (e *mismatchError) Error() string        { return e.cause.Error() }
func (e *mismatchError) Is(target error) bool { return target == fault.Unavailable }

// class groups queries whose latencies can be compared: by the size of the
// answer, to a power of four, and by what makes a search slower.
func class(q search.Query) string {
	rows := 0
	for _, leg := range q.Legs {
		rows += leg.K
	}
	name := "k" + strconv.Itoa((bits.Len(uint(rows))+1)/2) //nolint:gosec // rows are positive
	if !q.Filter.IsZero() {
		name += "f"
	}
	if q.Legs[0].Exact {
		name += "x"
	}
	return name
}
