package qdrant_test

import (
	"context"
	"errors"
	"slices"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"
	sdk "github.com/qdrant/go-client/qdrant"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/lanewise/lanewise/adapters/qdrant"
	"github.com/lanewise/lanewise/fault"
	"github.com/lanewise/lanewise/internal/exact"
	"github.com/lanewise/lanewise/search"
)

// wide is a vector of n terms whose values float32 cannot add up exactly.
func wide(n int, value float32) (v search.Sparse) {
	for i := range n {
		v.Index = append(v.Index, uint32(7*i)) //nolint:gosec // small
		v.Value = append(v.Value, value+float32(i)/3)
	}
	return v
}

func TestSearch_sparseScoresAreSummedInFloat64(t *testing.T) {
	s, engine := start(t)
	create(t, s)
	p := search.Point{Key: search.Key{ID: "a"}, Version: 1, Sparse: wide(300, 0.1)}
	put(t, s, p)
	l := find(t, s, search.Query{Collection: docs, Legs: []search.Leg{{Sparse: wide(256, 0.7), K: 1}}})
	if want := exact.Sparse(wide(256, 0.7), p.Sparse); len(l.Hits) != 1 || l.Hits[0].Score != want || l.Hits[0].Raw == want {
		t.Errorf("got %+v, want the score %v and a raw one beside it", l.Hits, want)
	}
	if len(l.Hits[0].Sparse.Index) > 0 || len(l.Hits[0].Dense) > 0 {
		t.Errorf("vectors that nobody asked for: %+v", l.Hits[0])
	}
	asked := engine.last(t, "QueryBatch").request.(*sdk.QueryBatchPoints).GetQueryPoints()[0].GetWithVectors()
	if diff := cmp.Diff([]string{"sparse"}, asked.GetInclude().GetNames()); diff != "" {
		t.Error(diff)
	}
}

func TestTermStats_countsWhatIsNotZero(t *testing.T) {
	s, engine := start(t)
	create(t, s)
	sparse := func(id string, index []uint32, value ...float32) search.Point {
		return search.Point{Key: search.Key{ID: id}, Version: 1, Sparse: search.Sparse{Index: index, Value: value}}
	}
	put(t, s, sparse("a", []uint32{1, 5}, 2, 0), sparse("b", []uint32{5}, 3), at("dense", 1))
	if got := indexOf(engine, "words"); got != sdk.FieldType_FieldTypeInteger {
		t.Errorf("words are indexed as %v", got)
	}
	got, err := s.TermStats(t.Context(), search.TermQuery{Collection: docs, Vector: "sparse", Terms: []uint32{5, 1, 7}})
	if diff := cmp.Diff(search.TermStats{Docs: 2, Counts: []uint64{1, 1, 0}}, got); err != nil || diff != "" {
		t.Errorf("%v %s", err, diff)
	}
}

func indexOf(s *server, field string) sdk.FieldType {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.shelf[docs].indexed[field]
}

// TestTermStats_isBounded: a query of many words does not flood the server, and one
// count that fails ends it.
func TestTermStats_isBounded(t *testing.T) {
	s, engine := start(t)
	create(t, s)
	var now, most, calls atomic.Int64
	engine.hook(func(ctx context.Context) error {
		if n := now.Add(1); n > most.Load() {
			most.Store(n)
		}
		defer now.Add(-1)
		switch n := calls.Add(1); {
		case n == 100:
			return status.Error(codes.Unavailable, "no more")
		case n > 100: // held until the failure is known
			<-ctx.Done()
		}
		return nil
	})
	_, err := s.TermStats(t.Context(), search.TermQuery{Collection: docs, Terms: make([]uint32, 5000)})
	if !errors.Is(err, fault.Unavailable) {
		t.Errorf("got %v, want unavailable", err)
	}
	if most.Load() > 8 || calls.Load() > 200 {
		t.Errorf("%d calls at a time, %d in all", most.Load(), calls.Load())
	}
}

func TestTermStats_refuses(t *testing.T) {
	s := fresh(t)
	create(t, s)
	if _, err := s.TermStats(t.Context(), search.TermQuery{Collection: docs, Vector: "words"}); fault.Field(err) != "/vector" {
		t.Errorf("another vector: %v", err)
	}
	if _, err := s.TermStats(t.Context(), search.TermQuery{Collection: "none"}); !errors.Is(err, fault.NotFound) {
		t.Errorf("no collection: %v", err)
	}
	external, _ := reader(t, qdrant.External{})
	_, err := external.TermStats(t.Context(), search.TermQuery{Collection: docs, Terms: []uint32{1}})
	if !errors.Is(err, fault.Invalid) {
		t.Errorf("a collection of somebody else's: %v", err)
	}
}

// TestCreate_addsWords keeps what another program has put beside the description.
func TestCreate_addsWords(t *testing.T) {
	s, engine := start(t)
	c := search.Collection{Name: docs, Dims: 2, Metric: search.Dot, Placement: search.Placement{By: search.ByID}}
	write := func(c search.Collection) error {
		_, err := s.Write(t.Context(), search.Batch{Create: &c})
		return err
	}
	if err := write(c); err != nil {
		t.Fatal(err)
	}
	engine.mu.Lock()
	engine.shelf[docs].config.Metadata["theirs"] = sdk.NewValueString("x")
	engine.mu.Unlock()
	c.Lexical, c.AvgLen, c.Language = true, 60, "en"
	if err := write(c); err != nil {
		t.Fatal(err)
	}
	stats, err := s.Stats(t.Context(), "")
	if err != nil || !slices.ContainsFunc(stats, func(s search.Stats) bool { return s.Collection == c }) {
		t.Errorf("%+v, %v, want %+v", stats, err, c)
	}
	if got := engine.shelf[docs].config.GetMetadata()["theirs"].GetStringValue(); got != "x" {
		t.Errorf("what was beside the description is %q", got)
	}
	c.Language = "sv"
	if err := write(c); !errors.Is(err, fault.Conflict) {
		t.Errorf("another language: %v, want a conflict", err)
	}
}
