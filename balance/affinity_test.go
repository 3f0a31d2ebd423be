package balance

import (
	"fmt"
	"math"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func TestAffinity_sameKeySameMemberWhileThereIsRoom(t *testing.T) {
	v := viewOf(time.Hour, make([]Candidate, 12)...)
	got := map[int]int{}
	for i := range v.entries {
		v.entries[i].weight, v.entries[i].slots = 1, 8
	}
	for tenant := range 1200 {
		v.key = hash(fmt.Sprint("tenant ", tenant))
		at := v.affine()
		if again := v.affine(); again != at {
			t.Fatalf("tenant %d went to %d and then to %d", tenant, at, again)
		}
		got[at]++
	}
	for i := range v.entries {
		if got[i] < 60 || got[i] > 140 {
			t.Errorf("member %d has %d of 1200 tenants, want about 100", i, got[i])
		}
	}
}

func TestAffinity_aMemberThatLeavesMovesOnlyItsOwnKeys(t *testing.T) {
	v := viewOf(time.Hour, make([]Candidate, 5)...)
	for tenant := range 500 {
		v.key, v.tried = hash(fmt.Sprint(tenant)), nil
		before := v.affine()
		v.tried = []int{3}
		if after := v.affine(); before != 3 && after != before {
			t.Fatalf("tenant %d moved from %d to %d though only 3 has left", tenant, before, after)
		}
	}
}

func TestAffinity_followsWeights(t *testing.T) {
	v := viewOf(time.Hour, Candidate{Weight: 1}, Candidate{Weight: 3})
	v.entries[0].slots, v.entries[1].slots = 1, 1
	heavy := 0
	for tenant := range 4000 {
		if v.key = hash(fmt.Sprint(tenant)); v.affine() == 1 {
			heavy++
		}
	}
	if heavy < 2880 || heavy > 3120 {
		t.Errorf("the member of weight 3 has %d of 4000 tenants, want about 3000", heavy)
	}
}

// TestAffinity_neverFillsAMemberAboveItsBound is goal G11: no call goes to a
// member above max(ceil(bound × average), slots).
func TestAffinity_neverFillsAMemberAboveItsBound(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(1, 12).Draw(t, "members")
		v := viewOf(time.Hour, make([]Candidate, n)...)
		slots := rapid.IntRange(0, 8).Draw(t, "slots")
		v.bound = rapid.Float64Range(1, 2).Draw(t, "bound")
		for i := range v.entries {
			v.entries[i].weight, v.entries[i].slots = 1, slots
		}
		total := 0
		for range rapid.IntRange(1, 200).Draw(t, "calls") {
			if total > 0 && rapid.Bool().Draw(t, "one ends") {
				i := rapid.IntRange(0, n-1).Draw(t, "where")
				if v.entries[i].load.Load() > 0 {
					v.entries[i].load.Add(-1)
					total--
				}
			}
			v.key = hash(fmt.Sprint(rapid.IntRange(0, 3).Draw(t, "tenant"))) // few, hot tenants
			at := v.affine()
			if at < 0 {
				t.Fatal("nobody was picked")
			}
			total++
			limit := max(math.Ceil(v.bound*float64(total)/float64(n)), float64(slots))
			if now := v.entries[at].load.Add(1); float64(now) > limit {
				t.Fatalf("member %d has %d calls, the bound is %v", at, now, limit)
			}
		}
	})
}

func TestAffinity_countsTokensByTheMeanCall(t *testing.T) {
	v := viewOf(time.Hour, Candidate{Weight: 1}, Candidate{Weight: 1})
	v.mean, v.cost = 1000, 1000
	for i := range v.entries {
		v.entries[i].slots = 4
	}
	first := v.affine()
	for range 4 {
		if at := v.affine(); at != first {
			t.Fatalf("spilled to %d below the slots", at)
		}
		v.entries[first].load.Add(1000)
	}
	if at := v.affine(); at == first {
		t.Error("did not spill with all slots taken and the other member idle")
	}
}
