package config

import (
	"cmp"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/lanewise/lanewise/adapters/local"
	"github.com/lanewise/lanewise/embed"
	"github.com/lanewise/lanewise/fault"
	"github.com/lanewise/lanewise/search"
)

// Answer is what an upstream says of itself, or of one collection that it holds.
type Answer struct {
	Upstream   string // "shard/replica", or the name of an embedding upstream
	Address    string // without secrets
	Version    string // of the server, where it tells
	Collection string // empty: the upstream has none
	Dims       int    // of the collection or of the embedding space
	Metric     search.Metric
	Points     int
	Space      string        // id of the embedding space
	Took       time.Duration // that the answers needed
	Problem    string        // what does not fit; empty: nothing
	Note       string        // what else there is to say
}

// connectTimeout bounds the questions to one upstream.
const connectTimeout = 10 * time.Second

// Connect asks every replica and every embedding upstream what it is, side by side, and
// compares the answers: replicas of a shard, and shards, must agree on each collection, and
// a space that a collection is of should have an upstream. It changes nothing. Language
// models are not asked, because every answer costs.
func (c *Config) Connect(ctx context.Context) []Answer { return c.Resolved().connect(ctx) }

// connect asks those that a configuration names, and no default.
func (c *Config) connect(ctx context.Context) []Answer {
	var asks []func() []Answer
	for _, s := range c.Shards {
		for _, replica := range s.all() {
			asks = append(asks, func() []Answer { return askReplica(ctx, s.Name+"/"+replica.Name, replica, c.Collections) })
		}
	}
	for _, u := range c.Embed.Upstreams {
		asks = append(asks, func() []Answer { return []Answer{askEmbedder(ctx, u)} })
	}
	told := make([][]Answer, len(asks))
	var wg sync.WaitGroup
	for i, ask := range asks {
		wg.Go(func() { told[i] = ask() })
	}
	wg.Wait()
	return compareAnswers(c, slices.Concat(told...))
}

// askReplica asks one replica for its version and its collections.
func askReplica(ctx context.Context, name string, r Replica, there []External) []Answer {
	ctx, cancel := context.WithTimeout(ctx, connectTimeout)
	defer cancel()
	start := time.Now()
	a := Answer{Upstream: name, Address: r.where()}
	store, err := openToAsk(r, there)
	if err != nil {
		a.Problem = err.Error()
		return []Answer{a}
	}
	if store == nil {
		a.Note = "not made yet"
		return []Answer{a}
	}
	defer store.Close() //nolint:errcheck // nothing was written
	if v, ok := store.(interface {
		Version(ctx context.Context) (string, error)
	}); ok {
		a.Version, err = v.Version(ctx)
	}
	var all []search.Stats
	if err == nil {
		all, err = store.Stats(ctx, "")
	}
	a.Took = time.Since(start)
	if err != nil {
		a.Problem = err.Error()
		return []Answer{a}
	}
	return collectionsOf(a, all)
}

// collectionsOf makes an answer for each collection.
func collectionsOf(a Answer, all []search.Stats) []Answer {
	if len(all) == 0 {
		a.Note = "no collection"
		return []Answer{a}
	}
	out := make([]Answer, len(all))
	for i, st := range all {
		one := a
		one.Collection, one.Dims, one.Metric, one.Points, one.Space = st.Collection.Name, st.Collection.Dims, st.Collection.Metric, st.Points, st.Collection.Space
		if st.Collection.Placement.By == search.ByExternal {
			one.Note = "external"
		}
		out[i] = one
	}
	return out
}

// openToAsk opens a replica; nil where it is a folder without a store.
func openToAsk(r Replica, there []External) (server, error) {
	if r.Path == "" {
		return openServer(r, there)
	}
	if _, err := os.Stat(filepath.Join(r.Path, "lanewise.db")); err != nil {
		return nil, nil //nolint:nilerr,nilnil // opening it would make one
	}
	return local.Open(local.Config{Path: r.Path})
}

// askEmbedder embeds a word.
func askEmbedder(ctx context.Context, u EmbedUpstream) Answer {
	ctx, cancel := context.WithTimeout(ctx, connectTimeout)
	defer cancel()
	a := Answer{Upstream: u.Name, Address: cmp.Or(u.URL, "built in")}
	s := newSystem(&Config{}, Options{})
	defer s.Close() //nolint:errcheck // nothing was written
	start := time.Now()
	p, err := s.embedProvider(ctx, u, nil)
	if err == nil {
		a.Space, a.Dims = p.Space().ID(), p.Space().Dims
		_, err = p.Embed(ctx, embed.Batch{Texts: []string{"lanewise"}, Task: embed.QueryTask})
	}
	a.Took = time.Since(start)
	if err != nil {
		a.Problem = err.Error()
	}
	return a
}

// compareAnswers finds what does not fit between the answers.
func compareAnswers(c *Config, all []Answer) []Answer {
	first := map[string]Answer{} // by collection
	spaces := map[string]bool{}
	for _, a := range all {
		if a.Collection == "" && a.Space != "" {
			spaces[a.Space] = true
		}
	}
	for i := range all {
		a := &all[i]
		if a.Collection == "" || a.Problem != "" {
			continue
		}
		ref, met := first[a.Collection]
		if !met {
			first[a.Collection] = *a
			ref = *a
		}
		switch {
		case a.Dims != ref.Dims || a.Metric != ref.Metric || a.Space != ref.Space:
			a.Problem = fmt.Sprintf("differs from %s, which has %d dims, %s%s", ref.Upstream, ref.Dims, ref.Metric, spaced(ref.Space))
		case a.Space != "" && !spaces[a.Space]:
			a.Note = joinNotes(a.Note, "no upstream embeds into "+a.Space)
		}
	}
	return append(all, missing(c, all, first)...)
}

func spaced(space string) string {
	if space == "" {
		return ""
	}
	return ", space " + space
}

func joinNotes(a, b string) string {
	if a == "" {
		return b
	}
	return a + "; " + b
}

// missing names the replicas that answer and lack a collection that others have.
func missing(c *Config, all []Answer, first map[string]Answer) (out []Answer) {
	for _, s := range c.Shards {
		for _, r := range s.all() {
			name := s.Name + "/" + r.Name
			has, answers := map[string]bool{}, true
			for _, a := range all {
				if a.Upstream == name {
					has[a.Collection], answers = true, answers && a.Problem == "" || a.Collection != ""
				}
			}
			for collection, ref := range first {
				if answers && !has[collection] {
					out = append(out, Answer{Upstream: name, Address: r.where(), Collection: collection, Problem: "is missing, and " + ref.Upstream + " has it"})
				}
			}
		}
	}
	slices.SortFunc(out, func(a, b Answer) int {
		return cmp.Or(cmp.Compare(a.Upstream, b.Upstream), cmp.Compare(a.Collection, b.Collection))
	})
	return out
}

// Problems says how many answers do not fit, and what is wrong with the first of them; or nil.
func Problems(all []Answer) error {
	n, first := 0, ""
	for _, a := range all {
		if a.Problem == "" {
			continue
		}
		if n++; n == 1 {
			first = a.Upstream + ": " + a.Problem
		}
	}
	if n == 0 {
		return nil
	}
	return fault.New(fault.Unavailable, "%d of %d answers do not fit; %s", n, len(all), first)
}
