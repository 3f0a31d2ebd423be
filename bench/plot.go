package bench

import (
	"bytes"
	"fmt"
	"image/color"
	"math"
	"slices"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
	"gonum.org/v1/plot/vg/vgsvg"
)

// svg draws a plot.
func (p Plot) svg() ([]byte, error) {
	out := plot.New()
	out.Title.Text, out.X.Label.Text, out.Y.Label.Text = p.Title, p.X, p.Y
	out.Legend.Top, out.Legend.Left = true, true
	out.Add(plotter.NewGrid())
	top, bottom := math.Inf(-1), math.Inf(1)
	for i, l := range p.Lines {
		points := p.drawn(l)
		for _, xy := range points {
			top, bottom = max(top, xy.Y), min(bottom, xy.Y)
		}
		if len(points) == 0 {
			continue
		}
		drawn, err := plotter.NewLine(points)
		if err != nil {
			return nil, fmt.Errorf("plot %q: %w", p.Title, err)
		}
		drawn.Color, drawn.Width = hue(i), vg.Points(1.5)
		drawn.Dashes = dashes(i)
		out.Add(drawn)
		out.Legend.Add(l.Name, drawn)
	}
	if math.IsInf(top, -1) {
		return nil, nil // nothing was seen
	}
	p.heighten(out, bottom, top)
	if p.Tail {
		out.X.Tick.Marker = plot.ConstantTicks(nines())
	}
	if err := p.mark(out, bottom, top); err != nil {
		return nil, err
	}
	canvas := vgsvg.New(22*vg.Centimeter, 9*vg.Centimeter)
	out.Draw(draw.New(canvas))
	var b bytes.Buffer
	if _, err := canvas.WriteTo(&b); err != nil {
		return nil, err
	}
	_, body, _ := bytes.Cut(b.Bytes(), []byte("<svg")) // without the XML head, which a page must not have
	return slices.Concat([]byte("<svg"), body), nil
}

// heighten leaves room for the names of the lines above them. A logarithmic axis has whole decades, which are what has numbers.
func (p Plot) heighten(out *plot.Plot, bottom, top float64) {
	room := 0.06 * float64(len(p.Lines))
	if !p.LogY {
		out.Y.Min = min(0, bottom)
		out.Y.Max = top + room*max(top-out.Y.Min, 1e-9)
		return
	}
	out.Y.Scale, out.Y.Tick.Marker = plot.LogScale{}, plot.LogTicks{Prec: -1}
	low := math.Floor(math.Log10(bottom))
	high := max(math.Ceil(math.Log10(top)), low+1)
	out.Y.Min, out.Y.Max = math.Pow(10, low), math.Pow(10, high+room*(high-low))
}

// drawn returns the points where they are drawn, without those that a logarithmic axis cannot show.
func (p Plot) drawn(l Line) (out plotter.XYs) {
	for _, point := range l.Points {
		x, y := point[0], point[1]
		if p.Tail {
			x = -math.Log10(1 - min(x, 0.99999))
		}
		if math.IsNaN(y) || math.IsInf(y, 0) || p.LogY && y <= 0 {
			continue
		}
		out = append(out, plotter.XY{X: x, Y: y})
	}
	return out
}

func nines() (ticks []plot.Tick) {
	for _, t := range []struct {
		q    float64
		text string
	}{{0, "0"}, {0.5, "50 %"}, {0.9, "90 %"}, {0.99, "99 %"}, {0.999, "99.9 %"}, {0.9999, "99.99 %"}} {
		ticks = append(ticks, plot.Tick{Value: -math.Log10(1 - t.q), Label: t.text})
	}
	return ticks
}

// mark draws a vertical line for each event.
func (p Plot) mark(out *plot.Plot, bottom, top float64) error {
	if !p.LogY {
		bottom = min(0, bottom)
	}
	for i, m := range p.Marks {
		l, err := plotter.NewLine(plotter.XYs{{X: m.At, Y: bottom}, {X: m.At, Y: top}})
		if err != nil {
			return fmt.Errorf("mark %q: %w", m.Text, err)
		}
		l.Color, l.Dashes = color.Gray{Y: 120}, []vg.Length{vg.Points(2), vg.Points(2)}
		text, err := plotter.NewLabels(plotter.XYLabels{XYs: plotter.XYs{{X: m.At, Y: top}}, Labels: []string{" " + m.Text}})
		if err != nil {
			return fmt.Errorf("mark %q: %w", m.Text, err)
		}
		text.Offset.Y = vg.Points(-10) * vg.Length(i%4) // so that events at the same time can be read
		out.Add(l, text)
	}
	return nil
}

// hue returns colours that people with any kind of colour vision can tell apart (Okabe and Ito, 2008).
func hue(i int) color.Color {
	hues := [...]color.RGBA{
		{0, 114, 178, 255}, {213, 94, 0, 255}, {0, 158, 115, 255}, {204, 121, 167, 255}, {230, 159, 0, 255}, {86, 180, 233, 255}, {0, 0, 0, 255},
	}
	return hues[i%len(hues)]
}

// dashes tell lines apart whose colours begin anew.
func dashes(i int) []vg.Length {
	if i < 7 {
		return nil
	}
	return []vg.Length{vg.Points(6), vg.Points(3)}
}
