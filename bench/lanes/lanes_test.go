package lanes_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/lanewise/lanewise/bench"
	"github.com/lanewise/lanewise/bench/lanes"
	"github.com/lanewise/lanewise/fault"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func policy(name string) lanes.Policy {
	for _, p := range lanes.Policies() {
		if p.Name == name {
			return p
		}
	}
	panic(name)
}

func load() bench.Load {
	return bench.Load{Rate: 60, Duration: 1500 * time.Millisecond, Warmup: 200 * time.Millisecond}
}

func small() lanes.Plaza {
	return lanes.Plaza{Shards: 1, Replicas: 2, Service: 2 * time.Millisecond, Deadline: 10 * time.Second}
}

// Whatever happens to one of two replicas, no search fails: the other one has it.
func TestRun_oneReplicaIsEnough(t *testing.T) {
	for _, do := range []lanes.Action{lanes.Slow, lanes.Error, lanes.Busy, lanes.Kill} {
		t.Run(string(do), func(t *testing.T) {
			t.Parallel()
			p := small()
			p.Script = lanes.Script{{At: 0, Replica: "s0/r0", Do: do, Factor: 3}, {At: time.Second, Replica: "s0/r0", Do: lanes.Heal}}
			r, err := p.Run(t.Context(), load(), policy("lanewise"))
			if err != nil || r.Failed() != 0 || r.Latency.Count() == 0 {
				t.Errorf("%d answers, errors %v, %v", r.Latency.Count(), r.Errors, err)
			}
			if len(r.Shares) == 0 {
				t.Error("no replica has a share")
			}
		})
	}
}

// A shard whose only replica does not answer: searches fail as long as that lasts.
func TestRun_faultsAreReal(t *testing.T) {
	for do, class := range map[lanes.Action]string{
		lanes.Stall: "timeout", lanes.Partition: "timeout", lanes.Error: "unavailable", lanes.Busy: "", lanes.Kill: "unavailable",
	} {
		t.Run(string(do), func(t *testing.T) {
			t.Parallel()
			p := lanes.Plaza{Shards: 1, Replicas: 1, Service: time.Millisecond, Deadline: 100 * time.Millisecond}
			p.Script = lanes.Script{{At: 100 * time.Millisecond, Replica: "*", Do: do}}
			r, err := p.Run(t.Context(), load(), policy("random"))
			if err != nil || r.Failed() == 0 || class != "" && r.Errors[class] == 0 {
				t.Errorf("errors %v, %v, want some of class %q", r.Errors, err, class)
			}
		})
	}
}

func TestRun_refuses(t *testing.T) {
	for field, p := range map[string]lanes.Plaza{
		"/shards":           {Shards: -1},
		"/service":          {Service: -1},
		"/script/0/do":      {Script: lanes.Script{{Replica: "*", Do: "dance"}}},
		"/script/0/replica": {Script: lanes.Script{{Replica: "s9/r0", Do: lanes.Kill}}},
		"/script/0/factor":  {Script: lanes.Script{{Replica: "*", Do: lanes.Slow, Factor: -1}}},
		"/script/1/at":      {Script: lanes.Script{{At: 2, Replica: "*", Do: lanes.Kill}, {At: 1, Replica: "*", Do: lanes.Heal}}},
	} {
		if _, err := p.Run(t.Context(), load(), policy("random")); !errors.Is(err, fault.Invalid) || !strings.Contains(err.Error(), field) {
			t.Errorf("%s: got %v", field, err)
		}
	}
}

func ExampleScript_Marks() {
	s := lanes.Script{{At: 3 * time.Second, Replica: "s0/r1", Do: lanes.Slow, Factor: 10}}
	fmt.Println(s.Marks())
	// Output: [{3 s0/r1 slow}]
}
