package embed_test

import (
	"fmt"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/lanewise/lanewise/embed"
)

func TestID(t *testing.T) {
	for _, c := range []struct {
		space embed.Space
		want  string
	}{
		{embed.Space{Model: "static", Dims: 256, Normalized: true}, "static-256"},
		{embed.Space{Model: "static", Dims: 256}, "static-256-raw"},
		{embed.Space{Model: "BAAI/bge-small-en-v1.5", Revision: "5c38ec7", Dims: 384, Normalized: true}, "BAAI/bge-small-en-v1.5@5c38ec7-384"},
		{embed.Space{Model: "me@home", Dims: 3, Normalized: true}, "me%40home-3"},
		{embed.Space{Model: "e5", Dims: 384, Normalized: true, QueryPrefix: "query: ", DocumentPrefix: "passage: "}, "e5-384-pb88f075779e0"},
	} {
		if got := c.space.ID(); got != c.want {
			t.Errorf("ID of %+v is %q, want %q: collections are stored under it", c.space, got, c.want)
		}
	}
}

// TestID_property holds that two spaces have one ID exactly if they are equal.
func TestID_property(t *testing.T) {
	word := rapid.SampledFrom([]string{"", "a", "b", "a-1", "a@b", "a%40b", "1", "1-raw", "raw", "-", "@", "a@b-1-raw"})
	space := rapid.Custom(func(t *rapid.T) embed.Space {
		return embed.Space{
			Model: word.Draw(t, "model"), Revision: word.Draw(t, "revision"), Dims: rapid.IntRange(1, 3).Draw(t, "dims"),
			Normalized: rapid.Bool().Draw(t, "normalized"), QueryPrefix: word.Draw(t, "query"), DocumentPrefix: word.Draw(t, "document"),
		}
	})
	rapid.Check(t, func(t *rapid.T) {
		a, b := space.Draw(t, "a"), space.Draw(t, "b")
		if a.Compatible(b) != (a.ID() == b.ID()) {
			t.Fatalf("%+v is %q\n%+v is %q", a, a.ID(), b, b.ID())
		}
		if !a.Compatible(a) || strings.ContainsAny(a.ID(), "\n ") {
			t.Fatalf("%+v is %q", a, a.ID())
		}
	})
}

func TestPrefixed(t *testing.T) {
	s := embed.Space{QueryPrefix: "q: ", DocumentPrefix: "d: "}
	for task, want := range map[embed.Task]string{embed.QueryTask: "q: x", embed.DocumentTask: "d: x", "": "d: x"} {
		if got := s.Prefixed("x", task); got != want {
			t.Errorf("task %q: %q, want %q", task, got, want)
		}
	}
}

func TestVectors(t *testing.T) {
	v := embed.Vectors{Dims: 2, Data: []float32{1, 2, 3, 4}}
	if v.Rows() != 2 || v.Row(1)[0] != 3 || cap(v.Row(0)) != 2 {
		t.Errorf("%d rows, row 1 is %v, row 0 may grow to %d", v.Rows(), v.Row(1), cap(v.Row(0)))
	}
	if (embed.Vectors{}).Rows() != 0 {
		t.Error("no dims, but rows")
	}
}

func ExampleSpace_ID() {
	fmt.Println(embed.Space{Model: "static", Dims: 256, Normalized: true}.ID())
	fmt.Println(embed.Space{Model: "nomic-embed-text", Revision: "v1.5", Dims: 768}.ID())
	// Output:
	// static-256
	// nomic-embed-text@v1.5-768-raw
}
