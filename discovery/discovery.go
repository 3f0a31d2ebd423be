// Package discovery finds out who the members of a pool are, and keeps the pool in
// step with them: the replicas of a shard, the upstreams that embed, rank or write answers.
//
// A [Source] tells all members at first and again whenever they change, or that it could
// not find out: [Static], [File] and [DNS] are here, others are a method away. A [Follower]
// runs a source for one pool and hands each new list to a function that applies it, such
// as one that ends in balance.Pool's Update, by these rules ([Settle]):
//
//   - An answer of nothing, or an error, never empties a pool that works: the last good
//     list stays in force, and its age is told. Only a source that is [Vacant] may empty
//     its pool.
//   - A member that is terminating drains: it gets no further call, and those under way end
//     as they would. Only while nobody else is left, those that still answer are used.
//   - Order does not matter, and an answer that changes nothing is not applied.
//
// A list that the pool refuses changes nothing either.
package discovery

import (
	"cmp"
	"context"
	"maps"
	"math"
	"slices"

	"github.com/lanewise/lanewise/fault"
)

// Member is one place in a pool, as a source tells it.
type Member struct {
	// Name identifies the member in its pool over all answers: under its name it keeps its
	// load, its latencies and its health. Default: the address.
	Name string `yaml:"name,omitempty"`
	// Address is host:port, which takes the place of the host in the URL that is configured
	// for the pool's members, or a URL of its own ("http://10.0.0.7:8080/v1").
	Address string `yaml:"address"`
	Zone    string `yaml:"zone,omitempty"` // of failure, where it is known
	// Labels are what else is known of it, such as model, shard and replica.
	Labels map[string]string `yaml:"labels,omitempty"`
	State  State             `yaml:"state,omitempty"`
	Weight float64           `yaml:"weight,omitempty"` // share of the load; 0: 1
	Tier   int               `yaml:"tier,omitempty"`   // used only while earlier tiers have no healthy capacity
}

// State says what may be sent to a member. A member that is not ready yet is in no answer.
type State string

// The states, after those of an endpoint of Kubernetes.
const (
	Ready       State = ""            // it takes calls
	Serving     State = "serving"     // it is terminating, and answers until then
	Terminating State = "terminating" // it takes no calls
)

// Source tells who is there.
type Source interface {
	// Watch calls tell with all members, at first and after each change (or more often), or
	// with an error where they could not be found out, and goes on until ctx ends; then it
	// returns. It paces itself. Calls of tell do not overlap, and what was told is not
	// changed afterwards.
	Watch(ctx context.Context, tell func(members []Member, err error))
}

// Vacant is a source that knows what it says when it finds nobody: a pool that may be scaled
// to zero is empty then, in spite of the rule. It is empty, too, once all of them are
// terminating: one that still serves may take no connections before anybody hears of it,
// and calls can wait.
type Vacant interface{ MayBeEmpty() bool }

// Settle returns the members that a pool is to have, sorted by name, where it has the
// current ones and a source told found: those that are ready, else those that still serve,
// else the current ones. Its error, fault.Invalid, names the member that is wrong.
func Settle(current, found []Member) ([]Member, error) {
	named := slices.Clone(found)
	seen := make(map[string]bool, len(named))
	for i := range named {
		m := &named[i]
		m.Name = cmp.Or(m.Name, m.Address)
		if err := m.validate(); err != nil {
			return nil, err
		}
		if seen[m.Name] {
			return nil, fault.New(fault.Invalid, "two members have the name %q", m.Name)
		}
		seen[m.Name] = true
	}
	slices.SortFunc(named, func(a, b Member) int { return cmp.Compare(a.Name, b.Name) })
	for _, state := range []State{Ready, Serving} {
		if able := in(state, named); len(able) > 0 {
			return able, nil
		}
	}
	return current, nil
}

func in(state State, members []Member) (out []Member) {
	for _, m := range members {
		if m.State == state {
			out = append(out, m)
		}
	}
	return out
}

func (m Member) validate() error {
	switch {
	case m.Address == "":
		return fault.New(fault.Invalid, "member %q has no address", m.Name)
	case !(m.Weight >= 0) || math.IsInf(m.Weight, 1):
		return fault.New(fault.Invalid, "member %q: weight must be a positive number, is %v", m.Name, m.Weight)
	case m.Tier < 0:
		return fault.New(fault.Invalid, "member %q: tier must not be negative, is %d", m.Name, m.Tier)
	case m.State != Ready && m.State != Serving && m.State != Terminating:
		return fault.New(fault.Invalid, "member %q: state is %q, and neither %q nor %q", m.Name, m.State, Serving, Terminating)
	}
	return nil
}

// same reports whether two settled lists are equal.
func same(a, b []Member) bool {
	return slices.EqualFunc(a, b, func(x, y Member) bool {
		return x.Name == y.Name && x.Address == y.Address && x.Zone == y.Zone && x.State == y.State && x.Weight == y.Weight && x.Tier == y.Tier && maps.Equal(x.Labels, y.Labels)
	})
}
