package main

import (
	"strings"
	"testing"
)

func TestRead(t *testing.T) {
	got := read(strings.NewReader("goos: linux\nBenchmarkScale/shards=16-2  \t 10\t 9 ns/op\t 1500 cpu-ns/op\t 112.0 rows/op\t 2000 B/op\t 43 allocs/op\nBenchmarkOther-2 1 1 ns/op\nBenchmarkScale/shards=16-2  \t 10\t 9 ns/op\t 2500 cpu-ns/op\t 112.0 rows/op\t 2000 B/op\t 43 allocs/op\nPASS\n"))
	if len(got) != 1 || got[0] != (result{series: "shards", x: 16, ns: 1500, rows: 112, bytes: 2000, allocs: 43}) {
		t.Errorf("%+v", got)
	}
	var b strings.Builder
	table(&b, got)
	if !strings.Contains(b.String(), "| shards | 16 | 1.5 | 2.0 | 43 | 112 |") {
		t.Errorf("%s", &b)
	}
	if svg := plot(got); !strings.Contains(svg, "shards") || strings.Contains(svg, "NaN") {
		t.Errorf("%s", svg)
	}
}
