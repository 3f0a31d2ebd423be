package router

import (
	"errors"
	"path"
	"slices"

	"github.com/lanewise/lanewise/fault"
	"github.com/lanewise/lanewise/search"
)

// able is what a replica has declared that it can do.
type able struct {
	replica string // as shard/replica
	words   bool   // it is a lexical companion
	search.Capabilities
}

// declared reads the declarations of a shard's replicas, once.
func declared(c Shard) []able {
	var all []able
	for _, r := range slices.Concat(c.Replicas, c.Lexical) {
		if s, ok := r.Store.(interface{ Capabilities() search.Capabilities }); ok {
			all = append(all, able{c.Name + "/" + r.Name, r.words, s.Capabilities()})
		}
	}
	return all
}

// answerable refuses a query that one of the replicas in question cannot answer, before
// any is asked: the others' answer would depend on which of them is picked.
func (g *gathering) answerable() error {
	for _, at := range g.shards {
		for _, a := range g.topo.shards[at].able {
			if err := a.Check(g.query); err != nil {
				field := path.Base(fault.Field(err)) // all legs of a request have these in common
				return &fault.Error{Class: fault.Invalid, Field: "/" + field, Message: "replica " + a.replica + " cannot answer this", Err: unnamed(err)}
			}
		}
	}
	return nil
}

// holdable refuses a point that one of the replicas cannot hold, before any has it: the
// others would differ from that one. All shards are asked, for points move between them.
func (t *topology) holdable(at string, p search.Point) error {
	for _, s := range t.shards {
		for _, a := range s.able {
			if err := a.CheckPoint(p); err != nil {
				return &fault.Error{Class: fault.Invalid, Field: at + fault.Field(err), Message: "replica " + a.replica + " cannot hold this", Err: unnamed(err)}
			}
		}
	}
	return nil
}

// unnamed takes the field off an error that another one names already.
func unnamed(err error) error {
	if e, ok := errors.AsType[*fault.Error](err); ok {
		return errors.New(e.Message)
	}
	return err
}
