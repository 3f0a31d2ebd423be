package lanes

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/lanewise/lanewise/bench"
	"github.com/lanewise/lanewise/fault"
)

// Script is what happens to replicas, in order of time.
type Script []Event

// Event happens to one replica, or to all.
type Event struct {
	At      time.Duration // from the begin of what is measured
	Replica string        // such as s0/r1; "*": all
	Do      Action
	Factor  float64 // of Slow: times the service time; 0: 10
}

// Action is a kind of event.
type Action string

// The actions. Each one ends what an earlier one did to its replica.
const (
	Slow      Action = "slow"      // takes Factor times as long
	Stall     Action = "stall"     // takes calls and answers none until it heals
	Error     Action = "error"     // answers with an error at once
	Busy      Action = "busy"      // answers 429 with Retry-After at once
	Kill      Action = "kill"      // closes its connections and its port
	Partition Action = "partition" // nothing that is sent to it arrives, and nothing comes back
	Heal      Action = "heal"      // works again
)

func (s Script) check(p Plaza) error {
	for i, e := range s {
		field := fmt.Sprintf("/script/%d", i)
		switch {
		case !slices.Contains([]Action{Slow, Stall, Error, Busy, Kill, Partition, Heal}, e.Do):
			return fault.BadField(field+"/do", "%q is not slow, stall, error, busy, kill, partition or heal", e.Do)
		case e.At < 0 || i > 0 && e.At < s[i-1].At:
			return fault.BadField(field+"/at", "must not be before the event above")
		case e.Factor < 0:
			return fault.BadField(field+"/factor", "must not be negative")
		case e.Replica != "*" && !p.has(e.Replica):
			return fault.BadField(field+"/replica", "%q is not one of s0/r0 to s%d/r%d, or *", e.Replica, p.Shards-1, p.Replicas-1)
		}
	}
	return nil
}

func (p Plaza) has(name string) bool {
	for i := range p.Shards {
		for j := range p.Replicas {
			if name == label(i, j) {
				return true
			}
		}
	}
	return false
}

func label(shard, replica int) string { return fmt.Sprintf("s%d/r%d", shard, replica) }

// Marks are the events as marks of a plot over seconds.
func (s Script) Marks() (marks []bench.Mark) {
	for _, e := range s {
		marks = append(marks, bench.Mark{At: e.At.Seconds(), Text: fmt.Sprint(e.Replica, " ", e.Do)})
	}
	return marks
}

// play makes the events happen, each at its time.
func (f *fakes) play(ctx context.Context, s Script, warmup time.Duration) {
	start := time.Now().Add(warmup)
	for _, e := range s {
		select {
		case <-time.After(time.Until(start.Add(e.At))):
		case <-ctx.Done():
			return
		}
		for _, r := range f.all {
			if e.Replica == "*" || e.Replica == r.name {
				r.set(ctx, e)
			}
		}
	}
}
