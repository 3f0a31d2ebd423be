package models_test

import (
	"errors"
	"fmt"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/lanewise/lanewise/fault"
	"github.com/lanewise/lanewise/llm"
	"github.com/lanewise/lanewise/llm/models"
)

// failures are one of each kind, by the cause that they are.
func failures() map[models.Cause]error {
	return map[models.Cause]error{
		models.Rate:        fault.Busy(1, "full"),
		models.Refused:     fault.New(fault.Refused, "key"),
		models.TooLong:     &fault.WindowError{Message: "long"},
		models.Unavailable: fault.New(fault.Unavailable, "down"),
		"":                 fault.New(fault.Invalid, "wrong"),
		"none":             nil,
	}
}

// world is drawn models: who stands in for whom on what, and how each fails.
type world struct {
	fallbacks [][]models.Fallback
	fails     []models.Cause
}

func name(i int) string { return fmt.Sprint("m", i) }

// drawWorld draws models whose fallbacks come later in the list, so that there are no circles.
func drawWorld(t *rapid.T) world {
	n := rapid.IntRange(1, 7).Draw(t, "models")
	causes := append(models.Causes(), "", "none")
	w := world{fallbacks: make([][]models.Fallback, n), fails: make([]models.Cause, n)}
	for i := range n {
		w.fails[i] = rapid.SampledFrom(causes).Draw(t, "failure")
		if i == n-1 {
			continue
		}
		for range rapid.IntRange(0, 4).Draw(t, "fallbacks") {
			w.fallbacks[i] = append(w.fallbacks[i], models.Fallback{
				Model: name(rapid.IntRange(i+1, n-1).Draw(t, "to")),
				On:    rapid.SliceOfNDistinct(rapid.SampledFrom(models.Causes()), 0, 3, rapid.ID).Draw(t, "on"),
			})
		}
	}
	return w
}

// order is who has to be asked, first to last, and who answers: written down once more, with a stack instead of a recursion.
func (w world) order() (asked []string, by string) {
	stack := []int{0}
	for len(stack) > 0 {
		at := stack[len(stack)-1]
		stack = stack[:len(stack)-1]
		if slices.Contains(asked, name(at)) {
			continue
		}
		asked = append(asked, name(at))
		if w.fails[at] == "none" {
			return asked, name(at)
		}
		for _, f := range slices.Backward(w.fallbacks[at]) {
			if len(f.On) == 0 && w.fails[at] != "" || slices.Contains(f.On, w.fails[at]) {
				var to int
				_, _ = fmt.Sscanf(f.Model, "m%d", &to)
				stack = append(stack, to)
			}
		}
	}
	return asked, ""
}

// Whatever the fallbacks: models are asked in the stated order, each at most once, up to the first that answers.
func TestGenerate_order(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := drawWorld(t)
		l := &log{}
		c := models.Config{}
		for i := range w.fails {
			c.Models = append(c.Models, models.Model{
				Name: name(i), Fallbacks: w.fallbacks[i],
				Provider: &pool{name: name(i), err: failures()[w.fails[i]], words: []string{"yes"}, log: l},
			})
		}
		s, err := models.New(c)
		if err != nil {
			t.Fatal(err)
		}
		_, _, choice, err := ask(t.Context(), s, llm.Prompt{})
		asked, by := w.order()
		if !slices.Equal(l.asked, asked) || choice.Model != by || (err == nil) != (by != "") {
			t.Fatalf("asked %v, %q answered, %v; want %v, %q", l.asked, choice.Model, err, asked, by)
		}
		if err == nil && len(choice.Passed) != len(asked)-1 || l.open != 0 {
			t.Fatalf("passed over %d of %d, %d streams are open", len(choice.Passed), len(asked), l.open)
		}
		if err != nil && !errors.Is(err, fault.Of(err)) {
			t.Fatalf("error %v has no class", err)
		}
	})
}

// Fallbacks that lead back are found wherever they begin, and only those.
func TestCycle(t *testing.T) {
	for _, c := range []struct {
		edges [][2]string
		want  []string
	}{
		{nil, nil},
		{[][2]string{{"a", "a"}}, []string{"a", "a"}},
		{[][2]string{{"a", "b"}, {"b", "c"}, {"a", "c"}}, nil},
		{[][2]string{{"a", "b"}, {"b", "c"}, {"c", "b"}}, nil}, // not back to a
		{[][2]string{{"a", "x"}, {"a", "b"}, {"b", "c"}, {"c", "a"}}, []string{"a", "b", "c", "a"}},
	} {
		graph := map[string][]string{}
		for _, e := range c.edges {
			graph[e[0]] = append(graph[e[0]], e[1])
		}
		if got := models.Cycle(graph, "a"); !slices.Equal(got, c.want) {
			t.Errorf("%v: %v, want %v", c.edges, got, c.want)
		}
	}
}
