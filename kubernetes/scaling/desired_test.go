package scaling_test

import (
	"fmt"
	"math"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/lanewise/lanewise/kubernetes/scaling"
)

func TestDesired(t *testing.T) {
	target := scaling.Target{Utilisation: 0.5, ColdStart: 10 * time.Second, Drain: 20 * time.Second}
	with := func(change func(*scaling.Target)) scaling.Target {
		other := target
		change(&other)
		return other
	}
	tests := []struct {
		name   string
		need   scaling.Need
		target scaling.Target
		want   int
	}{
		{"nothing to do", scaling.Need{Rate: 2, Members: 3}, target, 0},
		{"at its utilisation", scaling.Need{Arrivals: 4, Rate: 2}, target, 4},
		{"a little more", scaling.Need{Arrivals: 4.1, Rate: 2}, target, 5},
		{"growth until a member is ready", scaling.Need{Arrivals: 4, Growth: 0.2, Rate: 2}, target, 6},
		{"growth at most doubles", scaling.Need{Arrivals: 4, Growth: 5, Rate: 2}, target, 8},
		{"a fall is not planned for", scaling.Need{Arrivals: 4, Growth: -1, Rate: 2}, target, 4},
		{"a backlog", scaling.Need{Arrivals: 4, Backlog: 40, Rate: 2}, target, 6},
		{"no rate yet", scaling.Need{Arrivals: 4, Members: 3}, target, 3},
		{"no rate and no member", scaling.Need{Backlog: 1}, target, 1},
		{"least", scaling.Need{}, with(func(t *scaling.Target) { t.Least = 2 }), 2},
		{"most", scaling.Need{Arrivals: 400, Rate: 2}, with(func(t *scaling.Target) { t.Most = 8 }), 8},
		{"least above most", scaling.Need{}, with(func(t *scaling.Target) { t.Least, t.Most = 9, 8 }), 8},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := scaling.Desired(tt.need, tt.target); got != tt.want {
				t.Errorf("Desired(%+v) = %d, want %d", tt.need, got, tt.want)
			}
		})
	}
}

// any number, those that are none among them
var numbers = rapid.OneOf(rapid.Float64(), rapid.Float64Range(0, 1000), rapid.SampledFrom([]float64{0, -1, math.NaN(), math.Inf(1), math.Inf(-1), math.MaxFloat64, math.SmallestNonzeroFloat64}))

func drawn(t *rapid.T) (scaling.Need, scaling.Target) {
	need := scaling.Need{
		Arrivals: numbers.Draw(t, "arrivals"), Growth: numbers.Draw(t, "growth"), Backlog: numbers.Draw(t, "backlog"),
		Rate: numbers.Draw(t, "rate"), Members: rapid.IntRange(0, 50).Draw(t, "members"),
	}
	return need, scaling.Target{
		Utilisation: rapid.Float64Range(0, 1).Draw(t, "utilisation"),
		ColdStart:   time.Duration(rapid.Int64Range(0, int64(time.Hour)).Draw(t, "cold start")),
		Drain:       time.Duration(rapid.Int64Range(0, int64(time.Hour)).Draw(t, "drain")),
		Least:       rapid.IntRange(0, 3).Draw(t, "least"), Most: rapid.IntRange(0, 100).Draw(t, "most"),
	}
}

func TestDesired_withinBounds(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		need, target := drawn(t)
		got := scaling.Desired(need, target)
		if got < 0 || target.Most > 0 && got > target.Most || got > 1<<20 {
			t.Fatalf("%d members", got)
		}
		if got < target.Least && (target.Most == 0 || target.Least <= target.Most) {
			t.Fatalf("%d members, fewer than the least", got)
		}
		if need.Backlog > 0 && got == 0 {
			t.Fatal("no member for what waits")
		}
	})
}

func TestDesired_neverFallsAsTheLoadRises(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		need, target := drawn(t)
		more := need
		add := rapid.Float64Range(0, 1e6).Draw(t, "more")
		field := rapid.SampledFrom([]*float64{&more.Arrivals, &more.Growth, &more.Backlog}).Draw(t, "field")
		*field += add
		if a, b := scaling.Desired(need, target), scaling.Desired(more, target); b < a {
			t.Fatalf("%d members for %+v, and %d for %+v", a, need, b, more)
		}
	})
}

func TestDesired_neverRisesAsMembersAreFaster(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		need, target := drawn(t)
		need.Rate = rapid.Float64Range(1e-3, 1e3).Draw(t, "known rate")
		faster := need
		faster.Rate *= rapid.Float64Range(1, 10).Draw(t, "faster")
		if a, b := scaling.Desired(need, target), scaling.Desired(faster, target); b > a {
			t.Fatalf("%d members at %v, and %d at %v", a, need.Rate, b, faster.Rate)
		}
	})
}

func ExampleDesired() {
	need := scaling.Need{
		Arrivals: 12,   // calls a second
		Growth:   0.05, // more each second
		Backlog:  30,   // calls wait
		Rate:     2,    // calls a second of one member
	}
	fmt.Println(scaling.Desired(need, scaling.Target{Utilisation: 0.8, ColdStart: 2 * time.Minute}))
	// Output: 12
}
