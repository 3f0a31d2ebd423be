package bench

import (
	"fmt"
	"math"
	"slices"

	"gonum.org/v1/gonum/stat"
	"gonum.org/v1/gonum/stat/distuv"

	"github.com/lanewise/lanewise/fault"
)

// Change is how a figure of one row differs between two reports.
type Change struct {
	Row, Figure string
	Unit        string
	Old, New    float64 // means over the rounds
	// Low and High bound the difference New - Old with 95 % confidence (Welch's t interval). They are
	// NaN where a report has a single round: then nothing can be told from noise.
	Low, High float64
	Verdict   Verdict
}

// Verdict says what a change means.
type Verdict string

// The verdicts. Same covers every difference within the noise.
const (
	Improved  Verdict = "better"
	Regressed Verdict = "worse"
	Same      Verdict = "same"
	Unknown   Verdict = "unknown"
)

// Compare returns how all figures that both reports have and that have a direction changed. A change counts
// if its interval excludes 0 and its mean moved by at least the share least, such as 0.02. Reports of two
// kinds are fault.Invalid.
func Compare(before, after *Report, least float64) ([]Change, error) {
	if before.Kind != after.Kind {
		return nil, fault.New(fault.Invalid, "one is a report of %q and the other of %q", before.Kind, after.Kind)
	}
	var out []Change
	for _, row := range before.Rows {
		i := slices.IndexFunc(after.Rows, func(r Row) bool { return r.Name == row.Name })
		if i < 0 {
			continue
		}
		for _, f := range row.Figures {
			j := slices.IndexFunc(after.Rows[i].Figures, func(g Figure) bool { return g.Name == f.Name && g.Unit == f.Unit })
			if j >= 0 && f.Better != Neither && len(f.Rounds) > 0 && len(after.Rows[i].Figures[j].Rounds) > 0 {
				c := compare(f, after.Rows[i].Figures[j], least)
				c.Row = row.Name
				out = append(out, c)
			}
		}
	}
	if len(out) == 0 {
		return nil, fault.New(fault.Invalid, "the reports have no figure in common")
	}
	return out, nil
}

func compare(before, after Figure, least float64) Change {
	c := Change{Figure: before.Name, Unit: before.Unit, Old: stat.Mean(before.Rounds, nil), New: stat.Mean(after.Rounds, nil)}
	c.Low, c.High = interval(before.Rounds, after.Rounds)
	moved := math.Abs(c.New-c.Old) >= least*math.Abs(c.Old)
	switch {
	case math.IsNaN(c.Low):
		c.Verdict = Unknown
	case !moved || c.Low <= 0 && c.High >= 0:
		c.Verdict = Same
	case (c.New < c.Old) == (before.Better == Lower):
		c.Verdict = Improved
	default:
		c.Verdict = Regressed
	}
	return c
}

// interval returns Welch's 95 % confidence interval of the difference of two means.
func interval(a, b []float64) (low, high float64) {
	if len(a) < 2 || len(b) < 2 {
		return math.NaN(), math.NaN()
	}
	va, vb := stat.Variance(a, nil)/float64(len(a)), stat.Variance(b, nil)/float64(len(b))
	diff := stat.Mean(b, nil) - stat.Mean(a, nil)
	if va+vb == 0 {
		return diff, diff
	}
	freedom := (va + vb) * (va + vb) / (va*va/float64(len(a)-1) + vb*vb/float64(len(b)-1))
	half := distuv.StudentsT{Mu: 0, Sigma: 1, Nu: freedom}.Quantile(0.975) * math.Sqrt(va+vb)
	return diff - half, diff + half
}

// String is one line for people.
func (c Change) String() string {
	text := fmt.Sprintf("%-7s %s %s: %s -> %s %s", c.Verdict, c.Row, c.Figure, number(c.Old), number(c.New), c.Unit)
	switch {
	case c.Verdict == Unknown:
		return text + " (a single round: run several)"
	case c.Old != 0:
		return text + fmt.Sprintf(" (%+.1f %%, 95 %% within %+.1f to %+.1f %%)", 100*(c.New-c.Old)/c.Old, 100*c.Low/math.Abs(c.Old), 100*c.High/math.Abs(c.Old))
	default:
		return text
	}
}
