package main

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/lanewise/lanewise/adapters/local"
	"github.com/lanewise/lanewise/search"
)

// storeWith makes an embedded store with a collection.
func storeWith(t *testing.T, c search.Collection) string {
	t.Helper()
	dir := t.TempDir()
	s, err := local.Open(local.Config{Path: dir})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Write(t.Context(), search.Batch{Create: &c}); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	return dir
}

func docsOf(dims int, m search.Metric) search.Collection {
	return search.Collection{Name: "docs", Dims: dims, Metric: m, Placement: search.Placement{By: search.ByID}}
}

// connect runs check --connect on a shard of these replicas.
func connect(t *testing.T, replicas ...string) outcome {
	t.Helper()
	return world{env: map[string]string{}}.run(t, "check", "-c", oneShard(t, replicas...), "--connect")
}

func TestCheck_connect(t *testing.T) {
	a, b := storeWith(t, docsOf(2, search.Dot)), storeWith(t, docsOf(2, search.Dot))
	got := connect(t, "path: "+a, "path: "+b)
	got.want(t, exitOK, "s0/r0", "s0/r1", "docs", "dot", "static-256", "built in", "ok")
	if strings.Contains(got.out, "FAILS") {
		t.Error(got.out)
	}
}

func TestCheck_connectFindsWhatDoesNotFit(t *testing.T) {
	a := storeWith(t, docsOf(2, search.Dot))
	for name, c := range map[string]struct{ replica, want string }{
		"dims":        {"path: " + storeWith(t, docsOf(3, search.Dot)), "FAILS: differs from s0/r0, which has 2 dims, dot"},
		"metric":      {"path: " + storeWith(t, docsOf(2, search.Cosine)), "FAILS: differs from s0/r0, which has 2 dims, dot"},
		"collection":  {"path: " + storeWith(t, search.Collection{Name: "other", Dims: 2, Metric: search.Dot}), "FAILS: is missing, and s0/r0 has it"},
		"unreachable": {`url: "qdrant://127.0.0.1:1"`, "FAILS: "},
	} {
		got := connect(t, "path: "+a, c.replica)
		got.want(t, exitFailure, c.want, "do not fit")
		_ = name
	}
	connect(t, "path: "+a, "path: "+filepath.Join(t.TempDir(), "none")).want(t, exitFailure, "ok (not made yet)", "is missing")
}

func TestCheck_connectToPostgres(t *testing.T) {
	articlesTable(t, "cli_connect") // makes the extension, where nobody has yet
	u := postgres(t)
	password, _ := u.User.Password()
	u.User = nil
	got := connect(t, fmt.Sprintf(`url: "postgres://lanewise@%s%s?sslmode=disable", key: %q, postgres: {schema: nothing_here}`, u.Host, u.Path, password))
	got.want(t, exitOK, "pgvector 0.", "ok (no collection)")
	if strings.Contains(got.out, password) {
		t.Error("the password is printed")
	}
}
