package httpapi

import (
	"context"
	"errors"
	"io"
	"maps"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"

	"github.com/lanewise/lanewise/access"
	"github.com/lanewise/lanewise/fault"
)

// Backuper writes a copy of itself, as of one moment, while it goes on working.
type Backuper interface {
	Backup(ctx context.Context, w io.Writer) error
}

func (s *server) backupRoutes() []route {
	return []route{{
		method: "GET", path: "/v1/admin/backup", id: "backup", scope: access.Admin, tag: tagServer, local: true, handle: s.backup,
		summary: "Copy a store of this server", media: "application/octet-stream", query: []parameter{{"store", "Name of the store, or its folder."}},
		detail: "Streams a consistent copy of one embedded store, for lanewise restore. Only clients on this machine may ask for it. " +
			"A copy that could not be finished breaks off, and is refused by restore.",
	}}
}

func (s *server) backup(w *recorder, r *http.Request) error {
	name := r.URL.Query().Get("store")
	store, ok := s.backups[name]
	if !ok {
		names := strings.Join(slices.Sorted(maps.Keys(s.backups)), ", ")
		return fault.New(fault.NotFound, "store %q is not one of this server's: %s", name, names)
	}
	w.Header().Set("Content-Type", "application/octet-stream")
	err := store.Backup(r.Context(), w)
	if err != nil && w.wrote {
		w.err = err
		panic(http.ErrAbortHandler) // so that the copy is not taken for a whole one
	}
	return err
}

// onThisMachine refuses clients elsewhere, also those for whom a proxy on this machine asks.
func onThisMachine(r *http.Request) error {
	for _, header := range [...]string{"Forwarded", "X-Forwarded-For", "X-Real-Ip", "Via"} {
		if r.Header.Get(header) != "" {
			return fault.New(fault.Forbidden, "%s is for clients on this machine only, and not through a proxy", r.URL.Path)
		}
	}
	if !ownName(r.Host) {
		return fault.New(fault.Forbidden, "%s is for clients that call this machine by its address or localhost, not %q", r.URL.Path, r.Host)
	}
	peer, err := netip.ParseAddrPort(r.RemoteAddr)
	if err == nil && peer.Addr().Unmap().IsLoopback() || r.RemoteAddr == "pipe" {
		return nil
	}
	return errors.Join(err, fault.New(fault.Forbidden, "%s is for clients on this machine only", r.URL.Path))
}

// ownName reports whether a Host header is one that a page of a foreign site cannot bring about: a browser on
// this machine sends that site's name, also where the site has it resolved to this machine.
func ownName(host string) bool {
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	if _, err := netip.ParseAddr(strings.Trim(host, "[]")); err == nil {
		return true
	}
	return !strings.Contains(host, ".") || strings.HasSuffix(strings.ToLower(host), ".localhost")
}
