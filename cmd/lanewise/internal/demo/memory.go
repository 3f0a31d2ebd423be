package demo

import (
	"os"
	"runtime"
	"strconv"
	"strings"
)

// memory returns the resident memory of this process, now and at its highest,
// in bytes. Where the system does not tell, it is what Go got from the system.
func memory() (now, peak int64) {
	data, err := os.ReadFile("/proc/self/status")
	if err != nil {
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return int64(m.Sys - m.HeapReleased), int64(m.Sys) //nolint:gosec // far below 2^63
	}
	for line := range strings.Lines(string(data)) {
		name, value, _ := strings.Cut(line, ":")
		switch name {
		case "VmRSS":
			now = kilobytes(value)
		case "VmHWM":
			peak = kilobytes(value)
		}
	}
	return now, peak
}

// kilobytes reads a value such as "  1234 kB".
func kilobytes(value string) int64 {
	n, err := strconv.ParseInt(strings.TrimSuffix(strings.TrimSpace(value), " kB"), 10, 64)
	if err != nil {
		return 0
	}
	return n << 10
}
