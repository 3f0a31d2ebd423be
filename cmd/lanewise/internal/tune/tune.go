// Package tune measures how well semantic routes sort questions, and finds the
// thresholds that would sort them best.
package tune

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/lanewise/lanewise/llm/routes"
)

// Sample is a question and the route that it should take.
type Sample struct {
	Line   int // in the file, from 1
	Text   string
	Want   int       // position of the route; -1: none
	Scores []float64 // with each route
}

// maxLine bounds a line of a file, in bytes.
const maxLine = 1 << 20

// Read reads lines of JSON, {"text": "...", "route": "..."}; an empty route means
// that none should be taken. names are those of the routes. Its error names every
// line that is wrong.
func Read(r io.Reader, names []string) ([]Sample, error) {
	var out []Sample
	var errs []error
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, maxLine)
	for n := 1; lines.Scan(); n++ {
		text := strings.TrimSpace(lines.Text())
		if text == "" {
			continue
		}
		s, err := parse(text, names)
		if err != nil {
			errs = append(errs, fmt.Errorf("line %d: %w", n, err))
		}
		s.Line = n
		out = append(out, s)
	}
	if err := errors.Join(append(errs, lines.Err())...); err != nil {
		return nil, err
	}
	if len(out) == 0 {
		return nil, errors.New("no lines to test")
	}
	return out, nil
}

func parse(line string, names []string) (Sample, error) {
	var in struct {
		Text  string  `json:"text"`
		Route *string `json:"route"`
	}
	d := json.NewDecoder(strings.NewReader(line))
	d.DisallowUnknownFields()
	if err := d.Decode(&in); err != nil {
		return Sample{}, fmt.Errorf(`is not {"text": "...", "route": "..."}: %w`, err)
	}
	switch {
	case in.Text == "":
		return Sample{}, errors.New("has no text")
	case in.Route == nil:
		return Sample{}, errors.New(`has no route: write "route": "" where none should be taken`)
	case *in.Route == "":
		return Sample{Text: in.Text, Want: -1}, nil
	}
	at := slices.Index(names, *in.Route)
	if at < 0 {
		return Sample{}, fmt.Errorf("names the route %q, which there is not: %s", *in.Route, strings.Join(names, ", "))
	}
	return Sample{Text: in.Text, Want: at}, nil
}

// Result is how samples were sorted. Row and column len(thresholds) stand for no route.
type Result struct {
	Right   int
	Samples int
	Taken   [][]int // by the route that was wanted, and the one that was taken
	Missed  []int   // positions of the samples that took another route than they should
}

// Accuracy is the share of the samples that were sorted right.
func (r Result) Accuracy() float64 { return float64(r.Right) / float64(max(r.Samples, 1)) }

// Judge sorts samples by thresholds.
func Judge(samples []Sample, thresholds []float64) Result {
	none := len(thresholds)
	out := Result{Samples: len(samples), Taken: make([][]int, none+1)}
	for i := range out.Taken {
		out.Taken[i] = make([]int, none+1)
	}
	for i, s := range samples {
		taken := routes.Choose(s.Scores, thresholds)
		out.Taken[at(s.Want, none)][at(taken, none)]++
		if taken == s.Want {
			out.Right++
		} else {
			out.Missed = append(out.Missed, i)
		}
	}
	return out
}

// at is the row of a route; none is that of no route.
func at(route, none int) int {
	if route < 0 {
		return none
	}
	return route
}

// rounds bounds the search for thresholds; it mostly ends after two or three.
const rounds = 20

// Best returns thresholds with which at least as many of the samples are sorted
// right as with those given, and mostly the most that there can be: each is moved to the
// best place while the others stay, until no move helps. Of places that are equally
// good it takes the middle of the widest, so that other questions fit, too.
func Best(samples []Sample, thresholds []float64) []float64 {
	best := slices.Clone(thresholds)
	for range rounds {
		before := Judge(samples, best).Right
		for route := range best {
			best[route] = place(samples, best, route)
		}
		if Judge(samples, best).Right <= before {
			break
		}
	}
	return best
}

// place returns the best threshold of one route while the others stay.
func place(samples []Sample, thresholds []float64, route int) float64 {
	scores := []float64{0, 1}
	for _, s := range samples {
		if score := s.Scores[route]; score > 0 && score < 1 {
			scores = append(scores, score)
		}
	}
	slices.Sort(scores)
	scores = slices.Compact(scores)
	tried := slices.Clone(thresholds)
	right, width, best := -1, 0.0, thresholds[route]
	from := 0 // where the run of equally good places begins
	last := -1
	for i := 1; i < len(scores); i++ { // a threshold in (scores[i-1], scores[i]] lets scores from i on pass
		tried[route] = scores[i]
		n := Judge(samples, tried).Right
		if n != last {
			from, last = i-1, n
		}
		if w := scores[i] - scores[from]; n > right || n == right && w > width {
			right, width, best = n, w, (scores[from]+scores[i])/2
		}
	}
	return best
}
