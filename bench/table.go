package bench

import (
	"cmp"
	"fmt"
	"io"
	"math"
	"slices"
	"strings"
	"text/tabwriter"
)

// Table writes the rows for a terminal: medians, and behind ± half of the rounds' range in percent
// where there are several.
func (r *Report) Table(w io.Writer) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	columns := r.columns()
	head := []string{""}
	for _, c := range columns {
		head = append(head, heading(c))
	}
	line(t, head)
	for _, row := range r.Rows {
		cells := []string{row.Name}
		for _, c := range columns {
			cells = append(cells, cell(row, c.Name))
		}
		line(t, cells)
	}
	if err := t.Flush(); err != nil {
		return err
	}
	for _, row := range r.Rows {
		if row.Note != "" {
			fmt.Fprintf(w, "%s: %s\n", row.Name, row.Note)
		}
	}
	for _, n := range r.Notes {
		fmt.Fprintf(w, "note: %s\n", n)
	}
	for _, n := range r.Invalid {
		fmt.Fprintf(w, "INVALID: %s\n", n)
	}
	if r.Cut {
		fmt.Fprintln(w, "CUT: ended before its time; the figures are of what was done until then")
	}
	_, err := fmt.Fprintf(w, "%s, %d cores, %d GB, %s, lanewise %s\n", cmp.Or(r.Machine.CPU, r.Machine.Arch), r.Machine.Cores, r.Machine.MemoryGB, r.Machine.Go, r.Machine.Lanewise)
	return err
}

func line(t *tabwriter.Writer, cells []string) {
	fmt.Fprintln(t, strings.Join(cells, "\t")+"\t")
}

// columns returns each figure that a row has, in the order of their first appearance.
func (r *Report) columns() (out []Figure) {
	for _, row := range r.Rows {
		for _, f := range row.Figures {
			if !slices.ContainsFunc(out, func(have Figure) bool { return have.Name == f.Name }) {
				out = append(out, f)
			}
		}
	}
	return out
}

func heading(f Figure) string {
	if f.Unit == "" {
		return f.Name
	}
	return f.Name + " " + f.Unit
}

func cell(row Row, name string) string {
	i := slices.IndexFunc(row.Figures, func(f Figure) bool { return f.Name == name })
	if i < 0 || len(row.Figures[i].Rounds) == 0 {
		return "-"
	}
	f := row.Figures[i]
	text := number(f.Median())
	if len(f.Rounds) > 1 && f.Median() != 0 {
		half := 50 * (slices.Max(f.Rounds) - slices.Min(f.Rounds)) / math.Abs(f.Median())
		text += fmt.Sprintf(" ±%.0f%%", half)
	}
	return text
}

// number keeps three digits.
func number(v float64) string {
	switch size := math.Abs(v); {
	case v == math.Trunc(v) && size < 1e15, size >= 100:
		return fmt.Sprintf("%.0f", v)
	case size >= 10:
		return fmt.Sprintf("%.1f", v)
	case size >= 1:
		return fmt.Sprintf("%.2f", v)
	default:
		return fmt.Sprintf("%.3g", v)
	}
}
