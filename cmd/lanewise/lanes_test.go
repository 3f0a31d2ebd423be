package main

import (
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"

	"github.com/lanewise/lanewise/config"
)

// TestLanes drives a running server from the command line.
func TestLanes(t *testing.T) {
	dir := t.TempDir()
	c := config.Local(dir)
	c.Shards[0].Replicas = append(c.Shards[0].Replicas, config.Replica{Name: "r1", Path: filepath.Join(dir, "r1")})
	sys, err := c.Build(t.Context(), config.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer sys.Close() //nolint:errcheck // a test's server
	server := httptest.NewServer(sys.Handler)
	defer server.Close()
	lanes := func(args ...string) outcome {
		return world{}.run(t, append(append([]string{"lanes"}, args...), "--url", server.URL)...)
	}
	lanes("drain", "s0/r1").want(t, exitOK, "s0/r1: healthy, weight 1 → draining, weight 1")
	lanes("drain", "s0/r0").want(t, exitFailure, "has no other member in use")
	lanes("weight", "s0/r1", "2.5").want(t, exitOK, "weight 2.5")
	if got := lanes("list"); got.code != exitOK || !strings.Contains(got.out, "draining  2.5") {
		t.Errorf("%+v", got)
	}
	lanes("undrain", "s0/r1").want(t, exitOK, "draining, weight 2.5 → healthy, weight 2.5")
	lanes("eject", "s0/r1").want(t, exitOK, "→ ejected")
	lanes("drain", "s0/r9").want(t, exitFailure, "there is no lane of that name")
	lanes("weight", "s0/r1", "heavy").want(t, exitUsage, `"heavy" is not a number`)
	lanes("drain").want(t, exitUsage)
}
