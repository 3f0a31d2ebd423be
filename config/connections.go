package config

import (
	"container/list"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"sync"
	"time"
)

// crowd bounds the connections of clients. Where there are too many, the one that has been idle for longest makes
// room for a new one; only where none is idle is the new one refused.
type crowd struct {
	most, perAddress int // perAddress 0: no limit

	mu      sync.Mutex
	open    int
	by      map[netip.Addr]int
	idle    list.List // of *visitor, the one idle for longest in front
	refused uint64
}

// visitor is a connection that counts.
type visitor struct {
	net.Conn
	crowd *crowd
	addr  netip.Addr
	place *list.Element // among the idle; nil: it is at work
	gone  bool
}

// server prepares to serve a handler to a crowd.
func (s *System) server(h http.Handler) *http.Server {
	return &http.Server{
		Handler: h, ReadHeaderTimeout: s.timeouts.Header, IdleTimeout: s.timeouts.Idle, MaxHeaderBytes: s.maxHeader,
		ConnState: s.crowd.state, ErrorLog: slog.NewLogLogger(s.log.Handler(), slog.LevelWarn),
	}
}

// crowded is a listener whose connections count.
type crowded struct {
	net.Listener
	crowd *crowd
}

// Accept returns the next connection for which there is room.
func (l crowded) Accept() (net.Conn, error) {
	for {
		conn, err := l.Listener.Accept()
		if err != nil {
			return nil, err //nolint:wrapcheck // net/http looks at it
		}
		if v := l.crowd.admit(conn); v != nil {
			return v, nil
		}
		_ = conn.Close()
	}
}

// admit counts a connection; nil: there is no room for it.
func (c *crowd) admit(conn net.Conn) *visitor {
	v := &visitor{Conn: conn, crowd: c}
	if peer, err := netip.ParseAddrPort(conn.RemoteAddr().String()); err == nil {
		v.addr = peer.Addr().Unmap().WithZone("")
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	longest := c.idle.Front()
	switch {
	case c.perAddress > 0 && c.by[v.addr] >= c.perAddress, c.open >= c.most && longest == nil:
		c.refused++
		return nil
	case c.open >= c.most:
		victim := longest.Value.(*visitor) //nolint:forcetypeassert // nothing else is in the list
		c.leave(victim)
		_ = victim.Conn.Close()
	}
	c.open++
	c.by[v.addr]++
	v.place = c.idle.PushBack(v) // until its first request
	return v
}

// busy is how many connections are not idle.
func (c *crowd) busy() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.open - c.idle.Len()
}

// leave stops counting a connection. The caller holds mu.
func (c *crowd) leave(v *visitor) {
	if v.gone {
		return
	}
	v.gone = true
	c.open--
	if c.by[v.addr]--; c.by[v.addr] == 0 {
		delete(c.by, v.addr)
	}
	c.rest(v, false)
}

// rest says whether a connection is idle. The caller holds mu.
func (c *crowd) rest(v *visitor, idle bool) {
	if v.place != nil {
		c.idle.Remove(v.place)
		v.place = nil
	}
	if idle && !v.gone {
		v.place = c.idle.PushBack(v)
	}
}

// state is told of changes by net/http.
func (c *crowd) state(conn net.Conn, state http.ConnState) {
	if inner, encrypted := conn.(interface{ NetConn() net.Conn }); encrypted {
		conn = inner.NetConn()
	}
	v, ours := conn.(*visitor)
	if !ours || state != http.StateIdle && state != http.StateActive {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.rest(v, state == http.StateIdle)
}

// Close implements net.Conn.
func (v *visitor) Close() error {
	v.crowd.mu.Lock()
	v.crowd.leave(v)
	v.crowd.mu.Unlock()
	return v.Conn.Close() //nolint:wrapcheck // it is the connection
}

// counts are how many connections are open, and how many were refused.
func (c *crowd) counts() (open int, refused uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.open, c.refused
}

// openCrowd makes room for clients.
func (s *System) openCrowd(c *Config) {
	s.crowd = &crowd{most: c.Limits.Connections, perAddress: c.Limits.PerAddress, by: map[netip.Addr]int{}}
	s.timeouts, s.maxHeader = c.Timeouts, int(c.Limits.Headers)
}

// clients checks what clients may do to the server.
func (v *validator) clients(c *Config) {
	for name, n := range map[string]int{"connections": c.Limits.Connections, "connections_per_address": c.Limits.PerAddress, "streams": c.Limits.Streams, "headers": int(c.Limits.Headers), "body_rate": int(c.Limits.BodyRate)} {
		v.check(n >= 0, "limits."+name, "must not be negative")
		v.notZero("limits."+name, n == 0, "nobody would be served; leave the key out for the default")
	}
	for name, d := range map[string]time.Duration{"header": c.Timeouts.Header, "body": c.Timeouts.Body, "idle": c.Timeouts.Idle, "stall": c.Timeouts.Stall} {
		v.notZero("timeouts."+name, d == 0, "nobody would be served; leave the key out for the default")
	}
}
