package httpapi

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/lanewise/lanewise/llm"
	"github.com/lanewise/lanewise/router"
)

// flood is a generator that never ends by itself.
type flood struct {
	text  string
	ended chan struct{} // closed with the stream
}

type floodStream struct {
	*flood
	ctx context.Context
}

func (f *flood) Generate(ctx context.Context, _ llm.Prompt) (llm.Stream, error) {
	return floodStream{f, ctx}, nil
}

func (f floodStream) Next() (llm.Chunk, error) {
	return llm.Chunk{Content: f.text, Model: "flood"}, f.ctx.Err()
}

func (f floodStream) Close() error { close(f.ended); return nil }

// wireTo opens a connection to a server and sends a text.
func wireTo(t *testing.T, server *httptest.Server, text string) net.Conn {
	t.Helper()
	conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", server.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(conn, text); err != nil {
		t.Fatal(err)
	}
	return conn
}

// exchange sends a text and nothing behind it, and returns all that comes back.
func exchange(t *testing.T, server *httptest.Server, text string) string {
	t.Helper()
	conn := wireTo(t, server, text)
	defer conn.Close()
	if err := conn.(*net.TCPConn).CloseWrite(); err != nil {
		t.Fatal(err)
	}
	data, _ := io.ReadAll(conn) // a server that does not read everything resets the connection
	return string(data)
}

func post(path, body string) string {
	return fmt.Sprintf("POST %s HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s", path, len(body), body)
}

// A client that reads nothing of an answer is cut off, and the model let go.
func TestAnswer_clientStopsReading(t *testing.T) {
	f := &flood{text: strings.Repeat("a", 32<<10), ended: make(chan struct{})}
	s := mustServer(t, Config{Router: newRouter(t, f), Clients: Clients{Stall: 200 * time.Millisecond}})
	server := httptest.NewServer(s)
	defer server.Close()
	conn := wireTo(t, server, post("/v1/answer", `{"collection": "docs", "question": "a?", "stream": true}`))
	<-f.ended
	_ = conn.Close()
}

// The same holds for an answer of one piece that is larger than the connection's buffers.
func TestSend_clientStopsReading(t *testing.T) {
	s := mustServer(t, Config{Router: newRouter(t, nil), Clients: Clients{Stall: 200 * time.Millisecond}})
	done := make(chan int)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		rec := &recorder{ResponseWriter: w, conn: http.NewResponseController(w), stall: s.clients.Stall}
		s.send(rec, answer{}, make([]byte, 64<<20))
		done <- rec.bytes
	}))
	defer server.Close()
	conn := wireTo(t, server, post("/", `{}`))
	if n := <-done; n >= 64<<20 {
		t.Errorf("%d bytes went out to nobody", n)
	}
	_ = conn.Close()
}

// deadlines is a connection that takes note of its deadline.
type deadlines struct {
	http.ResponseWriter
	until time.Time
}

func (d *deadlines) SetReadDeadline(t time.Time) error { d.until = t; return nil }

// drip gives a byte each time that is asked for, after a while.
type drip struct {
	conn  *deadlines
	every time.Duration
	left  int
}

func (d *drip) Read(b []byte) (int, error) {
	time.Sleep(d.every)
	switch {
	case !time.Now().Before(d.conn.until):
		return 0, context.DeadlineExceeded
	}
	n := min(len(b), d.left, 1000)
	if d.left -= n; d.left == 0 { // as a body of known length ends
		return n, io.EOF
	}
	return n, nil
}

// A body may come at any rate for ten seconds; then it needs the rate, and in all it has its time.
func TestBody_hasToKeepUp(t *testing.T) {
	for name, c := range map[string]struct {
		every time.Duration // for 1,000 bytes
		bytes int
		after time.Duration // when it is cut off; 0: it arrives
	}{
		"fast enough":           {time.Second, 60_000, 0},
		"slow, and short":       {9 * time.Second, 100, 0},
		"too slow":              {4 * time.Second, 1_000_000, 16 * time.Second}, // 3,000 bytes have earned 6 s
		"nothing at all":        {time.Hour, 1, time.Hour},
		"fast enough, too long": {time.Second / 2, 10_000_000, 2 * time.Minute},
	} {
		synctest.Test(t, func(t *testing.T) {
			conn := &deadlines{}
			start := time.Now()
			p := &paced{
				Reader: &drip{conn, c.every, c.bytes}, conn: http.NewResponseController(conn), start: start,
				limits: Clients{BodyRate: 500}.withDefaults(),
			}
			n, err := io.Copy(io.Discard, p)
			if took := time.Since(start); (err != nil) != (c.after > 0) || c.after > 0 && took != c.after || err == nil && n != int64(c.bytes) {
				t.Errorf("%s: %d bytes, %v, after %v", name, n, err, took)
			}
		})
	}
}

// Only so many answers are streamed at one time; the next one is told to come back.
func TestStreams_areLimited(t *testing.T) {
	hold := make(chan struct{})
	g := &script{lines: []string{"one"}, hold: hold}
	s := mustServer(t, Config{Router: newRouter(t, g), Models: &parrot{}, Clients: Clients{Streams: 1}})
	ctx, leave := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		do(s, newRequest("POST", "/v1/answer", `{"collection": "docs", "question": "a?", "stream": true}`).WithContext(ctx))
	}()
	<-hold
	for path, body := range map[string]string{"/v1/answer": `{"collection": "docs", "question": "a?", "stream": true}`, "/v1/chat/completions": streamed(anyChat)} {
		if w := do(s, newRequest("POST", path, body)); w.Code != 429 || w.Header().Get("Retry-After") != "1" {
			t.Errorf("%s: %d %s", path, w.Code, w.Body)
		}
	}
	if w := do(s, newRequest("POST", "/v1/chat/completions", anyChat)); w.Code != 200 {
		t.Errorf("an answer of one piece: %d", w.Code)
	}
	leave()
	<-done
	if w := do(s, newRequest("POST", "/v1/chat/completions", streamed(anyChat))); w.Code != 200 {
		t.Errorf("afterwards: %d %s", w.Code, w.Body)
	}
}

// What two servers might read differently is refused, or read in the one way that is safe. A second request that is
// hidden in the body of the first is never answered.
func TestSmuggling_isRefused(t *testing.T) {
	asked := make(chan string, 10)
	s := faked(t, func(_ context.Context, q router.Request) (router.Response, error) {
		asked <- q.Text
		return router.Response{}, nil
	})
	server := httptest.NewServer(s)
	defer server.Close()
	const head = "POST /v1/search HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
	hidden := post("/v1/search", `{"collection": "docs", "text": "hidden"}`)
	body := anySearch + hidden
	chunked := fmt.Sprintf("%x\r\n%s\r\n0\r\n\r\n", len(anySearch), anySearch)
	for name, text := range map[string]string{
		"two lengths":               head + fmt.Sprintf("Content-Length: %d\r\nContent-Length: %d\r\n\r\n", len(body), len(anySearch)) + body,
		"a list of lengths":         head + fmt.Sprintf("Content-Length: %d, %d\r\n\r\n", len(anySearch), len(body)) + body,
		"a length with a sign":      head + fmt.Sprintf("Content-Length: +%d\r\n\r\n", len(anySearch)) + body,
		"a negative length":         head + "Content-Length: -1\r\n\r\n" + body,
		"a space before the colon":  head + fmt.Sprintf("Content-Length : %d\r\n\r\n", len(anySearch)) + body,
		"a folded header":           head + fmt.Sprintf("X: a\r\n Content-Length: %d\r\n\r\n", len(anySearch)) + body,
		"an unknown coding":         head + fmt.Sprintf("Transfer-Encoding: xchunked\r\nContent-Length: %d\r\n\r\n", len(anySearch)) + body,
		"two codings":               head + "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n" + chunked + hidden,
		"a list of codings":         head + "Transfer-Encoding: chunked, identity\r\n\r\n" + chunked + hidden,
		"a null in the coding":      head + "Transfer-Encoding: chunked\x00\r\n\r\n" + chunked + hidden,
		"a chunk of negative size":  head + "Transfer-Encoding: chunked\r\n\r\n-1\r\n" + hidden,
		"a chunk without an end":    head + fmt.Sprintf("Transfer-Encoding: chunked\r\n\r\n%x\r\n%sXX\r\n0\r\n\r\n", len(anySearch), anySearch) + hidden,
		"a line break in the path":  "POST /v1/search\n HTTP/1.1\r\nHost: localhost\r\n\r\n" + hidden,
		"no host":                   "POST /v1/search HTTP/1.1\r\n\r\n" + hidden,
		"two hosts":                 "POST /v1/search HTTP/1.1\r\nHost: localhost\r\nHost: a\r\n\r\n" + hidden,
		"an unknown version":        "POST /v1/search HTTP/7.1\r\nHost: localhost\r\n\r\n" + hidden,
		"a carriage return alone":   head + "X: a\rContent-Length: 5\r\n\r\n" + hidden,
		"an HTTP/2 preface, broken": "PRI * HTTP/2.0\r\n\r\nXX\r\n\r\n" + hidden,
	} {
		if got := exchange(t, server, text); strings.Contains(got, " 200 OK") {
			t.Errorf("%s: %q", name, got)
		}
	}
	// A length beside chunks: the chunks count (RFC 9112, section 6.3), and the connection ends with them.
	got := exchange(t, server, head+"Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n"+chunked+hidden)
	if strings.Count(got, "HTTP/1.1 ") != 1 {
		t.Errorf("a length beside chunks: %s", got)
	}
	close(asked)
	for text := range asked {
		if text != "a" {
			t.Errorf("the hidden request was served: %q", text)
		}
	}
}

// A path never leaves what it names, however it is written.
func TestPaths_leadNowhereElse(t *testing.T) {
	s := mustServer(t, Config{Router: newRouter(t, nil), Backups: map[string]Backuper{"s0": nothingToCopy{}}, Shards: noShards{}})
	for _, path := range []string{
		"/v1/collections/../../etc/passwd", "/v1/collections/..%2f..%2fetc%2fpasswd", "/v1/collections/%2e%2e/%2e%2e/etc/passwd", "//etc/passwd", "/..;/metrics",
		"/v1/collections/docs/points/..%2f..%2f..%2fetc%2fpasswd", "/v1/collections/docs%00/points/a", "/v1/collections/docs/points/%00", "/v1/collections/..%5c..%5cwindows",
		"/v1/admin/backup?store=../../etc/passwd", "/v1/admin/backup?store=%00", "/v1/models/..%2f..%2fetc", "/docs/../../etc/passwd", "/openapi.json/..%2fx", "/ui/../../etc/passwd", "/ui/..%2f..%2fgo.mod",
	} {
		r := newRequest("GET", path, "")
		r.RemoteAddr = "127.0.0.1:4000"
		w := do(s, r)
		if w.Code < 300 || w.Code >= 500 || strings.Contains(w.Body.String(), "root:") {
			t.Errorf("%s: %d %s", path, w.Code, w.Body)
		}
	}
}

// JSON that is huge, deep or odd is refused with a short answer.
func TestBodies_thatAreOdd(t *testing.T) {
	s := mustServer(t, Config{Router: newRouter(t, &script{lines: []string{"a"}}), Models: &parrot{}, Embedders: fullServer(t).embedders})
	deep := func(open, shut string, n int) string { return strings.Repeat(open, n) + strings.Repeat(shut, n) }
	for name, filter := range map[string]string{
		"arrays": deep("[", "]", 1<<20), "objects": strings.Repeat(`{"$not":`, 1<<18) + "{}" + strings.Repeat("}", 1<<18), "half of it": strings.Repeat(`{"a":`, 1<<20),
		"a number without an end": strings.Repeat("9", 1<<20), "a name without an end": `{"` + strings.Repeat("a", 1<<20) + `": 1, "$x": 2}`,
		"invalid UTF-8": "{\"a\": \"\xff\xfe\"}", "half a surrogate": `{"a": "\ud800"}`, "a name twice": `{"a": 1, "a": 2}`, "a null byte": "{\"a\": \"\x00\"}",
	} {
		for path, body := range map[string]string{
			"/v1/search": `{"collection": "docs", "text": "a", "filter": ` + filter + `}`, "/v1/answer": `{"collection": "docs", "question": "a", "filter": ` + filter + `}`,
			"/v1/search/batch": `{"queries": [{"collection": "docs", "text": "a", "filter": ` + filter + `}]}`,
			"/v1/rerank":       `{"query": "a", "documents": [` + filter + `]}`, "/v1/collections/docs/points/scroll": `{"filter": ` + filter + `}`,
		} {
			w := do(s, newRequest("POST", path, body))
			if w.Code != 400 || w.Body.Len() > 2500 {
				t.Errorf("%s, %s: %d, %d bytes: %.300s", path, name, w.Code, w.Body.Len(), w.Body)
			}
		}
	}
}
