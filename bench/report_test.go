package bench_test

import (
	"bytes"
	"context"
	"encoding/xml"
	"errors"
	"io"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/lanewise/lanewise/bench"
	"github.com/lanewise/lanewise/fault"
)

// sample is a report with everything in it.
func sample(t *testing.T) *bench.Report {
	t.Helper()
	d := bench.NewRecorder(time.Minute)
	for i := range 10_000 {
		d.Record(time.Duration(i)*6*time.Millisecond, time.Duration(i+1)*time.Microsecond)
	}
	r, err := bench.Measure(t.Context(), "search", map[string]string{"rate": "100", "target": "<script>"}, func(_ context.Context, r *bench.Report) error {
		r.Add("lanewise", d.Distribution().Figures(""))
		r.Add("lanewise", []bench.Figure{bench.Millis("p50", bench.Lower, 6*time.Millisecond)})
		r.Add("a <b>peer</b>", []bench.Figure{{Name: "rate", Unit: "1/s", Better: bench.Higher, Rounds: []float64{3}}})
		r.Plots = append(r.Plots, bench.Tails(bench.TailLine("lanewise <1>", d.Distribution())))
		series := []bench.Slot{{P50: time.Millisecond, P99: 2 * time.Millisecond, Rate: 10}, {At: time.Second, P50: time.Millisecond, P99: time.Second, Rate: 5, Errors: 5}}
		r.Plots = append(r.Plots, bench.Overtime("lanewise", series, []bench.Mark{{At: 0.5, Text: "r0 is <killed>"}})...)
		r.Note("a note")
		r.Note("a note")
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestReport_survivesItsFile(t *testing.T) {
	r := sample(t)
	path := filepath.Join(t.TempDir(), "r.json")
	if err := bench.WriteFile(path, r.JSON); err != nil {
		t.Fatal(err)
	}
	got, err := bench.Read(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(r, got); diff != "" {
		t.Error(diff)
	}
	if r.Machine.Cores < 1 || r.Noise.BeforeMS <= 0 || r.Noise.AfterMS <= 0 {
		t.Errorf("machine %+v, noise %+v", r.Machine, r.Noise)
	}
}

// The page is one file: it asks for nothing, and texts from outside stay texts.
func TestHTML_isSelfContained(t *testing.T) {
	var b bytes.Buffer
	if err := sample(t).HTML(&b); err != nil {
		t.Fatal(err)
	}
	page := b.String()
	for _, bad := range []string{"<script", "src=", "href=", "url(", "@import", "<b>peer"} {
		if strings.Contains(page, bad) {
			t.Errorf("the page has %q", bad)
		}
	}
	for _, want := range []string{"p99.9 ms", "a &lt;b&gt;peer", "r0 is &lt;killed&gt;", "99.9 %"} {
		if !strings.Contains(page, want) {
			t.Errorf("the page has no %q", want)
		}
	}
	if n := strings.Count(page, "<svg"); n != 3 {
		t.Errorf("%d plots, want 3", n)
	}
	_, svg, _ := strings.Cut(page, `<figure tabindex="0">`)
	svg, _, _ = strings.Cut(svg, "</figure>")
	if err := xml.Unmarshal([]byte(svg), new(struct{})); err != nil {
		t.Errorf("the plot is no XML: %v", err)
	}
}

func TestTable(t *testing.T) {
	r := sample(t)
	r.Doubt("it was late")
	r.Cut = true
	var b bytes.Buffer
	if err := r.Table(&b); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"p99.9 ms", "5.50 ±9%", "note: a note\n", "INVALID: it was late\n", "CUT: "} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("no %q in\n%s", want, b.String())
		}
	}
}

func TestWriteFile_wholeOrNotAtAll(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "r.json")
	if err := os.WriteFile(path, []byte("old"), 0o600); err != nil {
		t.Fatal(err)
	}
	broken := errors.New("no space left")
	err := bench.WriteFile(path, func(w io.Writer) error {
		_, _ = io.WriteString(w, "half")
		return broken
	})
	if !errors.Is(err, broken) {
		t.Errorf("got %v", err)
	}
	if data, _ := os.ReadFile(path); string(data) != "old" {
		t.Errorf("the old file holds %q", data)
	}
	if files, _ := os.ReadDir(dir); len(files) != 1 {
		t.Errorf("%d files, want 1", len(files))
	}
}

func TestRead_refusesWhatIsNoReport(t *testing.T) {
	for name, content := range map[string]string{"text": "hello", "other": `{"schema": "lanewise-bench/99"}`, "empty": "", "none": `{}`} {
		path := filepath.Join(t.TempDir(), name)
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := bench.Read(path); !errors.Is(err, fault.Invalid) || !strings.Contains(err.Error(), path) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestCompare(t *testing.T) {
	report := func(better bench.Direction, rounds ...float64) *bench.Report {
		return &bench.Report{Kind: "search", Rows: []bench.Row{{Name: "lanewise", Figures: []bench.Figure{{Name: "f", Better: better, Rounds: rounds}}}}}
	}
	for _, c := range []struct {
		name          string
		before, after *bench.Report
		want          bench.Verdict
	}{
		{"slower", report(bench.Lower, 10, 10.1, 9.9), report(bench.Lower, 12, 12.1, 11.9), bench.Regressed},
		{"faster", report(bench.Lower, 10, 10.1, 9.9), report(bench.Lower, 8, 8.1, 7.9), bench.Improved},
		{"a higher rate", report(bench.Higher, 10, 10.1, 9.9), report(bench.Higher, 12, 12.1, 11.9), bench.Improved},
		{"a lower rate", report(bench.Higher, 10, 10.1, 9.9), report(bench.Higher, 8, 8.1, 7.9), bench.Regressed},
		{"noise", report(bench.Lower, 10, 14, 6), report(bench.Lower, 12, 16, 8), bench.Same},
		{"a hair", report(bench.Lower, 10, 10.001, 9.999), report(bench.Lower, 10.05, 10.051, 10.049), bench.Same},
		{"one round", report(bench.Lower, 10), report(bench.Lower, 20), bench.Unknown},
		{"constant", report(bench.Lower, 10, 10), report(bench.Lower, 20, 20), bench.Regressed},
	} {
		changes, err := bench.Compare(c.before, c.after, 0.02)
		if err != nil || len(changes) != 1 || changes[0].Verdict != c.want {
			t.Errorf("%s: got %v, %v, want %s", c.name, changes, err, c.want)
		}
	}
	// t for 4 degrees of freedom and 95 % is 2.776; both means have a standard error of 0.1/sqrt(3).
	changes, _ := bench.Compare(report(bench.Lower, 10, 10.1, 9.9), report(bench.Lower, 12, 12.1, 11.9), 0)
	if got, want := changes[0].High-changes[0].Low, 2*2.776*0.1*math.Sqrt(2.0/3); math.Abs(got-want) > 0.001 {
		t.Errorf("the interval is %g wide, want %g", got, want)
	}
	if _, err := bench.Compare(&bench.Report{Kind: "search"}, &bench.Report{Kind: "chat"}, 0); !errors.Is(err, fault.Invalid) {
		t.Errorf("two kinds: %v", err)
	}
	if _, err := bench.Compare(report(bench.Lower, 1), report(bench.Neither, 1), 0); err != nil {
		t.Errorf("the direction is that of the first: %v", err)
	}
	if _, err := bench.Compare(report(bench.Neither, 1), report(bench.Neither, 1), 0); !errors.Is(err, fault.Invalid) {
		t.Errorf("nothing in common: %v", err)
	}
}
