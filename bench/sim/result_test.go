package sim

import (
	"testing"
	"time"
)

// TestTally_worstOfAnyTenSeconds has hedges from the 3rd second to the 12th only, at
// one of two shards: ten seconds that begin at none of the tens.
func TestTally_worstOfAnyTenSeconds(t *testing.T) {
	c := newTally(2)
	for s := range 20 {
		at := time.Duration(s) * time.Second
		c.add(at, 0, count{first: 100})
		c.add(at, 1, count{first: 100})
		if s >= 3 && s <= 12 {
			c.add(at, 1, count{extra: 10})
		}
	}
	if lane, shard := c.worst(); lane != 0.05 || shard != 0.1 {
		t.Errorf("worst %v and %v of one shard, want 0.05 and 0.1", lane, shard)
	}
}

func TestTally_aShortRunCountsAsAWhole(t *testing.T) {
	c := newTally(1)
	c.add(0, 0, count{first: 30})
	c.add(3*time.Second, 0, count{first: 10, extra: 2})
	if lane, shard := c.worst(); lane != 0.05 || shard != 0.05 {
		t.Errorf("worst %v and %v of one shard, want 0.05", lane, shard)
	}
}

// TestResult_failuresCountAsTheDeadline: of ten counted queries eight are answered.
func TestResult_failuresCountAsTheDeadline(t *testing.T) {
	r := Result{Model: Model{Deadline: time.Second}}
	latencies := []time.Duration{time.Hour, failed, failed} // the first is not counted
	for i := range 8 {
		latencies = append(latencies, time.Duration(i+1)*time.Millisecond)
	}
	r.count(latencies)
	if r.Failed != 0.2 || r.P(0.5) != 6*time.Millisecond || r.P(0.9) != time.Second || r.Mean() != 4500*time.Microsecond {
		t.Errorf("failed %v, p50 %v, p90 %v, mean %v", r.Failed, r.P(0.5), r.P(0.9), r.Mean())
	}
	none := Result{Model: r.Model}
	if none.count([]time.Duration{failed, failed}); none.Failed != 1 || none.P(0.5) != time.Second || none.Mean() != 0 {
		t.Errorf("nothing answered: failed %v, p50 %v, mean %v", none.Failed, none.P(0.5), none.Mean())
	}
}
