package embed_test

import (
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/lanewise/lanewise/embed"
	"github.com/lanewise/lanewise/fault"
)

func TestBatch_Prefixed(t *testing.T) {
	b := embed.Batch{Texts: []string{"a", "b"}, Task: embed.QueryTask}
	space := embed.Space{QueryPrefix: "q: "}
	if got := b.Prefixed(space); !slices.Equal(got, []string{"q: a", "q: b"}) || b.Texts[0] != "a" {
		t.Errorf("queries %q, of %q", got, b.Texts)
	}
	b.Task = embed.DocumentTask
	if got := b.Prefixed(space); !slices.Equal(got, b.Texts) {
		t.Errorf("documents %q", got)
	}
}

func TestCollect(t *testing.T) {
	rows := [][]float32{{1, 2}, {3, 4}}
	for _, dims := range []int{0, 2} {
		v, err := embed.Collect(rows, 2, dims)
		if err != nil || v.Dims != 2 || !slices.Equal(v.Data, []float32{1, 2, 3, 4}) {
			t.Errorf("dims %d: %+v, %v", dims, v, err)
		}
	}
	for name, c := range map[string]struct {
		rows  [][]float32
		texts int
		dims  int
	}{
		"too few":    {rows, 3, 2},
		"too many":   {rows, 1, 2},
		"other dims": {rows, 2, 3},
		"ragged":     {[][]float32{{1, 2}, {3}}, 2, 0},
		"empty":      {[][]float32{{}}, 1, 0},
	} {
		if _, err := embed.Collect(c.rows, c.texts, c.dims); !errors.Is(err, fault.Unavailable) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if v, err := embed.Collect[[]float32](nil, 0, 3); err != nil || v.Dims != 3 {
		t.Errorf("nothing: %+v, %v", v, err)
	}
}

func ExamplePreset() {
	for _, name := range []string{"openai", "tei", "vertex", "infinity"} {
		limits, _ := embed.Preset(name)
		fmt.Println(name, limits.Inputs, limits.Tokens)
	}
	_, ok := embed.Preset("unheard of")
	fmt.Println(ok)
	// Output:
	// openai 2048 300000
	// tei 32 0
	// vertex 250 20000
	// infinity 2048 0
	// false
}
