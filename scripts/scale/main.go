// Command scale turns the output of the benchmark BenchmarkScale of package router into
// the table and the plot of docs/benchmarks.md:
//
//	go test ./router -run '^$' -bench Scale | go run ./scripts/scale docs/scale.svg
package main

import (
	"bufio"
	"fmt"
	"io"
	"math"
	"os"
	"strconv"
	"strings"
)

// result is one line of the benchmark.
type result struct {
	series                  string  // what grows
	x                       float64 // how much of it there is
	ns, rows, bytes, allocs float64 // of one query
}

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: go run ./scripts/scale FILE.svg < output of the benchmark")
		os.Exit(2)
	}
	results := read(os.Stdin)
	table(os.Stdout, results)
	if err := os.WriteFile(os.Args[1], []byte(plot(results)), 0o600); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// read picks the results out of a benchmark's output. Of a benchmark that ran several times the
// fastest counts: the others were disturbed.
func read(in io.Reader) (out []result) {
	lines := bufio.NewScanner(in)
	for lines.Scan() {
		f := strings.Fields(lines.Text())
		if len(f) < 3 || !strings.HasPrefix(f[0], "BenchmarkScale/") {
			continue
		}
		name, _, _ := strings.Cut(strings.TrimPrefix(f[0], "BenchmarkScale/"), "-")
		series, x, _ := strings.Cut(name, "=")
		r := result{series: series, x: number(x)}
		for i := 2; i+1 < len(f); i += 2 {
			r.set(f[i+1], number(f[i]))
		}
		out = keep(out, r)
	}
	return out
}

func keep(out []result, r result) []result {
	for i := range out {
		if out[i].series == r.series && out[i].x == r.x {
			if r.ns < out[i].ns {
				out[i] = r
			}
			return out
		}
	}
	return append(out, r)
}

func (r *result) set(unit string, value float64) {
	switch unit {
	case "cpu-ns/op":
		r.ns = value
	case "rows/op":
		r.rows = value
	case "B/op":
		r.bytes = value
	case "allocs/op":
		r.allocs = value
	}
}

func number(text string) float64 {
	x, err := strconv.ParseFloat(text, 64)
	if err != nil {
		return math.NaN()
	}
	return x
}

func table(out io.Writer, results []result) {
	_, _ = fmt.Fprint(out, "| what grows | | CPU µs | kB | allocations | rows asked |\n|---|---:|---:|---:|---:|---:|\n")
	for _, r := range results {
		_, _ = fmt.Fprintf(out, "| %s | %.0f | %.1f | %.1f | %.0f | %.0f |\n", r.series, r.x, r.ns/1e3, r.bytes/1e3, r.allocs, r.rows)
	}
}

// The size of the plot and its margins, in pixels; both axes are logarithmic.
const (
	width, height     = 640.0, 360.0
	left, right       = 60.0, 110.0
	top, bottom       = 20.0, 40.0
	xDecades          = 6.0 // from 1
	yFirst, yDecades  = 1.0, 3.0
	microsecond       = 1e3
	frame, grid, text = "#555", "#ddd", "#333"
)

func xAt(x float64) float64 { return left + (width-left-right)*math.Log10(x)/xDecades }

func yAt(ns float64) float64 {
	return height - bottom - (height-top-bottom)*(math.Log10(ns/microsecond)-yFirst)/yDecades
}

// plot draws time over size, a line for each series.
func plot(results []result) string {
	var b strings.Builder
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %g %g" font-family="sans-serif" font-size="12" fill="%s">`+"\n", width, height, text)
	fmt.Fprintf(&b, `<rect width="%g" height="%g" fill="white"/>`+"\n", width, height)
	for d := range int(xDecades) + 1 {
		x := xAt(math.Pow10(d))
		fmt.Fprintf(&b, `<path d="M%.1f %g V%g" stroke="%s"/><text x="%.1f" y="%g" text-anchor="middle">%.0f</text>`+"\n", x, top, height-bottom, grid, x, height-bottom+16, math.Pow10(d))
	}
	for d := range int(yDecades) + 1 {
		y := yAt(microsecond * math.Pow10(d+int(yFirst)))
		fmt.Fprintf(&b, `<path d="M%g %.1f H%g" stroke="%s"/><text x="%g" y="%.1f" text-anchor="end">%.0f</text>`+"\n", left, y, width-right, grid, left-6, y+4, math.Pow10(d+int(yFirst)))
	}
	fmt.Fprintf(&b, `<rect x="%g" y="%g" width="%g" height="%g" fill="none" stroke="%s"/>`+"\n", left, top, width-left-right, height-top-bottom, frame)
	fmt.Fprintf(&b, `<text x="%g" y="%g" text-anchor="middle">shards, k, tenants, overrides</text><text x="%g" y="14">CPU µs a query</text>`+"\n", (left+width-right)/2, height-6, 6.0)
	colors := map[string]string{"shards": "#c0392b", "k": "#2471a3", "tenants": "#1e8449", "overrides": "#8e44ad"}
	for i, series := range []string{"shards", "k", "tenants", "overrides"} {
		line(&b, results, series, colors[series])
		y := top + 20 + 18*float64(i)
		fmt.Fprintf(&b, `<path d="M%g %g h18" stroke="%s" stroke-width="2"/><text x="%g" y="%g">%s</text>`+"\n", width-right+8, y-4, colors[series], width-right+30, y, series)
	}
	b.WriteString("</svg>\n")
	return b.String()
}

// line draws one series.
func line(b *strings.Builder, results []result, series, color string) {
	var path strings.Builder
	for _, r := range results {
		if r.series != series {
			continue
		}
		step := "L"
		if path.Len() == 0 {
			step = "M"
		}
		fmt.Fprintf(&path, "%s%.1f %.1f", step, xAt(r.x), yAt(r.ns))
		fmt.Fprintf(b, `<circle cx="%.1f" cy="%.1f" r="2.5" fill="%s"/>`+"\n", xAt(r.x), yAt(r.ns), color)
	}
	fmt.Fprintf(b, `<path d="%s" fill="none" stroke="%s" stroke-width="1.5"/>`+"\n", path.String(), color)
}
