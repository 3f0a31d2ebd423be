package client

import (
	"context"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/lanewise/lanewise/fault"
	"github.com/lanewise/lanewise/internal/corpus"
	"github.com/lanewise/lanewise/search/wire"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// inside returns a client of a handler.
func inside(t *testing.T, h http.HandlerFunc) *Client {
	t.Helper()
	c, stop, err := Inside(h, "secret")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(stop)
	return c
}

func TestClient_sendsWhatTheServerExpects(t *testing.T) {
	var got []string
	c := inside(t, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		got = append(got, strings.Join([]string{r.Method, r.URL.EscapedPath(), r.Header.Get("Authorization"), string(body)}, " "))
		_, _ = io.WriteString(w, `{"dims": 3}`)
	})
	ctx := t.Context()
	if _, err := c.CreateCollection(ctx, "a/b", wire.Collection{Dims: 3}); err != nil {
		t.Error(err)
	}
	if d, err := c.Collection(ctx, "a"); err != nil || d.Dims != 3 {
		t.Errorf("%+v, %v", d, err)
	}
	if err := c.Upsert(ctx, "a", "acme", []corpus.Document{{ID: "x", Text: "t", Meta: []byte(`{"y":1}`), Vector: []float32{1}}}); err != nil {
		t.Error(err)
	}
	if _, err := c.Search(ctx, wire.SearchRequest{Collection: "a", Text: "q"}); err != nil {
		t.Error(err)
	}
	if _, err := c.Answer(ctx, wire.AnswerRequest{Question: "q"}); err != nil {
		t.Error(err)
	}
	want := []string{
		`PUT /v1/collections/a%2Fb Bearer secret {"dims":3}`,
		`GET /v1/collections/a Bearer secret `,
		`PUT /v1/collections/a/points Bearer secret {"tenant":"acme","points":[{"id":"x","text":"t","vector":"AACAPw==","metadata":{"y":1}}]}`,
		`POST /v1/search Bearer secret {"collection":"a","text":"q"}`,
		`POST /v1/answer Bearer secret {"question":"q"}`,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Fatalf("(-want +got):\n%s", diff)
	}
}

func TestClient_returnsTheServersError(t *testing.T) {
	c := inside(t, func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusBadRequest)
		_, _ = io.WriteString(w, `{"class": "invalid", "detail": "/k: too large", "field": "/k", "status": 400}`)
	})
	_, err := c.Search(t.Context(), wire.SearchRequest{})
	if !errors.Is(err, fault.Invalid) || fault.Field(err) != "/k" || !strings.Contains(err.Error(), "too large") {
		t.Fatalf("got %v", err)
	}
}

func TestClient_tellsStrangersApart(t *testing.T) {
	for status, class := range map[int]fault.Class{404: fault.NotFound, 502: fault.Unavailable} {
		c := inside(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(status) })
		if _, err := c.Search(t.Context(), wire.SearchRequest{}); !errors.Is(err, class) || !strings.Contains(err.Error(), "is it a lanewise server?") {
			t.Errorf("%d: %v", status, err)
		}
	}
	c := inside(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "<html>") })
	if _, err := c.Search(t.Context(), wire.SearchRequest{}); !errors.Is(err, fault.Unavailable) {
		t.Errorf("a page: %v", err)
	}
}

func TestClient_unreachable(t *testing.T) {
	server := httptest.NewServer(http.NotFoundHandler())
	server.Close()
	c, err := New(Config{URL: server.URL + "/"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Collection(t.Context(), "a"); !errors.Is(err, fault.Unavailable) || !strings.Contains(err.Error(), "no lanewise server answers at "+server.URL) {
		t.Errorf("got %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := c.Collection(ctx, "a"); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
	for _, bad := range []string{"", "localhost:8080", "ftp://x"} {
		if _, err := New(Config{URL: bad}); !errors.Is(err, fault.Invalid) {
			t.Errorf("%q: %v", bad, err)
		}
	}
}

// say writes server-sent events as lanewise does.
func say(events ...string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		for _, e := range events {
			name, data, _ := strings.Cut(e, " ")
			_, _ = fmt.Fprintf(w, "event: %s\ndata: %s\n\n", name, data)
		}
	}
}

func TestStream_tellsAsItComes(t *testing.T) {
	c := inside(t, say(`sources {"hits":[{"id":"a"}]}`, `delta {"text":"Hel"}`, `later {}`, `delta {"text":"lo"}`, `done {"answer":"Hello","model":"m"}`))
	var heard []string
	got, err := c.Stream(t.Context(), wire.AnswerRequest{}, Listener{
		Sources: func(f wire.SearchResponse) { heard = append(heard, f.Hits[0].ID) },
		Text:    func(s string) { heard = append(heard, s) },
	})
	if err != nil || got.Answer != "Hello" || got.Model != "m" {
		t.Fatalf("%+v, %v", got, err)
	}
	if diff := cmp.Diff([]string{"a", "Hel", "lo"}, heard); diff != "" {
		t.Fatalf("(-want +got):\n%s", diff)
	}
}

func TestStream_failures(t *testing.T) {
	for name, c := range map[string]struct {
		events []string
		class  fault.Class
	}{
		"an error event": {[]string{`delta {"text":"Hel"}`, `error {"class":"overloaded","detail":"full"}`}, fault.Overloaded},
		"breaks off":     {[]string{`delta {"text":"Hel"}`}, fault.Unavailable},
		"not JSON":       {[]string{`delta {`}, fault.Unavailable},
	} {
		client := inside(t, say(c.events...))
		if _, err := client.Stream(t.Context(), wire.AnswerRequest{}, Listener{Text: func(string) {}}); !errors.Is(err, c.class) {
			t.Errorf("%s: %v, want %s", name, err, c.class)
		}
	}
}

func ExampleInside() {
	h := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, `{"dims": 256}`) })
	c, stop, err := Inside(h, "")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer stop()
	d, err := c.Collection(context.Background(), "docs")
	fmt.Println(d.Dims, err)
	// Output: 256 <nil>
}

func TestClient_overTLS(t *testing.T) {
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, `{"keys":[],"tenants":[]}`)
	}))
	defer server.Close()
	ca := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(ca, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw}), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, files := range []Certificates{{CA: ca}, {}} {
		secure, err := files.Open()
		if err != nil {
			t.Fatal(err)
		}
		c, err := New(Config{URL: server.URL, TLS: secure})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := c.Usage(t.Context()); (err == nil) != (files.CA != "") {
			t.Errorf("%+v: %v", files, err)
		}
	}
	for _, bad := range []Certificates{{CA: "none"}, {CA: os.Args[0]}, {Cert: ca}, {Cert: ca, Key: ca}} {
		if _, err := bad.Open(); !errors.Is(err, fault.Invalid) {
			t.Errorf("%+v: %v", bad, err)
		}
	}
}
