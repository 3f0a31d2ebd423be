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

// crowdVariable has this test's binary be the crowd of BenchmarkServe_crowd: it says where the server is, and how many idle connections there are to be.
const crowdVariable = "LANEWISE_CHILD_CROWD"

// BenchmarkServe_crowd measures what idle connections and slow senders do to the latencies of the others: the p99 of searches with a
// crowd over that without one, in turn. LANEWISE_CROWD is the number of idle connections, 1,000 by default and less where the limit of
// open files says so, and a fiftieth of it send their bodies byte by byte. The crowd is in a process of its own, as it would be.
func BenchmarkServe_crowd(b *testing.B) {
	if part := os.Getenv(crowdVariable); part != "" {
		beCrowd(b, part)
		return
	}
	idle, err := strconv.Atoi(os.Getenv("LANEWISE_CROWD"))
	if err != nil {
		idle = 1000
	}
	if files := openFiles(); files < uint64(idle+idle/50+500) {
		idle = int(files-500) * 50 / 51 //nolint:gosec // a limit of files fits
		b.Logf("the limit of open files is %d: %d idle connections", files, idle)
	}
	c := Local(b.TempDir())
	c.Limits.Connections = 2*idle + 1000
	c.Timeouts.Header, c.Timeouts.Idle = time.Hour, time.Hour // the crowd is to stay
	s, err := c.Build(b.Context(), Options{})
	if err != nil {
		b.Fatal(err)
	}
	defer s.Close() //nolint:errcheck // a benchmark
	remember(b, s.Router)
	address := served(b, s)
	client := call(b, address)
	p99(b, client) // warms up
	crowd := startChild(b, crowdVariable, fmt.Sprintf("%s %d", address, idle))
	var alone, crowded []time.Duration
	for range 3 {
		alone = append(alone, p99(b, client))
		crowd.tell(b) // it comes
		crowded = append(crowded, p99(b, client))
		open, _ := s.crowd.counts()
		b.ReportMetric(float64(open-1), "connections")
		crowd.tell(b) // it leaves
	}
	crowd.end(b)
	b.ReportMetric(slices.Min(crowded).Seconds()/slices.Min(alone).Seconds(), "p99-ratio")
	b.ReportMetric(float64(slices.Min(alone).Microseconds()), "p99-alone-us")
	b.ReportMetric(0, "ns/op") // the whole is one measurement
}

// beCrowd is the crowd, which comes and leaves by turns.
func beCrowd(b *testing.B, part string) {
	b.Helper()
	var address string
	var idle int
	if _, err := fmt.Sscan(part, &address, &idle); err != nil {
		b.Fatal(err)
	}
	var leave func()
	obey(func() {
		if leave == nil {
			leave = occupy(b, address, idle)
			return
		}
		leave()
		leave = nil
	})
	_, _ = fmt.Println("took 0s")
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
