package bench

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/lanewise/lanewise/fault"
)

// Schema names the form of a report's JSON. A reader refuses every other one.
const Schema = "lanewise-bench/1"

// Report is what a benchmark saw, with all that it depends on. Its JSON form is documented in
// docs/benchmarks.md.
type Report struct {
	Schema  string            `json:"schema"`
	Kind    string            `json:"kind"` // which benchmark
	Started time.Time         `json:"started"`
	TookMS  int64             `json:"took_ms"`
	Machine Machine           `json:"machine"`
	Noise   Noise             `json:"noise"`
	Config  map[string]string `json:"config"`            // the flags, and whatever else was set
	Invalid []string          `json:"invalid,omitempty"` // why the figures do not count; empty: they do
	Notes   []string          `json:"notes,omitempty"`   // what a reader has to know
	Cut     bool              `json:"cut,omitempty"`     // it ended before its time
	Rows    []Row             `json:"rows"`
	Plots   []Plot            `json:"plots,omitempty"`
}

// Row is one line of the table: a system or a case.
type Row struct {
	Name    string   `json:"name"`
	Note    string   `json:"note,omitempty"` // its settings, or that it is a fake
	Figures []Figure `json:"figures"`
}

// Figure is one measured quantity, once for each round.
type Figure struct {
	Name   string    `json:"name"`
	Unit   string    `json:"unit,omitempty"`
	Better Direction `json:"better,omitempty"`
	Rounds []float64 `json:"rounds"`
}

// Median returns the middle round; 0 where there is none.
func (f Figure) Median() float64 {
	if len(f.Rounds) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(f.Rounds))
	half := len(sorted) / 2
	if len(sorted)%2 == 1 {
		return sorted[half]
	}
	return (sorted[half-1] + sorted[half]) / 2
}

// Direction says which values of a figure are better.
type Direction string

// The directions. Of a figure with Neither a change is no regression.
const (
	Lower   Direction = "lower"
	Higher  Direction = "higher"
	Neither Direction = ""
)

// Plot is a picture of the report.
type Plot struct {
	Title string `json:"title"`
	X     string `json:"x"`
	Y     string `json:"y"`
	LogY  bool   `json:"log_y,omitempty"`
	Tail  bool   `json:"tail,omitempty"` // x is a share below 1, drawn so that 0.9, 0.99 and 0.999 are equally far apart
	Lines []Line `json:"lines"`
	Marks []Mark `json:"marks,omitempty"`
}

// Line is a named series of points.
type Line struct {
	Name   string       `json:"name"`
	Points [][2]float64 `json:"points"`
}

// Mark is an event at an x of a plot, such as a fault.
type Mark struct {
	At   float64 `json:"at"`
	Text string  `json:"text"`
}

// Add appends figures to the row of that name as one more round.
func (r *Report) Add(row string, figures []Figure) {
	i := slices.IndexFunc(r.Rows, func(have Row) bool { return have.Name == row })
	if i < 0 {
		r.Rows = append(r.Rows, Row{Name: row, Figures: figures})
		return
	}
	for _, f := range figures {
		have := r.Rows[i].Figures
		if j := slices.IndexFunc(have, func(h Figure) bool { return h.Name == f.Name }); j >= 0 {
			have[j].Rounds = append(have[j].Rounds, f.Rounds...)
		} else {
			r.Rows[i].Figures = append(have, f)
		}
	}
}

// Note adds a note, once.
func (r *Report) Note(text string) {
	if text != "" && !slices.Contains(r.Notes, text) {
		r.Notes = append(r.Notes, text)
	}
}

// Doubt adds a reason why the figures do not count, once.
func (r *Report) Doubt(reason string) {
	if reason != "" && !slices.Contains(r.Invalid, reason) {
		r.Invalid = append(r.Invalid, reason)
	}
}

// WriteFile writes a file whole or not at all: over an older one only when the new one is complete.
func WriteFile(path string, write func(io.Writer) error) (err error) {
	file, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+"-*")
	if err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	defer func() {
		if err != nil {
			err = errors.Join(fmt.Errorf("write %s: %w", path, err), file.Close(), os.Remove(file.Name()))
		}
	}()
	if err = write(file); err != nil {
		return err
	}
	if err = file.Chmod(0o644); err != nil {
		return err
	}
	if err = file.Close(); err != nil {
		return err
	}
	return os.Rename(file.Name(), path)
}

// JSON writes the report.
func (r *Report) JSON(w io.Writer) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	return e.Encode(r)
}

// Read reads a report that JSON wrote. Another form is fault.Invalid.
func Read(path string) (*Report, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read a report: %w", err)
	}
	r := &Report{}
	if err := json.Unmarshal(data, r); err != nil {
		return nil, fault.New(fault.Invalid, "%s is not a report: %v", path, err)
	}
	if r.Schema != Schema {
		return nil, fault.New(fault.Invalid, "%s is not a report of this version: its schema is %q, not %q", path, r.Schema, Schema)
	}
	return r, nil
}
