package config

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"
)

// Serve answers requests on l until ctx ends, then lets those under way finish
// within the shutdown timeout. It closes l, but not the system.
func (s *System) Serve(ctx context.Context, l net.Listener) error {
	return s.serve(ctx, l, service{handler: s.Handler, end: func() {}, shutdown: func() time.Duration { return s.shutdown }})
}

// Serve answers requests on listener until ctx ends. Then /readyz says so, for the time of notice requests are still
// taken, and those under way finish within the shutdown timeout. It closes the listener, but nothing else.
func (l *Live) Serve(ctx context.Context, listener net.Listener) error {
	return l.System().serve(ctx, listener, service{handler: l, end: l.End, notice: func() time.Duration { return l.now.Load().config.Timeouts.Notice }, shutdown: func() time.Duration { return l.System().shutdown }})
}

// service is what is served, and how it ends.
type service struct {
	handler          http.Handler
	end              func()
	notice, shutdown func() time.Duration // notice nil: none
}

// leave gives those who ask whether the server is ready time to hear that it is not.
func (v service) leave() {
	v.end()
	if v.notice != nil {
		time.Sleep(v.notice())
	}
}

func (s *System) serve(ctx context.Context, l net.Listener, v service) (err error) {
	metrics, err := s.listenMetrics(ctx)
	if err != nil {
		return errors.Join(err, l.Close())
	}
	defer metrics.Close()
	unscale, err := s.serveScaling(ctx)
	if err != nil {
		return errors.Join(err, l.Close())
	}
	defer func() { err = errors.Join(err, unscale()) }()
	server := s.server(v.handler)
	l = crowded{l, s.crowd}
	serve := server.Serve
	if s.tls != nil {
		server.TLSConfig = s.tls
		serve = func(l net.Listener) error { return server.ServeTLS(l, "", "") }
	}
	ended := make(chan error, 1) // gets http.ErrServerClosed after a shutdown
	go func() { ended <- serve(l) }()
	select {
	case err := <-ended:
		return fmt.Errorf("serve on %s: %w", l.Addr(), err)
	case <-ctx.Done():
	}
	v.leave()
	err = s.finish(context.WithoutCancel(ctx), server, v.shutdown())
	if stopped := <-ended; !errors.Is(stopped, http.ErrServerClosed) {
		err = errors.Join(err, stopped)
	}
	return err
}

// finish lets the requests under way end for so long, and cuts off the others. That is told in the log and is no error:
// who set the time has agreed to it, and a supervisor would take the end that it asked for as a failure.
func (s *System) finish(ctx context.Context, server *http.Server, within time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	err := server.Shutdown(ctx)
	if !errors.Is(err, context.DeadlineExceeded) {
		return err //nolint:wrapcheck // of the listener, which says what it did
	}
	s.log.WarnContext(ctx, "requests under way were cut off at the end of timeouts.shutdown", "connections", s.crowd.busy(), "shutdown", within)
	return server.Close() //nolint:wrapcheck // as above
}
