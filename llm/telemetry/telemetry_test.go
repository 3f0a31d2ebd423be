package telemetry_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/lanewise/lanewise/balance"
	"github.com/lanewise/lanewise/fault"
	"github.com/lanewise/lanewise/llm"
	"github.com/lanewise/lanewise/llm/telemetry"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var _ telemetry.Lane = (*llm.Generator)(nil)

// page is a server's metrics, in memory.
type page struct {
	mu    sync.Mutex
	text  string
	code  int
	takes time.Duration
	looks []time.Time
}

func (p *page) set(text string, code int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.text, p.code = text, code
}

// RoundTrip implements http.RoundTripper.
// seen is when it was looked at so far.
func (p *page) seen() []time.Time {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.looks)
}

func (p *page) RoundTrip(r *http.Request) (*http.Response, error) {
	p.mu.Lock()
	p.looks = append(p.looks, time.Now())
	text, code, takes := p.text, p.code, p.takes
	p.mu.Unlock()
	select {
	case <-time.After(takes):
	case <-r.Context().Done():
		return nil, r.Context().Err()
	}
	if code == 0 {
		return nil, errors.New("connection refused")
	}
	return &http.Response{StatusCode: code, Body: io.NopCloser(strings.NewReader(text)), Request: r}, nil
}

// watch starts a watch over one page of one member of a pool.
func watch(t *testing.T, p *page, log *slog.Logger) (foreign func() float64) {
	t.Helper()
	pool, err := balance.NewPool(balance.Config{}, balance.Member[int]{Name: "a"})
	if err != nil {
		t.Fatal(err)
	}
	w, err := telemetry.Start(telemetry.Config{Lane: pool, Sources: []telemetry.Source{{Upstream: "a", URL: "http://a/metrics", Model: "m"}}, Client: &http.Client{Transport: p}, Log: log})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = w.Close(); _ = pool.Close() })
	return func() float64 { return pool.Snapshot().Members[0].Foreign }
}

// TestWatch_followsThePage holds that a page is believed while it is fresh and
// true, and that otherwise the lane is left with its own count.
func TestWatch_followsThePage(t *testing.T) {
	for name, bad := range map[string]struct {
		text string
		code int
	}{
		"gone":          {"", 0},
		"an error":      {"", 500},
		"not a number":  {`vllm:num_requests_running{model_name="m"} NaN`, 200},
		"negative":      {`vllm:num_requests_running{model_name="m"} -5`, 200},
		"too many":      {`vllm:num_requests_running{model_name="m"} 1e18`, 200},
		"other's model": {`vllm:num_requests_running{model_name="other"} 3`, 200},
		"another page":  {`<html>`, 200},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var log bytes.Buffer
				p := &page{text: `vllm:num_requests_running{model_name="m"} 6`, code: 200}
				foreign := watch(t, p, slog.New(slog.NewTextHandler(&log, nil)))
				time.Sleep(10 * time.Second)
				if got := foreign(); got < 3 || got > 6 {
					t.Errorf("a server with 6 calls counts as %v, want most of them", got)
				}
				p.set(bad.text, bad.code)
				time.Sleep(5 * time.Second)
				if got := foreign(); got != 0 {
					t.Errorf("5 s behind the last word of a server %v calls count", got)
				}
				p.set(`vllm:num_requests_running{model_name="m"} 2`, 200)
				time.Sleep(2 * time.Second)
				if got := foreign(); got <= 0 || got > 2 {
					t.Errorf("back with 2 calls, %v count", got)
				}
				synctest.Wait()
				if n := strings.Count(log.String(), "\n"); n != 2 {
					t.Errorf("%d lines of log for two changes\n%s", n, log.String())
				}
			})
		})
	}
}

// TestWatch_backsOff holds that a page that takes long is looked at less often, and
// that looks are spread.
func TestWatch_backsOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		quick, late := &page{text: "tgi_queue_size 1", code: 200}, &page{text: "tgi_queue_size 1", code: 200, takes: 200 * time.Millisecond}
		watch(t, quick, nil)
		watch(t, late, nil)
		time.Sleep(100 * time.Second)
		looks := quick.seen()
		if n := len(looks); n < 80 || n > 126 {
			t.Errorf("%d looks in 100 s, want about 100", n)
		}
		if n := len(late.seen()); n < 9 || n > 17 {
			t.Errorf("%d looks at a slow page in 100 s, want about 13", n)
		}
		gaps := map[time.Duration]bool{}
		for i, at := range looks[1:] {
			gaps[at.Sub(looks[i])] = true
		}
		if len(gaps) < 10 {
			t.Errorf("%d different gaps between looks: others may look at the same times", len(gaps))
		}
	})
}

// TestClose_endsLooks holds that nobody waits for a page that hangs.
func TestClose_endsLooks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		begun := time.Now()
		p := &page{takes: time.Hour}
		t.Cleanup(func() {
			if took := time.Since(begun); took != 500*time.Millisecond {
				t.Errorf("closed after %v", took)
			}
		})
		watch(t, p, nil)
		time.Sleep(500 * time.Millisecond)
	})
}

func TestStart_refuses(t *testing.T) {
	lane, err := balance.NewPool[int](balance.Config{})
	if err != nil {
		t.Fatal(err)
	}
	for field, c := range map[string]telemetry.Config{
		"/lane":      {},
		"/every":     {Lane: lane, Every: -1},
		"/sources/0": {Lane: lane, Sources: []telemetry.Source{{Upstream: "a"}}},
	} {
		if _, err := telemetry.Start(c); !errors.Is(err, fault.Invalid) || fault.Field(err) != field {
			t.Errorf("%s: %v", field, err)
		}
	}
}

// told prints what a lane is told.
type told struct{ done chan struct{} }

// Report implements telemetry.Lane.
func (l told) Report(upstream string, calls float64, lasts time.Duration) error {
	select {
	case <-l.done: // again
	default:
		fmt.Println(upstream, calls, lasts)
		close(l.done)
	}
	return nil
}

func Example() {
	lane := told{make(chan struct{})}
	w, err := telemetry.Start(telemetry.Config{
		Lane:    lane,
		Sources: []telemetry.Source{{Upstream: "gpu-0", URL: "http://gpu-0:8000/metrics"}},
		Client:  &http.Client{Transport: &page{text: "llamacpp:requests_processing 1\nllamacpp:requests_deferred 2\n", code: 200}},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	<-lane.done
	_ = w.Close()
	// Output: gpu-0 3 3s
}
