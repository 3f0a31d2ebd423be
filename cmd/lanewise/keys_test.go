package main

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/lanewise/lanewise/access"
)

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
