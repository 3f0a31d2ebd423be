package steer_test

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"

	"github.com/lanewise/lanewise/cmd/lanewise/internal/steer"
	"github.com/lanewise/lanewise/config"
	"github.com/lanewise/lanewise/fault"
	"github.com/lanewise/lanewise/router"
)

// local describes shards with one embedded replica each, below dir.
func local(dir string, shards ...string) *config.Config {
	c := &config.Config{Listen: "127.0.0.1:1", Map: filepath.Join(dir, "map"), Keys: []config.ClientKey{{Key: "secret"}}}
	for _, name := range shards {
		c.Shards = append(c.Shards, config.Shard{Name: name, Replicas: []config.Replica{{Path: filepath.Join(dir, name)}}})
	}
	return c
}

// reach asks whatever is reached for a repair of nothing.
func reach(t *testing.T, cfgs ...*config.Config) error {
	t.Helper()
	return reachWith(t, "", cfgs...)
}

func reachWith(t *testing.T, key string, cfgs ...*config.Config) error {
	t.Helper()
	c, end, err := steer.Reach(t.Context(), steer.Options{Key: key}, cfgs...)
	if err != nil {
		return err
	}
	_, err = c.Repair(t.Context(), router.Repair{})
	return errors.Join(err, end())
}

func TestReach_buildsTheShardsOfTheStoredMap(t *testing.T) {
	dir := t.TempDir()
	old, now := local(dir, "a", "b"), local(dir, "b", "c")
	for _, cfgs := range [][]*config.Config{{old}, {old}, {now, old}, {old, now}} {
		if err := reach(t, cfgs...); err != nil {
			t.Errorf("%v", err)
		}
	}
	if err := reach(t, now); !errors.Is(err, fault.Invalid) || !strings.Contains(err.Error(), "shard a") {
		t.Errorf("without the old configuration: %v", err)
	}
	if err := reach(t, &config.Config{Listen: "127.0.0.1:1", Store: filepath.Join(dir, "bare")}); !errors.Is(err, fault.Invalid) {
		t.Errorf("a bare replica: %v", err)
	}
}

func TestReach_prefersTheServer(t *testing.T) {
	asked := 0
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if asked++; r.Header.Get("Authorization") != "Bearer secret" || r.URL.Path != "/v1/admin/repair" {
			t.Errorf("%s %v", r.URL, r.Header)
		}
		_, _ = w.Write([]byte(`{}`))
	}))
	defer server.Close()
	cfg := local(t.TempDir(), "a")
	_, port, _ := strings.Cut(server.Listener.Addr().String(), ":")
	for _, listen := range []string{"127.0.0.1:" + port, "0.0.0.0:" + port, ":" + port} {
		cfg.Listen = listen
		if err := reach(t, cfg); err != nil {
			t.Errorf("%s: %v", listen, err)
		}
	}
	cfg.Keys = nil // they are in a file, as digests
	if err := reachWith(t, "secret", cfg); err != nil {
		t.Errorf("with a key of its own: %v", err)
	}
	if asked != 4 {
		t.Errorf("the server was asked %d times, want 4", asked)
	}
}

func TestUncounted(t *testing.T) {
	dir := t.TempDir()
	p, err := steer.Uncounted(t.Context(), local(dir, "a", "b"), local(dir, "a", "b", "c"))
	if err != nil || p.Partitions < 1000 || p.Points != 0 {
		t.Errorf("%v %v", p, err)
	}
	if _, err := steer.Uncounted(t.Context(), local(dir, "a"), local(dir)); !errors.Is(err, fault.Invalid) {
		t.Errorf("no shards: %v", err)
	}
}
