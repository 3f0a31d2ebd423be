package bench

import "time"

// TailLine returns a distribution as a line of a plot with Tail: latencies in milliseconds over their share.
func TailLine(name string, d Distribution) Line {
	l := Line{Name: name}
	if d.Count() == 0 {
		return l
	}
	for _, q := range []float64{0, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.975, 0.99, 0.995, 0.999, 0.9995, 0.9999} {
		if (1-q)*float64(d.Count()) >= 1 { // fewer answers than that say nothing about it
			l.Points = append(l.Points, [2]float64{q, millis(d.Quantile(q))})
		}
	}
	return l
}

// Overtime returns the plots of a run: its latencies and its rates over time.
func Overtime(name string, series []Slot, marks []Mark) []Plot {
	p50, p99 := Line{Name: name + " p50"}, Line{Name: name + " p99"}
	rate, failed := Line{Name: name + " answers"}, Line{Name: name + " errors"}
	for _, s := range series {
		at := s.At.Seconds()
		p50.Points = append(p50.Points, [2]float64{at, millis(s.P50)})
		p99.Points = append(p99.Points, [2]float64{at, millis(s.P99)})
		rate.Points = append(rate.Points, [2]float64{at, s.Rate})
		failed.Points = append(failed.Points, [2]float64{at, s.Errors})
	}
	return []Plot{
		{Title: "latency over time", X: "seconds", Y: "ms", LogY: true, Lines: []Line{p50, p99}, Marks: marks},
		{Title: "rate over time", X: "seconds", Y: "per second", Lines: []Line{rate, failed}, Marks: marks},
	}
}

// Tails is the plot of latencies over their share.
func Tails(lines ...Line) Plot {
	return Plot{Title: "latency by share of the answers", X: "share answered sooner", Y: "ms", LogY: true, Tail: true, Lines: lines}
}

func millis(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }
