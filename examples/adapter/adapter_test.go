package adapter_test

import (
	"context"
	"fmt"
	"testing"

	"go.uber.org/goleak"

	"github.com/lanewise/lanewise/adapters/adaptertest"
	"github.com/lanewise/lanewise/examples/adapter"
	"github.com/lanewise/lanewise/search"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// open returns a store that is closed with its test.
func open(t *testing.T, c adapter.Config) search.Store {
	t.Helper()
	s, err := adapter.New(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// All that a test of an adapter needs.
func TestConformance(t *testing.T) {
	adaptertest.Suite{
		Open: func(t *testing.T) search.Store {
			t.Helper()
			e := start("")
			t.Cleanup(e.Close)
			return open(t, adapter.Config{URL: e.URL})
		},
		Wire: func(t *testing.T) adaptertest.Wire {
			t.Helper()
			e := start("right")
			t.Cleanup(e.Close)
			reach := func(scheme, key string) func(*testing.T, string) search.Store {
				return func(t *testing.T, address string) search.Store {
					t.Helper()
					return open(t, adapter.Config{URL: scheme + address, Key: key})
				}
			}
			return adaptertest.Wire{
				Address: e.Listener.Addr().String(),
				Open:    reach("http://", "right"), Refused: reach("http://", "wrong"), Encrypted: reach("https://", "right"),
			}
		},
		Tolerance:     1e-9, // float64, but not necessarily added up in the suite's order
		Unconditional: true,
	}.Run(t)
}

func Example() {
	e := start("")
	defer e.Close()
	s, err := adapter.New(adapter.Config{URL: e.URL})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer s.Close() //nolint:errcheck // at the end
	ctx := context.Background()
	for _, b := range []search.Batch{
		{Create: &search.Collection{Name: "docs", Dims: 2, Metric: search.Cosine}},
		{Collection: "docs", Upserts: []search.Point{
			{Key: search.Key{ID: "east"}, Dense: []float32{1, 0}}, {Key: search.Key{ID: "north"}, Dense: []float32{0, 1}},
		}},
	} {
		if _, err := s.Write(ctx, b); err != nil {
			fmt.Println(err)
			return
		}
	}
	res, err := s.Search(ctx, search.Query{Collection: "docs", Legs: []search.Leg{{Dense: []float32{3, 4}, K: 2}}})
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, h := range res.Lists[0].Hits {
		fmt.Printf("%s %.1f\n", h.ID, h.Score)
	}
	// Output:
	// north 0.8
	// east 0.6
}
