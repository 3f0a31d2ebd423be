package bench

import (
	"context"
	"errors"
	"math"
	"sync"
	"time"

	hdr "github.com/HdrHistogram/hdrhistogram-go"

	"github.com/lanewise/lanewise/fault"
)

// slots is how many parts of a run the series has at most.
const slots = 300

// longest is the largest latency that is told from longer ones.
const longest = time.Hour

// Recorder counts latencies in HDR histograms: over all with three significant digits, and for each part of a run
// with two. Recording allocates nothing. Safe for concurrent use.
type Recorder struct {
	mu     sync.Mutex
	all    *hdr.Histogram
	width  time.Duration // of a part
	parts  []part
	errors map[string]int
}

// part is a stretch of time, by when the calls were due.
type part struct {
	latency *hdr.Histogram
	errors  int
}

// NewRecorder returns a recorder for a run of that length; 0: only the whole is wanted.
func NewRecorder(length time.Duration) *Recorder {
	r := &Recorder{all: hdr.New(1, longest.Microseconds()*10, 3), errors: map[string]int{}, width: max(time.Second, length/slots)}
	if length > 0 {
		r.parts = make([]part, (length+r.width-1)/r.width)
	}
	for i := range r.parts {
		r.parts[i].latency = hdr.New(1, longest.Microseconds()*10, 2)
	}
	return r
}

// tenths of a microsecond: latencies of some microseconds keep three digits.
func tenths(d time.Duration) int64 {
	return min(max(d, 0), longest).Nanoseconds() / 100
}

// Record enters a latency at a time of the run.
func (r *Recorder) Record(at, latency time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	v := tenths(latency)
	_ = r.all.RecordValue(v) // it is in range
	if p := r.part(at); p != nil {
		_ = p.latency.RecordValue(v)
	}
}

// Outcome enters an answer's latency, or an error by its class.
func (r *Recorder) Outcome(at, latency time.Duration, err error) {
	if err == nil {
		r.Record(at, latency)
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.errors[ClassOf(err)]++
	if p := r.part(at); p != nil {
		p.errors++
	}
}

func (r *Recorder) part(at time.Duration) *part {
	if i := int(at / r.width); at >= 0 && i < len(r.parts) {
		return &r.parts[i]
	}
	return nil
}

// ClassOf names the kind of an error: its class, "timeout", or "other".
func ClassOf(err error) string {
	switch class := fault.Of(err); {
	case errors.Is(err, context.DeadlineExceeded):
		return "timeout"
	case class != "":
		return string(class)
	default:
		return "other"
	}
}

// Distribution returns what was recorded so far.
func (r *Recorder) Distribution() Distribution {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.distribution()
}

func (r *Recorder) distribution() Distribution {
	return Distribution{hdr.Import(r.all.Export())}
}

func (r *Recorder) series() []Slot {
	out := make([]Slot, len(r.parts))
	for i, p := range r.parts {
		d := Distribution{p.latency}
		out[i] = Slot{
			At: time.Duration(i) * r.width, P50: d.Quantile(0.5), P99: d.Quantile(0.99),
			Rate: float64(d.Count()) / r.width.Seconds(), Errors: float64(p.errors) / r.width.Seconds(),
		}
	}
	return out
}

// Slot is a part of a run, by when its calls were due.
type Slot struct {
	At           time.Duration // its begin
	Rate, Errors float64       // answers and errors a second
	P50, P99     time.Duration // of the answers
}

// Distribution is what became of many latencies.
type Distribution struct{ histogram *hdr.Histogram }

// Quantile returns the latency that the share q of all stays below; 0 where there is none.
func (d Distribution) Quantile(q float64) time.Duration {
	if d.Count() == 0 {
		return 0
	}
	return fromTenths(float64(d.histogram.ValueAtQuantile(100 * q)))
}

// Mean returns the mean latency.
func (d Distribution) Mean() time.Duration {
	if d.Count() == 0 {
		return 0
	}
	return fromTenths(d.histogram.Mean())
}

// Max returns the longest latency.
func (d Distribution) Max() time.Duration { return d.Quantile(1) }

// Count returns how many there are.
func (d Distribution) Count() int {
	if d.histogram == nil {
		return 0
	}
	return int(d.histogram.TotalCount())
}

// Within returns how many took at most limit.
func (d Distribution) Within(limit time.Duration) (n int) {
	if d.Count() == 0 {
		return 0
	}
	for _, bar := range d.histogram.Distribution() {
		if fromTenths(float64(bar.From)) <= limit {
			n += int(bar.Count)
		}
	}
	return n
}

func fromTenths(v float64) time.Duration { return time.Duration(math.Round(v * 100)) }
