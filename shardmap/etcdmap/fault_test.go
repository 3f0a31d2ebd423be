//go:build unix

package etcdmap_test

import (
	"errors"
	"os"
	"os/exec"
	"strings"
	"testing"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"

	"github.com/lanewise/lanewise/fault"
	"github.com/lanewise/lanewise/shardmap/etcdmap"
)

// A client that is dead and back finds what it had stored, and its watch goes on.
func TestStore_killedAndBack(t *testing.T) {
	t.Parallel()
	server, address := own(t)
	s := open(t, etcdmap.Config{Endpoints: []string{address}})
	at := save(t, s, "one", "")
	told := make(chan struct{}, 64)
	go func() {
		for t.Context().Err() == nil {
			_ = s.Watch(t.Context(), func() { told <- struct{}{} }) // it ends with the test, and may break before
		}
	}()
	<-told
	server("kill")
	server("up")
	if data, now, err := s.Load(t.Context()); err != nil || string(data) != "one" || now != at {
		t.Errorf("after the crash: %q at %s, %v", data, now, err)
	}
	save(t, s, "two", at)
	<-told
}

// A watch that comes too late for what etcd has thrown away starts with what comes.
func TestStore_watchesAfterCompaction(t *testing.T) {
	t.Parallel()
	_, address := own(t)
	s := open(t, etcdmap.Config{Endpoints: []string{address}})
	at := save(t, s, "one", "")
	told := make(chan struct{}, 64)
	go func() { _ = s.Watch(t.Context(), func() { told <- struct{}{} }) }()
	<-told
	admin := client(t, address)
	for range 5 {
		at = save(t, s, "more", at)
	}
	now, err := admin.Get(t.Context(), "any")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := admin.Compact(t.Context(), now.Header.Revision); err != nil {
		t.Fatal(err)
	}
	late := make(chan struct{}, 64)
	go func() { _ = s.Watch(t.Context(), func() { late <- struct{}{} }) }()
	<-late
	for len(told) > 0 {
		<-told
	}
	save(t, s, "last", at)
	<-told
	<-late
}

func TestOpen_wrongPassword(t *testing.T) {
	t.Parallel()
	_, address := own(t)
	admin := client(t, address)
	for _, err := range []error{
		second(admin.UserAdd(t.Context(), "root", "right")), second(admin.UserGrantRole(t.Context(), "root", "root")),
		second(admin.UserAdd(t.Context(), "stranger", "right")), second(admin.AuthEnable(t.Context())),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	c := etcdmap.Config{Endpoints: []string{address}, User: "root", Password: "wrong"}
	if s, err := etcdmap.Open(c); !errors.Is(err, fault.Refused) {
		t.Errorf("a wrong password: %v, %v", s, err)
	}
	c.Password = "right"
	save(t, open(t, c), "one", "")
	c.User = "stranger"
	if _, _, err := open(t, c).Load(t.Context()); !errors.Is(err, fault.Refused) {
		t.Errorf("somebody without the role: %v", err)
	}
	if _, _, err := open(t, etcdmap.Config{Endpoints: c.Endpoints}).Load(t.Context()); !errors.Is(err, fault.Refused) {
		t.Errorf("nobody: %v", err)
	}
}

func second[R any](_ R, err error) error { return err }

// client is one of etcd's own.
func client(t *testing.T, address string) *clientv3.Client {
	t.Helper()
	c, err := clientv3.New(clientv3.Config{Endpoints: []string{address}, Logger: zap.NewNop()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

// own starts a server that only this test has.
func own(t *testing.T) (server func(verb string) string, address string) {
	t.Helper()
	shared(t)
	dir := t.TempDir() + "/etcd"
	server = func(verb string) string {
		t.Helper()
		cmd := exec.Command("../../scripts/servers/etcd", verb)
		cmd.Env, cmd.Stderr = append(os.Environ(), "LANEWISE_SERVER_DIR="+dir), t.Output()
		out, err := cmd.Output()
		if err != nil {
			t.Fatalf("etcd %s: %v", verb, err)
		}
		return string(out)
	}
	t.Cleanup(func() { server("down") })
	_, address, _ = strings.Cut(strings.TrimSpace(server("up")), "=")
	return server, address
}
