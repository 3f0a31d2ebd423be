package local

import (
	"fmt"
	"maps"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// TestTree_equalsMap changes a tree and a map alike, in several editions, and
// looks at older values of the tree afterwards.
func TestTree_equalsMap(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		type version struct {
			tree tree[string, int]
			want map[string]int
		}
		var now tree[string, int]
		want := map[string]int{}
		var past []version
		key := rapid.Custom(func(t *rapid.T) string { return fmt.Sprint(rapid.IntRange(0, 600).Draw(t, "key")) })
		for range rapid.IntRange(1, 6).Draw(t, "editions") {
			by := new(edition)
			for i := range rapid.IntRange(0, 400).Draw(t, "changes") {
				if k := key.Draw(t, "k"); rapid.IntRange(0, 2).Draw(t, "remove") == 0 {
					now.remove(by, k)
					delete(want, k)
				} else {
					now.put(by, k, i)
					want[k] = i
				}
			}
			past = append(past, version{now, maps.Clone(want)})
		}
		for _, v := range past {
			checkTree(t, v.tree, v.want, key.Draw(t, "from"))
		}
	})
}

func checkTree(t *rapid.T, got tree[string, int], want map[string]int, from string) {
	if got.size != len(want) {
		t.Fatalf("size is %d, want %d", got.size, len(want))
	}
	for k, v := range want {
		if w, ok := got.get(k); !ok || w != v {
			t.Fatalf("get %q: %d, %t, want %d", k, w, ok, v)
		}
	}
	var keys []string
	got.ascend(from, func(k string, _ int) bool {
		keys = append(keys, k)
		return true
	})
	sorted := slices.DeleteFunc(slices.Sorted(maps.Keys(want)), func(k string) bool { return k < from })
	if !slices.Equal(keys, sorted) {
		t.Fatalf("from %q: %q, want %q", from, keys, sorted)
	}
}
