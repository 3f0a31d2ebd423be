//go:build linux

package relaying_test

import (
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

const (
	answer = `{"id":"chatcmpl-1","object":"chat.completion","created":1,"model":"m","choices":[{"index":0,"message":{"role":"assistant","content":"` +
		`Take the third lane: it moves, and nobody stands in it. The others wait for a booth that is closed until noon."},` +
		`"logprobs":null,"finish_reason":"stop"}],"usage":{"prompt_tokens":1050,"completion_tokens":31,"total_tokens":1081}}`
	chunk = `data: {"id":"chatcmpl-1","object":"chat.completion.chunk","created":1,"model":"m","choices":[{"index":0,"delta":{"content":" lane"},"logprobs":null,"finish_reason":null}]}` + "\n\n"
	final = `data: {"id":"chatcmpl-1","object":"chat.completion.chunk","created":1,"model":"m","choices":[{"index":0,"delta":{},"logprobs":null,"finish_reason":"stop"}]}` + "\n\ndata: [DONE]\n\n"
)

// call is the body of a chat of 4 KB.
func call(stream bool) string {
	return `{"model":"m","stream":` + strconv.FormatBool(stream) + `,"messages":[{"role":"system","content":"Answer from the sources."},{"role":"user","content":"` +
		strings.Repeat("A source says that lanes differ. ", 125) + `"}]}`
}

// engine answers chats at once, and streams chunks in steps. It listens where other
// gateways look for it, if there are any.
func engine(tb testing.TB, chunks int, step time.Duration) *httptest.Server {
	tb.Helper()
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodGet { // how it is, and which models it has
			w.Header().Set("Content-Type", "application/json")
			_, _ = io.WriteString(w, `{"object":"list","data":[{"id":"m","object":"model"}],"model_path":"m"}`)
			return
		}
		body, _ := io.ReadAll(r.Body)
		if !strings.Contains(string(body), `"stream":true`) {
			w.Header().Set("Content-Type", "application/json")
			_, _ = io.WriteString(w, answer)
			return
		}
		w.Header().Set("Content-Type", "text/event-stream")
		ticker := time.NewTicker(step)
		defer ticker.Stop()
		flush := http.NewResponseController(w)
		for range chunks {
			select {
			case <-ticker.C:
			case <-r.Context().Done():
				return
			}
			_, _ = io.WriteString(w, chunk)
			_ = flush.Flush()
		}
		_, _ = io.WriteString(w, final)
	}))
	if address := os.Getenv("LANEWISE_RELAY_ENGINE_ADDRESS"); address != "" {
		l, err := (&net.ListenConfig{}).Listen(tb.Context(), "tcp", address)
		if err != nil {
			tb.Fatal(err)
		}
		_ = s.Listener.Close()
		s.Listener = l
	}
	s.Start()
	tb.Cleanup(s.Close)
	return s
}

// ready waits until a gateway answers chats, and returns how many calls it makes in
// a second, one by one.
func (c contestant) ready(tb testing.TB) int {
	tb.Helper()
	for n := 0; ; n++ {
		begun := time.Now()
		resp, err := http.Post(c.url+"/v1/chat/completions", "application/json", strings.NewReader(call(false))) //nolint:noctx // the benchmark's time
		if err == nil {
			_, _ = io.Copy(io.Discard, resp.Body)
			_ = resp.Body.Close()
			if resp.StatusCode == http.StatusOK && n > 20 {
				return int(time.Second / time.Since(begun))
			}
		}
		if err != nil || resp.StatusCode != http.StatusOK {
			if n > 1800 {
				tb.Fatalf("%s does not answer: %v", c.name, err)
			}
			<-time.After(100 * time.Millisecond)
		}
	}
}

// load sends calls side by side, and returns what they cost the contestant.
func (c contestant) load(tb testing.TB, client *http.Client, body string, calls, aside int) time.Duration {
	tb.Helper()
	before := c.cpu(tb)
	var wg sync.WaitGroup
	for i := range aside {
		wg.Go(func() {
			for n := i; n < calls; n += aside {
				resp, err := client.Post(c.url+"/v1/chat/completions", "application/json", strings.NewReader(body)) //nolint:noctx // the benchmark's time
				if err != nil {
					tb.Errorf("%s: %v", c.name, err)
					return
				}
				size, err := io.Copy(io.Discard, resp.Body)
				_ = resp.Body.Close()
				if err != nil || resp.StatusCode != http.StatusOK || size < int64(len(answer))/2 {
					tb.Errorf("%s: %d, %d bytes, %v", c.name, resp.StatusCode, size, err)
					return
				}
			}
		})
	}
	wg.Wait()
	return c.cpu(tb) - before
}

// race has contestants take the same load in turn, and reports the median CPU of a
// piece of it as NAME-cpu-us, and lanewise's share of the bare proxy's as "ratio".
func race(b *testing.B, all []contestant, run func(contestant) (cpu time.Duration, pieces int)) {
	b.Helper()
	took := make([][]float64, len(all))
	var ratios []float64
	for b.Loop() {
		for i, c := range all {
			cpu, pieces := run(c)
			took[i] = append(took[i], float64(cpu.Nanoseconds())/1e3/float64(pieces))
		}
		last := len(took[0]) - 1
		ratios = append(ratios, took[0][last]/took[1][last])
	}
	for i, c := range all {
		b.ReportMetric(median(took[i]), c.name+"-cpu-us")
	}
	b.ReportMetric(median(ratios), "ratio")
	b.ReportMetric(0, "ns/op") // of all together: it says nothing
}

func median(list []float64) float64 {
	slices.Sort(list)
	return list[len(list)/2]
}

// contestants are this proxy, the bare one and whoever else is there.
func contestants(b *testing.B, engine string) []contestant {
	b.Helper()
	others := peers(b)
	if len(others) == 0 {
		b.Log("no other gateways: set LANEWISE_RELAY_PEERS, as scripts/gateways/run does")
	}
	return append([]contestant{start(b, "lanewise", engine), start(b, "reverseproxy", engine)}, others...)
}

func client(aside int) *http.Client {
	return &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: aside, MaxConnsPerHost: aside}}
}

// BenchmarkWhole is a chat of 4 KB with an answer of half a KB, eight at a time. A
// gateway that is slow makes fewer calls, since its CPU for each is what counts.
func BenchmarkWhole(b *testing.B) {
	const calls, aside = 2000, 8
	all, c, body := contestants(b, engine(b, 0, time.Second).URL), client(aside), call(false)
	share := map[string]int{}
	for _, each := range all {
		share[each.name] = calls
		if each.ready(b) < 200 {
			share[each.name] = calls / 10
		}
		each.load(b, c, body, share[each.name]/4, aside)
	}
	race(b, all, func(each contestant) (time.Duration, int) {
		n := share[each.name]
		return each.load(b, c, body, n, aside), n
	})
}

// BenchmarkChunk is an event of a stream, of 32 that run side by side. The engine
// sends one each 2 ms, so that they arrive one by one.
func BenchmarkChunk(b *testing.B) {
	const chunks, aside = 300, 32
	all, c, body := contestants(b, engine(b, chunks, 2*time.Millisecond).URL), client(aside), call(true)
	for _, each := range all {
		each.ready(b)
	}
	race(b, all, func(each contestant) (time.Duration, int) { return each.load(b, c, body, aside, aside), chunks * aside })
}

// BenchmarkOpenStreams opens streams and holds them open, all at a time, then has
// each go on and end. It reports the resident memory for each as NAME-kB.
func BenchmarkOpenStreams(b *testing.B) {
	const streams = 5000
	var release atomic.Pointer[chan struct{}]
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.ReadAll(r.Body)
		w.Header().Set("Content-Type", "text/event-stream")
		_, _ = io.WriteString(w, chunk)
		_ = http.NewResponseController(w).Flush()
		select {
		case <-*release.Load():
		case <-r.Context().Done():
		}
		_, _ = io.WriteString(w, chunk+final)
	}))
	b.Cleanup(s.Close)
	names := []string{"lanewise", "reverseproxy"}
	memory, lost := map[string]int64{}, map[string]int{}
	for b.Loop() {
		for _, name := range names {
			gate := make(chan struct{})
			release.Store(&gate)
			taken, whole := start(b, name, s.URL).hold(b, streams, gate)
			memory[name], lost[name] = taken, lost[name]+streams-whole
		}
	}
	for _, name := range names {
		b.ReportMetric(float64(memory[name])/streams/1024, name+"-kB")
		b.ReportMetric(float64(lost[name]), name+"-lost")
	}
	b.ReportMetric(0, "ns/op")
}

// hold opens streams, and returns the memory that they take and how many of them came
// to their ends.
func (c contestant) hold(b *testing.B, streams int, gate chan struct{}) (taken int64, whole int) {
	b.Helper()
	transport := &http.Transport{}
	defer transport.CloseIdleConnections()
	before := c.resident(b)
	bodies := make([]io.ReadCloser, streams)
	seats := make(chan struct{}, 100)
	var wg sync.WaitGroup
	for i := range bodies {
		seats <- struct{}{}
		wg.Go(func() {
			defer func() { <-seats }()
			resp, err := (&http.Client{Transport: transport}).Post(c.url+"/v1/chat/completions", "application/json", strings.NewReader(call(true))) //nolint:noctx,bodyclose // the benchmark's time; below
			if err != nil {
				return
			}
			if _, err := io.ReadFull(resp.Body, make([]byte, len(chunk))); err == nil {
				bodies[i] = resp.Body
			}
		})
	}
	wg.Wait()
	taken = c.resident(b) - before
	close(gate)
	for _, body := range bodies {
		if body == nil {
			continue
		}
		if rest, err := io.ReadAll(body); err == nil && string(rest) == chunk+final {
			whole++
		}
		_ = body.Close()
	}
	return taken, whole
}
