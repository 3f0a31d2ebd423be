package main

import (
	"io"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"

	"github.com/lanewise/lanewise/access"
)

func TestKeys_listShowsWhatWasUsed(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/v1/admin/usage" {
			t.Errorf("asked for %s", r.URL.Path)
		}
		_, _ = io.WriteString(w, `{"keys":[{"name":"a","limits":{"tokens_per_day":9},"day":{"tokens":125,"cost":0},"month":{"tokens":400,"cost":1.5},"running":1}],"tenants":[]}`)
	}))
	defer server.Close()
	file := filepath.Join(t.TempDir(), "keys.json")
	world{}.run(t, "keys", "add", "a", "--scope", "embed", "--tokens-per-day", "500", "--tokens-per-minute", "9", "--cost-per-month", "6", "--file", file).want(t, exitOK)
	got := world{}.run(t, "keys", "list", "--file", file, "--url", server.URL)
	if !strings.Contains(got.out, "    9 tokens a minute\n    125 of 500 tokens today (25 %)\n    1.5 of 6 of cost in this month (25 %)\n") {
		t.Errorf("%+v", got)
	}
}

func TestKeys_addListRevoke(t *testing.T) {
	file := filepath.Join(t.TempDir(), "keys.json")
	keys := func(args ...string) outcome {
		t.Helper()
		return world{}.run(t, append([]string{"keys"}, append(args, "--file", file)...)...)
	}
	got := keys("add", "site", "--scope", "search,answer", "--tenant", "acme")
	secret := strings.TrimSpace(got.out)
	if got.code != exitOK || !strings.HasPrefix(secret, access.SecretPrefix) {
		t.Fatalf("%+v", got)
	}
	gate, err := access.New(access.Config{File: file})
	if err != nil {
		t.Fatal(err)
	}
	want := access.Caller{Name: "site", Scopes: access.Search | access.Answer, Tenant: "acme"}
	if c, err := gate.Identify(t.Context(), secret); err != nil || c != want {
		t.Error(c, err)
	}
	list := keys("list")
	if list.code != exitOK || !strings.Contains(list.out, "site  search,answer  tenant acme") || strings.Contains(list.out, secret) {
		t.Errorf("%+v", list)
	}
	keys("add", "limited", "--scope", "embed", "--tokens-per-day", "500", "--requests-per-minute", "60").want(t, exitOK)
	if list := keys("list"); !strings.Contains(list.out, "    60 requests a minute\n    500 tokens today\n") {
		t.Errorf("%+v", list)
	}
	keys("add", "wrong", "--scope", "embed", "--tokens-per-day", "-5").want(t, exitUsage, "tokens_per_day: must not be negative")
	keys("revoke", "limited").want(t, exitOK)
	keys("add", "site", "--scope", "search").want(t, exitFailure, "there already")
	keys("add", "other", "--scope", "serach").want(t, exitUsage, "there is no scope")
	keys("add", "other").want(t, exitUsage, "no scopes")
	keys("add", "other", "--scope", "admin", "--tenant", "acme").want(t, exitUsage, "reach all tenants")
	keys("revoke", "other").want(t, exitFailure, "there is no key")
	keys("revoke", "site").want(t, exitOK)
	if left, err := access.ReadFile(file); err != nil || len(left) != 0 {
		t.Error(left, err)
	}
}
