//go:build unix

package config

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/lanewise/lanewise/fault"
	"github.com/lanewise/lanewise/router"
	"github.com/lanewise/lanewise/search"
)

// A server whose etcd dies reads on, refuses writes once its lease is over, and takes them again when etcd is back.
func TestBuild_etcdKilledAndBack(t *testing.T) {
	if os.Getenv("LANEWISE_TEST_ETCD") == "" {
		t.Skip("LANEWISE_TEST_ETCD is not set: start one with scripts/servers/etcd up")
	}
	dir := filepath.Join(t.TempDir(), "etcd")
	etcd := func(verb string) string {
		t.Helper()
		cmd := exec.Command("../scripts/servers/etcd", verb)
		cmd.Env, cmd.Stderr = append(os.Environ(), "LANEWISE_SERVER_DIR="+dir), t.Output()
		out, err := cmd.Output()
		if err != nil {
			t.Fatalf("etcd %s: %v", verb, err)
		}
		return strings.TrimSpace(string(out))
	}
	t.Cleanup(func() { etcd("down") })
	_, address, _ := strings.Cut(etcd("up"), "=")
	replica := host(t, build(t, &Config{Store: t.TempDir()}))
	s := build(t, &Config{
		Map: "etcd://" + address + "/x", SharedMap: sharedMap{Lease: 2 * time.Second},
		Shards: []Shard{{Name: "s0", Replicas: []Replica{{Name: "r0", URL: replica}}}},
	})
	leased := func(call func() error) error { // calls until it has a lease: on a slow machine it may lose one
		err := call()
		for errors.Is(err, fault.Unavailable) {
			err = call()
		}
		return err
	}
	write := func() error {
		_, err := s.Router.Upsert(t.Context(), router.Upsert{Collection: "docs", Points: []search.Point{{Key: search.Key{ID: "a"}, Dense: []float32{1}}}})
		return err
	}
	create := func() error {
		_, err := s.Router.CreateCollection(t.Context(), search.Collection{Name: "docs", Dims: 1})
		return err
	}
	if err := errors.Join(leased(create), leased(write)); err != nil {
		t.Fatal(err)
	}
	etcd("kill")
	err := write()
	for err == nil { // until the lease is over
		err = write()
	}
	if !errors.Is(err, fault.Unavailable) || !strings.Contains(err.Error(), "takes no writes for now") {
		t.Errorf("without etcd: %v", err)
	}
	if got, err := s.Router.Get(t.Context(), "docs", []search.Key{{ID: "a"}}, search.Fields{}); err != nil || len(got) != 1 {
		t.Errorf("it does not read on: %v, %v", got, err)
	}
	etcd("up")
	if err := leased(write); err != nil {
		t.Errorf("back: %v", err)
	}
}
