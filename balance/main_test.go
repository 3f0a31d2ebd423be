package balance

import (
	"context"
	"errors"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var errDown = errors.New("connection refused")

// server is a target of the tests: it answers with its name after a time, or
// fails then, and returns early when it is cancelled unless it is deaf.
type server struct {
	name  string
	after time.Duration
	err   error
	deaf  bool
}

func ask(ctx context.Context, s server) (string, error) {
	if s.deaf {
		time.Sleep(s.after)
		return s.name, s.err
	}
	select {
	case <-time.After(s.after):
		return s.name, s.err
	case <-ctx.Done():
		return "", ctx.Err()
	}
}

// inOrder picks the first open member.
type inOrder struct{}

func (inOrder) Pick(v *View) int {
	for i := range v.Len() {
		if v.Open(i) {
			return i
		}
	}
	return -1
}

// newPool returns a pool over servers, by default picked in their order.
func newPool(tb testing.TB, c Config, servers ...server) *Pool[server] {
	tb.Helper()
	if c.Picker == nil {
		c.Picker = inOrder{}
	}
	members := make([]Member[server], len(servers))
	for i, s := range servers {
		members[i] = Member[server]{Name: s.name, Target: s}
	}
	p, err := NewPool(c, members...)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = p.Close() })
	return p
}

// idle fails the test unless no member of p holds load.
func idle[T any](tb testing.TB, p *Pool[T]) {
	tb.Helper()
	for _, e := range p.set.Load().entries {
		if n, load := e.inflight.Load(), e.load.Load(); n != 0 || load != 0 {
			tb.Errorf("%s: %d in flight and load %d are left", e.name, n, load)
		}
	}
}
