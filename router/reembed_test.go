package router_test

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/lanewise/lanewise/embed"
	"github.com/lanewise/lanewise/fault"
	"github.com/lanewise/lanewise/router"
	"github.com/lanewise/lanewise/search"
)

// vowels is another space: a text by how often it has each vowel.
type vowels struct{}

func (vowels) Space() embed.Space { return embed.Space{Model: "acme/vowels", Dims: 5} }

func (vowels) Embed(_ context.Context, b embed.Batch) (embed.Vectors, error) {
	v := embed.Vectors{Dims: 5, Data: make([]float32, 5*len(b.Texts))}
	for i, text := range b.Texts {
		if !b.Bulk && b.Task == embed.DocumentTask {
			return v, errors.New("a document that is not of the bulk")
		}
		for j, vowel := range []string{"a", "e", "i", "o", "u"} {
			v.Data[i*5+j] = float32(strings.Count(text, vowel))
		}
	}
	return v, nil
}

var (
	lettersSpace = letters{}.Space().ID()
	vowelsSpace  = vowels{}.Space().ID()
)

const moved = "notes--acme-vowels-5-raw"

// manyNotes is a router of local stores with a lexical collection "notes" of n points, and the alias "live" for it.
func manyNotes(t *testing.T, n int) *router.Router {
	t.Helper()
	return notesOn(t, filepath.Join(t.TempDir(), "map"), grid(t, 3, 2), n)
}

func notesOn(t *testing.T, mapPath string, stores [][]search.Store, n int) *router.Router {
	t.Helper()
	r := newRouter(t, router.Config{
		MapPath: mapPath, Embedders: []embed.Provider{letters{}, vowels{}}, Lexicon: words, StatsAge: -1, SearchTimeout: time.Minute, WriteTimeout: time.Minute,
	}, stores...)
	create(t, r, search.Collection{Name: "notes", Space: lettersSpace, Lexical: true})
	if err := r.SetAlias("live", "notes"); err != nil {
		t.Fatal(err)
	}
	var points []search.Point
	for i := range n {
		points = append(points, note(fmt.Sprintf("p%04d", i), fmt.Sprintf("abc number%d zebra", i)))
	}
	if n > 0 {
		upsert(t, r, "notes", "", points...)
	}
	return r
}

// reembed takes all steps, and calls between after each.
func reembed(t *testing.T, r *router.Router, q router.Reembed, between func(step int)) (sum router.Reembedded) {
	t.Helper()
	for step := 0; ; step++ {
		done, err := r.Reembed(t.Context(), q)
		if err != nil {
			t.Fatal(err)
		}
		sum.Embedded, sum.Deleted, sum.Into, sum.Swapped = sum.Embedded+done.Embedded, sum.Deleted+done.Deleted, done.Into, done.Swapped
		if q.Cursor = done.Cursor; q.Cursor == "" {
			return sum
		}
		between(step)
	}
}

func allOf(t *testing.T, r *router.Router, collection string) map[string]search.Point {
	t.Helper()
	page, err := r.Scroll(t.Context(), search.Scan{Collection: collection, Limit: 1000, Fields: search.Fields{Text: true, Vector: true}})
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]search.Point{}
	for _, p := range page.Points {
		all[p.ID] = p
	}
	return all
}

func TestReembed_movesAnAlias(t *testing.T) {
	r := manyNotes(t, 130)
	q := router.Reembed{Collection: "live", Space: vowelsSpace, Limit: 40}
	compared := reembed(t, r, q, func(step int) {
		res := retrieve(t, r, router.Request{Collection: "live", Text: "number7 zebras"})
		if res.Hits[0].ID != "p0007" || res.Hits[0].Collection != "notes" || !res.Report.Complete {
			t.Errorf("step %d: found %q in %s", step, ids(res), res.Hits[0].Collection)
		}
	})
	if compared.Embedded != 130 || compared.Swapped || compared.Into != moved || r.Aliases()["live"] != "notes" {
		t.Errorf("%+v, the alias stands for %q", compared, r.Aliases()["live"])
	}
	q.Swap = true
	if swapped := reembed(t, r, q, func(int) {}); swapped.Embedded != 0 || !swapped.Swapped || r.Aliases()["live"] != moved {
		t.Errorf("%+v, the alias stands for %q", swapped, r.Aliases()["live"])
	}
	res := retrieve(t, r, router.Request{Collection: "live", Text: "number7 zebras"})
	if res.Hits[0].ID != "p0007" || res.Hits[0].Collection != moved || res.Report.Mode != "hybrid" {
		t.Errorf("found %q in %s by %s", ids(res), res.Hits[0].Collection, res.Report.Mode)
	}
	for id, p := range allOf(t, r, moved) {
		if old := allOf(t, r, "notes")[id]; len(p.Dense) != 5 || p.Version != old.Version || len(p.Sparse.Index) != len(old.Sparse.Index) {
			t.Errorf("%s: %+v was %+v", id, p, old)
			break
		}
	}
	if again := reembed(t, r, q, func(int) {}); !again.Swapped || again.Into != moved || again.Embedded != 0 {
		t.Errorf("once more: %+v", again)
	}
}

// A collection that was left is a start: the way back embeds only what has changed since.
func TestReembed_thereAndBack(t *testing.T) {
	r := manyNotes(t, 60)
	reembed(t, r, router.Reembed{Collection: "live", Space: vowelsSpace, Swap: true}, func(int) {})
	upsert(t, r, "live", "", note("p0001", "new words"), note("q", "one more"))
	if _, err := r.Delete(t.Context(), router.Delete{Collection: "live", IDs: []string{"p0002", "p0003"}}); err != nil {
		t.Fatal(err)
	}
	// The way back goes to a collection named after the space, and "notes" was there before spaces were.
	back := reembed(t, r, router.Reembed{Collection: "live", Space: lettersSpace, Swap: true}, func(int) {})
	if back.Into != "notes--letters-8-raw" || back.Embedded != 59 {
		t.Errorf("%+v", back)
	}
	upsert(t, r, "live", "", note("p0001", "newer words"))
	forth := reembed(t, r, router.Reembed{Collection: "live", Space: vowelsSpace, Swap: true}, func(int) {})
	if forth.Into != moved || forth.Embedded != 1 || len(allOf(t, r, "live")) != 59 || allOf(t, r, "live")["p0001"].Text != "newer words" {
		t.Errorf("%+v, %d points", forth, len(allOf(t, r, "live")))
	}
}

// What is written while a collection is reembedded, up to the swap and over it, is neither lost nor undone.
func TestReembed_whileOthersWrite(t *testing.T) {
	r := manyNotes(t, 200)
	ctx, stop := context.WithCancel(t.Context())
	var writers sync.WaitGroup
	last := make([]string, 200) // text of each point; "-": deleted
	for w := range 4 {
		writers.Go(func() {
			for round := 0; ctx.Err() == nil; round++ {
				i := (round*7+w)%50*4 + w
				id, text := fmt.Sprintf("p%04d", i), fmt.Sprintf("abc zebra round%dof%d", round, i)
				var err error
				if round%3 == 2 {
					text = "-"
					_, err = r.Delete(t.Context(), router.Delete{Collection: "live", IDs: []string{id}})
				} else {
					_, err = r.Upsert(t.Context(), router.Upsert{Collection: "live", Points: []search.Point{note(id, text)}})
				}
				if err != nil {
					t.Error(err)
					return
				}
				last[i] = text
			}
		})
	}
	sum := reembed(t, r, router.Reembed{Collection: "live", Space: vowelsSpace, Limit: 10, Swap: true}, func(int) {
		if res := retrieve(t, r, router.Request{Collection: "live", Text: "zebra"}); !res.Report.Complete {
			t.Errorf("a search found %+v", res.Report)
		}
	})
	upsert(t, r, "live", "", note("after", "written after the swap"))
	stop()
	writers.Wait()
	all := allOf(t, r, moved)
	if !sum.Swapped || len(all["after"].Dense) != 5 {
		t.Errorf("%+v, and then %+v", sum, all["after"])
	}
	for i, text := range last {
		got, ok := all[fmt.Sprintf("p%04d", i)]
		switch {
		case text == "-" && ok, text != "-" && !ok:
			t.Errorf("point %d: wrote %q, found %q (%v)", i, text, got.Text, ok)
		case text != "" && text != "-" && got.Text != text, ok && (len(got.Dense) != 5 || len(got.Sparse.Index) == 0):
			t.Errorf("point %d: wrote %q, found %+v", i, text, got)
		}
	}
}

// Another router, that took over from one that had ended, knows nothing of the writes before: it compares again.
func TestReembed_survivesTheRouter(t *testing.T) {
	path, stores := filepath.Join(t.TempDir(), "map"), grid(t, 2, 1)
	var cursor string
	t.Run("first", func(t *testing.T) {
		r := notesOn(t, path, stores, 100)
		for range 2 { // steps
			done, err := r.Reembed(t.Context(), router.Reembed{Collection: "live", Space: vowelsSpace, Limit: 30, Cursor: cursor})
			if err != nil {
				t.Fatal(err)
			}
			cursor = done.Cursor
		}
		upsert(t, r, "live", "", note("p0000", "changed"))
		if _, err := r.Delete(t.Context(), router.Delete{Collection: "live", IDs: []string{"p0001"}}); err != nil {
			t.Fatal(err)
		}
	})
	r := notesOn(t, path, stores, 0)
	sum := reembed(t, r, router.Reembed{Collection: "live", Space: vowelsSpace, Swap: true, Cursor: cursor}, func(int) {})
	all := allOf(t, r, "live")
	if _, there := all["p0001"]; there || len(all) != 99 || all["p0000"].Text != "changed" || sum.Embedded != 41 || sum.Deleted != 1 {
		t.Errorf("%+v, %d points, changed: %q", sum, len(all), all["p0000"].Text)
	}
}

func TestReembed_takesTheNameOfACollection(t *testing.T) {
	stores := grid(t, 2, 2)
	r := notesOn(t, filepath.Join(t.TempDir(), "map"), stores, 40)
	q := router.Reembed{Collection: "notes", Space: vowelsSpace, Swap: true}
	if _, err := r.Reembed(t.Context(), q); !errors.Is(err, fault.Invalid) || fault.Field(err) != "/replace" || !strings.Contains(err.Error(), "own name") {
		t.Fatalf("without asking for it: %v", err)
	}
	q.Replace = true
	if sum := reembed(t, r, q, func(int) {}); !sum.Swapped || r.Aliases()["notes"] != moved || r.Aliases()["live"] != moved {
		t.Errorf("%+v, %v", sum, r.Aliases())
	}
	if res := retrieve(t, r, router.Request{Collection: "notes", Text: "number7 zebras"}); res.Hits[0].ID != "p0007" {
		t.Errorf("found %q", ids(res))
	}
	upsert(t, r, "notes", "", note("new", "still there"))
	for _, replicas := range stores {
		for _, store := range replicas {
			if _, err := store.Stats(t.Context(), "notes"); !errors.Is(err, fault.NotFound) {
				t.Errorf("a store still has the old points: %v", err)
			}
		}
	}
}

func TestReembed_refuses(t *testing.T) {
	r := manyNotes(t, 3)
	create(t, r, search.Collection{Name: "raw", Dims: 2})
	upsert(t, r, "raw", "", search.Point{Key: search.Key{ID: "bare"}, Dense: []float32{1, 2}})
	memory := newRouter(t, router.Config{Embedders: []embed.Provider{letters{}, vowels{}}, Lexicon: words}, grid(t, 1, 1)...)
	create(t, memory, search.Collection{Name: "notes", Space: lettersSpace})
	for name, c := range map[string]struct {
		r    *router.Router
		q    router.Reembed
		want fault.Class
		text string
	}{
		"unknown collection": {r, router.Reembed{Collection: "none", Space: vowelsSpace}, fault.NotFound, "none"},
		"unknown space":      {r, router.Reembed{Collection: "live", Space: "x"}, fault.Invalid, "configured: letters-8-raw, acme/vowels-5-raw"},
		"no space":           {r, router.Reembed{Collection: "live"}, fault.Invalid, "configured"},
		"cursor":             {r, router.Reembed{Collection: "live", Space: vowelsSpace, Cursor: "x"}, fault.Invalid, "/cursor"},
		"no text":            {r, router.Reembed{Collection: "raw", Space: vowelsSpace}, fault.Invalid, `"bare" has no text`},
		"no map file":        {memory, router.Reembed{Collection: "notes", Space: vowelsSpace, Swap: true, Replace: true}, fault.Invalid, "file for the shard map"},
	} {
		if _, err := c.r.Reembed(t.Context(), c.q); !errors.Is(err, c.want) || !strings.Contains(err.Error(), c.text) {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

// The new collection being dropped on the way starts it anew.
func TestReembed_startsAgainWhereTheNewCollectionWasDropped(t *testing.T) {
	r := manyNotes(t, 50)
	q := router.Reembed{Collection: "live", Space: vowelsSpace, Limit: 20, Swap: true}
	sum := reembed(t, r, q, func(step int) {
		if step == 3 { // at the end of the copy
			if err := r.DropCollection(t.Context(), moved); err != nil {
				t.Fatal(err)
			}
		}
	})
	if !sum.Swapped || sum.Embedded != 100 || len(allOf(t, r, "live")) != 50 {
		t.Errorf("%+v, %d points", sum, len(allOf(t, r, "live")))
	}
}
