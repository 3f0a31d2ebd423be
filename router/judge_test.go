package router

import (
	"errors"
	"strings"
	"testing"

	"github.com/lanewise/lanewise/search"
)

func TestJudge(t *testing.T) {
	docs := search.Collection{Name: "docs", Placement: search.Placement{By: search.ByID}}
	has := func(points int, digest uint64, newest search.Version) holdings {
		return holdings{collections: map[string]search.Stats{"docs": {Collection: docs, Points: points, Digest: digest, Newest: newest}}}
	}
	short := func(digest uint64) holdings {
		return holdings{collections: map[string]search.Stats{"docs": {Collection: docs, Points: 3, Digest: digest, DigestBits: 8, Newest: 9}}}
	}
	none, down := holdings{}, holdings{err: errors.New("down")}
	for _, c := range []struct {
		name  string
		told  []holdings
		acked search.Version
		want  string // a letter a replica: . in step, d differs, l lost data, c lacks the collection
	}{
		{"alike", []holdings{has(3, 7, 9), has(3, 7, 9)}, 9, ".."},
		{"deletions that one did not see", []holdings{has(3, 7, 9), has(3, 7, 8)}, 0, ".."},
		{"most replicas", []holdings{has(3, 8, 9), has(3, 7, 9), has(3, 7, 9)}, 0, "d.."},
		{"most replicas are never those that are empty", []holdings{has(0, 0, 0), has(0, 0, 0), has(3, 7, 9)}, 0, "dd."},
		{"emptied by deletions", []holdings{has(0, 0, 9), has(0, 0, 9), has(3, 7, 8)}, 0, "..d"},
		{"tie: newest", []holdings{has(5, 8, 8), has(3, 7, 9)}, 0, "d."},
		{"tie: fullest", []holdings{has(2, 8, 9), has(3, 7, 9)}, 0, "d."},
		{"lacks it", []holdings{none, has(3, 7, 9)}, 0, "c."},
		{"all lack it", []holdings{none, none}, 0, ".."},
		{"down", []holdings{down, has(3, 7, 9), has(3, 8, 9), has(3, 7, 9)}, 0, "..d."},
		{"most replicas lost what was confirmed", []holdings{has(3, 7, 9), has(2, 6, 8), has(2, 6, 8)}, 9, ".ll"},
		{"all lost it", []holdings{has(2, 6, 8), has(2, 6, 8)}, 9, ".."},
		{"one lost everything, and got a write since", []holdings{has(1, 5, 10), has(4, 7, 10)}, 9, "d."},
		{"no digest: points", []holdings{has(3, 0, 0), has(3, 7, 9)}, 0, ".."},
		{"no digest: other points", []holdings{has(2, 0, 0), has(3, 7, 9)}, 0, "d."},
		{"alone", []holdings{has(2, 6, 8)}, 9, "."},
		{"the low bits of a digest are alike", []holdings{has(3, 0x107, 9), short(7)}, 0, ".."},
		{"the low bits of a digest differ", []holdings{has(3, 0x107, 9), has(3, 0x107, 9), short(6)}, 0, "..d"},
	} {
		got := ""
		for _, f := range judge([]search.Collection{docs}, c.told, func(string) search.Version { return c.acked }) {
			switch {
			case f.fault == "":
				got += "."
			case strings.Contains(f.fault, "lost data"):
				got += "l"
			case len(f.lacks) == 1:
				got += "c"
			default:
				got += "d"
			}
		}
		if got != c.want {
			t.Errorf("%s: %s, want %s", c.name, got, c.want)
		}
	}
	other := has(9, 9, 9)
	for name, differ := range map[string]search.Collection{"dims": {Name: "docs", Dims: 3}, "metric": {Name: "docs", Metric: search.Dot}} {
		other.collections["docs"] = search.Stats{Collection: differ, Points: 9, Digest: 9, Newest: 9}
		f := judge([]search.Collection{docs}, []holdings{other, has(3, 7, 8), other}, func(string) search.Version { return 0 })
		if !strings.Contains(f[0].fault, "metric") || f[1].fault != "" || f[2].fault == "" {
			t.Errorf("other %s: %v", name, f)
		}
		if f := judge([]search.Collection{docs}, []holdings{other}, func(string) search.Version { return 0 }); f[0].fault == "" {
			t.Errorf("other %s, alone: no fault", name)
		}
	}
	docs.Placement.By = search.ByExternal
	if f := judge([]search.Collection{docs}, []holdings{has(1, 1, 1), none}, func(string) search.Version { return 0 }); f[1].fault != "" {
		t.Errorf("an external collection is compared: %v", f)
	}
}
