package remote_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/lanewise/lanewise/adapters/remote"
	"github.com/lanewise/lanewise/fault"
	"github.com/lanewise/lanewise/search"
	"github.com/lanewise/lanewise/search/wire"
)

const key = "s3cret"

// ask sends one search to a server that answers with h, and returns the error.
func ask(t *testing.T, c remote.Config, h http.HandlerFunc) error {
	t.Helper()
	c.Key = key
	s, srv := start(t, h, c)
	_, err := s.Search(t.Context(), search.Query{})
	if err == nil {
		return nil
	}
	if strings.Contains(err.Error(), key) {
		t.Errorf("the key is in the error: %v", err)
	}
	if !strings.Contains(err.Error(), strings.TrimPrefix(srv.URL, "http://")) {
		t.Errorf("the error does not name the server: %v", err)
	}
	return err
}

func TestStore_keepsTheServersClass(t *testing.T) {
	for sent, want := range map[fault.Class]fault.Class{
		fault.Invalid: fault.Invalid, fault.NotFound: fault.NotFound, fault.Conflict: fault.Conflict, fault.Partial: fault.Partial,
		fault.Overloaded: fault.Overloaded, fault.Refused: fault.Refused, fault.Unavailable: fault.Unavailable,
		fault.Unauthorized: fault.Refused, fault.Forbidden: fault.Refused, // it refused our key, not the client's
	} {
		err := ask(t, remote.Config{}, func(w http.ResponseWriter, _ *http.Request) {
			problem(w, &fault.Error{Class: sent, Field: "/legs/0/dense", Message: "what is wrong", RetryAfter: 3 * time.Second}, http.StatusTeapot)
		})
		if classOf(err) != want || fault.Field(err) != "/legs/0/dense" || fault.RetryAfter(err) != 3*time.Second {
			t.Errorf("%s arrives as %v: class %q, field %q", sent, err, classOf(err), fault.Field(err))
		}
		if !strings.Contains(err.Error(), ": what is wrong") || strings.Count(err.Error(), "/legs/0/dense") != 1 {
			t.Errorf("%s arrives as %v", sent, err)
		}
	}
}

func TestStore_fallsBackToTheStatus(t *testing.T) {
	for status, want := range map[int]fault.Class{
		400: fault.Invalid, 401: fault.Refused, 403: fault.Refused, 404: fault.NotFound, 409: fault.Conflict, 429: fault.Overloaded,
		418: fault.Unavailable, 500: fault.Unavailable, 502: fault.Unavailable, 503: fault.Unavailable, 504: fault.Unavailable,
		201: fault.Unavailable, 204: fault.Unavailable, 304: fault.Unavailable,
	} {
		for _, body := range []string{"", "<html>gone</html>", `{"detail":"no class"}`, `{"class":"novel","detail":"x"}`, strings.Repeat("x", 2<<20)} {
			err := ask(t, remote.Config{}, func(w http.ResponseWriter, _ *http.Request) {
				w.WriteHeader(status)
				w.Write([]byte(body)) //nolint:errcheck // some statuses allow no body
			})
			if classOf(err) != want {
				t.Errorf("%d with %.30q: %v, class %q, want %q", status, body, err, classOf(err), want)
			}
			if len(err.Error()) > 500 {
				t.Errorf("%d: an error of %d bytes", status, len(err.Error()))
			}
		}
	}
}

// The time that is up is the server's: another replica may still be in time.
func TestStore_serverTimeoutIsNotTheCallers(t *testing.T) {
	err := ask(t, remote.Config{}, func(w http.ResponseWriter, _ *http.Request) {
		problem(w, fmt.Errorf("search: %w", context.DeadlineExceeded), http.StatusGatewayTimeout)
	})
	if !errors.Is(err, fault.Unavailable) || errors.Is(err, context.DeadlineExceeded) || !fault.Elsewhere(err) {
		t.Errorf("%v", err)
	}
}

func TestStore_readsRetryAfter(t *testing.T) {
	for header, want := range map[string]time.Duration{"7": 7 * time.Second, "": 0, "soon": 0, "-3": 0, "20000000000": 24 * time.Hour, "Mon, 02 Jan 2006 15:04:05 GMT": 0} {
		err := ask(t, remote.Config{}, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Retry-After", header)
			w.WriteHeader(http.StatusTooManyRequests)
		})
		if got := fault.RetryAfter(err); got != want || classOf(err) != fault.Overloaded {
			t.Errorf("Retry-After %q: %v, %v", header, got, err)
		}
	}
	err := ask(t, remote.Config{}, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Retry-After", time.Now().Add(time.Hour).UTC().Format(http.TimeFormat))
		w.WriteHeader(http.StatusTooManyRequests)
	})
	if got := fault.RetryAfter(err); got < 50*time.Minute || got > time.Hour {
		t.Errorf("Retry-After in an hour: %v", got)
	}
}

func TestStore_brokenAnswersAreUnavailable(t *testing.T) {
	small := remote.Config{MaxResponse: 100}
	for name, c := range map[string]struct {
		config remote.Config
		says   string
		answer http.HandlerFunc
	}{
		"garbage":      {answer: text("<html>hello</html>"), says: "not readable"},
		"empty":        {answer: text(""), says: "not readable"},
		"another body": {answer: text(`{"count":1}`), says: "/count: unknown field"},
		"half":         {answer: text(`{"lists":[{"hits":[{"id":`), says: "not readable"},
		"NaN vector":   {answer: text(`{"lists":[{"hits":[{"dense":"AADAfw=="}]}]}`), says: "not finite"},
		"too large":    {config: small, answer: text(`{"lists":[` + strings.Repeat(" ", 100) + `]}`), says: "too large"},
		"too large, with no length": {config: small, says: "too large", answer: func(w http.ResponseWriter, _ *http.Request) {
			for range 200 {
				w.Write([]byte(" "))                  //nolint:errcheck // the client hangs up
				http.NewResponseController(w).Flush() //nolint:errcheck // see above
			}
		}},
		"cut off": {says: "unexpected EOF", answer: func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "1000")
			w.Write([]byte(`{"lists":[`)) //nolint:errcheck // the client sees it
		}},
		"cut off, with no length": {says: "unexpected EOF", answer: func(w http.ResponseWriter, _ *http.Request) {
			w.Write([]byte(`{"lists":[`))         //nolint:errcheck // the client sees it
			http.NewResponseController(w).Flush() //nolint:errcheck // see above
			panic(http.ErrAbortHandler)
		}},
		"aborted": {says: "EOF", answer: func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }},
		"packed": {says: "not readable", answer: func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Encoding", "gzip")
			w.Write([]byte("\x1f\x8b\x08\x00")) //nolint:errcheck // the client sees it
		}},
	} {
		err := ask(t, c.config, c.answer)
		if classOf(err) != fault.Unavailable || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v, class %q; want %q", name, err, classOf(err), c.says)
		}
	}
	full := `{"lists":[]` + strings.Repeat(" ", 88) + `}`
	if err := ask(t, small, text(full)); err != nil {
		t.Errorf("an answer of exactly the limit: %v", err)
	}
}

func text(body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { w.Write([]byte(body)) } //nolint:errcheck // the client sees it
}

func TestStore_doesNotFollowRedirects(t *testing.T) {
	elsewhere := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		t.Errorf("the redirect was followed, with %q", r.Header.Get("Authorization"))
		w.Write([]byte(`{"lists":[]}`)) //nolint:errcheck // the test has failed
	}))
	defer elsewhere.Close()
	for _, status := range []int{301, 302, 303, 307, 308} {
		err := ask(t, remote.Config{}, func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, elsewhere.URL+wire.ReplicaPath+"search", status)
		})
		if classOf(err) != fault.Unavailable || !strings.Contains(err.Error(), fmt.Sprint(status)) {
			t.Errorf("%d: %v", status, err)
		}
	}
}
