package plainhttp

import (
	"net"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// closing is a connection that knows whether it was closed.
type closing struct {
	net.Conn
	closed atomic.Bool
}

func (c *closing) Close() error {
	c.closed.Store(true)
	return nil
}

func (c *closing) conn() *conn { return &conn{Conn: c, quiet: func() bool { return !c.closed.Load() }} }

func TestShelf_closesWhatNobodyUses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var s shelf
		var old, young closing
		s.put("a", old.conn(), 2, time.Minute)
		time.Sleep(30 * time.Second)
		s.put("a", young.conn(), 2, time.Minute)
		time.Sleep(30*time.Second + time.Nanosecond)
		synctest.Wait()
		if !old.closed.Load() || young.closed.Load() {
			t.Errorf("after a minute: the old one closed %t, the young one %t", old.closed.Load(), young.closed.Load())
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		if !young.closed.Load() || len(s.kept) != 0 || s.timer != nil {
			t.Errorf("later: closed %t, kept %v", young.closed.Load(), s.kept)
		}
	})
}

func TestShelf_takesTheLatestThatIsOpen(t *testing.T) {
	var s shelf
	var first, second, third, fourth closing
	for _, c := range []*closing{&first, &second, &third, &fourth} {
		s.put("a", c.conn(), 3, time.Minute)
	}
	if !fourth.closed.Load() {
		t.Error("more are kept than wanted")
	}
	third.closed.Store(true)
	if c := s.take("a"); c == nil || c.Conn != &second {
		t.Errorf("took %v", c)
	}
	if s.take("b") != nil {
		t.Error("took one of another address")
	}
	s.clear()
	if !first.closed.Load() || second.closed.Load() || s.take("a") != nil {
		t.Errorf("cleared: the kept one closed %t, the taken one %t", first.closed.Load(), second.closed.Load())
	}
}
