package part_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/lanewise/lanewise/bench"
	"github.com/lanewise/lanewise/bench/part"
	"github.com/lanewise/lanewise/fault"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestParts_haveFigures(t *testing.T) {
	for name, p := range map[string]part.Part{"merge": part.Merge(4, 10), "map": part.Map(4), "embed": part.Embed, "store": part.Store(600, 8)} {
		r := &bench.Report{}
		for range 2 {
			if err := p(t.Context(), r); err != nil {
				t.Fatalf("%s: %v", name, err)
			}
		}
		if len(r.Rows) != 1 {
			t.Fatalf("%s: rows %+v", name, r.Rows)
		}
		for _, f := range r.Rows[0].Figures {
			if len(f.Rounds) != 2 || f.Median() <= 0 {
				t.Errorf("%s: %s is %v", name, f.Name, f.Rounds)
			}
		}
	}
}

// No more moves than must, when a shard joins.
func TestMap_movesLittle(t *testing.T) {
	r := &bench.Report{}
	if err := part.Map(15)(t.Context(), r); err != nil {
		t.Fatal(err)
	}
	for _, f := range r.Rows[0].Figures {
		if f.Name == "moved/needed" && (f.Median() < 0.8 || f.Median() > 1.15) || f.Name == "largest/fair after" && f.Median() > 1.15 {
			t.Errorf("%s is %g", f.Name, f.Median())
		}
	}
}

// A row for each target, with what was asked beside what was reached.
func TestLane_hasTargets(t *testing.T) {
	r := &bench.Report{}
	if err := part.Lane(100*time.Millisecond)(t.Context(), r); err != nil {
		t.Fatal(err)
	}
	if len(r.Rows) != 5 {
		t.Fatalf("rows %+v", r.Rows)
	}
	for _, row := range r.Rows {
		if f := row.Figures; len(f) != 2 || f[0].Name != "asked" || f[0].Median() <= 1 || f[1].Median() <= 0 || f[1].Better == bench.Neither {
			t.Errorf("%s: %+v", row.Name, f)
		}
	}
}

// A run that is cut has no figures of what it did not see.
func TestLane_cut(t *testing.T) {
	r := &bench.Report{}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := part.Lane(time.Hour)(ctx, r); !errors.Is(err, context.Canceled) || len(r.Rows) != 0 {
		t.Errorf("cut: %v, %+v", err, r.Rows)
	}
}

func TestParts_refuse(t *testing.T) {
	for name, p := range map[string]part.Part{"merge": part.Merge(0, 10), "k": part.Merge(1, -1), "map": part.Map(0), "store": part.Store(0, 8)} {
		if err := p(t.Context(), &bench.Report{}); !errors.Is(err, fault.Invalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := part.Merge(4, 10)(ctx, &bench.Report{}); !errors.Is(err, context.Canceled) {
		t.Errorf("cut: %v", err)
	}
}

func ExampleMerge() {
	r := &bench.Report{}
	err := part.Merge(16, 100)(context.Background(), r)
	fmt.Println(r.Rows[0].Name, err)
	// Output: 16 x 100 -> 100 <nil>
}
