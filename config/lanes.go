package config

import (
	"maps"
	"slices"

	"github.com/lanewise/lanewise/balance"
	"github.com/lanewise/lanewise/discovery"
	"github.com/lanewise/lanewise/httpapi"
	"github.com/lanewise/lanewise/router"
)

// steered is a pool whose members an operator may change.
type steered interface {
	pooled
	Steer(name string, to balance.State) error
	Reweigh(name string, weight float64) error
}

// shardPool is the replicas of a shard that are read.
type shardPool struct {
	router *router.Router
	state  balance.Snapshot
}

func (p shardPool) Snapshot() balance.Snapshot { return p.state }
func (p shardPool) Steer(name string, to balance.State) error {
	return p.router.Steer(p.state.Pool, name, to)
}
func (p shardPool) Reweigh(name string, weight float64) error {
	return p.router.Reweigh(p.state.Pool, name, weight)
}

// plaza is all lanes of a system.
type plaza struct{ system *System }

var _ httpapi.Lanes = plaza{}

// Lanes implements [httpapi.Lanes].
func (p plaza) Lanes() (out []httpapi.Lane) {
	s := p.system
	for _, state := range s.Router.State().Pools {
		out = append(out, lanesOf(state.Pool+"/", shardPool{s.Router, state})...)
	}
	for _, l := range s.upstreamLanes() {
		out = append(out, s.orders.noted(l, s.urls[upstreamOf(l.Name)]))
	}
	return out
}

// upstreamLanes are the lanes before and after the shards.
func (s *System) upstreamLanes() (out []httpapi.Lane) {
	for _, e := range s.embedders {
		out = append(out, lanesOf("embed/", e)...)
	}
	out = append(out, lanesOf("rerank/", s.reranker)...)
	for _, model := range slices.Sorted(maps.Keys(s.generators)) {
		out = append(out, lanesOf("llm/"+model+"/", s.generators[model])...)
	}
	return out
}

// Found implements [httpapi.Lanes].
func (p plaza) Found() []discovery.Status { return p.system.followers.status() }

// lanesOf are the members of a pool, if it is one.
func lanesOf(prefix string, pool any) (out []httpapi.Lane) {
	p, ok := pool.(steered)
	if !ok {
		return nil
	}
	for _, m := range p.Snapshot().Members {
		out = append(out, httpapi.Lane{
			Name: prefix + m.Name, State: m,
			Steer:   func(to balance.State) error { return p.Steer(m.Name, to) },
			Reweigh: func(weight float64) error { return p.Reweigh(m.Name, weight) },
		})
	}
	return out
}
