package config

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/lanewise/lanewise/discovery"
	"github.com/lanewise/lanewise/router"
	"github.com/lanewise/lanewise/search"
)

// fleet is the replicas of a shard: those that are configured, and in the place of some those that were found.
type fleet struct {
	shard   string
	members *roster[router.Replica]
	follows []*discovery.Follower

	mu     sync.Mutex
	list   []router.Replica // that the router has, or is to begin with
	router *router.Router   // nil: not open yet
}

// firstAnswer is how long a server waits at its start for those who tell its replicas.
const firstAnswer = 10 * time.Second

// openShard opens the replicas of a shard, and asks those who tell the others for the first time: a shard without replicas could
// not be opened.
func (s *System) openShard(ctx context.Context, c Shard) (router.Shard, *fleet, error) {
	out, err := c.opened(func(name string, r Replica) (search.Store, error) {
		if !r.Discover.isZero() {
			return nil, nil //nolint:nilnil // others take its place
		}
		return s.openReplica(name, r)
	})
	if err != nil {
		return out, nil, err
	}
	f := &fleet{shard: c.Name}
	f.members = alone(out.Replicas, f.sail)
	for i, r := range c.Replicas {
		if r.Discover.isZero() {
			continue
		}
		follower := discovering(s, c.Name+"/"+r.Name, r.Discover, &found[server, router.Replica]{
			url:   r.URL,
			means: map[string]string{"shard": c.Name},
			open:  func(url string) (server, error) { at := r; at.URL = url; return openServer(at, s.external) },
			place: func(m discovery.Member, p server) router.Replica {
				return router.Replica{Name: memberName(r.Name, m), Weight: shared(r.Weight, m), Aborts: r.Aborts, Store: p}
			},
			apply: func(list []router.Replica) error { return f.members.set(i, list) },
		})
		f.follows = append(f.follows, follower)
		first, cancel := context.WithTimeout(ctx, firstAnswer)
		err := follower.First(first)
		cancel()
		if err != nil {
			return out, nil, fmt.Errorf("replicas[%d].discover: %w", i, err)
		}
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.list != nil {
		out.Replicas = f.list
	}
	return out, f, nil
}

// replicas are those that the router has.
func (f *fleet) replicas() []router.Replica {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.list
}

// sail has the shard's replicas be those, at once where the router is open. It returns when nothing is under way on those
// that left.
func (f *fleet) sail(list []router.Replica) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	list = slices.DeleteFunc(list, func(r router.Replica) bool { return r.Store == nil }) // not found yet
	if f.router != nil {
		if err := f.router.SetReplicas(context.Background(), f.shard, list); err != nil { // requests bound how long that takes
			return err
		}
	}
	f.list = list
	return nil
}

// moor ends those who tell the replicas.
func (f *fleet) moor() error {
	var errs []error
	for _, follower := range f.follows {
		errs = append(errs, follower.Close())
	}
	return errors.Join(errs...)
}

// embark has later changes reach the router, which was opened with the given replicas.
func (f *fleet) embark(r *router.Router, given []router.Replica) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.router = r
	if f.list == nil {
		f.list = given
	}
	if slices.EqualFunc(f.list, given, func(a, b router.Replica) bool { return a.Name == b.Name && a.Store == b.Store }) {
		return nil
	}
	return r.SetReplicas(context.Background(), f.shard, f.list)
}
