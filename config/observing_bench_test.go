//go:build unix

package config

import (
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"
)

// watchedVariable has this test's binary be one of the servers of BenchmarkObserved: it says where the spans go, and how it is watched.
const watchedVariable = "LANEWISE_CHILD_WATCHED"

// watchedAtOnce is how many searches one server makes before it is the next one's turn.
const watchedAtOnce = 100

// BenchmarkObserved is the CPU time of a search through the whole HTTP surface without anybody who watches; with metrics and a line
// in the log; and with traces besides, of which a hundredth or all are recorded and sent. Each of these is a process of its own,
// so that what it does later and in the background counts as well; they search in turn, in an order that changes, since what went
// before is felt. One that nobody watches is there twice: the two differ by chance alone.
func BenchmarkObserved(b *testing.B) {
	if way := os.Getenv(watchedVariable); way != "" {
		searchWatched(b, way)
		return
	}
	collector := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
	}))
	b.Cleanup(collector.Close)
	ways := []string{"off", "off-again", "on", "traced-0.01", "traced-1"}
	servers := make([]*child, len(ways))
	for i, way := range ways {
		servers[i] = startChild(b, watchedVariable, collector.URL+" "+way)
	}
	for b.Loop() {
		for range 2 {
			for _, i := range rand.Perm(len(servers)) {
				servers[i].tell(b)
			}
		}
	}
	searches := float64(2 * watchedAtOnce * b.N)
	off := servers[0].end(b).Seconds() / searches
	b.ReportMetric(1e6*off, "off-us/search")
	for i, way := range ways[1:] {
		b.ReportMetric(servers[i+1].end(b).Seconds()/searches/off, way+"/off")
	}
	b.ReportMetric(0, "ns/op") // of all ways together: it says nothing
}

// searchWatched is the server: it searches whenever it is sent a line.
func searchWatched(b *testing.B, way string) {
	b.Helper()
	collector, way, _ := strings.Cut(way, " ")
	c, o := Local(b.TempDir()), Options{Log: slog.New(slog.NewJSONHandler(io.Discard, nil))} //nolint:sloglint // writing the lines is part of what is measured
	if c.Metrics.Off = strings.HasPrefix(way, "off"); c.Metrics.Off {
		o.Log = nil
	}
	if _, err := fmt.Sscanf(way, "traced-%g", &c.Traces.Ratio); err == nil {
		c.Traces.Endpoint = collector
	}
	sys, err := c.Build(b.Context(), o)
	if err != nil {
		b.Fatal(err)
	}
	search := searching(b, sys)
	for range 5 * watchedAtOnce { // warms up
		search()
	}
	start := cpuTime(b)
	obey(func() time.Duration {
		for range watchedAtOnce {
			search()
		}
		return 0
	})
	if err := sys.Close(); err != nil { // the last spans are sent
		b.Fatal(err)
	}
	say(cpuTime(b) - start)
	os.Exit(0) // the connection to the collector is kept, which is a leak in a test
}

// cpuTime is what this process has used.
func cpuTime(b *testing.B) time.Duration {
	b.Helper()
	var used syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &used); err != nil {
		b.Fatal(err)
	}
	return time.Duration(used.Utime.Nano() + used.Stime.Nano())
}

// searching returns what does one search of a system with a few thousand points.
func searching(b *testing.B, sys *System) func() {
	b.Helper()
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
