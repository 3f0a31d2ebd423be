package config

import (
	"io"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/lanewise/lanewise/balance"
	"github.com/lanewise/lanewise/httpapi"
)

// laneOf is a lane of the system in force, of that name.
func laneOf(t *testing.T, l *Live, name string) httpapi.Lane {
	t.Helper()
	for _, lane := range (plaza{l.System()}).Lanes() {
		if lane.Name == name {
			return lane
		}
	}
	t.Fatalf("there is no lane %s", name)
	return httpapi.Lane{}
}

func standing(t *testing.T, l *Live, name string, state balance.State, weight float64) {
	t.Helper()
	if got := laneOf(t, l, name).State; got.State != state || got.Weight != weight {
		t.Errorf("%s is %s with weight %v, want %s with %v", name, got.State, got.Weight, state, weight)
	}
}

func ordered(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// What an operator has ordered outlasts a reload that makes the lane anew, for the members that stay where they are.
func TestReload_keepsOrders(t *testing.T) {
	url, _ := vectors(t)
	dir := t.TempDir()
	c := func(cache Size, paths ...string) *Config {
		c := Local(dir)
		c.Embed.Cache = cache
		for i, path := range paths {
			c.Embed.Upstreams = append(c.Embed.Upstreams, EmbedUpstream{Name: []string{"a", "b", "c"}[i], Kind: kindOpenAI, URL: url + path, Model: "m", Dims: 2})
		}
		return c
	}
	l := living(t, c(1<<20, "/1", "/2", "/3"), io.Discard)
	ordered(t, laneOf(t, l, "embed/a").Steer(balance.Draining))
	ordered(t, laneOf(t, l, "embed/b").Reweigh(3))
	ordered(t, laneOf(t, l, "embed/c").Reweigh(5))
	before := l.System().embedders[0]
	ordered(t, l.Reload(t.Context(), c(2<<20, "/1", "/2", "/4")))
	if l.System().embedders[0] == before {
		t.Fatal("the lane is not a new one")
	}
	standing(t, l, "embed/a", balance.Draining, 1)
	standing(t, l, "embed/b", balance.Healthy, 3)
	standing(t, l, "embed/c", balance.Healthy, 1) // another server
	ordered(t, laneOf(t, l, "embed/a").Steer(balance.Healthy))
	ordered(t, laneOf(t, l, "embed/b").Reweigh(0))
	ordered(t, l.Reload(t.Context(), c(3<<20, "/1", "/2", "/4")))
	standing(t, l, "embed/a", balance.Healthy, 1) // what was taken back stays so
	standing(t, l, "embed/b", balance.Healthy, 1)
	ordered(t, laneOf(t, l, "embed/a").Steer(balance.Draining))
	ordered(t, l.Reload(t.Context(), c(4<<20, "/1"))) // the last one: it is used
	standing(t, l, "embed/a", balance.Healthy, 1)
}

// Two upstreams of a lane whose members are found do not touch each other's, and orders find members that are found again.
func TestReload_twoDiscoveriesInOneLane(t *testing.T) {
	one, _ := vectors(t)
	two, _ := vectors(t)
	three, _ := vectors(t)
	dir := t.TempDir()
	files := [2]string{filepath.Join(dir, "left.yaml"), filepath.Join(dir, "right.yaml")}
	members(t, files[0], one)
	members(t, files[1], two)
	c := func(cache Size) *Config {
		c := Local(filepath.Join(dir, "store"))
		c.Embed.Cache = cache
		for i, name := range []string{"left", "right"} {
			c.Embed.Upstreams = append(c.Embed.Upstreams, EmbedUpstream{Name: name, Kind: kindOpenAI, URL: "http://127.0.0.1:1/v1", Model: "m", Dims: 2, Discover: discover{File: files[i]}})
		}
		return c
	}
	l := living(t, c(1<<20), io.Discard)
	name := func(lane, url string) string { return "embed/" + lane + "@" + strings.TrimPrefix(url, "http://") }
	has := func(want ...string) func() bool {
		return func() bool {
			var got []string
			for _, lane := range l.System().upstreamLanes() {
				if strings.HasPrefix(lane.Name, "embed/") {
					got = append(got, lane.Name)
				}
			}
			slices.Sort(got) // they are in the order of their ports
			slices.Sort(want)
			return slices.Equal(got, want)
		}
	}
	eventually(t, "a member of each", has(name("left", one), name("right", two)))
	members(t, files[0], one, three)
	eventually(t, "another one of the first", has(name("left", one), name("left", three), name("right", two)))
	members(t, files[1]) // nobody: nothing changes
	ordered(t, laneOf(t, l, name("left", three)).Reweigh(4))
	ordered(t, laneOf(t, l, name("right", two)).Steer(balance.Draining))
	members(t, files[1], two)
	ordered(t, l.Reload(t.Context(), c(2<<20)))
	eventually(t, "the members of the new lane", has(name("left", one), name("left", three), name("right", two)))
	eventually(t, "their orders", func() bool {
		return laneOf(t, l, name("left", three)).State.Weight == 4 && laneOf(t, l, name("right", two)).State.State == balance.Draining
	})
	members(t, files[0], one)
	eventually(t, "one of the first less", has(name("left", one), name("right", two)))
}
