package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// The system under load: shards of two replicas each, every server a process of its own.
const (
	shards   = 2
	replicas = 2
)

// system is the running servers.
type system struct {
	dir      string
	router   *server
	replicas [shards][replicas]*server
	reloads  bool // the router knows SIGHUP
}

// server is a process of lanewise that can be started again at the same address.
type server struct {
	program, config, address string
	log                      *os.File
	cmd                      *exec.Cmd
}

func start(ctx context.Context, o options) (s *system, err error) {
	s = &system{}
	if s.dir, err = os.MkdirTemp("", "lanewise-soak-"); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.stop())
		}
	}()
	if o.program == "" {
		o.program = filepath.Join(s.dir, "lanewise")
		if out, err := exec.CommandContext(ctx, "go", "build", "-o", o.program, "./cmd/lanewise").CombinedOutput(); err != nil { //nolint:gosec // this very program
			return s, fmt.Errorf("build: %w\n%s", err, out)
		}
	}
	help, err := exec.CommandContext(ctx, o.program, "serve", "--help").Output() //nolint:gosec // named by the caller
	if err != nil {
		return s, err
	}
	s.reloads = o.reload && bytes.Contains(help, []byte("SIGHUP"))
	var text strings.Builder
	fmt.Fprintf(&text, "map: %s\nlog: {level: warn}\nshards:\n", filepath.Join(s.dir, "map"))
	for i := range s.replicas {
		fmt.Fprintf(&text, "- name: s%d\n  replicas:\n", i)
		for j := range s.replicas[i] {
			name := fmt.Sprintf("s%dr%d", i, j)
			r, err := s.serve(ctx, o.program, name, "store: "+filepath.Join(s.dir, name)+"\nlog: {level: warn}\n")
			if err != nil {
				return s, err
			}
			s.replicas[i][j] = r
			fmt.Fprintf(&text, "  - url: http://%s\n", r.address)
		}
	}
	s.router, err = s.serve(ctx, o.program, "router", text.String())
	return s, err
}

// serve writes a configuration and starts a server with it.
func (s *system) serve(ctx context.Context, program, name, config string) (*server, error) {
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0") // a port that is free
	if err != nil {
		return nil, err
	}
	v := &server{program: program, config: filepath.Join(s.dir, name+".yaml"), address: l.Addr().String()}
	_ = l.Close()
	if err := os.WriteFile(v.config, []byte("listen: "+v.address+"\n"+config), 0o600); err != nil {
		return nil, err
	}
	if v.log, err = os.Create(filepath.Join(s.dir, name+".log")); err != nil { //nolint:gosec // in a folder of its own
		return nil, err
	}
	return v, v.start(ctx)
}

// start starts the process and waits until it is ready.
func (v *server) start(ctx context.Context) error {
	v.cmd = exec.Command(v.program, "serve", "-c", v.config) //nolint:gosec,noctx // named by the caller; it ends by signals alone
	v.cmd.Stdout, v.cmd.Stderr = v.log, v.log
	if err := v.cmd.Start(); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	for {
		if get(ctx, "http://"+v.address+"/readyz", nil) == nil {
			return nil
		}
		if err := pause(ctx, 50*time.Millisecond); err != nil {
			return fmt.Errorf("%s is not ready: see %s", v.config, v.log.Name())
		}
	}
}

func (v *server) signal(sig syscall.Signal) error { return v.cmd.Process.Signal(sig) }

// end ends the process and waits for it.
func (v *server) end(sig syscall.Signal) error {
	if err := v.signal(sig); err != nil {
		return err
	}
	_ = v.cmd.Wait() // it was told to end
	return nil
}

// stop ends all servers, the router first, and removes their data.
func (s *system) stop() error {
	all := []*server{s.router}
	for _, shard := range s.replicas {
		all = append(all, shard[:]...)
	}
	var errs []error
	for _, v := range all {
		if v != nil && v.cmd != nil && v.cmd.ProcessState == nil {
			_ = v.signal(syscall.SIGCONT)
			errs = append(errs, v.end(syscall.SIGTERM))
		}
	}
	return errors.Join(append(errs, os.RemoveAll(s.dir))...)
}

// pause waits, but not beyond the end of ctx.
func pause(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
