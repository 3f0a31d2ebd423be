package remote_test

import (
	"crypto/subtle"
	"errors"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/lanewise/lanewise/adapters/adaptertest"
	"github.com/lanewise/lanewise/adapters/local"
	"github.com/lanewise/lanewise/adapters/remote"
	"github.com/lanewise/lanewise/fault"
	"github.com/lanewise/lanewise/search"
)

// A remote store answers as the store behind the server does: bit for bit,
// errors included.
func TestStore_conforms(t *testing.T) {
	adaptertest.Suite{
		Open: func(t *testing.T) search.Store {
			t.Helper()
			s, _ := start(t, serve(behind(t)), remote.Config{})
			return s
		},
		Wire: onWire,
	}.Run(t)
}

// behind is the store of a server.
func behind(t *testing.T) *local.Store {
	t.Helper()
	s, err := local.Open(local.Config{Path: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// onWire starts a server that asks for a key.
func onWire(t *testing.T) adaptertest.Wire {
	t.Helper()
	srv := httptest.NewServer(locked(serve(behind(t))))
	t.Cleanup(srv.Close)
	reach := func(scheme, secret string) func(*testing.T, string) search.Store {
		return func(t *testing.T, address string) search.Store {
			t.Helper()
			s, err := remote.New(remote.Config{URL: scheme + address, Key: secret})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = s.Close() })
			return s
		}
	}
	return adaptertest.Wire{
		Address: srv.Listener.Addr().String(),
		Open:    reach("http://", key), Refused: reach("http://", "another"), Encrypted: reach("https://", key),
	}
}

// locked lets only calls with the key through.
func locked(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if subtle.ConstantTimeCompare([]byte(r.Header.Get("Authorization")), []byte("Bearer "+key)) == 0 {
			problem(w, fault.Wrap(fault.Unauthorized, "call", errors.New("wrong key")), http.StatusUnauthorized)
			return
		}
		h.ServeHTTP(w, r)
	})
}
