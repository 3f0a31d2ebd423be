package embed_test

import (
	"errors"
	"strconv"
	"sync"
	"testing"

	"github.com/lanewise/lanewise/balance"
	"github.com/lanewise/lanewise/embed"
	"github.com/lanewise/lanewise/fault"
)

// TestUpdate_underLoadLosesNoText exchanges the upstreams while texts are embedded.
func TestUpdate_underLoadLosesNoText(t *testing.T) {
	all := make([]embed.Upstream, 4)
	for i := range all {
		all[i] = embed.Upstream{Name: "u" + strconv.Itoa(i), Provider: newModel()}
	}
	e, err := embed.New(embed.Config{Upstreams: all[:1], CacheBytes: -1})
	if err != nil {
		t.Fatal(err)
	}
	defer finish(t, e)
	var callers sync.WaitGroup
	for c := range 4 {
		callers.Go(func() {
			for i := range 50 {
				if _, err := e.Embed(t.Context(), embed.Batch{Texts: []string{strconv.Itoa(c*1000 + i)}}); err != nil {
					t.Errorf("lost: %v", err)
				}
			}
		})
	}
	for i := range 40 {
		from := i % len(all)
		if err := e.Update(all[from : from+1+i%(len(all)-from)]); err != nil {
			t.Fatal(err)
		}
	}
	callers.Wait()
}

func TestUpdate_refusesWhatDoesNotFit(t *testing.T) {
	e := lane(t, embed.Config{}, newModel())
	for want, bad := range map[fault.Class][]embed.Upstream{
		fault.Invalid:  nil,
		fault.Conflict: {{Name: "x", Provider: elsewhere{newModel()}}},
	} {
		if err := e.Update(bad); !errors.Is(err, want) {
			t.Errorf("%v: got %v, want %v", bad, err, want)
		}
	}
	if got := e.Snapshot().Members; len(got) != 1 {
		t.Errorf("the upstreams have changed: %+v", got)
	}
}

// elsewhere is a model of another space.
type elsewhere struct{ *model }

func (elsewhere) Space() embed.Space { return embed.Space{Model: "another", Dims: dims} }

func TestSteer_reachesThePool(t *testing.T) {
	e := lane(t, embed.Config{}, newModel(), newModel())
	name := e.Snapshot().Members[0].Name
	if err := errors.Join(e.Steer(name, balance.Draining), e.Reweigh(name, 4)); err != nil {
		t.Fatal(err)
	}
	last := e.Snapshot().Members[1]
	if last.Name != name || last.State != balance.Draining || last.Weight != 4 {
		t.Errorf("got %+v, want %s draining with the weight 4", last, name)
	}
}
