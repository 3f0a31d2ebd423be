package main

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"regexp"
	"slices"
	"strings"
	"sync"
	"text/tabwriter"
	"time"
)

// What may grow over the whole run before it counts: a share of the mean, or so much if that is more.
const (
	growth         = 0.25
	heapSlack      = 16 << 20 // bytes
	goroutineSlack = 100      // some hundred faults that leave one each behind would be more
)

// starving is the share of a search's time for which this process, which hardly needs any, got no processor: others
// have it, and a deadline says nothing about the router. On a machine of its own that does not happen.
const starving = 0.25

// findings is what came of it. It is safe for concurrent use until print.
type findings struct {
	lasts time.Duration

	mu                            sync.Mutex
	during                        string // the fault that is there; empty: none
	searches, wrong, failed, shed int
	starved                       int
	writes, written, refused, odd int
	lost, doubled                 int
	faults                        map[string]int
	errs                          map[string]int // that nothing explains
	heap, goroutines              []float64
}

// search notes a search, for so much of whose time the machine had other things to do.
func (f *findings) search(right bool, err error, lost float64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.searches++
	switch {
	case err != nil && lost > starving && (strings.HasPrefix(err.Error(), "429 ") || strings.Contains(err.Error(), "deadline exceeded")):
		f.starved++
	case err != nil && strings.HasPrefix(err.Error(), "429 "): // with one of two replicas away
		f.shed++
	case err != nil:
		f.failed++
		f.unexplained("search", err)
	case !right:
		f.wrong++
	}
}

// write notes a write. That a replica is away explains a 503 or 504, and nothing else is.
func (f *findings) write(err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.writes++
	switch {
	case err == nil:
		f.written++
	case strings.HasPrefix(err.Error(), "503 ") || strings.HasPrefix(err.Error(), "504 ") || strings.Contains(err.Error(), "Client.Timeout"):
		f.refused++
	default:
		f.odd++
		f.unexplained("write", err)
	}
}

// unexplained notes an error and the fault that was there when it came, alike with those that differ in figures. The
// caller holds the lock.
func (f *findings) unexplained(what string, err error) {
	if f.during != "" {
		what += " (" + f.during + ")"
	}
	figures := regexp.MustCompile(`[0-9.]+`)
	if f.errs == nil {
		f.errs = map[string]int{}
	}
	if text := what + ": " + figures.ReplaceAllString(err.Error(), "#"); len(f.errs) < 20 || f.errs[text] > 0 {
		f.errs[text]++
	}
}

func (f *findings) broken(err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.unexplained("fault", err)
}

// begin notes a fault, which is there until end.
func (f *findings) begin(fault string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.faults == nil {
		f.faults = map[string]int{}
	}
	f.faults[fault]++
	f.during = fault
}

func (f *findings) end() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.during = ""
}

func (f *findings) sample(heap, goroutines float64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.heap, f.goroutines = append(f.heap, heap), append(f.goroutines, goroutines)
}

// trend is how much larger the last third of the samples is than the first, by their medians, since both rise for a
// moment with every fault, and the mean of all.
func trend(y []float64) (grown, mean float64) {
	for _, v := range y {
		mean += v / float64(len(y))
	}
	if third := len(y) / 3; third > 0 {
		grown = median(y[len(y)-third:]) - median(y[:third])
	}
	return grown, mean
}

func median(y []float64) float64 { return slices.Sorted(slices.Values(y))[len(y)/2] }

// print writes the table and returns what is not as it should be.
func (f *findings) print(to io.Writer) error {
	w := tabwriter.NewWriter(to, 0, 0, 2, ' ', 0)
	row := func(name string, value any, limit string, good bool) (bad error) {
		verdict := "ok"
		if !good {
			verdict, bad = "BAD", fmt.Errorf("%s: %v, the limit is %s", name, value, limit)
		}
		fmt.Fprintf(w, "%s\t%v\t%s\t%s\n", name, value, limit, verdict)
		return bad
	}
	heap, meanHeap := trend(f.heap)
	routines, meanRoutines := trend(f.goroutines)
	heapLimit, routineLimit := max(growth*meanHeap, heapSlack), max(growth*meanRoutines, goroutineSlack)
	perMinute := (f.lasts * 4 / 5 * 2 / 3).Minutes() // from the middle of the first third to that of the last
	fmt.Fprintf(w, "what\tcounted\tlimit\t\n")
	for _, name := range slices.Sorted(maps.Keys(f.faults)) {
		fmt.Fprintf(w, "replicas %s\t%d\t\t\n", name, f.faults[name])
	}
	fmt.Fprintf(w, "searches\t%d\t\t\nwrites acknowledged\t%d of %d\t\t\nwrites refused while a replica was away\t%d\t\t\nsearches that timed out or were shed while other programs had the machine\t%d\t\t\n",
		f.searches, f.written, f.writes, f.refused, f.starved)
	err := errors.Join(
		row("faults", len(f.faults), "at least 4 kinds", len(f.faults) >= 4 || f.lasts < 2*time.Minute),
		row("wrong or incomplete answers", f.wrong, "0", f.wrong == 0),
		row("searches that failed", f.failed, "0", f.failed == 0),
		row("searches shed (429)", f.shed, fmt.Sprintf("%d, 1 %%", f.searches/100), f.shed <= f.searches/100),
		row("unexplained errors", len(f.errs), "0 kinds", len(f.errs) == 0),
		row("acknowledged writes lost", f.lost, "0", f.lost == 0),
		row("points too many", f.doubled, "0", f.doubled == 0),
		row("heap, slope", fmt.Sprintf("%+.2f MiB a minute at %.1f MiB", heap/perMinute/(1<<20), meanHeap/(1<<20)), fmt.Sprintf("%.2f", heapLimit/perMinute/(1<<20)), heap <= heapLimit && meanHeap > 0),
		row("goroutines, slope", fmt.Sprintf("%+.1f a minute at %.0f", routines/perMinute, meanRoutines), fmt.Sprintf("%.1f", routineLimit/perMinute), routines <= routineLimit && meanRoutines > 0),
	)
	_ = w.Flush() // standard output
	for _, text := range slices.Sorted(maps.Keys(f.errs)) {
		fmt.Fprintf(to, "%5d x %s\n", f.errs[text], text)
	}
	return err
}
