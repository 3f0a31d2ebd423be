package demo

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/lanewise/lanewise/config"
)

const (
	shards   = 4
	replicas = 3
)

// cluster is a router and its replicas, each behind a port of its own.
type cluster struct {
	servers []*server // by shard, then by replica
	system  *config.System
}

// startCluster brings up all replicas at once, and then the router.
func startCluster(ctx context.Context, dir string) (*cluster, error) {
	c := &cluster{servers: make([]*server, shards*replicas)}
	errs := make([]error, len(c.servers))
	var wg sync.WaitGroup
	for i := range c.servers {
		wg.Go(func() { c.servers[i], errs[i] = startServer(ctx, filepath.Join(dir, shardName(i), replicaName(i))) })
	}
	wg.Wait()
	if err := errors.Join(errs...); err != nil {
		return c, err
	}
	cfg := &config.Config{Map: filepath.Join(dir, "map")}
	for i, s := range c.servers {
		if i%replicas == 0 {
			cfg.Shards = append(cfg.Shards, config.Shard{Name: shardName(i)})
		}
		shard := &cfg.Shards[i/replicas]
		shard.Replicas = append(shard.Replicas, config.Replica{Name: replicaName(i), URL: "http://" + s.address})
	}
	var err error
	c.system, err = cfg.Build(ctx, config.Options{})
	return c, err
}

// shardName and replicaName are those of server i.
func shardName(i int) string   { return fmt.Sprintf("s%d", i/replicas) }
func replicaName(i int) string { return string(rune('a' + i%replicas)) }

func (c *cluster) close() error {
	var errs []error
	if c.system != nil {
		errs = append(errs, c.system.Close())
	}
	for _, s := range c.servers {
		if s != nil {
			errs = append(errs, s.close())
		}
	}
	return errors.Join(errs...)
}

// server is a replica: a store on disk behind HTTP, which can be made slow.
type server struct {
	address string
	delay   atomic.Int64 // nanoseconds that every search waits first
	system  *config.System
	http    *http.Server
	cut     context.CancelFunc // ends the requests under way
	serving sync.WaitGroup
}

func startServer(ctx context.Context, dir string) (*server, error) {
	sys, err := (&config.Config{Store: dir}).Build(ctx, config.Options{})
	if err != nil {
		return nil, err
	}
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, errors.Join(fmt.Errorf("find a port for a replica: %w", err), sys.Close())
	}
	s := &server{address: l.Addr().String(), system: sys}
	s.serve(ctx, l)
	return s, nil
}

func (s *server) serve(ctx context.Context, l net.Listener) {
	ctx, s.cut = context.WithCancel(context.WithoutCancel(ctx))
	s.http = &http.Server{
		Handler: s, ReadHeaderTimeout: 10 * time.Second, BaseContext: func(net.Listener) context.Context { return ctx },
	}
	s.serving.Go(func() { _ = s.http.Serve(l) }) // ends with ErrServerClosed
}

// resume serves again at the address of before, after a stop.
func (s *server) resume(ctx context.Context) error {
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", s.address)
	if err != nil {
		return fmt.Errorf("bring a replica back: %w", err)
	}
	s.serve(ctx, l)
	return nil
}

// ServeHTTP answers as a replica does, after the delay where there is one.
func (s *server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if delay := time.Duration(s.delay.Load()); delay > 0 && strings.HasSuffix(r.URL.Path, "/search") {
		timer := time.NewTimer(delay)
		defer timer.Stop()
		select {
		case <-r.Context().Done():
			return
		case <-timer.C:
		}
	}
	s.system.Handler.ServeHTTP(w, r)
}

// slow makes every search wait.
func (s *server) slow(delay time.Duration) { s.delay.Store(int64(delay)) }

// stop cuts all connections and refuses new ones, as a crash does.
func (s *server) stop() error {
	s.cut() // net/http notices a cut connection only once the request's body has been read
	err := s.http.Close()
	s.serving.Wait()
	return err
}

func (s *server) close() error { return errors.Join(s.stop(), s.system.Close()) }
