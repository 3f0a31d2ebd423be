package discovery

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/lanewise/lanewise/fault"
)

// script is a source that tells its answers, one a second.
type script []answer

type answer struct {
	members []Member
	err     error
}

func (s script) Watch(ctx context.Context, tell func([]Member, error)) {
	for _, a := range s {
		tell(a.members, a.err)
		select {
		case <-ctx.Done():
			return
		case <-time.After(time.Second):
		}
	}
	<-ctx.Done()
}

func at(addresses ...string) (out []Member) {
	for _, a := range addresses {
		out = append(out, Member{Address: a})
	}
	return out
}

// TestFollower_keepsWhatWorks plays answers, good ones and bad ones, and looks at the pool
// and the status in the middle of each second.
func TestFollower_keepsWhatWorks(t *testing.T) {
	gone := errors.New("no such host")
	refused := errors.New("refused")
	steps := []struct {
		answer
		pool    []string
		applied int
		trouble string
		age     time.Duration
	}{
		{answer{err: gone}, nil, 0, "no such host", -1},
		{answer{members: at("b", "a")}, []string{"a", "b"}, 1, "", 0},
		{answer{members: at("a", "b")}, []string{"a", "b"}, 1, "", 0},
		{answer{err: gone}, []string{"a", "b"}, 1, "no such host", time.Second},
		{answer{}, []string{"a", "b"}, 1, "nobody is there: the answer has 0 members, and none that takes calls", 2 * time.Second},
		{answer{members: []Member{{Address: "a", State: Terminating}, {Address: "c"}}}, []string{"c"}, 2, "", 0},
		{answer{members: []Member{{Address: "c", State: Serving}}}, []string{"c"}, 3, "", 0},
		{answer{members: []Member{{Address: "c", State: Terminating}}}, []string{"c"}, 3, "nobody is there: the answer has 1 members, and none that takes calls", time.Second},
		{answer{members: at("refused")}, []string{"c"}, 3, "refused", 2 * time.Second},
		{answer{members: at("x", "x")}, []string{"c"}, 3, `two members have the name "x"`, 3 * time.Second},
		{answer{members: at("d")}, []string{"d"}, 4, "", 0},
	}
	synctest.Test(t, func(t *testing.T) {
		var source script
		for _, s := range steps {
			source = append(source, s.answer)
		}
		var mu sync.Mutex // guards both
		var pool []string
		applied := 0
		f := Follow("embed", source, nil, func(members []Member) error {
			if members[0].Name == "refused" {
				return refused
			}
			mu.Lock()
			defer mu.Unlock()
			pool, applied = names(members), applied+1
			return nil
		})
		defer f.Close()
		if err := f.First(t.Context()); !errors.Is(err, gone) {
			t.Errorf("the first answer was %v, want the error", err)
		}
		for i, s := range steps {
			synctest.Wait()
			got := f.Status()
			mu.Lock()
			if !slices.Equal(pool, s.pool) || applied != s.applied || got.Trouble != s.trouble || !slices.Equal(names(got.Members), s.pool) {
				t.Errorf("step %d: pool %v after %d changes, status %+v; want %v, %d, %q", i, pool, applied, got, s.pool, s.applied, s.trouble)
			}
			mu.Unlock()
			if s.age >= 0 && time.Since(got.At) != s.age {
				t.Errorf("step %d: the last good answer is %v old, want %v", i, time.Since(got.At), s.age)
			}
			time.Sleep(time.Second)
		}
	})
}

func TestFollower_firstWaitsNoLongerThanItsCaller(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := Follow("embed", script{}, nil, func([]Member) error { return nil })
		defer f.Close()
		ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
		defer cancel()
		if err := f.First(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v", err)
		}
	})
}

func TestSettle_refusesWhatCannotBe(t *testing.T) {
	for _, m := range []Member{{Name: "a"}, {Address: "a", Weight: -1}, {Address: "a", State: "sleepy"}} {
		if _, err := Settle(nil, []Member{m}); !errors.Is(err, fault.Invalid) {
			t.Errorf("%+v: %v, want fault.Invalid", m, err)
		}
	}
}

// vacant is a script whose pool may be scaled to zero.
type vacant struct{ script }

func (vacant) MayBeEmpty() bool { return true }

func TestFollower_aVacantSourceEmptiesItsPool(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var applied [][]string
		last := script{{}, {}, {members: at("a")}, {err: errors.New("away")}, {members: []Member{{Address: "a", State: Terminating}}}, {members: at("b")}, {members: []Member{{Address: "b", State: Serving}}}}
		f := Follow("p", vacant{last}, nil, func(m []Member) error {
			applied = append(applied, names(m))
			return nil
		})
		time.Sleep(10 * time.Second)
		if err := f.Close(); err != nil {
			t.Fatal(err)
		}
		want := [][]string{{}, {"a"}, {}, {"b"}, {}} // what still serves ends without telling when
		if !slices.EqualFunc(applied, want, slices.Equal) {
			t.Errorf("applied %v, want %v", applied, want)
		}
	})
}
