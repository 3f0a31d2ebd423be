package router_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"

	"github.com/lanewise/lanewise/embed"
	"github.com/lanewise/lanewise/fault"
	"github.com/lanewise/lanewise/router"
	"github.com/lanewise/lanewise/search"
)

// plainNotes is a router of local stores with a collection of n notes that has no words.
func plainNotes(t *testing.T, n int) *router.Router {
	t.Helper()
	r := newRouter(t, router.Config{Embedders: []embed.Provider{letters{}}, Lexicon: words, StatsAge: -1}, grid(t, 3, 2)...)
	create(t, r, search.Collection{Name: "plain", Space: letters{}.Space().ID()})
	var points []search.Point
	for i := range n {
		points = append(points, note(fmt.Sprintf("p%04d", i), fmt.Sprintf("abc number%d zebra", i)))
	}
	upsert(t, r, "plain", "", points...)
	return r
}

// reindex takes all steps, and calls between after each.
func reindex(t *testing.T, r *router.Router, q router.Reindex, between func(step int)) (given int) {
	t.Helper()
	for step := 0; ; step++ {
		done, err := r.Reindex(t.Context(), q)
		if err != nil {
			t.Fatal(err)
		}
		given += done.Given
		if q.Cursor = done.Cursor; q.Cursor == "" {
			return given
		}
		between(step)
	}
}

func TestReindex_givesWordsToWhatIsThere(t *testing.T) {
	r := plainNotes(t, 250)
	q := router.Request{Collection: "plain", Text: "number7 zebras", Mode: router.Lexical}
	given := reindex(t, r, router.Reindex{Collection: "plain", Language: "en", Limit: 40}, func(step int) {
		if step < 5 {
			if res := retrieve(t, r, router.Request{Collection: "plain", Text: "number7 zebras"}); res.Report.Mode != "dense" {
				t.Errorf("step %d: the collection is %s before all have words", step, res.Report.Mode)
			}
		}
	})
	if given != 250 {
		t.Errorf("%d points have been given words", given)
	}
	res := retrieve(t, r, q)
	if res.Hits[0].ID != "p0007" || len(res.Hits) != 10 || res.Report.Mode != "lexical" {
		t.Errorf("got %q", ids(res))
	}
	if again := reindex(t, r, router.Reindex{Collection: "plain"}, func(int) {}); again != 0 {
		t.Errorf("done again, it gives words to %d", again)
	}
	if res := retrieve(t, r, router.Request{Collection: "plain", Text: "number7 zebra"}); res.Report.Mode != "hybrid" {
		t.Errorf("the collection is still %s", res.Report.Mode)
	}
}

// What is written while a collection is reindexed is neither lost nor left without words.
func TestReindex_whileOthersWrite(t *testing.T) {
	r := plainNotes(t, 200)
	ctx, stop := context.WithCancel(t.Context())
	var writers sync.WaitGroup
	last := make([]string, 200)
	for w := range 4 {
		writers.Go(func() {
			for round := 0; ctx.Err() == nil; round++ {
				i := (round*7+w)%50*4 + w
				text := fmt.Sprintf("abc zebra round%dof%d", round, i)
				_, err := r.Upsert(t.Context(), router.Upsert{Collection: "plain", Points: []search.Point{note(fmt.Sprintf("p%04d", i), text)}})
				if err != nil {
					t.Error(err)
					return
				}
				last[i] = text
			}
		})
	}
	reindex(t, r, router.Reindex{Collection: "plain", Limit: 10}, func(int) {})
	stop()
	writers.Wait()
	for i, text := range last {
		if text == "" {
			continue
		}
		id := fmt.Sprintf("p%04d", i)
		got, err := r.Get(t.Context(), "plain", []search.Key{{ID: id}}, search.Fields{Text: true, Vector: true})
		if err != nil || len(got) != 1 || got[0].Text != text || len(got[0].Sparse.Index) == 0 {
			t.Errorf("%s: wrote %q, found %+v (%v)", id, text, got, err)
		}
	}
	page, err := r.Scroll(t.Context(), search.Scan{Collection: "plain", Limit: 1000, Fields: search.Fields{Vector: true}})
	if err != nil || len(page.Points) != 200 {
		t.Fatalf("%d points are left: %v", len(page.Points), err)
	}
	for _, p := range page.Points {
		if len(p.Sparse.Index) == 0 {
			t.Errorf("%s has no words", p.ID)
		}
	}
}

func TestReindex_refuses(t *testing.T) {
	r := plainNotes(t, 3)
	for name, c := range map[string]struct {
		q    router.Reindex
		want fault.Class
	}{
		"unknown":  {router.Reindex{Collection: "none"}, fault.NotFound},
		"cursor":   {router.Reindex{Collection: "plain", Cursor: "x"}, fault.Invalid},
		"language": {router.Reindex{Collection: "plain", Language: "xx"}, fault.Invalid},
	} {
		if _, err := r.Reindex(t.Context(), c.q); !errors.Is(err, c.want) {
			t.Errorf("%s: got %v", name, err)
		}
	}
	if c, _ := r.Collection("plain"); c.Lexical {
		t.Error("a refused reindexing has changed the collection")
	}
}
