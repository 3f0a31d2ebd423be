package llm_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/lanewise/lanewise/llm"
	"github.com/lanewise/lanewise/llm/relay"
)

// TestGenerate_route holds what a stream says about how its answer came about.
func TestGenerate_route(t *testing.T) {
	for _, c := range []struct {
		refuse  error // of the first upstream
		session string
		want    relay.Route
	}{
		{nil, "", relay.Route{Upstream: "a", Model: "m", Why: "load", Attempts: 1, First: time.Second}},
		{nil, "s", relay.Route{Upstream: "a", Model: "m", Why: "affinity", Attempts: 1, First: time.Second}},
		{down, "s", relay.Route{Upstream: "b", Model: "m", Why: "failover", Attempts: 2, First: time.Second}},
	} {
		synctest.Test(t, func(t *testing.T) {
			first, second := &script{refuse: c.refuse, chunks: []llm.Chunk{hello, stop}, delay: time.Second}, &script{chunks: []llm.Chunk{hello, stop}, delay: time.Second}
			g := newLane(t, llm.Config{Upstreams: []llm.Upstream{
				{Name: "a", Provider: first, Model: "m"}, {Name: "b", Provider: second, Model: "m", Tier: 1},
			}})
			p := prompt
			p.Session = c.session
			s, err := g.Generate(t.Context(), p)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(c.want, s.(llm.Routed).Route()); diff != "" {
				t.Errorf("session %q: %s", c.session, diff)
			}
			_ = s.Close()
			finish(t, g, first, second)
		})
	}
}
