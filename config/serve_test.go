package config

import (
	"context"
	"log/slog"
	"net"
	"strings"
	"testing"
	"time"
)

// A request that takes longer than the server may take to end is cut off. The log says so; the server has ended as it was told.
func TestServe_cutsOffWhatDoesNotEnd(t *testing.T) {
	log := make(logLines, 100)
	c := Local(t.TempDir())
	c.Timeouts.Shutdown = time.Millisecond
	s, err := c.Build(t.Context(), Options{Log: slog.New(slog.NewTextHandler(log, nil))})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	h := holding{make(chan struct{}), make(chan struct{})}
	defer close(h.end)
	s.Handler = h
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	ended, status := make(chan error, 1), make(chan int, 1)
	go func() { ended <- s.Serve(ctx, l) }()
	client := call(t, l.Addr().String())
	go func() { status <- client.get("/hold") }()
	<-h.began
	stop()
	if err := <-ended; err != nil {
		t.Errorf("%v, want none: it ended when it was told to", err)
	}
	if got := <-status; got != 0 {
		t.Errorf("the client gets %d, want a closed connection", got)
	}
	for {
		select {
		case line := <-log:
			if strings.Contains(line, "were cut off") && strings.Contains(line, "connections=1") {
				return
			}
		default:
			t.Fatal("the log does not say that a connection was cut off")
		}
	}
}
