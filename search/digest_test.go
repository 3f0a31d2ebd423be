package search_test

import (
	"fmt"
	"testing"

	"github.com/lanewise/lanewise/search"
)

// The values are on disk nowhere, but replicas of different releases compare them.
func TestDigest_isPinned(t *testing.T) {
	for _, c := range []struct {
		key  search.Key
		v    search.Version
		want uint64
	}{
		{search.Key{}, 0, 0xd84d1f8ea453246e},
		{search.Key{ID: "a"}, 1, 0xeb800e7c78e0967b},
		{search.Key{Tenant: "t", ID: "strings.Builder"}, 1 << 60, 0x130ddba97ca26899},
	} {
		if got := search.Digest(c.key, c.v); got != c.want {
			t.Errorf("%v at %d: %#x, want %#x", c.key, c.v, got, c.want)
		}
	}
}

func TestDigest_tellsPointsApart(t *testing.T) {
	seen := map[uint64]string{}
	for _, tenant := range []string{"", "a", "ab", "b"} {
		for i := range 2000 {
			for _, id := range []string{fmt.Sprint(i), fmt.Sprint("b", i), fmt.Sprint("a", i)} {
				for v := range search.Version(4) {
					name := fmt.Sprintf("%q %q %d", tenant, id, v)
					h := search.Digest(search.Key{Tenant: tenant, ID: id}, v)
					if other, twice := seen[h]; twice {
						t.Fatalf("%s and %s have one digest", name, other)
					}
					seen[h] = name
				}
			}
		}
	}
}

func BenchmarkDigest(b *testing.B) {
	k := search.Key{Tenant: "customer-17", ID: "docs/guide.md#install"}
	b.ReportAllocs()
	for b.Loop() {
		search.Digest(k, 12345)
	}
}
