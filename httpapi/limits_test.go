package httpapi

import (
	"bytes"
	"compress/gzip"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/lanewise/lanewise/router"
	"github.com/lanewise/lanewise/search/wire"
)

func TestBody_limits(t *testing.T) {
	big := `{"collection": "docs", "text": "` + strings.Repeat("a", 32<<20) + `"}`
	s := mustServer(t, Config{Router: newRouter(t, nil)})
	announced := newRequest("POST", "/v1/search", big)
	chunked := newRequest("POST", "/v1/search", big)
	chunked.ContentLength = -1
	liar := newRequest("POST", "/v1/search", big)
	liar.ContentLength = 10 // in memory nobody cuts the body off there
	for name, r := range map[string]*http.Request{"announced": announced, "chunked": chunked, "liar": liar} {
		if w := do(s, r); w.Code != http.StatusRequestEntityTooLarge || !strings.Contains(w.Body.String(), "33554432") {
			t.Errorf("%s: %d %.200s", name, w.Code, w.Body)
		}
	}
	unread := newRequest("POST", "/v1/search", "")
	unread.Header.Set("Content-Type", "application/json")
	unread.ContentLength, unread.Body = 32<<20+1, io.NopCloser(errReader{io.ErrUnexpectedEOF})
	if w := do(s, unread); w.Code != http.StatusRequestEntityTooLarge {
		t.Errorf("an announced length is read before it is refused: %d %s", w.Code, w.Body)
	}
	s.maxBody = 20
	if w := do(s, newRequest("PUT", "/v1/aliases/x", `{"collection": "docsdocs"}`)); w.Code != http.StatusRequestEntityTooLarge {
		t.Errorf("over a configured limit: %d %s", w.Code, w.Body)
	}
}

func TestBody_cutShort(t *testing.T) {
	s := mustServer(t, Config{Router: newRouter(t, nil)})
	r := newRequest("POST", "/v1/search", "")
	r.Header.Set("Content-Type", "application/json")
	r.Body = io.NopCloser(io.MultiReader(strings.NewReader(`{"coll`), errReader{io.ErrUnexpectedEOF}))
	if w := do(s, r); w.Code != http.StatusBadRequest || !strings.Contains(w.Body.String(), "announced length") {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}

// A client that stops half-way through its body gets an answer, and the connection ends.
func TestBody_hasToArrive(t *testing.T) {
	s := mustServer(t, Config{Router: newRouter(t, nil)})
	s.clients.BodyTime = 10 * time.Millisecond
	server := httptest.NewServer(s)
	defer server.Close()
	conn, err := net.Dial("tcp", server.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_, err = io.WriteString(conn, "POST /v1/search HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{")
	if err != nil {
		t.Fatal(err)
	}
	data, err := io.ReadAll(conn) // the server ends it, not this client
	if err != nil || !strings.HasPrefix(string(data), "HTTP/1.1 408") {
		t.Errorf("got %v, %.300s", err, data)
	}
}

type errReader struct{ err error }

func (e errReader) Read([]byte) (int, error) { return 0, e.err }

func TestBody_contentTypeAndCoding(t *testing.T) {
	s := faked(t, func(context.Context, router.Request) (router.Response, error) { return router.Response{}, nil })
	for _, c := range []struct {
		kind, coding string
		status       int
	}{
		{"application/json", "", 200},
		{"application/json; charset=UTF-8", "", 200},
		{"Application/JSON", "identity", 200},
		{"application/json; charset=latin1", "", 415},
		{"text/plain", "", 415},
		{"application/x-www-form-urlencoded", "", 415},
		{"application/jsonx", "", 415},
		{"", "", 415},
		{"application/json", "gzip", 415},
		{"application/json", "br", 415},
	} {
		r := newRequest("POST", "/v1/search", anySearch)
		r.Header.Set("Content-Type", c.kind)
		r.Header.Set("Content-Encoding", c.coding)
		if w := do(s, r); w.Code != c.status {
			t.Errorf("%q %q: status %d, want %d: %s", c.kind, c.coding, w.Code, c.status, w.Body)
		}
	}
}

// TestBody_bombIsNotUnpacked: a compressed body is refused before it is read.
func TestBody_bombIsNotUnpacked(t *testing.T) {
	var bomb bytes.Buffer
	z := gzip.NewWriter(&bomb)
	_, _ = z.Write(make([]byte, 8<<20))
	_ = z.Close()
	r := httptest.NewRequest("POST", "http://localhost/v1/search", &bomb)
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Content-Encoding", "gzip")
	w := do(mustServer(t, Config{Router: newRouter(t, nil)}), r)
	if w.Code != http.StatusUnsupportedMediaType || w.Header().Get("Accept-Encoding") != "identity" || bomb.Len() == 0 {
		t.Errorf("%d, Accept-Encoding %q, %d bytes unread", w.Code, w.Header().Get("Accept-Encoding"), bomb.Len())
	}
}

// TestLimits_nameTheField goes through the real router, so that it also covers
// what only the router knows.
func TestLimits_nameTheField(t *testing.T) {
	s := mustServer(t, Config{Router: newRouter(t, &script{})})
	for _, c := range []struct{ method, path, body, field string }{
		{"POST", "/v1/search", `{"collection": "docs", "text": "a", "k": 10001}`, "/k"},
		{"POST", "/v1/search", `{"collection": "docs", "text": "a", "k": 0}`, "/k"},
		{"POST", "/v1/search", `{"collection": "docs", "vector": [1, 2, 3]}`, "/vector"},
		{"POST", "/v1/search", `{"collection": "docs", "vector": [1, 1e39]}`, "/vector/1"},
		{"POST", "/v1/search", `{"collection": "docs", "text": "a", "K": 3}`, "/K"},
		{"POST", "/v1/search", `{"collection": "docs", "text": "a", "colour": 3}`, "/colour"},
		{"POST", "/v1/search", `{"collection": "docs", "text": "a", "k": 3, "k": 4}`, "/k"},
		{"POST", "/v1/search", `{"collection": "docs", "text": "a", "filter": {"year": {"$near": 1}}}`, "/filter/year/$near"},
		{"POST", "/v1/search", `{"collection": "docs", "text": "a"} {}`, ""},
		{"POST", "/v1/search/batch", `{"queries": [{"collection": "docs", "text": "a"}, {"collection": "docs", "text": "a", "k": 10001}]}`, "/queries/1/k"},
		{"POST", "/v1/answer", `{"collection": "docs", "question": ""}`, "/question"},
		{"PUT", "/v1/collections/x", `{"dims": 2, "shards": 3}`, "/shards"},
		{"PUT", "/v1/collections/x", `{"dims": 0}`, "/dims"},
		{"PUT", "/v1/collections/x", `{"dims": 2, "placement": {"by": "luck"}}`, "/placement/by"},
		{"PUT", "/v1/collections/docs/points", `{"points": [{"id": "a", "vector": [1]}]}`, "/points/0/vector"},
		{"PUT", "/v1/collections/docs/points", `{"points": [{"id": "a", "vector": [1, 2], "extra": 1}]}`, "/points/0/extra"},
		{"POST", "/v1/collections/docs/points/scroll", `{"limit": 10001}`, "/limit"},
	} {
		w := do(s, newRequest(c.method, c.path, c.body))
		field := fmt.Sprintf(`"field":%q`, c.field)
		if w.Code != http.StatusBadRequest || c.field != "" && !strings.Contains(w.Body.String(), field) {
			t.Errorf("%s %s: %d %s, want field %q", c.path, c.body, w.Code, w.Body, c.field)
		}
	}
}

func TestTimeoutHeader_becomesTheDeadline(t *testing.T) {
	var left time.Duration
	s := faked(t, func(ctx context.Context, _ router.Request) (router.Response, error) {
		d, ok := ctx.Deadline()
		if left = 0; ok {
			left = time.Until(d)
		}
		return router.Response{}, nil
	})
	for header, ok := range map[string]bool{"60000": true, "": false} {
		r := newRequest("POST", "/v1/search", anySearch)
		r.Header.Set(wire.TimeoutHeader, header)
		if w := do(s, r); w.Code != 200 || (left > 30*time.Second && left <= time.Minute) != ok {
			t.Errorf("header %q: %d, %v left", header, w.Code, left)
		}
	}
	for _, header := range []string{"0", "-1", "1.5", "soon", "99999999999"} {
		r := newRequest("POST", "/v1/search", anySearch)
		r.Header.Set(wire.TimeoutHeader, header)
		if w := do(s, r); w.Code != 400 || !strings.Contains(w.Body.String(), wire.TimeoutHeader) {
			t.Errorf("header %q: %d %s", header, w.Code, w.Body)
		}
	}
}

func TestRequestID_goesInAndOut(t *testing.T) {
	s := mustServer(t, Config{Router: newRouter(t, nil)})
	for given, kept := range map[string]bool{
		"abc-123_x.y": true, "": false, "a b": false, "line\nbreak": false, strings.Repeat("x", 129): false, "ü": false,
	} {
		r := newRequest("GET", "/healthz", "")
		r.Header.Set("X-Request-Id", given)
		got := do(s, r).Header().Get("X-Request-Id")
		if kept && got != given || !kept && (got == given || len(got) < 16) {
			t.Errorf("given %q, got %q", given, got)
		}
	}
}

func TestKeys_guardAllButHealthAndDocs(t *testing.T) {
	s := mustServer(t, Config{Router: newRouter(t, nil), Store: newStore(t), Keys: []string{"first", "second"}})
	send := func(method, path, name, value string) int {
		r := newRequest(method, path, "")
		r.RemoteAddr = "127.0.0.1:4000"
		if name != "" {
			r.Header.Set(name, value)
		}
		return do(s, r).Code
	}
	for _, rt := range s.routes() {
		path := strings.NewReplacer("{collection}", "docs", "{id}", "a", "{alias}", "x").Replace(rt.path)
		got := send(rt.method, path, "", "")
		if rt.open && got != 200 || !rt.open && got != 401 {
			t.Errorf("%s %s without a key: %d", rt.method, rt.path, got)
		}
	}
	for _, c := range []struct {
		name, value string
		status      int
	}{
		{"Authorization", "Bearer first", 200}, {"Authorization", "bearer second", 200}, {"X-Api-Key", "second", 200},
		{"Authorization", "Bearer third", 401}, {"Authorization", "Bearer first ", 401}, {"Authorization", "Basic first", 401},
		{"Authorization", "first", 401}, {"X-Api-Key", "firs", 401}, {"X-Api-Key", "", 401},
	} {
		if got := send("GET", "/v1/collections", c.name, c.value); got != c.status {
			t.Errorf("%s: %q: status %d, want %d", c.name, c.value, got, c.status)
		}
	}
	w := do(s, newRequest("GET", "/v1/collections", ""))
	if w.Header().Get("Www-Authenticate") != "Bearer" {
		t.Error("a 401 does not say how to authenticate")
	}
}
