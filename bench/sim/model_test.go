package sim

import (
	"math"
	"slices"
	"testing"
	"time"
)

// TestModel_queuesAsErlangSays compares one replica of four workers with the
// mean sojourn of M/M/4.
func TestModel_queuesAsErlangSays(t *testing.T) {
	skipUnderRace(t)
	n, within := 60_000, 0.03
	loads := []float64{0.6}
	if *full {
		n, within, loads = 1_000_000, 0.01, []float64{0.3, 0.6, 0.8}
	}
	for _, rho := range loads {
		m := standard()
		m.Shards, m.Replicas, m.Markov, m.Load, m.Queries = 1, 1, true, rho, n
		m.Deadline, m.Policy = time.Hour, random
		want := meanService + erlangC(4, rho, meanService)
		got := simulate(t, m).Mean()
		off := float64(got)/float64(want) - 1
		t.Logf("load %.0f %%: mean %v, Erlang C says %v (%+.2f %%)", 100*rho, got, want, 100*off)
		if math.Abs(off) > within {
			t.Errorf("load %v: the model is %+.2f %% off", rho, 100*off)
		}
	}
}

// TestModel_powerOfTwoAsTheorySays compares 64 servers at a load of 0.9 with the
// mean sojourn for infinitely many of them (Mitzenmacher): 2.614 service times,
// against 10 for a random choice.
func TestModel_powerOfTwoAsTheorySays(t *testing.T) {
	skipUnderRace(t)
	n, within := 60_000, 0.06
	if *full {
		n, within = 1_000_000, 0.03
	}
	m := standard()
	m.Shards, m.Replicas, m.Slots, m.Markov, m.Load, m.Queries = 1, 64, 1, true, 0.9, n
	m.Deadline, m.Policy = time.Hour, twoOf
	got := float64(simulate(t, m).Mean()) / float64(meanService)
	t.Logf("power of two: %.3f service times; theory for infinitely many servers 2.614, simulated elsewhere for 64: 2.651", got)
	if math.Abs(got/2.651-1) > within {
		t.Errorf("power of two: %.3f service times, want about 2.651", got)
	}
}

func TestErlangC_knownValues(t *testing.T) {
	// M/M/1: the mean wait is load/(1-load) service times.
	if got := erlangC(1, 0.5, time.Second); math.Abs(got.Seconds()-1) > 1e-9 {
		t.Errorf("M/M/1 at 0.5 waits %v, want 1s", got)
	}
	// M/M/2 at 0.5: the mean sojourn is 4/3 service times.
	if got := erlangC(2, 0.5, time.Second); math.Abs(got.Seconds()-1.0/3) > 1e-9 {
		t.Errorf("M/M/2 at 0.5 waits %v, want 1/3 s", got)
	}
}

func TestDraws_haveTheirMoments(t *testing.T) {
	const n = 200_000
	var mean, square, service float64
	for i := range uint64(n) {
		s := draws(1, i/16, i%16, 1)
		x := s.normal()
		mean, square = mean+x/n, square+x*x/n
		service += float64(s.service(0.01)) / n
	}
	if math.Abs(mean) > 0.01 || math.Abs(square-1) > 0.01 || math.Abs(service/float64(meanWith(0.01))-1) > 0.01 {
		t.Errorf("normal has mean %.4f and variance %.4f, service %v", mean, square, time.Duration(service))
	}
	if a, b := draws(1, 2, 3, 4), draws(1, 2, 4, 3); a == b {
		t.Error("draws do not depend on the order of their key")
	}
}

// TestServer_kindsOfCancel looks at one worker with a running and a queued call
// that are both cancelled after 10 ms, and at what a third one then waits for.
func TestServer_kindsOfCancel(t *testing.T) {
	for kind, want := range map[Cancel]time.Duration{
		Abort:  10*time.Millisecond + time.Millisecond,
		Drop:   100*time.Millisecond + time.Millisecond,
		Ignore: 200*time.Millisecond + time.Millisecond,
	} {
		if got := thirdCall(t, kind); got != want {
			t.Errorf("%s: the third call is answered after %v, want %v", kind, got, want)
		}
	}
}

// floor is the quantile of the time that a query takes where nothing queues and
// nothing stalls: the slowest of its shards' draws.
func floor(m Model, q float64) time.Duration {
	const n = 60_000
	slowest := make([]time.Duration, n)
	for i := range slowest {
		for shard := range m.Shards {
			s := draws(m.Seed, uint64(i), uint64(shard), 1) //nolint:gosec // not negative
			slowest[i] = max(slowest[i], s.service(0))
		}
	}
	slices.Sort(slowest)
	return slowest[int(q*n)]
}

func TestFigure_medianOfAnEvenNumber(t *testing.T) {
	for want, f := range map[float64]figure{4: {4}, 2.5: {9, 1, 3, 2}, 3: {3, 9, 1}} {
		if got := f.median(); got != want {
			t.Errorf("median of %v is %v, want %v", f, got, want)
		}
	}
}
