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

// crowdVariable has this test's binary be a part of BenchmarkServe_crowd. It says how large a crowd the server is to have, and, if it is
// the crowd that is meant, where its server is.
const crowdVariable = "LANEWISE_CHILD_CROWD"

// BenchmarkServe_crowd measures what idle connections and slow senders do to the latencies of the others: the p99 of searches of a server
// with a crowd over that of a server without one, in turn. LANEWISE_CROWD is the number of idle connections, 1,000 by default and less where
// the limit of open files says so, and a fiftieth of it send their bodies byte by byte. Each server is a process of its own, since a crowd
// that has left leaves the collector of garbage so much room that searches alone are quicker than they ever were before it came. So is the crowd,
// and it is there only while it is measured.
func BenchmarkServe_crowd(b *testing.B) {
	var idle int
	var address string
	switch n, _ := fmt.Sscan(os.Getenv(crowdVariable), &idle, &address); n {
	case 1:
		serveCrowd(b, idle)
		return
	case 2:
		beCrowd(b, address, idle)
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
	crowds := []int{0, idle, 0} // of each server; the two without one differ by chance alone
	var servers []*child
	for _, n := range crowds {
		servers = append(servers, startChild(b, crowdVariable, strconv.Itoa(n)))
	}
	p99s := make([][]float64, len(crowds))
	for range 7 {
		for i, server := range servers {
			p99s[i] = append(p99s[i], server.tell(b).Seconds())
		}
	}
	for i, server := range servers {
		slices.Sort(p99s[i])
		server.end(b)
	}
	alone := p99s[0][3]
	b.ReportMetric(1e6*alone, "p99-alone-us")
	b.ReportMetric(p99s[1][3]/alone, "p99-ratio")
	b.ReportMetric(p99s[2][3]/alone, "p99-alone-again")
	b.ReportMetric(0, "ns/op") // the whole is one measurement
}

// serveCrowd is a server, which says the p99 of searches beside its crowd.
func serveCrowd(b *testing.B, idle int) {
	b.Helper()
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
	if idle == 0 {
		obey(func() time.Duration { return p99(b, client) })
		say(0)
		return
	}
	crowd := startChild(b, crowdVariable, fmt.Sprint(idle, " ", address))
	obey(func() time.Duration {
		crowd.tell(b)                                   // it comes
		defer crowd.tell(b)                             // it leaves
		if open, _ := s.crowd.counts(); open < idle-1 { // the last one may not be accepted yet
			b.Fatalf("only %d connections", open)
		}
		return p99(b, client)
	})
	say(crowd.end(b))
}

// beCrowd is the crowd, which comes and leaves by turns.
func beCrowd(b *testing.B, address string, idle int) {
	b.Helper()
	var leave func()
	obey(func() time.Duration {
		if leave == nil {
			leave = occupy(b, address, idle)
		} else {
			leave()
			leave = nil
		}
		return 0
	})
	say(0)
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

// p99 is that of 10,000 searches, one after the other.
func p99(b *testing.B, c *caller) time.Duration {
	b.Helper()
	const body = `{"collection": "c", "text": "which lane is free", "k": 3}`
	took := make([]time.Duration, 10000)
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
