package openaiwire_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"github.com/lanewise/lanewise/fault"
	"github.com/lanewise/lanewise/internal/openaiwire"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const key = "sk-secret-0123456789"

// serve returns a client of a server that answers with handler.
func serve(t *testing.T, handler http.HandlerFunc) *openaiwire.Client {
	t.Helper()
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	c, err := openaiwire.New(openaiwire.Config{URL: server.URL, Key: key})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

func TestNew_refuses(t *testing.T) {
	for name, c := range map[string]struct {
		config openaiwire.Config
		field  string
	}{
		"no URL":           {openaiwire.Config{}, "/url"},
		"no scheme":        {openaiwire.Config{URL: "localhost:8000"}, "/url"},
		"no server":        {openaiwire.Config{URL: "http:///v1"}, "/url"},
		"other scheme":     {openaiwire.Config{URL: "ftp://a/v1"}, "/url"},
		"unreadable":       {openaiwire.Config{URL: "http://a\x7f" + key}, "/url"},
		"password in URL":  {openaiwire.Config{URL: "http://me:" + key + "@a/v1"}, "/url"},
		"key of two lines": {openaiwire.Config{URL: "http://a", Key: key + "\nX-Evil: 1"}, "/key"},
	} {
		_, err := openaiwire.New(c.config)
		if !errors.Is(err, fault.Invalid) || fault.Field(err) != c.field {
			t.Errorf("%s: %v (field %q)", name, err, fault.Field(err))
		}
		if err != nil && strings.Contains(err.Error(), key) {
			t.Errorf("%s: the error quotes the key: %v", name, err)
		}
	}
}

func TestPost_sends(t *testing.T) {
	var got *http.Request
	var body string
	handler := func(w http.ResponseWriter, r *http.Request) {
		got = r
		data, _ := io.ReadAll(r.Body)
		body = string(data)
	}
	server := httptest.NewServer(http.HandlerFunc(handler))
	defer server.Close()
	for base, want := range map[string]string{
		"":                   "/v1/embeddings",
		"/":                  "/v1/embeddings",
		"/v1/":               "/v1/embeddings",
		"/api/x?version=2":   "/api/x/embeddings?version=2",
		"/v1?api-version=24": "/v1/embeddings?api-version=24",
	} {
		c, err := openaiwire.New(openaiwire.Config{URL: server.URL + base, Key: " " + key + "\n"})
		if err != nil {
			t.Fatal(err)
		}
		resp, err := c.Post(t.Context(), "/embeddings", map[string]int{"a": 1})
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
		c.Close()
		if got.URL.String() != want || body != `{"a":1}` || got.Method != http.MethodPost {
			t.Errorf("base %q: %s %s %s, want %s", base, got.Method, got.URL, body, want)
		}
		if auth := got.Header.Get("Authorization"); auth != "Bearer "+key {
			t.Errorf("base %q: Authorization %q", base, auth)
		}
	}
}

func TestPost_followsNoRedirect(t *testing.T) {
	reached := false
	other := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { reached = true }))
	defer other.Close()
	c := serve(t, func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, other.URL, http.StatusTemporaryRedirect)
	})
	_, err := c.Post(t.Context(), "/x", "text") //nolint:bodyclose // an error has no body
	if !errors.Is(err, fault.Unavailable) || reached {
		t.Errorf("reached the other server: %v; %v", reached, err)
	}
}

func TestPost_contextEnds(t *testing.T) {
	started := make(chan struct{})
	c := serve(t, func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.ReadAll(r.Body) // the server sees that the client left only behind the body
		close(started)
		<-r.Context().Done()
	})
	ctx, cancel := context.WithCancelCause(t.Context())
	go func() {
		<-started
		cancel(errors.New("enough"))
	}()
	_, err := c.Post(ctx, "/x", 1) //nolint:bodyclose // an error has no body
	if !errors.Is(err, context.Canceled) || fault.Of(err) != "" {
		t.Errorf("error %v, class %q; want the context's", err, fault.Of(err))
	}
}

func TestPost_unreachable(t *testing.T) {
	server := httptest.NewServer(http.NotFoundHandler())
	url := server.URL
	server.Close()
	c, err := openaiwire.New(openaiwire.Config{URL: url + "/v1?token=" + key})
	if err != nil {
		t.Fatal(err)
	}
	_, err = c.Post(t.Context(), "/x", 1) //nolint:bodyclose // an error has no body
	if !errors.Is(err, fault.Unavailable) || strings.Contains(err.Error(), key) {
		t.Errorf("error %v", err)
	}
}

func TestPost_unencodable(t *testing.T) {
	c := serve(t, func(http.ResponseWriter, *http.Request) {})
	_, err := c.Post(t.Context(), "/x", func() {}) //nolint:bodyclose // an error has no body
	if !errors.Is(err, fault.Invalid) {
		t.Errorf("error %v", err)
	}
}

func TestReadJSON(t *testing.T) {
	long := `{"a": "` + strings.Repeat("x", 100) + `"}`
	for _, c := range []struct {
		name, body string
		want       error
	}{
		{"good", `{"a": "b"}`, nil},
		{"null error", `{"a": "b", "error": null}`, nil},
		{"the word error", `{"a": "error"}`, nil},
		{"as long as it may be", `{"a": "` + strings.Repeat("x", 55) + `"}`, nil},
		{"too long", long, fault.Unavailable},
		{"cut off", `{"a": "b`, fault.Unavailable},
		{"no JSON", `<html>`, fault.Unavailable},
		{"nothing", ``, fault.Unavailable},
		{"other type", `{"a": 1}`, fault.Unavailable},
		{"error with 200", `{"error": {"message": "no", "code": 429}}`, fault.Overloaded},
		{"flat error with 200", `{"object": "error", "code": 400}`, fault.Invalid},
		{"error as text", `{"error": "model is loading"}`, fault.Unavailable},
	} {
		client := serve(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, c.body) })
		resp, err := client.Post(t.Context(), "/x", 1)
		if err != nil {
			t.Fatal(err)
		}
		var v struct{ A string }
		err = client.ReadJSON(t.Context(), resp, 64, &v)
		_ = resp.Body.Close()
		if !errors.Is(err, c.want) || c.want == nil && v.A == "" {
			t.Errorf("%s: %v, read %q", c.name, err, v.A)
		}
	}
}

func TestReadJSON_cutOff(t *testing.T) {
	client := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", "100")
		_, _ = io.WriteString(w, `{"a": "b"}`)
	})
	resp, err := client.Post(t.Context(), "/x", 1)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close() //nolint:errcheck // read only
	var v any
	if err := client.ReadJSON(t.Context(), resp, 64, &v); !errors.Is(err, fault.Unavailable) {
		t.Errorf("error %v", err)
	}
}

func ExampleClient_Post() {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusTooManyRequests)
		_ = json.NewEncoder(w).Encode(map[string]any{"error": map[string]any{"message": "slow down", "code": "rate_limit_exceeded"}})
	}))
	defer server.Close()
	c, _ := openaiwire.New(openaiwire.Config{URL: server.URL})
	_, err := c.Post(context.Background(), "/embeddings", map[string]string{"input": "a text"}) //nolint:bodyclose // an error has no body
	fmt.Println(fault.Of(err))
	// Output: overloaded
}
