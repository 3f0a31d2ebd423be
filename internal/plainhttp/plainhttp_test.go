package plainhttp

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

func TestTransport_sendsTheRequestAsItIs(t *testing.T) {
	at := serve(t, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		w.Header().Set("X-Seen", fmt.Sprint(r.Method, " ", r.URL, " ", r.Host == r.Header.Get("X-Host"), " ", r.Header.Get("Traceparent"), " ", r.ContentLength, " ", r.Header.Get("Accept-Encoding")))
		_, _ = w.Write(body)
	})
	tr, _ := transport(t)
	req := post(t, at+"/v1/x?a=b", "the body")
	req.Header.Set("X-Host", req.URL.Host)
	req.Header.Set("Traceparent", "00-1-2-01")
	resp, err := tr.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close() //nolint:errcheck // read only
	text, err := io.ReadAll(resp.Body)
	if err != nil || string(text) != "the body" || resp.Request != req {
		t.Errorf("%q, %v, of the request: %t", text, err, resp.Request == req)
	}
	if got := resp.Header.Get("X-Seen"); got != "POST /v1/x?a=b true 00-1-2-01 8" {
		t.Errorf("the server saw %q", got)
	}
}

func TestTransport_keepsConnections(t *testing.T) {
	at := serve(t, func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/none":
			w.WriteHeader(http.StatusNoContent)
		case "/last":
			w.Header().Set("Connection", "close")
		case "/chunks":
			_ = http.NewResponseController(w).Flush()
		}
		_, _ = io.WriteString(w, "text") // of 204 and HEAD nothing is sent
	})
	tr, dialled := transport(t)
	for _, path := range []string{"/", "/none", "/chunks", "/"} {
		read(t, tr, get(t, at+path))
	}
	head := get(t, at)
	head.Method = http.MethodHead
	read(t, tr, head)
	if n := dialled.Load(); n != 1 {
		t.Errorf("%d connections for five calls, want 1", n)
	}
	read(t, tr, get(t, at+"/last"))
	read(t, tr, get(t, at))
	if n := dialled.Load(); n != 2 {
		t.Errorf("%d connections after one that the server has closed, want 2", n)
	}
}

// A server that closes a connection between calls, or says something there, costs a
// new connection and no call.
func TestTransport_looksAtWhatItKept(t *testing.T) {
	whole := "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ntext"
	for name, c := range map[string]struct {
		text string
		open bool
	}{
		"closed": {whole, false},
		"more":   {whole + "HTTP/1.1 408 Request Timeout\r\n\r\n", true},
	} {
		t.Run(name, func(t *testing.T) {
			tr, dialled := transport(t)
			at := script(t, c.text, c.open)
			for range 2 {
				if got := read(t, tr, get(t, at)); got != "text" {
					t.Errorf("got %q", got)
				}
				if kept := tr.idle.pop(at[len("http://"):]); kept != nil {
					for kept.quiet() { // until what the server did has arrived
						<-time.After(time.Millisecond)
					}
					tr.idle.put(at[len("http://"):], kept, 1, time.Minute)
				}
			}
			if n := dialled.Load(); n != 2 {
				t.Errorf("%d connections, want 2", n)
			}
		})
	}
}

func TestTransport_endsWithTheContext(t *testing.T) {
	seen, gone := make(chan struct{}), make(chan struct{})
	at := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/begun" {
			_, _ = io.WriteString(w, "so far")
			_ = http.NewResponseController(w).Flush()
		}
		seen <- struct{}{}
		<-r.Context().Done()
		gone <- struct{}{}
	})
	why := errors.New("no more use")
	tr, _ := transport(t)

	ctx, cancel := context.WithCancelCause(t.Context())
	go func() {
		<-seen
		cancel(why)
	}()
	if _, err := tr.RoundTrip(get(t, at).WithContext(ctx)); !errors.Is(err, why) { //nolint:bodyclose // there is none
		t.Errorf("before the answer: %v", err)
	}
	<-gone

	ctx, cancel = context.WithCancelCause(t.Context())
	resp, err := tr.RoundTrip(get(t, at+"/begun").WithContext(ctx))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close() //nolint:errcheck // read only
	if _, err := io.ReadFull(resp.Body, make([]byte, len("so far"))); err != nil {
		t.Fatal(err)
	}
	go func() {
		<-seen
		cancel(why)
	}()
	if _, err := resp.Body.Read(make([]byte, 1)); !errors.Is(err, why) {
		t.Errorf("in the answer: %v", err)
	}
	<-gone
	cancel(nil)
}

func TestTransport_closeEndsARead(t *testing.T) {
	gone := make(chan struct{})
	at := serve(t, func(w http.ResponseWriter, r *http.Request) {
		_ = http.NewResponseController(w).Flush()
		<-r.Context().Done()
		close(gone)
	})
	tr, dialled := transport(t)
	resp, err := tr.RoundTrip(get(t, at)) //nolint:bodyclose // below, twice
	if err != nil {
		t.Fatal(err)
	}
	failed := make(chan error)
	go func() {
		_, err := resp.Body.Read(make([]byte, 1))
		failed <- err
	}()
	_ = resp.Body.Close()
	if err := <-failed; err == nil || errors.Is(err, io.EOF) {
		t.Errorf("the read ended with %v", err)
	}
	<-gone
	if tr.idle.pop(at[len("http://"):]) != nil || dialled.Load() != 1 {
		t.Error("the connection was kept")
	}
}

// What servers say is read as net/http reads it: the same status, header, body and
// success.
func TestTransport_readsAsNetHTTPDoes(t *testing.T) {
	for _, text := range []string{
		"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
		"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nok", // cut off
		"HTTP/1.1 200 OK\r\n\r\nuntil the end",
		"HTTP/1.0 200 OK\r\nContent-Type: text/plain\r\n\r\nold",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nab", // cut off
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nx\r\n",
		"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 429 Slow Down\r\nRetry-After: 3\r\nContent-Length: 0\r\n\r\n",
		"HTTP/1.1 204 No Content\r\n\r\n",
		"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: Upgrade\r\n\r\n",
		"HTTP/1.1 200 OK\r\nX-Long: " + strings.Repeat("x", 20<<10) + "\r\n\r\n",
		"SSH-2.0-OpenSSH_9.6\r\n",
		"",
	} {
		tr, _ := transport(t)
		at := script(t, text, false)
		mine, other := outcome(t, tr, at), outcome(t, tr.Else, at)
		if mine != other && !strings.Contains(text, " 101 ") { // net/http hands the connection over
			t.Errorf("%.60q:\n got %s\nwant %s", text, mine, other)
		}
		if strings.Contains(text, " 101 ") && mine != "failed" {
			t.Errorf("%.60q: got %s", text, mine)
		}
	}
}

func outcome(t *testing.T, tr http.RoundTripper, at string) string {
	t.Helper()
	resp, err := tr.RoundTrip(get(t, at))
	if err != nil {
		return "failed"
	}
	defer resp.Body.Close() //nolint:errcheck // read only
	body, err := io.ReadAll(resp.Body)
	return fmt.Sprintf("%s %v %q %d %v", resp.Status, resp.Header, body, resp.ContentLength, err)
}

func TestTransport_sparesAnEndlessHeader(t *testing.T) {
	tr, _ := transport(t)
	at := script(t, "HTTP/1.1 200 OK\r\nX-Long: "+strings.Repeat("x", 20<<10), true)
	if _, err := tr.RoundTrip(get(t, at)); err == nil || !strings.Contains(err.Error(), "longer than 16384 bytes") { //nolint:bodyclose // there is none
		t.Errorf("got %v", err)
	}
}

func TestTransport_sparesEndlessInterimAnswers(t *testing.T) {
	tr, _ := transport(t)
	at := script(t, strings.Repeat("HTTP/1.1 103 Early Hints\r\n\r\n", 100), true)
	if _, err := tr.RoundTrip(get(t, at)); err == nil || !strings.Contains(err.Error(), "interim") { //nolint:bodyclose // there is none
		t.Errorf("got %v", err)
	}
}

// broken is a connection that takes no request, but has an answer.
type broken struct {
	net.Conn
	answer io.Reader
}

func (b broken) Write([]byte) (int, error)  { return 0, errors.New("broken pipe") }
func (b broken) Read(p []byte) (int, error) { return b.answer.Read(p) }
func (b broken) Close() error               { return nil }

// A server may refuse a request before it has read it, and close.
func TestTransport_readsAnEarlyRefusal(t *testing.T) {
	for text, want := range map[string]string{
		"HTTP/1.1 413 Too Large\r\nContent-Length: 1\r\n\r\nx": "413 Too Large map[Content-Length:[1]] \"x\" 1 <nil>",
		"": "failed",
	} {
		tr, _ := transport(t)
		tr.Else.DialContext = func(context.Context, string, string) (net.Conn, error) {
			return broken{answer: strings.NewReader(text)}, nil
		}
		if got := outcome(t, tr, "http://a"); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
		if tr.idle.pop("a:80") != nil {
			t.Error("the connection was kept")
		}
	}
}

func TestTransport_handsOnTheRest(t *testing.T) {
	secure := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "secure") }))
	t.Cleanup(secure.Close)
	plain := serve(t, func(w http.ResponseWriter, r *http.Request) {
		n, _ := io.Copy(io.Discard, r.Body)
		_, _ = fmt.Fprint(w, n, " ", r.URL.Host) // a proxy is told the host
	})
	tr, _ := transport(t)
	tr.Else.TLSClientConfig = secure.Client().Transport.(*http.Transport).TLSClientConfig //nolint:forcetypeassert // it is one
	if got := read(t, tr, get(t, secure.URL)); got != "secure" {
		t.Errorf("by TLS: %q", got)
	}
	if got := read(t, tr, post(t, plain, strings.Repeat("x", maxBody+1))); got != fmt.Sprint(maxBody+1, " ") {
		t.Errorf("a long body: %q", got)
	}
	unknown := post(t, plain, "text")
	unknown.ContentLength = -1
	if got := read(t, tr, unknown); got != "4 " {
		t.Errorf("a body of unknown length: %q", got)
	}
	tr.Else.Proxy = func(*http.Request) (*url.URL, error) { return url.Parse(plain) }
	if got := read(t, tr, get(t, "http://elsewhere.test/")); got != "0 elsewhere.test" {
		t.Errorf("by a proxy: %q", got)
	}
	if len(tr.idle.kept) > 0 {
		t.Errorf("connections were kept here: %v", tr.idle.kept)
	}
}

func TestTransport_saysWhyItCannotConnect(t *testing.T) {
	tr, _ := transport(t)
	tr.Else.DialContext = func(ctx context.Context, _, _ string) (net.Conn, error) {
		return nil, cmpOr(ctx.Err(), errors.New("refused"))
	}
	if _, err := tr.RoundTrip(get(t, "http://a")); err == nil || err.Error() != "refused" { //nolint:bodyclose // there is none
		t.Errorf("got %v", err)
	}
	ctx, cancel := context.WithCancelCause(t.Context())
	why := errors.New("no more use")
	cancel(why)
	if _, err := tr.RoundTrip(get(t, "http://a").WithContext(ctx)); !errors.Is(err, why) { //nolint:bodyclose // there is none
		t.Errorf("got %v", err)
	}
}

func cmpOr(a, b error) error {
	if a != nil {
		return a
	}
	return b
}

// Calls at the same time never share a connection, whichever way they end.
func TestTransport_manyAtATime(t *testing.T) {
	at := serve(t, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		_, _ = w.Write(body)
		_ = http.NewResponseController(w).Flush()
		if strings.HasSuffix(string(body), "3") {
			<-r.Context().Done()
		}
	})
	tr, _ := transport(t)
	var wg sync.WaitGroup
	var wrong atomic.Int32
	for i := range 8 {
		wg.Go(func() {
			for n := range 40 {
				ctx, cancel := context.WithCancel(t.Context())
				want := fmt.Sprint("call ", i, " ", n)
				resp, err := tr.RoundTrip(post(t, at, want).WithContext(ctx))
				if err != nil {
					wrong.Add(1)
					t.Error(err)
					cancel()
					return
				}
				got := make([]byte, len(want))
				if _, err := io.ReadFull(resp.Body, got); err != nil || string(got) != want {
					t.Errorf("got %q, %v, want %q", got, err, want)
				}
				switch n % 3 {
				case 0:
					cancel()
				case 1:
					_ = resp.Body.Close()
				default:
					if !strings.HasSuffix(want, "3") {
						_, _ = io.Copy(io.Discard, resp.Body)
					}
				}
				_ = resp.Body.Close()
				cancel()
			}
		})
	}
	wg.Wait()
}
