package bench_test

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	vegeta "github.com/tsenart/vegeta/v12/lib"

	"github.com/lanewise/lanewise/bench"
)

// BenchmarkTarget_vegeta makes as many requests as there can be, with 64 under way, to a server in this process that
// answers with nothing: in turn by this generator and by vegeta. The ratio is what is asked to be at least 1.
func BenchmarkTarget_vegeta(b *testing.B) {
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	defer server.Close()
	const width, each = 64, 500 * time.Millisecond
	mine, theirs := 0, 0
	for range b.N {
		mine += generate(b, server.URL, width, each)
		attacker := vegeta.NewAttacker(vegeta.Workers(width), vegeta.MaxWorkers(width), vegeta.KeepAlive(true), vegeta.Connections(width))
		targets := vegeta.NewStaticTargeter(vegeta.Target{Method: http.MethodGet, URL: server.URL})
		var metrics vegeta.Metrics
		for r := range attacker.Attack(targets, vegeta.Rate{}, each, "null") {
			metrics.Add(r)
		}
		metrics.Close()
		theirs += int(metrics.Requests)
	}
	b.ReportMetric(float64(mine)/float64(b.N)/each.Seconds(), "lanewise/s")
	b.ReportMetric(float64(theirs)/float64(b.N)/each.Seconds(), "vegeta/s")
	b.ReportMetric(float64(mine)/float64(theirs), "ratio")
}

// generate makes requests at a rate that cannot be kept up.
func generate(b *testing.B, url string, width int, each time.Duration) int {
	b.Helper()
	transport := &http.Transport{MaxIdleConnsPerHost: width, MaxConnsPerHost: width}
	defer transport.CloseIdleConnections()
	client := &http.Client{Transport: transport}
	ctx, cancel := context.WithTimeout(b.Context(), each)
	defer cancel()
	r, err := bench.Load{Rate: 1e6, Constant: true, Duration: time.Hour, Limit: width}.Run(ctx, func(ctx context.Context, _ bench.Turn) error {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
		if err != nil {
			return err
		}
		resp, err := client.Do(req)
		if err != nil {
			return err
		}
		_, err = io.Copy(io.Discard, resp.Body)
		_ = resp.Body.Close()
		return err
	})
	if err != nil {
		b.Fatal(err)
	}
	return r.Latency.Count()
}

// BenchmarkRecorder is what a sample costs.
func BenchmarkRecorder(b *testing.B) {
	r := bench.NewRecorder(time.Minute)
	b.ReportAllocs()
	for b.Loop() {
		r.Record(time.Second, 5*time.Millisecond)
	}
}
