package router

import (
	"context"
	"errors"
	"math/bits"
	"slices"
	"strconv"
	"strings"

	"github.com/lanewise/lanewise/balance"
	"github.com/lanewise/lanewise/fault"
	"github.com/lanewise/lanewise/internal/tracing"
	"github.com/lanewise/lanewise/search"
)

// asking is what one shard is asked in one round: some legs of the query, each
// for so many rows.
type asking struct {
	at    int          // position in the gathering's shards
	legs  []int        // of the query
	asked []search.Leg // those, with the rows of this shard
	words bool         // of the shard's companions
	alone bool         // nothing is asked of the shard beside
}

// ask gets an answer of every shard of a round from whichever replica is fastest,
// and hands it to the gathering. Shards without a seat are not asked.
func (g *gathering) ask(ctx context.Context, round []asking, w *patience) {
	round = slices.DeleteFunc(g.split(g.asks(round, w)), func(a asking) bool {
		err := g.placed(a)
		if err != nil {
			g.fail(a, err)
			w.heard(a, err)
		}
		return err != nil
	})
	parts := make([]balance.Part[Replica], len(round))
	name := class(g.query)
	for i, a := range round {
		parts[i].Pool = g.shard(a).pool
		parts[i].Call = balance.Call{Class: name, Prefer: g.replicas[a.at], Seated: true}
		if a.words {
			parts[i].Pool, parts[i].Call = g.shard(a).companions, balance.Call{Class: name + "w"}
		}
	}
	ctx, spans := tracing.FanOut(ctx, len(round))
	for i := range parts {
		spans.Start(parts[i].Pool.Name())
	}
	balance.Each(ctx, parts,
		func(ctx context.Context, i int, replica Replica) (answer, error) {
			result, err := replica.Store.Search(ctx, g.part(round[i]))
			if want := len(round[i].legs); err == nil && len(result.Lists) != want {
				err = fault.New(fault.Unavailable, "replica %s answered %d lists to %d legs", replica.Name, len(result.Lists), want)
			}
			return answer{replica: replica.Name, lists: result.Lists}, g.shard(round[i]).theirs(err)
		},
		func(i int, said answer, err error) {
			spans.End(parts[i].Pool.Name(), err)
			switch {
			case err != nil && !round[i].words:
				err = g.shard(round[i]).explained(err)
				fallthrough
			case err != nil:
				g.fail(round[i], err)
			default:
				g.put(round[i], said)
			}
			w.heard(round[i], err)
		})
}

// placed returns why a shard, or its companions, cannot be asked. Companions have no seats: a shard that is
// asked for nothing else gives its own back.
func (g *gathering) placed(a asking) error {
	switch {
	case !a.words:
		return g.seated(a.at)
	case a.alone && g.seated(a.at) == nil:
		g.shard(a).pool.Unseat()
	}
	if g.shard(a).mute.Load() {
		return errMute
	}
	return nil
}

// shard returns the shard that is asked.
func (g *gathering) shard(a asking) *shard { return g.topo.shards[g.shards[a.at]] }

// answer is what a replica said.
type answer struct {
	replica string
	lists   []search.List
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

// explained puts the reason in the place of an error which says only that there is no replica.
func (s *shard) explained(err error) error {
	if why := s.away.Load(); why != nil && errors.Is(err, fault.Unavailable) {
		return fault.New(fault.Unavailable, "%s", *why)
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
