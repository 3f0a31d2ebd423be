package kubernetes

import (
	"image/color"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
)

// point is what was seen at one moment.
type point struct {
	at      time.Duration
	asked   int     // replicas, by the autoscaler
	ready   int     // engines
	desired float64 // lanewise_desired_replicas
	tokens  float64 // lanewise_outstanding_tokens
	open    int     // questions without an answer
}

type timeline struct {
	mu     sync.Mutex
	points []point
}

func (l *timeline) add(p point) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.points = append(l.points, p)
}

func (l *timeline) most(of func(point) float64) (most float64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, p := range l.points {
		most = max(most, of(p))
	}
	return most
}

// plot draws the members, and the open questions as a tenth, into an SVG.
func (l *timeline) plot(t *testing.T, name, title string) {
	t.Helper()
	if *plotTo == "" {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	p := plot.New()
	p.Title.Text, p.X.Label.Text, p.Legend.Top = title, "seconds", true
	p.Legend.Padding = vg.Points(2)
	p.Add(plotter.NewGrid())
	for _, series := range []struct {
		name  string
		color color.Color
		of    func(point) float64
	}{
		{"replicas that the autoscaler asks for", color.RGBA{R: 31, G: 119, B: 180, A: 255}, func(p point) float64 { return float64(p.asked) }},
		{"members that are ready", color.RGBA{R: 44, G: 160, B: 44, A: 255}, func(p point) float64 { return float64(p.ready) }},
		{"lanewise_desired_replicas", color.RGBA{R: 255, G: 127, B: 14, A: 255}, func(p point) float64 { return p.desired }},
		{"open questions / 10", color.RGBA{R: 127, G: 127, B: 127, A: 255}, func(p point) float64 { return float64(p.open) / 10 }},
		{"lanewise_outstanding_tokens / 1000", color.RGBA{R: 214, G: 39, B: 40, A: 255}, func(p point) float64 { return p.tokens / 1000 }},
	} {
		xy := make(plotter.XYs, len(l.points))
		for i, at := range l.points {
			xy[i] = plotter.XY{X: at.at.Seconds(), Y: series.of(at)}
		}
		line, err := plotter.NewLine(xy)
		if err != nil {
			t.Fatal(err)
		}
		line.Color, line.Width = series.color, vg.Points(1.5)
		p.Add(line)
		p.Legend.Add(series.name, line)
	}
	p.Y.Min, p.Y.Max = 0, p.Y.Max*1.4 // room for the legend
	if err := p.Save(20*vg.Centimeter, 10*vg.Centimeter, filepath.Join(*plotTo, name)); err != nil {
		t.Fatal(err)
	}
}
