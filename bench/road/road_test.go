package road_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/lanewise/lanewise/bench"
	"github.com/lanewise/lanewise/bench/road"
	"github.com/lanewise/lanewise/fault"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func load() bench.Load {
	return bench.Load{Rate: 30, Duration: time.Second, Warmup: 100 * time.Millisecond}
}

func small() road.Town {
	return road.Town{Points: 200, Words: 5, Pace: time.Millisecond, Deadline: time.Minute}
}

// Both ways give the right answers where nothing is broken.
func TestRun_bothWaysAnswer(t *testing.T) {
	for _, by := range []road.Way{road.Lanewise, road.ByHand} {
		r, err := small().Run(t.Context(), load(), by)
		if err != nil || r.Wrong > 0 || r.Failed() > 0 || r.InTime == 0 {
			t.Errorf("%s: %d in time, %d wrong, errors %v, %v", by, r.InTime, r.Wrong, r.Errors, err)
		}
		if by == road.ByHand && math.Abs(r.Calls-4) > 0.5 { // one embedding, two shards, one engine
			t.Errorf("%s: %g calls a question, want about 4", by, r.Calls)
		}
	}
}

// With one of each kind broken, all answers are right.
func TestRun_lanewiseGoesAround(t *testing.T) {
	for _, do := range []road.Action{road.Slow, road.Error, road.Busy, road.Kill} {
		t.Run(string(do), func(t *testing.T) {
			town := small()
			for _, part := range []string{"embed/0", "s0/r0", "llm/1"} {
				town.Script = append(town.Script, road.Event{At: 0, Part: part, Do: do, Delay: 50 * time.Millisecond})
			}
			r, err := town.Run(t.Context(), load(), road.Lanewise)
			if err != nil || r.Wrong > 0 || r.Failed() > 0 || r.InTime == 0 {
				t.Errorf("%d in time, %d wrong, errors %v, %v", r.InTime, r.Wrong, r.Errors, err)
			}
		})
	}
}

// Faults are real: with all engines dead nobody answers.
func TestRun_faultsAreReal(t *testing.T) {
	town := small()
	town.Engines = 1
	town.Script = road.Script{{Part: "llm/0", Do: road.Kill}, {At: 300 * time.Millisecond, Part: "llm/0", Do: road.Heal}}
	for _, by := range []road.Way{road.Lanewise, road.ByHand} {
		r, err := town.Run(t.Context(), load(), by)
		if err != nil || r.Errors["unavailable"] == 0 && by == road.Lanewise {
			t.Errorf("%s: errors %v, %v", by, r.Errors, err)
		}
	}
}

func TestRun_refuses(t *testing.T) {
	for says, town := range map[string]road.Town{
		"/engines":  {Engines: -1},
		"/deadline": {Deadline: -1},
		"no part":   {Script: road.Script{{Part: "s7/r0", Do: road.Kill}}},
		"is not":    {Script: road.Script{{Part: "s0/r0", Do: "dance"}}},
		"before":    {Script: road.Script{{At: 2, Part: "s0/r0", Do: road.Kill}, {At: 1, Part: "s0/r0", Do: road.Heal}}},
	} {
		if _, err := town.Run(t.Context(), load(), road.Lanewise); !errors.Is(err, fault.Invalid) || !strings.Contains(err.Error(), says) {
			t.Errorf("%s: %v", says, err)
		}
	}
	if _, err := small().Run(t.Context(), load(), "by foot"); !errors.Is(err, fault.Invalid) {
		t.Errorf("no such way: %v", err)
	}
}

func ExampleTown() {
	town := road.Town{Points: 100, Words: 3, Pace: time.Millisecond}
	load := bench.Load{Rate: 20, Constant: true, Duration: 200 * time.Millisecond}
	result, err := town.Run(context.Background(), load, road.Lanewise)
	fmt.Println(result.Wrong, err)
	// Output: 0 <nil>
}
