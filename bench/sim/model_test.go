package sim

import (
	"errors"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/lanewise/lanewise/fault"
)

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

func TestRun_namesEverythingThatIsWrong(t *testing.T) {
	if _, err := Run(standard().with(func(m *Model) { m.Queries = 0 })); !errors.Is(err, fault.Invalid) {
		t.Errorf("error %v, want invalid", err)
	}
	_, err := Run(Model{Load: -0.5, Slow: math.NaN(), Stall: 2, Server: "reboot"})
	if err == nil {
		t.Fatal("no error")
	}
	for _, want := range []string{
		"shards: must be at least 1, is 0", "replicas: must", "workers: must", "routers: must", "queries: must", "deadline: must",
		"load: must be above 0 and at most 100, a share of the capacity, is -0.5", "slow: must", "stall: must be a share from 0 to 1, is 2",
		`server: must be abort, drop or ignore, is "reboot"`,
	} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q is missing in: %v", want, err)
		}
	}
}
