package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/lanewise/lanewise/cmd/lanewise/internal/show"
	"github.com/lanewise/lanewise/cmd/lanewise/internal/tune"
	"github.com/lanewise/lanewise/config"
	"github.com/lanewise/lanewise/llm/routes"
)

// routesOptions are the flags of routes test.
type routesOptions struct {
	config string
	min    float64
	misses int
	json   bool
}

func newRoutes(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "routes",
		Short: "Try the semantic routes of a configuration",
		Long: `Requests whose model is "auto" go to a model, a collection or a prompt by what
they ask: llm.routes of the configuration has examples of it.`,
		Example: `  lanewise routes test questions.jsonl -c lanewise.yaml`,
		Args:    known,
		RunE:    func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newRoutesTest(a))
	return cmd
}

func newRoutesTest(a *app) *cobra.Command {
	o := routesOptions{}
	cmd := &cobra.Command{
		Use:   "test FILE -c CONFIG",
		Short: "Measure how the routes sort questions, and suggest thresholds",
		Long: `Test scores the questions of a file with the semantic routes of a configuration
(llm.routes), and prints which route they take, which they should, and the
thresholds that would sort these questions best. It opens the embedding lane of
the configuration and nothing else.

A line of the file is {"text": "How do I boil an egg?", "route": "cooking"}; an
empty route says that none should be taken. The exit code is 1 where fewer
questions than --min are sorted right.`,
		Example: `  lanewise routes test questions.jsonl -c lanewise.yaml
  lanewise routes test questions.jsonl -c lanewise.yaml --min 0.95 --json`,
		Args: needs("a file of questions"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if o.config == "" || len(args) != 1 {
				return misuse("name one file of questions and a configuration: lanewise routes test FILE -c CONFIG")
			}
			if !(o.min >= 0 && o.min <= 1) {
				return misuse("--min must be between 0 and 1")
			}
			return o.run(cmd.Context(), a, args[0])
		},
	}
	f := cmd.Flags()
	f.StringVarP(&o.config, "config", "c", "", "configuration file")
	f.Float64Var(&o.min, "min", 0, "share of the questions that must be sorted right")
	f.IntVar(&o.misses, "misses", 10, "questions to show that are not")
	f.BoolVar(&o.json, "json", false, "print the figures as JSON")
	return cmd
}

func (o *routesOptions) run(ctx context.Context, a *app, file string) (err error) {
	cfg, err := config.Load(o.config)
	if err != nil {
		return err
	}
	s, err := cfg.BuildRoutes(ctx, config.Options{})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	t, err := newTrial(ctx, s.Routes, file)
	if err != nil {
		return err
	}
	if o.json {
		err = writeJSON(a.out, t.figures())
	} else {
		t.print(a, o.misses)
	}
	if share := t.now.Accuracy(); share < o.min {
		err = errors.Join(err, fmt.Errorf("%.1f %% of the questions are sorted right, at least %.1f %% must be", 100*share, 100*o.min))
	}
	return err
}

// trial is what became of the questions of a file.
type trial struct {
	names      []string // of the routes
	samples    []tune.Sample
	thresholds []float64
	best       []float64
	now, then  tune.Result // with the thresholds there are, and with the best ones
}

// scoreAtOnce is how many questions are scored in one call.
const scoreAtOnce = 256

func newTrial(ctx context.Context, table *routes.Table, file string) (*trial, error) {
	t := &trial{}
	for _, r := range table.Routes() {
		t.names, t.thresholds = append(t.names, r.Name), append(t.thresholds, r.Threshold)
	}
	in, err := os.Open(file) //nolint:gosec // the file that the caller names
	if err != nil {
		return nil, err
	}
	defer in.Close() //nolint:errcheck // read only
	if t.samples, err = tune.Read(in, t.names); err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	for from := 0; from < len(t.samples); from += scoreAtOnce {
		part := t.samples[from:min(from+scoreAtOnce, len(t.samples))]
		texts := make([]string, len(part))
		for i := range part {
			texts[i] = part[i].Text
		}
		scores, err := table.Score(ctx, texts)
		if err != nil {
			return nil, err
		}
		for i := range part {
			part[i].Scores = scores[i]
		}
	}
	t.best = tune.Best(t.samples, t.thresholds)
	t.now, t.then = tune.Judge(t.samples, t.thresholds), tune.Judge(t.samples, t.best)
	return t, nil
}

// routeFigures is how one route did. The name is empty for no route.
type routeFigures struct {
	Route     string         `json:"route"`
	Questions int            `json:"questions"`           // that should take it
	Right     int            `json:"right"`               // of them
	Others    int            `json:"others"`              // that took it and should not
	Threshold float64        `json:"threshold,omitempty"` // now
	Best      float64        `json:"best_threshold,omitempty"`
	Taken     map[string]int `json:"taken"` // by route: what the questions that should take it took
}

// trialFigures are what is printed as JSON.
type trialFigures struct {
	Questions    int            `json:"questions"`
	Right        int            `json:"right"`
	Accuracy     float64        `json:"accuracy"`
	BestAccuracy float64        `json:"best_accuracy"` // of the best thresholds, on the same questions
	Routes       []routeFigures `json:"routes"`
}

func (t *trial) figures() trialFigures {
	out := trialFigures{Questions: t.now.Samples, Right: t.now.Right, Accuracy: t.now.Accuracy(), BestAccuracy: t.then.Accuracy()}
	for i := range t.now.Taken {
		f := routeFigures{Right: t.now.Taken[i][i], Taken: map[string]int{}}
		if i < len(t.names) {
			f.Route, f.Threshold, f.Best = t.names[i], t.thresholds[i], t.best[i]
		}
		for j := range t.now.Taken {
			f.Questions += t.now.Taken[i][j]
			f.Others += t.now.Taken[j][i]
			if n := t.now.Taken[i][j]; n > 0 {
				f.Taken[t.name(j)] = n
			}
		}
		f.Others -= f.Right
		out.Routes = append(out.Routes, f)
	}
	return out
}

// name is that of a route by its row; "" is that of no route.
func (t *trial) name(i int) string {
	if i >= 0 && i < len(t.names) {
		return t.names[i]
	}
	return ""
}

// called is what people read in place of a name.
func called(name string) string { return cmp.Or(name, "(none)") }

func (t *trial) print(a *app, misses int) {
	p := a.printer()
	f := t.figures()
	p.Line("%s", p.Bold(fmt.Sprintf("%d of %s sorted right: %.1f %%", f.Right, show.Plural(f.Questions, "question"), 100*f.Accuracy)))
	w := tabwriter.NewWriter(a.out, 0, 0, 2, ' ', 0)
	_, _ = fmt.Fprintln(w, "\nROUTE\tQUESTIONS\tRIGHT\tMISSED\tOTHERS\tTHRESHOLD\tBEST")
	for _, r := range f.Routes {
		threshold, best := "", ""
		if r.Route != "" {
			threshold, best = decimals(r.Threshold), decimals(r.Best)
		}
		_, _ = fmt.Fprintf(w, "%s\t%d\t%d\t%d\t%d\t%s\t%s\n", called(r.Route), r.Questions, r.Right, r.Questions-r.Right, r.Others, threshold, best)
	}
	_ = w.Flush()
	p.Line("%s", p.Dim(fmt.Sprintf("others: took the route and should not; best: these thresholds sort %.1f %% of these questions right", 100*f.BestAccuracy)))
	t.printTaken(a)
	t.printMisses(p, misses)
}

// printTaken prints what was taken in place of what.
func (t *trial) printTaken(a *app) {
	w := tabwriter.NewWriter(a.out, 0, 0, 2, ' ', tabwriter.AlignRight)
	_, _ = fmt.Fprint(w, "\nshould take\t")
	for j := range t.now.Taken {
		_, _ = fmt.Fprintf(w, "%s\t", called(t.name(j)))
	}
	_, _ = fmt.Fprintln(w)
	for i, row := range t.now.Taken {
		_, _ = fmt.Fprintf(w, "%s\t", called(t.name(i)))
		for _, n := range row {
			_, _ = fmt.Fprintf(w, "%d\t", n)
		}
		_, _ = fmt.Fprintln(w)
	}
	_ = w.Flush()
}

// printMisses shows questions that took another route than they should.
func (t *trial) printMisses(p show.Printer, most int) {
	for k, i := range t.now.Missed {
		if k == 0 {
			p.Line("")
		}
		if k == most {
			p.Line("%s", p.Dim(fmt.Sprintf("and %d more", len(t.now.Missed)-k)))
			return
		}
		s := t.samples[i]
		var scores []string
		for r, score := range s.Scores {
			scores = append(scores, t.names[r]+" "+decimals(score))
		}
		taken := routes.Choose(s.Scores, t.thresholds)
		p.Line("line %d should take %s, takes %s: %s", s.Line, called(t.name(s.Want)), called(t.name(taken)), show.Printable(s.Text))
		p.Line("  %s", p.Dim(strings.Join(scores, ", ")))
	}
}

func decimals(x float64) string { return strconv.FormatFloat(x, 'f', 3, 64) }
