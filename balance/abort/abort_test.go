package abort_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/lanewise/lanewise/balance/abort"
	"github.com/lanewise/lanewise/fault"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// engine is a server of which the gauge shows what it runs.
type engine struct {
	running atomic.Int64
	work    time.Duration
	frees   bool
}

func (e *engine) call(ctx context.Context) error {
	e.running.Add(1)
	done := time.AfterFunc(e.work, func() { e.running.Add(-1) })
	select {
	case <-ctx.Done():
		if e.frees && done.Stop() {
			e.running.Add(-1)
		}
	case <-time.After(e.work):
	}
	return ctx.Err()
}

func (e *engine) gauge(context.Context) (float64, error) { return float64(e.running.Load()), nil }

func TestMeasure_tellsWhoStopsFromWhoDoesNot(t *testing.T) {
	for _, frees := range []bool{true, false} {
		synctest.Test(t, func(t *testing.T) {
			e := &engine{work: time.Minute, frees: frees}
			e.running.Store(3) // calls of others
			got, err := abort.Measure(t.Context(), abort.Probe{Gauge: e.gauge, Call: e.call})
			if err != nil || got != frees {
				t.Errorf("%v, %v; want %v", got, err, frees)
			}
			time.Sleep(time.Hour)
		})
	}
}

// Where a look at the gauge takes longer than the upstream has to stop, it shows what was before: another one counts.
func TestMeasure_looksOnceMoreWhenTheTimeIsUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := &engine{work: time.Minute, frees: true}
		slow := func(ctx context.Context) (float64, error) {
			defer time.Sleep(2 * time.Second)
			return e.gauge(ctx)
		}
		if frees, err := abort.Measure(t.Context(), abort.Probe{Gauge: slow, Call: e.call, Rounds: 20}); err != nil || !frees {
			t.Errorf("%v, %v; want that it stops", frees, err)
		}
	})
}

func TestMeasure_saysSoWhereItCannotTell(t *testing.T) {
	broken := errors.New("broken")
	var n atomic.Int64
	for name, p := range map[string]func(e *engine) abort.Probe{
		"short calls": func(e *engine) abort.Probe {
			e.work = 500 * time.Millisecond
			return abort.Probe{Gauge: e.gauge, Call: e.call}
		},
		"no gauge": func(e *engine) abort.Probe {
			return abort.Probe{Call: e.call, Gauge: func(context.Context) (float64, error) { return 0, broken }}
		},
		"blind gauge": func(e *engine) abort.Probe {
			return abort.Probe{Call: e.call, Gauge: func(context.Context) (float64, error) { return 7, nil }}
		},
		"sometimes": func(e *engine) abort.Probe {
			return abort.Probe{Gauge: e.gauge, Call: func(ctx context.Context) error { e.frees = n.Add(1) == 1; return e.call(ctx) }}
		},
	} {
		synctest.Test(t, func(t *testing.T) {
			e := &engine{work: time.Minute, frees: true}
			if frees, err := abort.Measure(t.Context(), p(e)); err == nil || frees {
				t.Errorf("%s: %v, %v; want an error", name, frees, err)
			}
			time.Sleep(time.Hour)
		})
	}
}

func TestMeasure_endsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := &engine{work: time.Minute}
		ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
		defer cancel()
		if _, err := abort.Measure(ctx, abort.Probe{Gauge: e.gauge, Call: e.call}); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%v, want the context's end", err)
		}
		time.Sleep(time.Hour)
	})
}

// page serves metrics as the named server does.
func page(t *testing.T, text string) abort.Gauge {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = fmt.Fprint(w, text) }))
	t.Cleanup(server.Close)
	client := &http.Client{}
	t.Cleanup(client.CloseIdleConnections)
	return abort.Metrics(client, server.URL)
}

func TestMetrics_readsEveryServersNames(t *testing.T) {
	for text, want := range map[string]float64{
		"# HELP vllm:num_requests_running x\n# TYPE vllm:num_requests_running gauge\nvllm:num_requests_running{engine=\"0\",model_name=\"a b}\"} 2.0\n" +
			"vllm:num_requests_running{engine=\"1\"} 3.0\nvllm:num_requests_waiting{engine=\"0\"} 1.0\nvllm:kv_cache_usage_perc 0.5\n": 6,
		"sglang:num_running_reqs{model=\"m\"} 4\nsglang:num_queue_reqs 1 1700000000\n": 5,
		"te_queue_size 12\nte_request_count 99\n":                                      12,
		"llamacpp:requests_processing 1\nllamacpp:requests_deferred 0\n":               1,
	} {
		if got, err := page(t, text)(t.Context()); err != nil || got != want {
			t.Errorf("%v, %v from\n%s\nwant %v", got, err, text, want)
		}
	}
}

func TestMetrics_withoutAKnownNameIsAnError(t *testing.T) {
	for _, text := range []string{"", "up 1\n", "vllm:num_requests_running\n", "vllm:num_requests_running many\n", strings.Repeat("x", 2<<20)} {
		if _, err := page(t, text)(t.Context()); !errors.Is(err, fault.Unavailable) {
			t.Errorf("%.40q: %v, want unavailable", text, err)
		}
	}
	gone := httptest.NewServer(http.NotFoundHandler())
	defer gone.Close()
	client := &http.Client{}
	defer client.CloseIdleConnections()
	if _, err := abort.Metrics(client, gone.URL)(t.Context()); !errors.Is(err, fault.Unavailable) {
		t.Errorf("%v, want unavailable", err)
	}
}

// A server that shows what it runs, and stops as soon as its client hangs up.
func Example() {
	var running atomic.Int64
	mux := http.NewServeMux()
	mux.HandleFunc("/metrics", func(w http.ResponseWriter, _ *http.Request) {
		_, _ = fmt.Fprintf(w, "vllm:num_requests_running %d\n", running.Load())
	})
	mux.HandleFunc("/work", func(_ http.ResponseWriter, r *http.Request) {
		running.Add(1)
		defer running.Add(-1)
		<-r.Context().Done()
	})
	server := httptest.NewServer(mux)
	defer server.Close()
	frees, err := abort.Measure(context.Background(), abort.Probe{
		Gauge: abort.Metrics(server.Client(), server.URL+"/metrics"),
		Call: func(ctx context.Context) error {
			req, err := http.NewRequestWithContext(ctx, http.MethodGet, server.URL+"/work", nil)
			if err != nil {
				return err
			}
			resp, err := server.Client().Do(req)
			if err != nil {
				return err
			}
			return resp.Body.Close()
		},
		Grace: 300 * time.Millisecond,
	})
	fmt.Println(frees, err)
	// Output: true <nil>
}
