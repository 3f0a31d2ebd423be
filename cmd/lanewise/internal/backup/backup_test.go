package backup_test

import (
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/lanewise/lanewise/cmd/lanewise/internal/backup"
	"github.com/lanewise/lanewise/config"
	"github.com/lanewise/lanewise/fault"
	"github.com/lanewise/lanewise/router"
	"github.com/lanewise/lanewise/search"
)

// described is a configuration of two shards with two local replicas each.
func described(dir string) *config.Config {
	cfg := &config.Config{Map: filepath.Join(dir, "map")}
	for _, shard := range []string{"s0", "s1"} {
		s := config.Shard{Name: shard}
		for _, replica := range []string{"a", "b"} {
			s.Replicas = append(s.Replicas, config.Replica{Name: replica, Path: filepath.Join(dir, shard, replica)})
		}
		cfg.Shards = append(cfg.Shards, s)
	}
	return cfg
}

func build(t *testing.T, cfg *config.Config) *config.System {
	t.Helper()
	sys, err := cfg.Build(t.Context(), config.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return sys
}

func fill(t *testing.T, sys *config.System, from, to int) {
	t.Helper()
	if _, err := sys.Router.CreateCollection(t.Context(), search.Collection{Name: "docs", Dims: 2}); err != nil {
		t.Fatal(err)
	}
	var points []search.Point
	for i := from; i < to; i++ {
		points = append(points, search.Point{Key: search.Key{ID: fmt.Sprint(i)}, Dense: []float32{1, float32(i)}, Text: "text"})
	}
	if _, err := sys.Router.Upsert(t.Context(), router.Upsert{Collection: "docs", Points: points}); err != nil {
		t.Fatal(err)
	}
}

func count(t *testing.T, sys *config.System) int {
	t.Helper()
	n, err := sys.Router.Count(t.Context(), "docs", "", search.Filter{})
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func ignore(string, int64) {}

func closing(t *testing.T, sys *config.System) {
	t.Helper()
	if err := sys.Close(); err != nil {
		t.Fatal(err)
	}
}

func TestBackup_comesBackWhole(t *testing.T) {
	dir := t.TempDir()
	cfg, saved := described(filepath.Join(dir, "data")), filepath.Join(dir, "saved")
	sys := build(t, cfg)
	fill(t, sys, 0, 100)
	closing(t, sys)
	var names []string
	if err := backup.Save(t.Context(), backup.Source{Config: cfg}, saved, func(name string, _ int64) { names = append(names, name) }); err != nil {
		t.Fatal(err)
	}
	if got := strings.Join(names, ", "); got != "s0/a, s0/b, s1/a, s1/b, the shard map" {
		t.Errorf("saved %s", got)
	}
	again := described(filepath.Join(dir, "again"))
	if err := backup.Load(again, saved, ignore); err != nil {
		t.Fatal(err)
	}
	sys = build(t, again)
	defer closing(t, sys)
	if n := count(t, sys); n != 100 {
		t.Errorf("%d points came back, want 100", n)
	}
	fill(t, sys, 100, 110) // it can be written to
}

func TestBackup_whileServing(t *testing.T) {
	dir := t.TempDir()
	cfg := described(filepath.Join(dir, "data"))
	cfg.Keys = []config.ClientKey{{Key: "secret"}}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	cfg.Listen = l.Addr().String()
	sys := build(t, cfg)
	ctx, stop := context.WithCancel(t.Context())
	served := make(chan error, 1)
	go func() { served <- sys.Serve(ctx, l) }()
	defer func() {
		stop()
		if err := <-served; err != nil {
			t.Error(err)
		}
		closing(t, sys)
	}()
	fill(t, sys, 0, 50)
	if err := backup.Save(t.Context(), backup.Source{Config: cfg}, filepath.Join(dir, "saved"), ignore); err != nil {
		t.Fatal(err)
	}
	again := described(filepath.Join(dir, "again"))
	if err := backup.Load(again, filepath.Join(dir, "saved"), ignore); err != nil {
		t.Fatal(err)
	}
	copied := build(t, again)
	defer closing(t, copied)
	if n := count(t, copied); n != 50 {
		t.Errorf("%d points came back, want 50", n)
	}

	other := described(filepath.Join(dir, "other")) // stores of the same names, held by another process than the one that answers
	other.Keys, other.Listen = cfg.Keys, cfg.Listen
	holder := build(t, other)
	defer closing(t, holder)
	if err := backup.Save(t.Context(), backup.Source{Config: other}, filepath.Join(dir, "foreign"), ignore); err == nil || !strings.Contains(err.Error(), "is not one of this server's") {
		t.Errorf("the stores of another server were copied: %v", err)
	}

	cfg.Keys = []config.ClientKey{{Key: "another"}}
	if err := backup.Save(t.Context(), backup.Source{Config: cfg}, filepath.Join(dir, "no"), ignore); fault.Of(err) != fault.Unauthorized {
		t.Errorf("with a wrong key: %v", err)
	}
	if _, err := os.Stat(filepath.Join(dir, "no")); err == nil {
		t.Error("a backup that was refused left a folder behind")
	}

	cfg.Keys = []config.ClientKey{{SHA256: strings.Repeat("0", 64)}} // of which nobody can tell the secret
	if err := backup.Save(t.Context(), backup.Source{Config: cfg}, filepath.Join(dir, "keyless"), ignore); fault.Of(err) != fault.Unauthorized {
		t.Errorf("without a key: %v", err)
	}
	if err := backup.Save(t.Context(), backup.Source{Config: cfg, Key: "secret"}, filepath.Join(dir, "keyed"), ignore); err != nil {
		t.Errorf("with a key of its own: %v", err)
	}
}

func TestLoad_refusesWhatItCannotRestore(t *testing.T) {
	dir := t.TempDir()
	cfg, saved := described(filepath.Join(dir, "data")), filepath.Join(dir, "saved")
	sys := build(t, cfg)
	fill(t, sys, 0, 10)
	closing(t, sys)
	if err := backup.Save(t.Context(), backup.Source{Config: cfg}, saved, ignore); err != nil {
		t.Fatal(err)
	}
	if err := backup.Load(cfg, saved, ignore); fault.Of(err) != fault.Conflict || !strings.Contains(err.Error(), "shard map") {
		t.Errorf("over what is there: %v", err)
	}
	if err := os.Remove(filepath.Join(saved, "s1", "b.store")); err != nil {
		t.Fatal(err)
	}
	fresh := filepath.Join(dir, "fresh")
	if err := backup.Load(described(fresh), saved, ignore); err == nil || !strings.Contains(err.Error(), "s1/b") {
		t.Errorf("without one of the stores: %v", err)
	}
	if _, err := os.Stat(fresh); err == nil {
		t.Error("a backup that was refused left stores behind")
	}
	if err := backup.Save(t.Context(), backup.Source{Config: cfg}, saved, ignore); err == nil || !strings.Contains(err.Error(), "not empty") {
		t.Errorf("into a folder with something in it: %v", err)
	}
	sys = build(t, cfg)
	defer closing(t, sys)
	if n := count(t, sys); n != 10 {
		t.Errorf("%d points are left, want 10", n)
	}
}
