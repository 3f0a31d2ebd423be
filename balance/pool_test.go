package balance

import (
	"context"
	"errors"
	"math"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/lanewise/lanewise/balance/quota"
	"github.com/lanewise/lanewise/fault"
)

func TestNewPool_namesEveryWrongField(t *testing.T) {
	_, err := NewPool(Config{Name: "s0"},
		Member[int]{Name: "a", Weight: -1}, Member[int]{Name: "a", Slots: -1}, Member[int]{Weight: math.NaN(), Tier: -2})
	if !errors.Is(err, fault.Invalid) {
		t.Fatalf("error %v, want invalid", err)
	}
	for _, want := range []string{`pool "s0"`, "members[0].weight", "members[1].name", "members[1].slots", "members[2].name", "members[2].weight", "members[2].tier"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("error %q does not name %s", err, want)
		}
	}
}

func TestNewLane_refusesImpossibleShares(t *testing.T) {
	for _, c := range []LaneConfig{{HedgeQuantile: 1}, {HedgeQuantile: -0.1}, {HedgeQuantile: math.NaN()}, {HedgeShare: 2}, {HedgeShare: math.NaN()}} {
		if _, err := NewLane(c); !errors.Is(err, fault.Invalid) {
			t.Errorf("NewLane(%+v) = %v, want invalid", c, err)
		}
	}
}

func TestUpdate_keepsTheStateOfMembersThatStayOrComeBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPool(t, Config{}, server{name: "a", after: time.Second}, server{name: "b"})
		done := make(chan error)
		go func() {
			_, err := Do(context.Background(), p, Call{NoHedge: true}, ask)
			done <- err
		}()
		synctest.Wait()
		if err := p.Update(p.Members()[1:]); err != nil {
			t.Fatal(err)
		}
		if n := len(p.Members()); n != 1 {
			t.Fatalf("%d members, want 1", n)
		}
		if err := p.Update([]Member[server]{{Name: "a", Weight: 2}, {Name: "b"}}); err != nil {
			t.Fatal(err)
		}
		if n := p.set.Load().entries[0].inflight.Load(); n != 1 {
			t.Errorf("%d in flight at the member that came back, want the 1 of before", n)
		}
		if err := <-done; err != nil {
			t.Errorf("the call on a removed member was lost: %v", err)
		}
		_ = p.Close()
		idle(t, p)
	})
}

func TestUpdate_thatIsWrongChangesNothing(t *testing.T) {
	p := newPool(t, Config{}, server{name: "a"})
	if err := p.Update([]Member[server]{{Name: "b"}, {Name: "b"}}); !errors.Is(err, fault.Invalid) {
		t.Errorf("error %v, want invalid", err)
	}
	if got := p.Members(); len(got) != 1 || got[0].Name != "a" {
		t.Errorf("members %+v, want a alone", got)
	}
}

func TestQuota_membersWithoutAreMPassedOverAndWaitedFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		limited, err := quota.New(quota.Limit{Requests: 1200, Tokens: 6000}) // 1,000 tokens at once, 100 a second
		if err != nil {
			t.Fatal(err)
		}
		s := newScript(t, Config{}, "a", "b")
		members := s.Members()
		members[0].Quota = limited
		if err := s.Update(members); err != nil {
			t.Fatal(err)
		}
		settled := func(ctx context.Context, name string) (string, error) { // costs 100 less than estimated
			Settle(ctx, 400)
			return name, nil
		}
		for i, want := range []string{"a", "a", "b"} {
			if got, err := Do(t.Context(), s.Pool, Call{Cost: 500}, settled); got != want || err != nil {
				t.Errorf("call %d: %q, %v; want %s", i, got, err, want)
			}
		}
		if left := limited.Left(); left.Tokens != 200 {
			t.Errorf("%v tokens left, want 200 after two calls of 400", left.Tokens)
		}
		if err := s.Update(members[:1]); err != nil {
			t.Fatal(err)
		}
		short, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		start := time.Now()
		_, err = Do(short, s.Pool, Call{Cost: 500}, settled)
		if wait := fault.RetryAfter(err); !errors.Is(err, fault.Overloaded) || wait != 3*time.Second || time.Since(start) != 0 {
			t.Errorf("%v, retry after %v, said after %v; want at once that there is quota in 3s", err, wait, time.Since(start))
		}
		if got, err := Do(t.Context(), s.Pool, Call{Cost: 500}, settled); got != "a" || err != nil || time.Since(start) != 3*time.Second {
			t.Errorf("%q, %v after %v; want a after 3s", got, err, time.Since(start))
		}
		time.Sleep(time.Minute) // the quota is full again
		member := s.set.Load().entries[0].member
		member.health.back.Store(int64(time.Hour))
		member.health.state.Store(ejected)
		short, cancel = context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err = Do(short, s.Pool, Call{Cost: 500}, settled); fault.Of(err) != fault.Unavailable {
			t.Errorf("%v, want unavailable where the member is ejected and its quota is not used up", err)
		}
		_ = s.Close()
		idle(t, s.Pool)
	})
}
