package main

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/lanewise/lanewise/config"
)

// TestReloader_followsItsFile: a change of the file is put in force, with what the command line says; a bad one is not.
func TestReloader_followsItsFile(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "c.yaml")
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(file, []byte("shards: [{name: s0, replicas: [{path: s0}]}]\n"+text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("")
	cfg, err := config.Load(file)
	if err != nil {
		t.Fatal(err)
	}
	adapt := func(c *config.Config) { c.Listen = "127.0.0.1:9999" }
	adapt(cfg)
	live, err := cfg.Live(t.Context(), config.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer live.Close() //nolint:errcheck // a test's server
	first := live.System()
	r := &reloader{file: file, watch: true, adapt: adapt}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	ended := make(chan struct{})
	write("timeouts: {search: 3s}\n") // may be before the first look: it is told apart from what is served
	go func() { defer close(ended); r.run(ctx, live) }()
	defer func() { cancel(); <-ended }()
	for n := 4; live.System() == first && ctx.Err() == nil; n++ {
		write("timeouts: {search: " + time.Duration(n*int(time.Second)).String() + "}\n")
		select {
		case <-time.After(3 * watchEvery):
		case <-ctx.Done():
		}
	}
	if live.System() == first {
		t.Fatal("the file has changed, and nothing else")
	}
}
