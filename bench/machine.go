package bench

import (
	"bufio"
	"bytes"
	"context"
	"os"
	"runtime"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Machine is where a report was made, without a name or an address.
type Machine struct {
	OS       string `json:"os"` // with its kernel's version
	Arch     string `json:"arch"`
	CPU      string `json:"cpu,omitempty"`
	Cores    int    `json:"cores"`
	MemoryGB int    `json:"memory_gb,omitempty"`
	Go       string `json:"go"`
	Lanewise string `json:"lanewise"` // version and commit
}

// ThisMachine describes the one that the program runs on, as far as the system tells.
func ThisMachine() Machine {
	return Machine{
		OS: strings.TrimSpace(runtime.GOOS + " " + firstLine("/proc/sys/kernel/osrelease")), Arch: runtime.GOARCH,
		CPU: field("/proc/cpuinfo", "model name"), Cores: runtime.GOMAXPROCS(0), MemoryGB: memory(),
		Go: runtime.Version(), Lanewise: commit(),
	}
}

func memory() int {
	kb, _ := strconv.Atoi(strings.TrimSuffix(field("/proc/meminfo", "MemTotal"), " kB")) // 0 where it is not told
	return (kb + 1<<19) >> 20
}

// commit names the version that the program was built from.
func commit() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	version := []string{info.Main.Version}
	for _, s := range info.Settings {
		switch {
		case s.Key == "vcs.revision":
			version = append(version, s.Value[:min(12, len(s.Value))])
		case s.Key == "vcs.modified" && s.Value == "true":
			version = append(version, "(changed)")
		}
	}
	return strings.Join(version, " ")
}

func firstLine(path string) string {
	data, _ := os.ReadFile(path) // absent on other systems
	line, _, _ := bytes.Cut(data, []byte("\n"))
	return string(line)
}

// field returns the first value of a key in a file of lines "key : value".
func field(path, key string) string {
	data, _ := os.ReadFile(path)
	for lines := bufio.NewScanner(bytes.NewReader(data)); lines.Scan(); {
		if k, v, ok := strings.Cut(lines.Text(), ":"); ok && strings.TrimSpace(k) == key {
			return strings.TrimSpace(v)
		}
	}
	return ""
}

// Noise is how steadily the machine did the same small work before and after the benchmark.
type Noise struct {
	BeforeMS float64 `json:"before_ms"` // median of the work's repetitions
	AfterMS  float64 `json:"after_ms"`
	Spread   float64 `json:"spread"` // 90th percentile over the median, the worse of both
}

// loud says from which spread or drift on the machine was too restless to compare small differences.
const loud = 1.25

// Note says that the machine was restless, or nothing.
func (n Noise) Note() string {
	drift := 1.0
	if n.BeforeMS > 0 && n.AfterMS > 0 {
		drift = max(n.AfterMS/n.BeforeMS, n.BeforeMS/n.AfterMS)
	}
	if n.Spread < loud && drift < loud {
		return ""
	}
	return "the machine was busy with other things: the same work took up to " +
		strconv.FormatFloat(max(n.Spread, drift), 'f', 2, 64) + " times as long"
}

// calibrate repeats a fixed piece of work and returns its median and 90th percentile in milliseconds.
func calibrate(ctx context.Context) (median, p90 float64) {
	const repetitions = 41
	took := make([]float64, 0, repetitions)
	for range repetitions {
		if ctx.Err() != nil {
			break
		}
		start := time.Now()
		work(1 << 21)
		took = append(took, float64(time.Since(start))/1e6)
	}
	if len(took) == 0 {
		return 0, 0
	}
	slices.Sort(took)
	return took[len(took)/2], took[len(took)*9/10]
}

// work is n steps of a generator that a compiler cannot leave out: the result is used.
func work(n int) {
	x := uint64(88172645463325252)
	for range n {
		x ^= x << 13
		x ^= x >> 7
		x ^= x << 17
	}
	if x == 0 {
		panic("bench: a xorshift generator never is 0")
	}
}

// Measure runs a benchmark between two looks at the machine, and completes its report. A report
// that comes with an error has what was seen until then.
func Measure(ctx context.Context, kind string, config map[string]string, run func(ctx context.Context, r *Report) error) (*Report, error) {
	r := &Report{Schema: Schema, Kind: kind, Started: time.Now().UTC().Truncate(time.Second), Machine: ThisMachine(), Config: config, Rows: []Row{}}
	before, p90 := calibrate(ctx)
	start := time.Now()
	err := run(ctx, r)
	r.TookMS = time.Since(start).Milliseconds()
	after, p90after := calibrate(context.WithoutCancel(ctx))
	r.Noise = Noise{BeforeMS: before, AfterMS: after}
	if before > 0 {
		r.Noise.Spread = max(p90/before, p90after/after)
	}
	r.Cut = r.Cut || ctx.Err() != nil
	r.Note(r.Noise.Note())
	return r, err
}
