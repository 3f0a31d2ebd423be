package config

import (
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/lanewise/lanewise/internal/sidebyside"
)

// BenchmarkObserved is a search through the whole HTTP surface without anybody who
// watches; with metrics and a line in the log; and with traces besides, of which a hundredth or all are recorded.
func BenchmarkObserved(b *testing.B) {
	collector := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
	}))
	b.Cleanup(collector.Close)
	log := slog.New(slog.NewJSONHandler(io.Discard, nil)) //nolint:sloglint // writing the lines is part of what is measured
	off := Local(b.TempDir())
	off.Metrics.Off = true
	ways := []sidebyside.Way{{Name: "off", Do: searching(b, off, Options{})}, {Name: "on", Do: searching(b, Local(b.TempDir()), Options{Log: log})}}
	for _, ratio := range []float64{0.01, 1} {
		c := Local(b.TempDir())
		c.Traces = spans{Endpoint: collector.URL, Ratio: ratio}
		ways = append(ways, sidebyside.Way{Name: fmt.Sprintf("traced-%v", ratio), Do: searching(b, c, Options{Log: log})})
	}
	p50 := sidebyside.Medians(b, ways...)
	for i, way := range ways[1:] {
		b.ReportMetric(float64(p50[i+1])/float64(p50[0]), way.Name+"/off")
	}
}

// searching returns what does one search of a system with a few thousand points.
func searching(b *testing.B, c *Config, o Options) func() {
	b.Helper()
	sys, err := c.Build(b.Context(), o)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = sys.Close() })
	ask := func(method, path, body string) {
		r := httptest.NewRequest(method, "http://127.0.0.1"+path, strings.NewReader(body))
		r.Header.Set("Content-Type", "application/json")
		w := httptest.NewRecorder()
		if sys.Handler.ServeHTTP(w, r); w.Code != http.StatusOK {
			b.Fatalf("%s %s: %d %s", method, path, w.Code, w.Body)
		}
	}
	ask("PUT", "/v1/collections/docs", `{}`)
	points := make([]string, 2000)
	for i := range points {
		points[i] = fmt.Sprintf(`{"id": "p%d", "text": "A scanner reads a file line by line, number %d."}`, i, i)
	}
	ask("PUT", "/v1/collections/docs/points", `{"points": [`+strings.Join(points, ",")+`]}`)
	return func() { ask("POST", "/v1/search", `{"collection": "docs", "text": "read a file", "k": 10}`) }
}
