package config

import (
	"fmt"
	"slices"
	"strings"

	"github.com/lanewise/lanewise/router"
	"github.com/lanewise/lanewise/search"
)

// all are the replicas of a shard and then its companions.
func (s Shard) all() []Replica {
	return slices.Concat(s.Replicas, s.Lexical)
}

// place is where one of all stands in the configuration, below the shard.
func (s Shard) place(i int) string {
	if i < len(s.Replicas) {
		return fmt.Sprintf("replicas[%d]", i)
	}
	return fmt.Sprintf("lexical[%d]", i-len(s.Replicas))
}

// opened makes the router's shard of this one, with the store that open returns for each of all.
func (s Shard) opened(open func(name string, r Replica) (search.Store, error)) (router.Shard, error) {
	out := router.Shard{Name: s.Name, Weight: s.Weight}
	for i, r := range s.all() {
		store, err := open(s.Name+"/"+r.Name, r)
		if err != nil {
			return out, fmt.Errorf("%s: %w", s.place(i), err)
		}
		opened := router.Replica{Name: r.Name, Weight: r.Weight, Aborts: r.Aborts, Store: store}
		if i < len(s.Replicas) {
			out.Replicas = append(out.Replicas, opened)
		} else {
			out.Lexical = append(out.Lexical, opened)
		}
	}
	return out, nil
}

// companion refuses what cannot rank by words.
func (v *validator) companion(path string, l Replica) {
	if scheme, _, ok := strings.Cut(l.URL, "://"); ok && isEngine(l.URL) {
		v.at(path+".url", "%s cannot be a companion: name a lanewise server (http://…), or a folder as path", scheme)
		return
	}
	v.replica(path, l)
	v.check(l.Discover.isZero(), path+".discover", "is for the replicas")
	v.check(!l.Aborts, path+".aborts", "is for the replicas")
}
