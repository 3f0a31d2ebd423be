package config

import (
	"errors"
	"slices"
	"testing"

	"github.com/lanewise/lanewise/balance"
	"github.com/lanewise/lanewise/fault"
)

// TestLanes_haveNamesAndOrders: every lane of a system is listed once and can be steered where another one is left.
func TestLanes_haveNamesAndOrders(t *testing.T) {
	dir := t.TempDir()
	c := Local(dir)
	c.Shards[0].Replicas = append(c.Shards[0].Replicas, Replica{Name: "r1", Path: dir + "/more"})
	c.Embed.Upstreams = []EmbedUpstream{{Kind: kindStatic, Name: "a"}, {Kind: kindStatic, Name: "b"}}
	c.Rerank.Upstreams = []RerankUpstream{{Kind: kindTEI, Name: "x", URL: "http://127.0.0.1:1"}}
	c.LLM.Upstreams = []LLMUpstream{{Kind: kindExtract, Name: "quote"}}
	lanes := plaza{build(t, c)}
	names := func() (out []string) {
		for _, l := range lanes.Lanes() {
			out = append(out, l.Name)
		}
		slices.Sort(out)
		return out
	}
	if want := []string{"embed/a", "embed/b", "llm/extract/quote", "rerank/x", "s0/r0", "s0/r1"}; !slices.Equal(names(), want) {
		t.Fatalf("lanes %v, want %v", names(), want)
	}
	for _, l := range lanes.Lanes() {
		err := l.Steer(balance.Draining)
		alone := !slices.Contains([]string{"embed/a", "s0/r0"}, l.Name) // or the last one in use by then
		if alone != errors.Is(err, fault.Conflict) || !alone && err != nil {
			t.Errorf("drain %s: %v", l.Name, err)
		}
		if err := l.Reweigh(3); err != nil {
			t.Errorf("weigh %s: %v", l.Name, err)
		}
	}
	for _, l := range lanes.Lanes() {
		if l.State.Weight != 3 {
			t.Errorf("%s weighs %v", l.Name, l.State.Weight)
		}
	}
}
