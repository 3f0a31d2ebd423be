package sim

import (
	"cmp"
	"flag"
	"fmt"
	"os"
	"runtime/debug"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"
)

// The flags of the tests, after -args.
var (
	full    = flag.Bool("full", false, "the goals at full size: 60,000 queries a cell, 5 seeds, gates at p99.9")
	seed    = flag.Uint64("seed", 1, "first seed of the draws")
	seeds   = flag.Int("seeds", 0, "seeds of each cell; 0: 1, or 5 with -full")
	queries = flag.Int("queries", 0, "queries of each cell; 0: 2,000, or 60,000 with -full, or 20,000 in TestTry")
	shards  = flag.Int("shards", 16, "shards")
	copies  = flag.Int("replicas", 3, "replicas of a shard")
	workers = flag.Int("workers", 4, "calls that a replica works on at a time")
	stall   = flag.Float64("stall", 0.01, "share of the calls that stall")
	routers = flag.Int("routers", 1, "routers that share the servers")
	load    = flag.Float64("load", 0.6, "load of TestTry, as a share of the healthy capacity")
	slow    = flag.Float64("slow", 1, "times the service time of one replica in TestTry")
	kind    = flag.String("server", string(Drop), "what the servers of TestTry do on cancel: abort, drop or ignore")
)

func TestMain(m *testing.M) {
	flag.Parse()
	switch {
	case flag.NArg() > 0:
		fmt.Fprintf(os.Stderr, "%q is not a flag; flags begin with -\n", flag.Arg(0))
		os.Exit(2)
	case *seeds < 0 || *queries < 0:
		fmt.Fprintf(os.Stderr, "-seeds and -queries must not be negative, are %d and %d\n", *seeds, *queries)
		os.Exit(2)
	}
	debug.SetGCPercent(400) // a fifth of the time
	goleak.VerifyTestMain(m)
}

// flagged is the standard model with what the flags change for all tests.
func flagged() Model {
	return standard().with(func(m *Model) {
		m.Seed, m.Shards, m.Replicas, m.Slots, m.Stall, m.Routers = *seed, *shards, *copies, *workers, *stall, *routers
	})
}

// simulate runs a model in virtual time.
func simulate(t *testing.T, m Model) (r Result) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		var err error
		if r, err = Run(m); err != nil {
			t.Fatal(err)
		}
	})
	return r
}

// TestTry prints what the policies do in the model that the flags describe, so
// that anyone can try cases that nothing was tuned for. It checks nothing.
func TestTry(t *testing.T) {
	if !flagsGiven() {
		t.Skip("give one of the model's flags, such as -args -load=0.8, to try a case")
	}
	m := flagged()
	m.Queries, m.Load, m.Slow, m.Server = cmp.Or(*queries, 20_000), *load, *slow, Cancel(*kind)
	for _, p := range append(policies(), admitted) {
		m.Policy = p
		t.Logf("%-23s %v", p.Name, simulate(t, m))
	}
}

func flagsGiven() (given bool) {
	flag.Visit(func(f *flag.Flag) {
		switch f.Name {
		case "seed", "shards", "replicas", "workers", "load", "slow", "stall", "server", "routers":
			given = true
		}
	})
	return given
}

func ms(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

// skipUnderRace skips a simulation that the race detector would make ten times
// as long; the code under test has race tests of its own.
func skipUnderRace(t *testing.T) {
	t.Helper()
	if underRace {
		t.Skip("simulations are skipped under -race: they would take minutes; run without it")
	}
}
