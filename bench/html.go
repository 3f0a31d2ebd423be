package bench

import (
	_ "embed"
	"fmt"
	"html/template"
	"io"
	"maps"
	"slices"
)

//go:embed report.html
var page string

// HTML writes the report as one page that loads nothing else.
func (r *Report) HTML(w io.Writer) error {
	t, err := template.New("report").Funcs(template.FuncMap{"cell": cell, "heading": heading}).Parse(page)
	if err != nil {
		return fmt.Errorf("the report's template: %w", err)
	}
	var plots []template.HTML
	for _, p := range r.Plots {
		drawn, err := p.svg()
		if err != nil {
			return err
		}
		plots = append(plots, template.HTML(drawn)) //nolint:gosec // made here; the plot library escapes its texts
	}
	return t.Execute(w, struct {
		*Report
		Columns []Figure
		Keys    []string
		Drawn   []template.HTML
	}{r, r.columns(), slices.Sorted(maps.Keys(r.Config)), plots})
}
