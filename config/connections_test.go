package config

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"runtime"
	"strings"
	"sync"
	"testing"
)

// served runs a system until the test ends, and returns its address.
func served(tb testing.TB, s *System) string {
	tb.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- s.Serve(ctx, l) }()
	tb.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			tb.Error(err)
		}
	})
	return l.Addr().String()
}

// caller is a client that speaks on one connection.
type caller struct {
	net.Conn
	in *bufio.Reader
}

func call(tb testing.TB, address string) *caller {
	tb.Helper()
	conn, err := (&net.Dialer{}).DialContext(tb.Context(), "tcp", address)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = conn.Close() })
	return &caller{conn, bufio.NewReader(conn)}
}

// get asks for a path and returns the status; 0: the server has closed the connection.
func (c *caller) get(path string, header ...string) int {
	_, _ = fmt.Fprintf(c, "GET %s HTTP/1.1\r\nHost: localhost\r\n%s\r\n", path, strings.Join(header, ""))
	resp, err := http.ReadResponse(c.in, nil)
	if err != nil {
		return 0
	}
	_, _ = io.Copy(io.Discard, resp.Body)
	_ = resp.Body.Close()
	return resp.StatusCode
}

// holding is a handler that answers at once, but for /hold, which it answers when it is told to.
type holding struct {
	began chan struct{}
	end   chan struct{}
}

func (h holding) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path == "/hold" {
		h.began <- struct{}{}
		<-h.end
	}
	_, _ = io.WriteString(w, "ok")
}

// crowdedSystem serves a handler to so many clients.
func crowdedSystem(t *testing.T, l Limits, h http.Handler) *System {
	t.Helper()
	c := Local(t.TempDir())
	c.Limits = l
	s := build(t, c)
	s.Handler = h
	return s
}

// Where there are too many connections the one that is idle for longest makes room; those at work stay.
func TestServe_idleConnectionsMakeRoom(t *testing.T) {
	h := holding{make(chan struct{}), make(chan struct{})}
	s := crowdedSystem(t, Limits{Connections: 3}, h)
	address := served(t, s)
	var wg sync.WaitGroup
	defer wg.Wait()
	defer close(h.end)
	var rests []*caller // in the order in which the server knows them to
	for n := range 3 {
		rests = append(rests, call(t, address))
		if got := rests[n].get("/"); got != 200 {
			t.Fatal(got)
		}
		settled(t, s, func(c *crowd) bool { return c.idle.Len() == n+1 })
	}
	idle, busy, other := rests[0], rests[1], rests[2]
	wg.Go(func() { busy.get("/hold") })
	<-h.began
	fourth := call(t, address)
	if got := fourth.get("/"); got != 200 {
		t.Errorf("a fourth client gets %d", got)
	}
	if got := idle.get("/"); got != 0 {
		t.Errorf("the one that was idle for longest gets %d", got)
	}
	if got := other.get("/"); got != 200 {
		t.Errorf("the other gets %d", got)
	}
	for _, c := range []*caller{other, fourth} {
		wg.Go(func() { c.get("/hold") })
		<-h.began
	}
	if got := call(t, address).get("/"); got != 0 {
		t.Errorf("with three at work a fourth gets %d", got)
	}
	if open, refused := s.crowd.counts(); open != 3 || refused != 1 {
		t.Errorf("%d open, %d refused", open, refused)
	}
}

// settled waits until the server has taken note of what its clients have seen already.
func settled(t *testing.T, s *System, is func(*crowd) bool) {
	t.Helper()
	for {
		s.crowd.mu.Lock()
		ok := is(s.crowd)
		s.crowd.mu.Unlock()
		if ok || t.Context().Err() != nil {
			return
		}
		runtime.Gosched()
	}
}

func TestServe_limitsConnectionsOfAnAddress(t *testing.T) {
	s := crowdedSystem(t, Limits{PerAddress: 2}, holding{})
	address := served(t, s)
	one, two := call(t, address), call(t, address)
	if a, b, c := one.get("/"), two.get("/"), call(t, address).get("/"); a != 200 || b != 200 || c != 0 {
		t.Errorf("%d, %d and %d", a, b, c)
	}
	_ = one.Close()
	settled(t, s, func(c *crowd) bool { return c.open == 1 })
	if got := call(t, address).get("/"); got != 200 {
		t.Errorf("after one has left, another gets %d", got)
	}
	_ = two.Close()
	settled(t, s, func(c *crowd) bool { return len(c.by) <= 1 })
}

func TestServe_limitsHeaders(t *testing.T) {
	s := crowdedSystem(t, Limits{Headers: 8 << 10}, holding{})
	address := served(t, s)
	header := "X-Long: " + strings.Repeat("a", 4<<10) + "\r\n"
	if got := call(t, address).get("/", header); got != 200 {
		t.Errorf("4 KiB: %d", got)
	}
	if got := call(t, address).get("/", header, header, header, header); got != http.StatusRequestHeaderFieldsTooLarge {
		t.Errorf("16 KiB: %d", got)
	}
}

// A crowd that comes and goes leaves nothing behind, whatever its addresses are.
func TestCrowd_isBounded(t *testing.T) {
	c := &crowd{most: 100, perAddress: 3, by: map[netip.Addr]int{}}
	for i := range 100_000 {
		v := c.admit(fakeConn{addr: fmt.Sprintf("[2001:db8::%x]:80", i%7000)})
		switch {
		case v == nil:
			t.Fatal("there is room: all are idle")
		case i%3 == 0:
			_ = v.Close()
			_ = v.Close() // net/http may do so twice
		}
	}
	if open, _ := c.counts(); open > 100 || len(c.by) > 100 || c.idle.Len() != open {
		t.Errorf("%d open, %d addresses, %d idle", open, len(c.by), c.idle.Len())
	}
}

type fakeConn struct {
	net.Conn
	addr string
}

func (fakeConn) Close() error           { return nil }
func (f fakeConn) RemoteAddr() net.Addr { return fakeAddr(f.addr) }

type fakeAddr string

func (fakeAddr) Network() string  { return "tcp" }
func (a fakeAddr) String() string { return string(a) }

func TestClients_settingsAreChecked(t *testing.T) {
	for src, want := range map[string]string{
		"limits: {connections: 0}\n":  "limits.connections: is zero",
		"limits: {streams: -1}\n":     "limits.streams: must not be negative",
		"timeouts: {stall: 0s}\n":     "timeouts.stall: is zero",
		"limits: {body_rate: 1KiB}\n": "",
	} {
		_, err := parse("f.yaml", []byte(shard+src), noEnv)
		if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want %q", src, err, want)
		}
	}
}
