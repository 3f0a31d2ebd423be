package llm_test

import (
	"errors"
	"testing"

	"github.com/lanewise/lanewise/balance"
	"github.com/lanewise/lanewise/fault"
	"github.com/lanewise/lanewise/llm"
)

func TestUpdate_andSteer(t *testing.T) {
	g := lane(t, &script{})
	two := []llm.Upstream{{Name: "a", Provider: &script{}}, {Name: "b", Provider: &script{}}}
	if err := errors.Join(g.Update(two), g.Steer("a", balance.Draining), g.Reweigh("a", 2)); err != nil {
		t.Fatal(err)
	}
	got := g.Snapshot().Members
	if len(got) != 2 || got[1].Name != "a" || got[1].State != balance.Draining || got[1].Weight != 2 {
		t.Errorf("got %+v", got)
	}
	if err := g.Update(nil); !errors.Is(err, fault.Invalid) {
		t.Errorf("no upstreams: got %v", err)
	}
}
