package openaiwire_test

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/lanewise/lanewise/fault"
	"github.com/lanewise/lanewise/internal/openaiwire"
)

// keyed is a server that answers by the key that it is shown, and keeps the keys.
type keyed struct {
	status map[string]int // by key; 0: 200
	seen   []string
}

func (k *keyed) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	key := r.Header.Get("Api-Key")
	k.seen = append(k.seen, key)
	if status := k.status[key]; status != 0 {
		w.Header().Set("Retry-After", "30")
		w.WriteHeader(status)
		fmt.Fprintf(w, `{"error": {"message": "not with %s"}}`, key)
	}
}

// call makes n calls and returns the keys that they were made with and the last error.
func (k *keyed) call(t *testing.T, c *openaiwire.Client, n int) (keys []string, err error) {
	t.Helper()
	k.seen = nil
	for range n {
		var resp *http.Response
		if resp, err = c.Post(t.Context(), "/x", 1); err == nil {
			_ = resp.Body.Close()
		}
	}
	return k.seen, err
}

func ring(t *testing.T, k *keyed, keys ...string) *openaiwire.Client {
	t.Helper()
	server := httptest.NewServer(k)
	t.Cleanup(server.Close)
	c, err := openaiwire.New(openaiwire.Config{URL: server.URL, Key: keys[0], Keys: keys[1:], KeyHeader: "api-key"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

func TestKeys_inTurn(t *testing.T) {
	k := &keyed{}
	c := ring(t, k, "one", "two", " three\n", "")
	if seen, err := k.call(t, c, 4); err != nil || !slices.Equal(seen, []string{"one", "two", "three", "one"}) {
		t.Errorf("keys %q, %v", seen, err)
	}
}

// TestKeys_revoked holds that a key that is refused costs nobody an answer, and
// is never shown again.
func TestKeys_revoked(t *testing.T) {
	k := &keyed{status: map[string]int{}}
	c := ring(t, k, "one", "two")
	_, _ = k.call(t, c, 2)
	k.status["one"] = http.StatusUnauthorized
	if seen, err := k.call(t, c, 1); err != nil || !slices.Equal(seen, []string{"one", "two"}) {
		t.Errorf("keys %q, %v", seen, err)
	}
	k.status["one"] = 0
	if seen, err := k.call(t, c, 3); err != nil || slices.Contains(seen, "one") {
		t.Errorf("keys %q, %v: the dead key came back", seen, err)
	}
	k.status["two"] = http.StatusForbidden
	_, err := k.call(t, c, 1)
	seen, again := k.call(t, c, 1)
	if !errors.Is(err, fault.Refused) || !errors.Is(again, fault.Refused) || len(seen) != 0 || strings.Contains(again.Error(), "two") {
		t.Errorf("without a key left: %v, then %v with %q", err, again, seen)
	}
}

func TestKeys_busy(t *testing.T) {
	k := &keyed{status: map[string]int{"one": http.StatusTooManyRequests}}
	c := ring(t, k, "one", "two")
	if seen, err := k.call(t, c, 3); err != nil || !slices.Equal(seen, []string{"one", "two", "two", "two"}) {
		t.Errorf("keys %q, %v", seen, err)
	}
	k.status["two"] = http.StatusTooManyRequests
	_, err := k.call(t, c, 1)
	seen, again := k.call(t, c, 1)
	if !errors.Is(err, fault.Overloaded) || !errors.Is(again, fault.Overloaded) || fault.RetryAfter(again) == 0 || len(seen) != 0 {
		t.Errorf("all busy: %v, then %v with %q", err, again, seen)
	}
}

// TestKeys_single holds that a lonely key is tried whatever became of it.
func TestKeys_single(t *testing.T) {
	k := &keyed{status: map[string]int{"one": http.StatusUnauthorized}}
	c := ring(t, k, "one")
	if seen, err := k.call(t, c, 2); !errors.Is(err, fault.Refused) || len(seen) != 2 {
		t.Errorf("keys %q, %v", seen, err)
	}
	k.status["one"] = 0
	if _, err := k.call(t, c, 1); err != nil {
		t.Errorf("it is back: %v", err)
	}
}

// TestKeys_otherFaults holds that no other key is tried where the key is not to blame.
func TestKeys_otherFaults(t *testing.T) {
	k := &keyed{status: map[string]int{"one": http.StatusBadRequest, "two": http.StatusBadGateway}}
	c := ring(t, k, "one", "two")
	for _, class := range []fault.Class{fault.Invalid, fault.Unavailable} {
		if seen, err := k.call(t, c, 1); !errors.Is(err, class) || len(seen) != 1 {
			t.Errorf("keys %q, %v, want class %s", seen, err, class)
		}
	}
}

func TestGet(t *testing.T) {
	var method, kind string
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		method, kind = r.Method+" "+r.URL.Path, r.Header.Get("Content-Type")
	}))
	defer server.Close()
	c, err := openaiwire.New(openaiwire.Config{URL: server.URL, Root: "/"})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	resp, err := c.Get(t.Context(), "/info")
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	if method != "GET /info" || kind != "" {
		t.Errorf("%s, content type %q", method, kind)
	}
}
