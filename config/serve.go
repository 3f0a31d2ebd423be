package config

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
)

// Serve answers requests on l until ctx ends, then lets those under way finish
// within the shutdown timeout. It closes l, but not the system.
func (s *System) Serve(ctx context.Context, l net.Listener) (err error) {
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
	server := s.server()
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
	grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), s.shutdown)
	defer cancel()
	if err = server.Shutdown(grace); err != nil {
		err = errors.Join(fmt.Errorf("end requests under way: %w", err), server.Close())
	}
	if stopped := <-ended; !errors.Is(stopped, http.ErrServerClosed) {
		err = errors.Join(err, stopped)
	}
	return err
}
