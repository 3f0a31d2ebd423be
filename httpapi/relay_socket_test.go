package httpapi

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/lanewise/lanewise/llm"
	"github.com/lanewise/lanewise/llm/openai"
)

// lanes offers a lane as the only model.
type lanes struct{ *llm.Generator }

func (lanes) Names() []string { return []string{"m"} }

// gateway is a server on a real socket, in front of engines that are tried in order.
type gateway struct {
	*httptest.Server
	lane    *llm.Generator
	engines []*httptest.Server
	own     *server
}

// newGateway serves engines, which are named "a", "b" and so on.
func newGateway(t *testing.T, engines ...http.HandlerFunc) *gateway {
	t.Helper()
	g := &gateway{}
	c := llm.Config{}
	for i, handler := range engines {
		engine := httptest.NewServer(handler)
		t.Cleanup(engine.Close)
		provider, err := openai.New(openai.Config{URL: engine.URL, Model: "m"})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = provider.Close() })
		g.engines = append(g.engines, engine)
		c.Upstreams = append(c.Upstreams, llm.Upstream{Name: string(rune('a' + i)), Provider: provider, Tier: i, Aborts: true})
	}
	var err error
	if g.lane, err = llm.New(c); err != nil {
		t.Fatal(err)
	}
	g.own = mustServer(t, Config{Store: newStore(t), Models: lanes{g.lane}})
	g.Server = httptest.NewServer(g.own)
	t.Cleanup(g.Close)
	return g
}

// finish stops the server, which waits for its requests, and checks that nothing is
// left of them.
func (g *gateway) finish(t *testing.T) {
	t.Helper()
	g.CloseClientConnections()
	g.Close()
	_ = g.lane.Close()
	for _, m := range g.lane.Snapshot().Members {
		if m.Inflight != 0 || m.Load != 0 {
			t.Errorf("member %s is left with %d attempts of load %d", m.Name, m.Inflight, m.Load)
		}
	}
}

// ask posts a body; the answer's is the caller's to close.
func (g *gateway) ask(ctx context.Context, body string) (*http.Response, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, g.URL+"/v1/chat/completions", strings.NewReader(body))
	if err != nil {
		return nil, err
	}
	r.Header.Set("Content-Type", "application/json")
	return g.Client().Do(r)
}

// read asks, and returns the whole answer.
func (g *gateway) read(t *testing.T, body string) (int, string) {
	t.Helper()
	resp, err := g.ask(t.Context(), body)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close() //nolint:errcheck // read only
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Errorf("read the answer: %v", err)
	}
	return resp.StatusCode, string(text)
}

const (
	chunk = `data: {"choices":[{"index":0,"delta":{"content":"a"}}]}` + "\n\n"
	final = `data: {"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}` + "\n\ndata: [DONE]\n\n"
)

// says is an engine that sends a text as events, and then does what end does.
func says(text string, end func(w http.ResponseWriter, r *http.Request)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.ReadAll(r.Body) // or nobody notices that the client has left
		w.Header().Set("Content-Type", "text/event-stream")
		_, _ = io.WriteString(w, text)
		_ = http.NewResponseController(w).Flush()
		if end != nil {
			end(w, r)
		}
	}
}

func dies(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }

// TestRelay_engineDies holds what a client reads where an engine is gone: another
// one's answer before the first content, and what there was with an error behind it.
func TestRelay_engineDies(t *testing.T) {
	for name, c := range map[string]struct {
		engine http.HandlerFunc
		want   string // what comes before an error, or all
		error  bool
	}{
		"before its headers":     {dies, chunk + final, false},
		"before its first token": {says(": ping\n\n", dies), chunk + final, false},
		"between chunks":         {says(chunk+chunk, dies), chunk + chunk, true},
		"in a chunk":             {says(chunk+chunk[:20], dies), chunk, true},
		"behind its finish":      {says(chunk+strings.TrimSuffix(final, "data: [DONE]\n\n"), dies), chunk + final, false},
	} {
		t.Run(name, func(t *testing.T) {
			g := newGateway(t, c.engine, says(chunk+final, nil))
			status, got := g.read(t, streamed(anyChat))
			rest, ok := strings.CutPrefix(got, c.want)
			if status != http.StatusOK || !ok || c.error != strings.Contains(rest, `data: {"error":{`) || !c.error && rest != "" {
				t.Errorf("%d %s, want %s and an error: %v", status, got, c.want, c.error)
			}
			g.finish(t)
		})
	}
}

// TestRelay_clientLeaves holds that the engine is told, before its first token, behind
// it, and where the answer comes in one piece.
func TestRelay_clientLeaves(t *testing.T) {
	for name, c := range map[string]struct {
		sent, body string
		begun      bool // the client reads the beginning
	}{
		"before the first token": {"", streamed(anyChat), false},
		"in the stream":          {chunk, streamed(anyChat), true},
		"a whole answer":         {"", anyChat, false},
	} {
		t.Run(name, func(t *testing.T) {
			asked, told := make(chan struct{}), make(chan struct{})
			g := newGateway(t, says(c.sent, func(_ http.ResponseWriter, r *http.Request) {
				close(asked)
				<-r.Context().Done()
				close(told)
			}))
			ctx, leave := context.WithCancel(t.Context())
			answered := make(chan error, 1)
			go func() {
				resp, err := g.ask(ctx, c.body)
				if err == nil {
					_, err = bufio.NewReader(resp.Body).ReadString('\n')
					_ = resp.Body.Close()
				}
				answered <- err
			}()
			<-asked
			if c.begun {
				if err := <-answered; err != nil {
					t.Error(err)
				}
			}
			leave()
			<-told
			g.finish(t)
		})
	}
}

// TestRelay_manyLeave has 1,000 clients leave at any time, and holds that every
// engine's call ends and every counter is back at 0.
func TestRelay_manyLeave(t *testing.T) {
	var open atomic.Int64
	engine := says(chunk, func(w http.ResponseWriter, r *http.Request) {
		open.Add(1)
		defer open.Add(-1)
		_, _ = io.WriteString(w, chunk)
		_ = http.NewResponseController(w).Flush()
		<-r.Context().Done()
	})
	g := newGateway(t, engine, engine)
	var clients sync.WaitGroup
	seats := make(chan struct{}, 50)
	for i := range 1000 {
		seats <- struct{}{}
		clients.Go(func() {
			defer func() { <-seats }()
			ctx, leave := context.WithCancel(t.Context())
			defer leave()
			if i%3 == 0 {
				go leave() // at any time, also before the server has read the call
			}
			resp, err := g.ask(ctx, streamed(anyChat))
			if err != nil {
				return
			}
			if i%3 == 1 {
				_, _ = bufio.NewReader(resp.Body).ReadString('\n')
			}
			leave()
			_ = resp.Body.Close()
		})
	}
	clients.Wait()
	g.finish(t)
	for _, e := range g.engines {
		e.Close() // waits for its calls
	}
	if n := open.Load(); n != 0 {
		t.Errorf("%d calls are open", n)
	}
}

// TestRelay_clientStopsReading holds that a client which reads nothing is cut off,
// and the engine let go.
func TestRelay_clientStopsReading(t *testing.T) {
	told := make(chan struct{})
	long := strings.Replace(chunk, `"a"`, `"`+strings.Repeat("a", 32<<10)+`"`, 1)
	g := newGateway(t, says(chunk, func(w http.ResponseWriter, r *http.Request) {
		for r.Context().Err() == nil {
			if _, err := io.WriteString(w, long); err != nil {
				break
			}
		}
		close(told)
	}))
	g.own.clients.Stall = 200 * time.Millisecond
	conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", g.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	body := streamed(anyChat)
	_, err = fmt.Fprintf(conn, "POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s", len(body), body)
	if err != nil {
		t.Fatal(err)
	}
	<-told
	_ = conn.Close()
	g.finish(t)
}

// TestRelay_busy holds that a client is told the true wait where every engine is busy.
func TestRelay_busy(t *testing.T) {
	busy := func(name, value string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set(name, value)
			if strings.HasPrefix(name, "X-Ratelimit") {
				w.Header().Set("X-Ratelimit-Remaining-Tokens", "0")
			}
			w.WriteHeader(http.StatusTooManyRequests)
		}
	}
	for name, value := range map[string]string{
		"Retry-After": "30", "Retry-After-Ms": "30000", "X-Ratelimit-Reset-Tokens": "30s",
	} {
		g := newGateway(t, busy(name, value), busy("Retry-After", "40"))
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, g.URL+"/v1/chat/completions", strings.NewReader(anyChat))
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Content-Type", "application/json")
		r.Header.Set("Lanewise-Timeout-Ms", "20000")
		resp, err := g.Client().Do(r)
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
		if wait := resp.Header.Get("Retry-After"); resp.StatusCode != http.StatusTooManyRequests || wait != "30" && wait != "40" {
			t.Errorf("%s: %d, retry after %q", name, resp.StatusCode, wait)
		}
		g.finish(t)
	}
}
