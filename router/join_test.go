package router_test

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/lanewise/lanewise/fault"
	"github.com/lanewise/lanewise/router"
	"github.com/lanewise/lanewise/search"
)

// outage is a store that can be switched off.
type outage struct {
	search.Store
	mu   sync.Mutex
	down bool
}

func (o *outage) set(down bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.down = down
}

func (o *outage) err() error {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.down {
		return fault.New(fault.Unavailable, "switched off")
	}
	return nil
}

func (o *outage) Search(ctx context.Context, q search.Query) (search.Result, error) {
	if err := o.err(); err != nil {
		return search.Result{}, err
	}
	return o.Store.Search(ctx, q)
}

func (o *outage) Write(ctx context.Context, b search.Batch) (search.Written, error) {
	if err := o.err(); err != nil {
		return search.Written{}, err
	}
	return o.Store.Write(ctx, b)
}

func (o *outage) Stats(ctx context.Context, collection string) ([]search.Stats, error) {
	if err := o.err(); err != nil {
		return nil, err
	}
	return o.Store.Stats(ctx, collection)
}

func (o *outage) Get(ctx context.Context, collection string, keys []search.Key, f search.Fields) ([]search.Point, error) {
	if err := o.err(); err != nil {
		return nil, err
	}
	return o.Store.Get(ctx, collection, keys, f)
}

func (o *outage) Scroll(ctx context.Context, s search.Scan) (search.Page, error) {
	if err := o.err(); err != nil {
		return search.Page{}, err
	}
	return o.Store.Scroll(ctx, s)
}

// over opens a router over one shard, which the test closes.
func over(t *testing.T, c router.Config, stores ...search.Store) *router.Router {
	t.Helper()
	c.Shards = []router.Shard{{Name: "s0"}}
	for i, store := range stores {
		c.Shards[0].Replicas = append(c.Shards[0].Replicas, router.Replica{Name: fmt.Sprintf("r%d", i), Store: store})
	}
	r, err := router.New(c)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func shut(t *testing.T, r *router.Router) {
	t.Helper()
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
}

// readers tells which replicas may answer, such as "10": the first only.
func readers(r *router.Router) (out string) {
	for _, s := range r.Replicas() {
		if s.Reads {
			out += "1"
		} else {
			out += "0"
		}
	}
	return out
}

// whole asks n times for everything and wants all of it, or an error, every time.
func whole(t *testing.T, r *router.Router, points int, mayFail bool) {
	t.Helper()
	for range 20 {
		res, err := r.Search(t.Context(), search.Query{Collection: "docs", Legs: []search.Leg{{Dense: []float32{1, 0}, K: 1000}}})
		if err != nil && mayFail {
			continue
		}
		if err != nil || len(res.Lists[0].Hits) != points {
			t.Fatalf("%d hits, want %d: %v", len(res.Lists[0].Hits), points, err)
		}
	}
}

func TestJoin_emptyReplicaNeverAnswers(t *testing.T) {
	stores, file := locals(t, 3), filepath.Join(t.TempDir(), "map")
	good, joins := &outage{Store: stores[0]}, stores[1]
	r := over(t, router.Config{MapPath: file}, good)
	create(t, r, search.Collection{Name: "docs", Dims: 2, Metric: search.Dot})
	upsert(t, r, "docs", "", numbered(100)...)
	shut(t, r)

	r = over(t, router.Config{MapPath: file}, good, joins)
	if got := readers(r); got != "10" {
		t.Fatalf("readers %s: %+v", got, r.Replicas())
	}
	if why := r.Replicas()[1].Why; !strings.Contains(why, "collection docs") {
		t.Errorf("why: %q", why)
	}
	whole(t, r, 100, false)
	upsert(t, r, "docs", "", point("new", 1, 1)) // writes go to the newcomer, too
	if got := stored(t, joins, "docs"); len(got) != 1 {
		t.Errorf("the newcomer has %v", got)
	}
	r.Compare(t.Context())
	create(t, r, search.Collection{Name: "docs", Dims: 2, Metric: search.Dot})
	whole(t, r, 101, false)
	good.set(true) // now only the newcomer is there, and it must not speak for the shard
	r.Compare(t.Context())
	whole(t, r, 101, true)
	shut(t, r)

	r = over(t, router.Config{MapPath: file}, good, joins) // nor after a restart
	whole(t, r, 101, true)
	if got := readers(r); got != "00" {
		t.Errorf("readers %s after a restart without the good replica", got)
	}
	good.set(false)
	repaired, err := r.Repair(t.Context(), router.Repair{})
	if err != nil || repaired.Copied != 100 {
		t.Errorf("%+v %v", repaired, err)
	}
	if got := readers(r); got != "11" {
		t.Errorf("readers %s after the repair", got)
	}
	good.set(true)
	whole(t, r, 101, true)
	shut(t, r)
}

// What a replica holds that was down from the beginning is not known: it is not read before
// it was compared, be it the only one of its shard.
func TestJoin_lateReplicaIsNotReadUnseen(t *testing.T) {
	stores, file := locals(t, 3), filepath.Join(t.TempDir(), "map")
	r := over(t, router.Config{MapPath: file}, stores[0])
	create(t, r, search.Collection{Name: "docs", Dims: 2, Metric: search.Dot})
	upsert(t, r, "docs", "", numbered(100)...)
	shut(t, r)
	other := search.Collection{Name: "docs", Dims: 2, Metric: search.Euclidean, Placement: search.Placement{By: search.ByID}}
	if _, err := stores[1].Write(t.Context(), search.Batch{Create: &other}); err != nil {
		t.Fatal(err)
	}
	good, late := &outage{Store: stores[0], down: true}, &outage{Store: stores[1], down: true}
	r = over(t, router.Config{MapPath: file}, good, late)
	if got := readers(r); got != "00" || r.Replicas()[1].Unreachable == "" {
		t.Errorf("readers %s while none was reached: %+v", got, r.Replicas())
	}
	late.set(false)
	for range 20 { // nobody has looked at it yet, or found that it is another one
		if res, err := r.Search(t.Context(), search.Query{Collection: "docs", Legs: []search.Leg{{Dense: []float32{1, 0}, K: 10}}}); !errors.Is(err, fault.Unavailable) {
			t.Fatalf("got %+v, %v", res, err)
		}
	}
	r.Compare(t.Context())
	if got := readers(r); got != "00" || !strings.Contains(r.Replicas()[1].Why, "the metric euclidean") {
		t.Errorf("readers %s with the one of another metric: %+v", got, r.Replicas())
	}
	good.set(false)
	r.Compare(t.Context())
	if got := readers(r); got != "10" {
		t.Errorf("readers %s with the good one: %+v", got, r.Replicas())
	}
	whole(t, r, 100, false)
	shut(t, r)

	late.Store = stores[2] // empty
	late.set(true)
	r = over(t, router.Config{MapPath: file}, good, late)
	late.set(false)
	whole(t, r, 100, false)
	if got := readers(r); got != "10" {
		t.Errorf("readers %s with an empty one that is late", got)
	}
	shut(t, r)
}

// One that refuses to say what it holds, as a key that may only search does, is read.
func TestJoin_reticentReplicaIsRead(t *testing.T) {
	stores := locals(t, 1)
	r := over(t, router.Config{}, &reticent{stores[0]})
	if got := readers(r); got != "1" {
		t.Errorf("readers %s: %+v", got, r.Replicas())
	}
	shut(t, r)
}

type reticent struct{ search.Store }

func (*reticent) Stats(context.Context, string) ([]search.Stats, error) {
	return nil, fault.New(fault.Refused, "not with this key")
}

func TestJoin_lostDataIsNoticed(t *testing.T) {
	stores := locals(t, 4)
	swapped := &swap{Store: stores[0]}
	r := over(t, router.Config{}, swapped, stores[1], stores[2])
	create(t, r, search.Collection{Name: "docs", Dims: 2, Metric: search.Dot})
	upsert(t, r, "docs", "", numbered(50)...)
	swapped.Store = stores[3] // its disk was replaced
	for range 20 {            // whoever is asked: it does not know the collection
		whole(t, r, 50, false)
	}
	r.Compare(t.Context())
	if got := readers(r); got != "011" {
		t.Errorf("readers %s", got)
	}
	if _, err := r.Repair(t.Context(), router.Repair{DryRun: true}); err != nil {
		t.Fatal(err)
	}
	if got := readers(r); got != "011" {
		t.Errorf("readers %s after a dry run", got)
	}
	if _, err := r.Repair(t.Context(), router.Repair{}); err != nil {
		t.Fatal(err)
	}
	if got := readers(r); got != "111" {
		t.Errorf("readers %s after the repair", got)
	}
	shut(t, r)
}

// swap is a store that can become another one between calls.
type swap struct{ search.Store }

// Writes under way make replicas differ for moments; none is put aside for it.
func TestJoin_writesUnderWayAreNoFault(t *testing.T) {
	stores := locals(t, 3)
	r := over(t, router.Config{}, stores...)
	defer shut(t, r)
	create(t, r, search.Collection{Name: "docs", Dims: 2, Metric: search.Dot})
	stop := make(chan struct{})
	var writers sync.WaitGroup
	for w := range 4 {
		writers.Go(func() {
			for i := 0; ; i++ {
				select {
				case <-stop:
					return
				default:
				}
				upsert(t, r, "docs", "", point(fmt.Sprint(w, i%50), float32(i), 1))
			}
		})
	}
	for range 40 {
		r.Compare(t.Context())
		if got := readers(r); got != "111" {
			t.Errorf("readers %s: %+v", got, r.Replicas())
			break
		}
	}
	close(stop)
	writers.Wait()
}

func TestRepair_copiesTheNewestAndKeepsDeletions(t *testing.T) {
	stores := locals(t, 3)
	for _, s := range stores {
		put(t, s, search.Batch{Create: &search.Collection{Name: "docs", Dims: 2, Metric: search.Dot, Placement: search.Placement{By: search.ByID}}})
	}
	p := func(id string, v search.Version) search.Point {
		return search.Point{Key: search.Key{ID: id}, Version: v, Dense: []float32{float32(v), 1}, Text: fmt.Sprint(id, v), Meta: []byte(`{"a":1}`), Sparse: search.Sparse{Index: []uint32{1}, Value: []float32{2}}}
	}
	put(t, stores[0], search.Batch{Collection: "docs", Upserts: []search.Point{p("both", 5), p("old", 1), p("deleted", 2), p("again", 9), p("first", 3)}})
	put(t, stores[1], search.Batch{Collection: "docs", Upserts: []search.Point{p("both", 5), p("old", 7), p("second", 4)},
		Deletes: []search.Tombstone{{Key: search.Key{ID: "deleted"}, Version: 6}, {Key: search.Key{ID: "again"}, Version: 8}}})
	put(t, stores[2], search.Batch{Collection: "docs", Upserts: []search.Point{p("both", 5), p("deleted", 2)}})
	r := over(t, router.Config{}, stores...)
	defer shut(t, r)

	dry, err := r.Repair(t.Context(), router.Repair{DryRun: true})
	if err != nil || len(dry.Differences) == 0 || dry.Copied != 0 || dry.Compared != 6 {
		t.Errorf("dry run: %+v %v", dry, err)
	}
	if got := stored(t, stores[2], "docs"); len(got) != 2 {
		t.Errorf("a dry run wrote: %v", got)
	}
	if _, err := r.Repair(t.Context(), router.Repair{Collections: []string{"docs"}, PerSecond: 1_000_000}); err != nil {
		t.Fatal(err)
	}
	want := []search.Point{p("again", 9), p("both", 5), p("first", 3), p("old", 7), p("second", 4)}
	for i, s := range stores {
		page, err := s.Scroll(t.Context(), search.Scan{Collection: "docs", Limit: 100, Fields: search.Fields{Text: true, Meta: true, Vector: true}})
		if diff := cmp.Diff(want, page.Points); diff != "" || err != nil {
			t.Errorf("replica %d: %v %s", i, err, diff)
		}
	}
	if got := readers(r); got != "111" {
		t.Errorf("readers %s: %+v", got, r.Replicas())
	}
	again, err := r.Repair(t.Context(), router.Repair{})
	if err != nil || again.Copied+again.Deleted != 0 || len(again.Differences) != 0 {
		t.Errorf("a second repair: %+v %v", again, err)
	}
	if _, err := r.Repair(t.Context(), router.Repair{Collections: []string{"nope"}}); !errors.Is(err, fault.NotFound) {
		t.Errorf("%v", err)
	}
}

// A replica that is down does not keep the others from being repaired.
func TestRepair_namesReplicasThatAreDown(t *testing.T) {
	stores := locals(t, 3)
	down := &outage{Store: stores[2]}
	r := over(t, router.Config{}, stores[0], stores[1], down)
	defer shut(t, r)
	create(t, r, search.Collection{Name: "docs", Dims: 2, Metric: search.Dot})
	put(t, stores[0], search.Batch{Collection: "docs", Upserts: []search.Point{{Key: search.Key{ID: "a"}, Version: 3, Dense: []float32{1, 1}}}})
	down.set(true)
	done, err := r.Repair(t.Context(), router.Repair{})
	if !errors.Is(err, fault.Unavailable) || !strings.Contains(fmt.Sprint(err), "replica r2") || done.Copied != 1 {
		t.Errorf("%+v %v", done, err)
	}
}

func put(t *testing.T, s search.Store, b search.Batch) {
	t.Helper()
	if _, err := s.Write(t.Context(), b); err != nil {
		t.Fatal(err)
	}
}

// What a router before this one still has on its way is refused once this one has written.
func TestNew_raisesTheEpoch(t *testing.T) {
	stores, file := locals(t, 1), filepath.Join(t.TempDir(), "map")
	epoch := func(r *router.Router) uint64 {
		res, err := r.Search(t.Context(), search.Query{Collection: "docs", Legs: []search.Leg{{Dense: []float32{1, 0}, K: 1}}})
		if err != nil {
			t.Fatal(err)
		}
		return res.Report.Epoch
	}
	r := over(t, router.Config{MapPath: file}, stores...)
	create(t, r, search.Collection{Name: "docs", Dims: 2, Metric: search.Dot})
	before := epoch(r)
	shut(t, r)
	r = over(t, router.Config{MapPath: file}, stores...)
	defer shut(t, r)
	if after := epoch(r); after <= before {
		t.Errorf("epoch %d after %d", after, before)
	}
	upsert(t, r, "docs", "", point("a", 1, 1))
	late := search.Batch{Collection: "docs", Epoch: before, Upserts: []search.Point{{Key: search.Key{ID: "a"}, Version: 1 << 62, Dense: []float32{0, 0}}}}
	if _, err := stores[0].Write(t.Context(), late); !errors.Is(err, fault.Conflict) {
		t.Errorf("a late write of epoch %d: %v", before, err)
	}
}
