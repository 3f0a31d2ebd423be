package sim

import (
	"math"
	"slices"
	"testing"
	"time"
)

// markov is shards of one kind of M/M/c queues, without deadlines or hedges.
func markov(replicas, slots int, load float64, queries int) Model {
	m := standard()
	m.Markov, m.Shards, m.Replicas, m.Slots, m.Load, m.Queries = true, 1, replicas, slots, load, queries
	m.Deadline, m.Policy = time.Hour, randomPicks
	return m
}

// calls yields the time at which each of a Markov model's queries is due and the
// service time that it needs: the draws of Run.
func (m Model) calls(yield func(due, service time.Duration) bool) {
	gap := time.Duration(float64(meanService) / (m.Load * float64(m.Replicas*m.Slots)))
	arrivals, due := draws(m.Seed, 1<<40), time.Duration(0)
	for i := range uint64(m.Queries) { //nolint:gosec // not negative
		due += arrivals.exponential(gap)
		arrivals.uniform() // the router
		s := draws(m.Seed, i, 0, 1)
		if !yield(due, s.exponential(meanService)) {
			return
		}
	}
}

// counted leaves out the first tenth, as a run does, and sorts the others.
func counted(latencies []time.Duration) []time.Duration {
	return slices.Sorted(slices.Values(latencies[len(latencies)/10:]))
}

func mean(latencies []time.Duration) time.Duration {
	return Result{Latencies: latencies}.Mean()
}

// recurrence is the latencies of one queue before some workers, by the times at
// which each is free (Kiefer and Wolfowitz, On the theory of queues with many
// servers, Trans. AMS 1955).
func recurrence(m Model) []time.Duration {
	frees := make([]time.Duration, m.Slots) // sorted
	latencies := make([]time.Duration, 0, m.Queries)
	for due, service := range m.calls {
		end := max(due, frees[0]) + service
		at, _ := slices.BinarySearch(frees[1:], end)
		copy(frees, frees[1:at+1])
		frees[at] = end
		latencies = append(latencies, end-due)
	}
	return counted(latencies)
}

// TestModel_queuesAsErlangSays compares the model with theory in two steps: each
// of its latencies with the one that a recurrence gives for the same draws, to the
// nanosecond, and the mean of many more calls of the recurrence with Erlang C.
func TestModel_queuesAsErlangSays(t *testing.T) {
	skipUnderRace(t)
	for _, load := range []float64{0.3, 0.6, 0.8} {
		m := markov(1, 4, load, 5_000)
		if got, want := simulate(t, m).Latencies, recurrence(m); !slices.Equal(got, want) {
			t.Errorf("load %v: mean %v, by the recurrence %v", load, mean(got), mean(want))
		}
		m.Queries = 2_000_000
		got, want := mean(recurrence(m)), meanService+erlangC(m.Slots, load, meanService)
		off := float64(got)/float64(want) - 1
		t.Logf("load %.0f %%: mean %v, Erlang C says %v (%+.2f %%)", 100*load, got, want, 100*off)
		if math.Abs(off) > 0.01 {
			t.Errorf("load %v: %+.2f %% off", load, 100*off)
		}
	}
}

// erlangC is the mean wait in the queue of an M/M/c server (Erlang, 1917) with
// utilisation load and mean service time service.
func erlangC(servers int, load float64, service time.Duration) time.Duration {
	offered := load * float64(servers)
	term, sum := 1.0, 0.0
	for n := range servers {
		sum += term
		term *= offered / float64(n+1)
	}
	wait := term / (1 - load)
	wait /= sum + wait
	return time.Duration(wait * float64(service) / (float64(servers) * (1 - load)))
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

// choices is the latencies of queues of one worker each, of which a call takes
// the shorter of two random ones. It shares the model's draws, not its code.
func choices(m Model) []time.Duration {
	ends := make([][]time.Duration, m.Replicas) // of the calls at each queue
	length := func(at int, now time.Duration) int {
		for len(ends[at]) > 0 && ends[at][0] <= now {
			ends[at] = ends[at][1:]
		}
		return len(ends[at])
	}
	chance := draws(m.Seed, 1<<44)
	latencies := make([]time.Duration, 0, m.Queries)
	for due, service := range m.calls {
		i := int(chance.uniform() * float64(m.Replicas))
		j := (i + 1 + int(chance.uniform()*float64(m.Replicas-1))) % m.Replicas
		if length(j, due) < length(i, due) {
			i = j
		}
		end := due + service
		if n := len(ends[i]); n > 0 {
			end = ends[i][n-1] + service
		}
		ends[i] = append(ends[i], end)
		latencies = append(latencies, end-due)
	}
	return counted(latencies)
}

// forMany is the mean sojourn, in service times, of the shorter of two random queues
// of infinitely many (Mitzenmacher, The power of two choices, IEEE TPDS 2001).
func forMany(load float64) (sum float64) {
	for i := 1; i <= 30; i++ {
		sum += math.Pow(load, math.Pow(2, float64(i))-2)
	}
	return sum
}

// TestModel_powerOfTwoAsTheorySays compares a simulation that is nothing else with
// the limit for many servers, and the model, at 64 servers, with that simulation.
func TestModel_powerOfTwoAsTheorySays(t *testing.T) {
	skipUnderRace(t)
	const load = 0.9
	serviceTimes := func(latencies []time.Duration) float64 {
		return float64(mean(latencies)) / float64(meanService)
	}
	many := serviceTimes(choices(markov(1024, 1, load, 2_000_000)))
	if math.Abs(many/forMany(load)-1) > 0.01 {
		t.Errorf("1,024 servers: %.3f service times, the limit for many is %.3f", many, forMany(load))
	}
	m := markov(64, 1, load, 60_000)
	if *full {
		m.Queries = 1_000_000
	}
	m.Policy = twoOfPicks
	got, want := serviceTimes(simulate(t, m).Latencies), serviceTimes(choices(m))
	t.Logf("64 servers: %.3f service times, simulated otherwise %.3f; 1,024 servers: %.3f, theory for many %.3f", got, want, many, forMany(load))
	if math.Abs(got/want-1) > 0.03 {
		t.Errorf("64 servers: %.3f service times, want %.3f", got, want)
	}
}
