//go:build unix

package config

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"slices"
	"strconv"
	"sync"
	"syscall"
	"testing"
	"time"
)

// BenchmarkServe_crowd measures what idle connections and slow senders do to the latencies of the others: the p99 of searches with a
// crowd over that without one. LANEWISE_CROWD is the number of idle connections, 10,000 where the limit of open files allows for it
// (both ends are in this process), and a fiftieth of it send their bodies byte by byte.
func BenchmarkServe_crowd(b *testing.B) {
	idle, err := strconv.Atoi(os.Getenv("LANEWISE_CROWD"))
	if err != nil {
		idle = 1000
	}
	if files := openFiles(); files < uint64(2*idle+1000) {
		idle = int(files-1000) / 2 //nolint:gosec // a limit of files fits
		b.Logf("the limit of open files is %d: %d idle connections", files, idle)
	}
	c := Local(b.TempDir())
	c.Limits.Connections = 2*idle + 1000
	s, err := c.Build(b.Context(), Options{})
	if err != nil {
		b.Fatal(err)
	}
	defer s.Close() //nolint:errcheck // a benchmark
	remember(b, s.Router)
	address := served(b, s)
	client := call(b, address)
	p99(b, client) // warms up
	before := least(b, client)
	leave := occupy(b, address, idle)
	crowded := least(b, client)
	leave()
	alone := min(before, least(b, client))
	b.ReportMetric(crowded.Seconds()/alone.Seconds(), "p99-ratio")
	b.ReportMetric(float64(idle), "idle-connections")
	b.ReportMetric(float64(alone.Microseconds()), "p99-alone-us")
	b.ReportMetric(0, "ns/op") // the whole is one measurement
}

// occupy opens idle connections, half of them fresh and half after a request, and slow senders beside them, until it is told to leave.
func occupy(b *testing.B, address string, idle int) (leave func()) {
	b.Helper()
	var all []*caller
	for i := range idle {
		conn := call(b, address)
		if all = append(all, conn); i%2 == 0 && conn.get("/healthz") != 200 {
			b.Fatal("not served")
		}
	}
	var senders sync.WaitGroup
	ctx, stop := context.WithCancel(b.Context())
	for range max(idle/50, 1) {
		conn := call(b, address)
		all = append(all, conn)
		_, _ = io.WriteString(conn, "POST /v1/search HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 100000\r\n\r\n")
		senders.Go(func() { conn.drip(ctx) })
	}
	return func() {
		stop()
		senders.Wait()
		for _, conn := range all {
			_ = conn.Close()
		}
	}
}

// least is the best of three, which the machine's other work disturbs least.
func least(b *testing.B, c *caller) time.Duration {
	b.Helper()
	return min(p99(b, c), p99(b, c), p99(b, c))
}

// drip sends a byte ten times a second until ctx ends or the server has had enough.
func (c *caller) drip(ctx context.Context) {
	ticker := time.NewTicker(100 * time.Millisecond)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
			if _, err := c.Write([]byte(" ")); err != nil {
				return
			}
		case <-ctx.Done():
			return
		}
	}
}

// openFiles is how many files this process may have open.
func openFiles() uint64 {
	var l syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &l); err != nil {
		return 0
	}
	return l.Cur
}

// p99 is that of 3,000 searches, one after the other.
func p99(b *testing.B, c *caller) time.Duration {
	b.Helper()
	const body = `{"collection": "c", "text": "which lane is free", "k": 3}`
	took := make([]time.Duration, 3000)
	for i := range took {
		start := time.Now()
		_, _ = fmt.Fprintf(c, "POST /v1/search HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s", len(body), body)
		resp, err := http.ReadResponse(c.in, nil)
		if err != nil || resp.StatusCode != 200 {
			b.Fatal(err, resp)
		}
		_, _ = io.Copy(io.Discard, resp.Body)
		_ = resp.Body.Close()
		took[i] = time.Since(start)
	}
	slices.Sort(took)
	return took[len(took)*99/100]
}
