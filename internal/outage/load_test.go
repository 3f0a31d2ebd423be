//go:build unix

package outage_test

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/lanewise/lanewise/router"
	"github.com/lanewise/lanewise/search"
)

const (
	docs = "docs"
	dims = 16
)

// ask is the search that all tests repeat.
func ask() search.Query {
	return search.Query{Collection: docs, Legs: []search.Leg{{Dense: random(1, 7)[0].Dense, K: 10, Exact: true}}}
}

func random(n int, seed uint64) []search.Point {
	rng := rand.New(rand.NewPCG(seed, 1)) //nolint:gosec // reproducible on purpose
	points := make([]search.Point, n)
	for i := range points {
		v := make([]float32, dims)
		for j := range v {
			v[j] = float32(rng.NormFloat64())
		}
		points[i] = search.Point{Key: search.Key{ID: fmt.Sprintf("p%04d", i)}, Dense: v, Text: fmt.Sprint("text ", i)}
	}
	return points
}

// system is a router with its points, and the one right answer.
type system struct {
	*router.Router
	want []string
}

// build fills a router over these shards.
func build(tb testing.TB, c router.Config, shards ...[]search.Store) *system {
	tb.Helper()
	s := open(tb, c, shards...)
	if _, err := s.CreateCollection(tb.Context(), about()); err != nil {
		tb.Fatal(err)
	}
	if _, err := s.Upsert(tb.Context(), router.Upsert{Collection: docs, Points: random(500, 3)}); err != nil {
		tb.Fatal(err)
	}
	return s
}

func about() search.Collection {
	return search.Collection{Name: docs, Dims: dims, Metric: search.Cosine, Placement: search.Placement{By: search.ByID}}
}

// open makes a router over shards that have their points.
func open(tb testing.TB, c router.Config, shards ...[]search.Store) *system {
	tb.Helper()
	for i, replicas := range shards {
		s := router.Shard{Name: fmt.Sprint("s", i)}
		for j, store := range replicas {
			s.Replicas = append(s.Replicas, router.Replica{Name: fmt.Sprint("r", j), Store: store})
		}
		c.Shards = append(c.Shards, s)
	}
	if _, measured := tb.(*testing.B); !measured { // a machine that is busy for a while fails no search
		c.SearchTimeout, c.WriteTimeout = cmp.Or(c.SearchTimeout, patience/4), patience
	}
	r, err := router.New(c)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := r.Close(); err != nil {
			tb.Error(err)
		}
	})
	return &system{r, best(tb)}
}

// best is what brute force answers.
func best(tb testing.TB) []string {
	tb.Helper()
	reference, about, points := embedded(tb), about(), random(500, 3)
	for i := range points {
		points[i].Version = 1
	}
	for _, b := range []search.Batch{{Create: &about}, {Collection: docs, Upserts: points}} {
		if _, err := reference.Write(tb.Context(), b); err != nil {
			tb.Fatal(err)
		}
	}
	res, err := reference.Search(tb.Context(), ask())
	if err != nil {
		tb.Fatal(err)
	}
	return ids(res)
}

func ids(res search.Result) []string {
	var out []string
	for _, h := range res.Lists[0].Hits {
		out = append(out, h.ID)
	}
	return out
}

var errWrong = errors.New("a wrong answer")

// once searches and compares.
func (s *system) once(ctx context.Context) error {
	res, err := s.Search(ctx, ask())
	if err != nil {
		return err
	}
	if got := ids(res); fmt.Sprint(got) != fmt.Sprint(s.want) {
		return fmt.Errorf("%w: got %v, want %v", errWrong, got, s.want)
	}
	return nil
}

// patience is how long a test waits for what must happen.
const patience = 2 * time.Minute

// load is callers at work. Each waits a moment between its calls, so that the machine
// has time for the servers.
func (s *system) load(t *testing.T, callers int) *load {
	t.Helper()
	l := &load{t: t, outcomes: make(chan error)}
	done := make(chan struct{})
	var working sync.WaitGroup
	for range callers {
		working.Go(func() {
			pace := time.NewTicker(5 * time.Millisecond)
			defer pace.Stop()
			for {
				select {
				case l.outcomes <- l.once(s):
					<-pace.C
				case <-done:
					return
				}
			}
		})
	}
	t.Cleanup(func() {
		close(done)
		working.Wait()
	})
	return l
}

type load struct {
	t        *testing.T
	outcomes chan error
	calls    sync.RWMutex // read-locked by each search under way
}

func (l *load) once(s *system) error {
	l.calls.RLock()
	defer l.calls.RUnlock()
	return s.once(context.Background())
}

// settle waits for the searches under way. Those that began while a server was down have
// had its error, and could not do without the other one.
func (l *load) settle() {
	l.calls.Lock()
	l.calls.Unlock() //nolint:staticcheck // only waits
}

// until takes outcomes until enough says so. Each must be right, or an error of kind
// allowed, if one is.
func (l *load) until(what string, allowed error, enough func(err error) bool) {
	l.t.Helper()
	late := time.After(patience)
	for {
		select {
		case err := <-l.outcomes:
			if err != nil && (allowed == nil || !errors.Is(err, allowed) || errors.Is(err, errWrong)) {
				l.t.Fatalf("%s: %v", what, err)
			}
			if enough(err) {
				return
			}
		case <-late:
			l.t.Fatalf("%s: it does not come to an end", what)
		}
	}
}

// right is enough when n calls in a row had the right answer.
func right(n int) func(error) bool {
	row := 0
	return func(err error) bool {
		if row++; err != nil {
			row = 0
		}
		return row >= n
	}
}

// down is enough when n calls in a row failed.
func down(n int) func(error) bool {
	row := 0
	return func(err error) bool {
		if row++; err == nil {
			row = 0
		}
		return row >= n
	}
}
