package config

import (
	"testing"

	"pgregory.net/rapid"
)

// slowEdits is the distance by its definition.
func slowEdits(a, b string) int {
	switch {
	case a == "":
		return len(b)
	case b == "":
		return len(a)
	case a[0] == b[0]:
		return slowEdits(a[1:], b[1:])
	}
	return 1 + min(slowEdits(a[1:], b), slowEdits(a, b[1:]), slowEdits(a[1:], b[1:]))
}

func TestEdits_equalsItsDefinition(t *testing.T) {
	word := rapid.StringMatching(`[abc]{0,5}`)
	rapid.Check(t, func(t *rapid.T) {
		a, b := word.Draw(t, "a"), word.Draw(t, "b")
		if got, want := edits(a, b), slowEdits(a, b); got != want {
			t.Fatalf("%q %q: %d, want %d", a, b, got, want)
		}
	})
}

func TestSuggest(t *testing.T) {
	known := map[string]int{"shards": 0, "listen": 1, "map": 2, "timeouts": 3}
	for key, want := range map[string]string{
		"shard": "; did you mean shards?", "Shards": "; did you mean shards?", "timeout": "; did you mean timeouts?",
		"lisen": "; did you mean listen?", "mpa": "; did you mean map?", "telemetry": "; known here: listen, map, shards, timeouts",
	} {
		if got := suggest(key, known); got != want {
			t.Errorf("%s: %q, want %q", key, got, want)
		}
	}
}
