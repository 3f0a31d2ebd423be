package httpapi

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
)

// copier writes some bytes and then ends with an error, or without.
type copier struct{ err error }

func (c copier) Backup(_ context.Context, w io.Writer) error {
	if _, err := io.WriteString(w, "a copy"); err != nil {
		return err
	}
	return c.err
}

func TestBackup_isForClientsOnThisMachine(t *testing.T) {
	s := mustServer(t, Config{Router: newRouter(t, nil), Backups: map[string]Backuper{"s0/a": copier{}}})
	for peer, want := range map[string]int{
		"127.0.0.1:4000": http.StatusOK, "[::1]:4000": http.StatusOK, "[::ffff:127.0.0.1]:4000": http.StatusOK,
		"10.0.0.7:4000": http.StatusForbidden, "nonsense": http.StatusForbidden,
	} {
		r := newRequest("GET", "/v1/admin/backup?store=s0%2Fa", "")
		r.RemoteAddr = peer
		if w := do(s, r); w.Code != want {
			t.Errorf("%s: status %d, want %d: %s", peer, w.Code, want, w.Body)
		}
	}
	r := newRequest("GET", "/v1/admin/backup?store=other", "")
	r.RemoteAddr = "127.0.0.1:4000"
	if w := do(s, r); w.Code != http.StatusNotFound {
		t.Errorf("unknown store: status %d", w.Code)
	}
}

// A page that has its own name resolved to this machine gets nothing through the user's browser.
func TestBackup_isNotForForeignPages(t *testing.T) {
	s := mustServer(t, Config{Router: newRouter(t, nil), Backups: map[string]Backuper{"x": copier{}}})
	for host, want := range map[string]int{
		"127.0.0.1:8080": http.StatusOK, "127.0.0.1": http.StatusOK, "[::1]:8080": http.StatusOK, "[::1]": http.StatusOK,
		"localhost:8080": http.StatusOK, "x.localhost": http.StatusOK, "bench7:8080": http.StatusOK,
		"evil.example:8080": http.StatusForbidden, "127.0.0.1.evil.example": http.StatusForbidden, "localhost.": http.StatusForbidden,
	} {
		r := newRequest("GET", "/v1/admin/backup?store=x", "")
		r.RemoteAddr, r.Host = "127.0.0.1:4000", host
		if w := do(s, r); w.Code != want {
			t.Errorf("%s: status %d, want %d: %s", host, w.Code, want, w.Body)
		}
	}
}

func TestBackup_breaksOffWhereItFails(t *testing.T) {
	s := mustServer(t, Config{Router: newRouter(t, nil), Backups: map[string]Backuper{"x": copier{errors.New("disk")}}})
	server := httptest.NewServer(s)
	defer server.Close()
	resp, err := server.Client().Get(server.URL + "/v1/admin/backup?store=x")
	if err != nil {
		return // broken off before the header was out
	}
	defer resp.Body.Close()
	if _, err := io.ReadAll(resp.Body); err == nil && resp.StatusCode == http.StatusOK {
		t.Error("half a copy looks like a whole one")
	}
}
