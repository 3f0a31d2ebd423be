package router_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/lanewise/lanewise/balance"
	"github.com/lanewise/lanewise/balance/admit"
	"github.com/lanewise/lanewise/fault"
	"github.com/lanewise/lanewise/router"
	"github.com/lanewise/lanewise/search"
)

var byVector = router.Request{Collection: "docs", Vector: []float32{1, 0}, K: 3}

func TestRetrieve_overShardsEqualsOneStore(t *testing.T) {
	one, many := newRouter(t, router.Config{}, grid(t, 1, 1)...), newRouter(t, router.Config{}, grid(t, 4, 3)...)
	rng := rand.New(rand.NewPCG(1, 2))
	for _, metric := range []search.Metric{search.Cosine, search.Dot, search.Euclidean} {
		name := string(metric)
		var points []search.Point
		for i := range 500 {
			points = append(points, search.Point{Key: search.Key{ID: fmt.Sprint(i)}, Dense: randomVector(rng, 16)})
			if i%5 == 0 { // ties
				points[i].Dense = points[i/2].Dense
			}
		}
		for _, r := range []*router.Router{one, many} {
			create(t, r, search.Collection{Name: name, Dims: 16, Metric: metric})
			if _, err := r.Upsert(t.Context(), router.Upsert{Collection: name, Points: points}); err != nil {
				t.Fatal(err)
			}
		}
		for i := range 50 {
			q := router.Request{Collection: name, Vector: randomVector(rng, 16), K: 1 + i}
			if diff := cmp.Diff(ranking(t, one, q), ranking(t, many, q)); diff != "" {
				t.Fatalf("%s, k %d (-one +many):\n%s", metric, q.K, diff)
			}
		}
	}
}

// ranked is what must be equal between two answers.
type ranked struct {
	ID    string
	Score float64
}

func ranking(t *testing.T, r *router.Router, q router.Request) []ranked {
	t.Helper()
	res, err := r.Retrieve(t.Context(), q)
	if err != nil {
		t.Fatal(err)
	}
	if !res.Report.Complete || res.Report.Coverage != 1 {
		t.Fatalf("incomplete: %+v", res.Report)
	}
	out := make([]ranked, len(res.Hits))
	for i, h := range res.Hits {
		out[i] = ranked{h.ID, h.Score}
	}
	return out
}

func TestRetrieve_hedgesToTheOtherReplica(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := router.Config{Lane: balance.LaneConfig{HedgeDelay: 20 * time.Millisecond}}
		took := map[time.Duration]int{}
		for range 20 { // the first pick is random
			r := newRouter(t, c, []search.Store{after(time.Second, hit("a", 1)), after(5*time.Millisecond, hit("a", 1))})
			res, err := r.Retrieve(t.Context(), byVector)
			if err != nil {
				t.Fatal(err)
			}
			took[res.Report.Took]++
			if hedged := res.Report.Took == 25*time.Millisecond; hedged != (res.Report.Hedges == 1) {
				t.Fatalf("took %v with %d hedges", res.Report.Took, res.Report.Hedges)
			}
		}
		if took[5*time.Millisecond]+took[25*time.Millisecond] != 20 || len(took) != 2 {
			t.Fatalf("answers took %v: want some after 5ms and the others, hedged, after 25ms", took)
		}
	})
}

func TestRetrieve_failsOver(t *testing.T) {
	down := failing(fault.New(fault.Unavailable, "connection refused"))
	emptied := failing(fault.New(fault.NotFound, "no such collection"))
	panics := &fake{search: func(context.Context, search.Query) (search.Result, error) { panic("defect") }}
	for name, broken := range map[string]*fake{"unavailable": down, "panic": panics, "lost its data": emptied} {
		t.Run(name, func(t *testing.T) {
			failovers := 0
			for range 20 { // the first pick of a router is random
				r := newRouter(t, router.Config{}, []search.Store{broken, after(0, hit("a", 1))})
				res, err := r.Retrieve(t.Context(), byVector)
				if err != nil || len(res.Hits) != 1 {
					t.Fatalf("hits %v, err %v", res.Hits, err)
				}
				failovers += res.Report.Failovers
			}
			if failovers == 0 {
				t.Error("the broken replica was never tried first, so nothing was tested")
			}
		})
	}
}

func TestRetrieve_partial(t *testing.T) {
	newPartial := func(t *testing.T) *router.Router {
		t.Helper()
		down := failing(fault.New(fault.Unavailable, "connection refused"))
		return newRouter(t, router.Config{}, []search.Store{after(0)}, []search.Store{down})
	}
	t.Run("is an error by default", func(t *testing.T) {
		_, err := newPartial(t).Retrieve(t.Context(), byVector)
		var partial *router.PartialError
		if !errors.As(err, &partial) || fault.Of(err) != fault.Partial {
			t.Fatalf("err %v, want a PartialError", err)
		}
		missing := partial.Report.Missing
		if len(missing) != 1 || missing[0].Shard != "s1" || missing[0].Reason != search.Failed || partial.Report.Coverage != 0.5 {
			t.Fatalf("report %+v", partial.Report)
		}
	})
	t.Run("is an answer where it is allowed", func(t *testing.T) {
		q := byVector
		q.OnPartial = router.ReturnPartial
		res, err := newPartial(t).Retrieve(t.Context(), q)
		if err != nil || res.Report.Complete || res.Report.ShardsAnswered != 1 || res.Report.ShardsAsked != 2 {
			t.Fatalf("report %+v, err %v", res.Report, err)
		}
	})
	t.Run("must cover the minimum", func(t *testing.T) {
		r := newPartial(t)
		for coverage, ok := range map[float64]bool{0.5: true, 0.6: false} {
			q := byVector
			q.MinCoverage = coverage
			if _, err := r.Retrieve(t.Context(), q); (err == nil) != ok {
				t.Errorf("min_coverage %v: err %v", coverage, err)
			}
		}
	})
}

func TestRetrieve_reasonsOfMissingShards(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for want, store := range map[search.Reason]*fake{
			search.TimedOut: after(time.Hour),
			search.Mismatch: failing(fault.New(fault.NotFound, "no such collection")),
			search.Shed:     failing(fault.Busy(time.Second, "full")),
			search.Failed:   failing(errors.New("defect")),
		} {
			r := newRouter(t, router.Config{}, []search.Store{after(0)}, []search.Store{store})
			_, err := r.Retrieve(t.Context(), byVector)
			var partial *router.PartialError
			if !errors.As(err, &partial) || len(partial.Report.Missing) != 1 || partial.Report.Missing[0].Reason != want {
				t.Errorf("%s: err %v", want, err)
			}
		}
	})
}

func TestRetrieve_answersWithinTheDeadlineWhatIsThere(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRouter(t, router.Config{}, []search.Store{after(0)}, []search.Store{after(time.Hour)})
		q := byVector
		q.Timeout, q.OnPartial = 400*time.Millisecond, router.ReturnPartial
		res, err := r.Retrieve(t.Context(), q)
		if err != nil || res.Report.Took != 380*time.Millisecond { // a twentieth is kept for the merge
			t.Fatalf("took %v, err %v", res.Report.Took, err)
		}
	})
}

func TestRetrieve_givesUpOnStragglersOnceEnoughIsCovered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		quick, slow := after(50*time.Millisecond), after(time.Hour)
		r := newRouter(t, router.Config{}, []search.Store{quick}, []search.Store{quick}, []search.Store{quick}, []search.Store{slow})
		for coverage, want := range map[float64]time.Duration{
			0.75: 100 * time.Millisecond, // as long again as the others took
			0.9:  950 * time.Millisecond, // not enough without the last: the whole deadline
		} {
			q := byVector
			q.Timeout, q.MinCoverage, q.OnPartial = time.Second, coverage, router.ReturnPartial
			res, err := r.Retrieve(t.Context(), q)
			if res.Report.Took != want || (err == nil) != (coverage < 0.8) {
				t.Errorf("coverage %v: took %v, want %v, err %v", coverage, res.Report.Took, want, err)
			}
			if len(res.Report.Missing) != 1 || res.Report.Missing[0].Reason != search.TimedOut {
				t.Errorf("coverage %v: report %+v", coverage, res.Report)
			}
		}
	})
}

func TestRetrieve_whereNoShardAnsweredTheirErrorsStay(t *testing.T) {
	for _, class := range []fault.Class{fault.Invalid, fault.Unavailable, fault.Overloaded} {
		bad := failing(fault.New(class, "no"))
		r := newRouter(t, router.Config{}, []search.Store{bad}, []search.Store{bad})
		if _, err := r.Retrieve(t.Context(), byVector); fault.Of(err) != class {
			t.Errorf("err %v of class %q, want %q", err, fault.Of(err), class)
		}
	}
}

func TestRetrieve_callerLeft(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRouter(t, router.Config{}, []search.Store{after(time.Hour)}, []search.Store{after(time.Hour)})
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(10*time.Millisecond, cancel)
		start := time.Now()
		_, err := r.Retrieve(ctx, byVector)
		if !errors.Is(err, context.Canceled) || time.Since(start) != 10*time.Millisecond {
			t.Fatalf("err %v after %v", err, time.Since(start))
		}
	})
}

func TestSearch_dropsWhatAShardMayNotAnswer(t *testing.T) {
	foreign := hit("a", 9)
	foreign.Tenant = "other"
	elsewhere := hit("a", 8)
	elsewhere.Collection = "secrets"
	liar := after(0, foreign, elsewhere, hit("a", math.NaN()), hit("a", math.Inf(1)), hit("a", 1))
	r := newRouter(t, router.Config{}, []search.Store{liar})
	res, err := r.Retrieve(t.Context(), byVector)
	if err != nil || len(res.Hits) != 1 || res.Hits[0].Score != 1 || res.Report.Dropped != 4 {
		t.Fatalf("hits %v, dropped %d, err %v", res.Hits, res.Report.Dropped, err)
	}
}

func TestSearch_dropsPointsThatAnotherShardOwns(t *testing.T) {
	stale := after(0, hit("a", 1)) // both shards claim to hold it
	r := newRouter(t, router.Config{}, []search.Store{stale}, []search.Store{stale})
	res, err := r.Retrieve(t.Context(), byVector)
	if err != nil || len(res.Hits) != 1 || res.Report.Dropped != 1 {
		t.Fatalf("hits %v, dropped %d, err %v", res.Hits, res.Report.Dropped, err)
	}
}

func TestSearch_treatsAPartialReplicaAsDown(t *testing.T) {
	partial := failing(&router.PartialError{Report: search.Report{ShardsAsked: 2}})
	r := newRouter(t, router.Config{}, []search.Store{partial, after(0, hit("a", 1))})
	for range 10 {
		if _, err := r.Retrieve(t.Context(), byVector); err != nil {
			t.Fatal(err)
		}
	}
}

func TestRetrieve_shedsWhole(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		asked := 0
		busy := after(time.Second)
		counted := &fake{search: func(ctx context.Context, q search.Query) (search.Result, error) {
			asked++
			return busy.Search(ctx, q)
		}}
		r := newRouter(t, router.Config{Admission: admit.Config{Most: 1}}, []search.Store{counted})
		done := make(chan error)
		go func() { _, err := r.Retrieve(t.Context(), byVector); done <- err }()
		synctest.Wait()
		start := time.Now()
		_, err := r.Retrieve(t.Context(), byVector)
		if fault.Of(err) != fault.Overloaded || fault.RetryAfter(err) == 0 || time.Since(start) >= time.Second {
			t.Errorf("err %v after %v", err, time.Since(start))
		}
		if asked != 1 {
			t.Errorf("the shard was asked %d times: what is shed must cost nothing", asked)
		}
		if err := <-done; err != nil {
			t.Errorf("the first search: %v", err)
		}
		if _, err := r.Retrieve(t.Context(), byVector); err != nil {
			t.Errorf("its place is not free again: %v", err)
		}
	})
}

func TestRetrieve_refusesBadRequests(t *testing.T) {
	r := newRouter(t, router.Config{Embedders: nil}, []search.Store{after(0)})
	create(t, r, search.Collection{Name: "tenants", Dims: 2, Placement: search.Placement{By: search.ByTenant}})
	create(t, r, search.Collection{Name: "strict", Dims: 2, Space: "x-2", StrictSpace: true})
	nan := float32(math.NaN())
	for name, c := range map[string]struct {
		edit  func(*router.Request)
		class fault.Class
		field string
	}{
		"no collection":    {func(q *router.Request) { q.Collection = "nope" }, fault.NotFound, "/collection"},
		"negative k":       {func(q *router.Request) { q.K = -1 }, fault.Invalid, "/k"},
		"huge k":           {func(q *router.Request) { q.K = router.MaxK + 1 }, fault.Invalid, "/k"},
		"nothing to find":  {func(q *router.Request) { q.Vector = nil }, fault.Invalid, "/text"},
		"text and vector":  {func(q *router.Request) { q.Text = "x" }, fault.Invalid, "/vector"},
		"wrong dims":       {func(q *router.Request) { q.Vector = []float32{1} }, fault.Invalid, "/vector"},
		"NaN":              {func(q *router.Request) { q.Vector = []float32{1, nan} }, fault.Invalid, "/vector"},
		"text, no space":   {func(q *router.Request) { q.Vector, q.Text = nil, "x" }, fault.Invalid, "/text"},
		"unknown mode":     {func(q *router.Request) { q.Mode = "magic" }, fault.Invalid, "/mode"},
		"lexical":          {func(q *router.Request) { q.Mode = router.Lexical }, fault.Invalid, "/mode"},
		"coverage over 1":  {func(q *router.Request) { q.MinCoverage = 1.1 }, fault.Invalid, "/min_coverage"},
		"on_partial":       {func(q *router.Request) { q.OnPartial = "maybe" }, fault.Invalid, "/on_partial"},
		"negative timeout": {func(q *router.Request) { q.Timeout = -1 }, fault.Invalid, "/timeout_ms"},
		"no tenant":        {func(q *router.Request) { q.Collection = "tenants" }, fault.Invalid, "/tenant"},
		"space not named":  {func(q *router.Request) { q.Collection = "strict" }, fault.Invalid, "/space"},
		"another space":    {func(q *router.Request) { q.Collection, q.Space = "strict", "y-2" }, fault.Conflict, "/space"},
		"space unconfigured": {func(q *router.Request) {
			q.Collection, q.Vector, q.Text = "strict", nil, "x"
		}, fault.Conflict, ""},
	} {
		q := byVector
		c.edit(&q)
		_, err := r.Retrieve(t.Context(), q)
		if fault.Of(err) != c.class || fault.Field(err) != c.field {
			t.Errorf("%s: err %v (class %q, field %q), want class %q, field %q", name, err, fault.Of(err), fault.Field(err), c.class, c.field)
		}
	}
}

func TestRetrieve_minScoreCutsTheList(t *testing.T) {
	r := newRouter(t, router.Config{}, []search.Store{after(0, hit("a", 0.9), hit("b", 0.5), hit("c", 0.1))})
	q, low := byVector, 0.5
	q.MinScore = &low
	res, err := r.Retrieve(t.Context(), q)
	if err != nil || len(res.Hits) != 2 {
		t.Fatalf("hits %v, err %v", res.Hits, err)
	}
}

func TestRetrieve_explains(t *testing.T) {
	r := newRouter(t, router.Config{}, []search.Store{after(0, hit("a", 1))}, []search.Store{after(0)})
	q := byVector
	q.Explain = true
	res, err := r.Retrieve(t.Context(), q)
	if err != nil || res.Explain == nil || len(res.Explain.Attempts) != 2 || res.Explain.Stages[0].Name != "search" {
		t.Fatalf("explain %+v, err %v", res.Explain, err)
	}
	if a := res.Explain.Attempts[0]; a.Member != "r0" || !a.Won {
		t.Errorf("attempt %+v", a)
	}
}
