package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/lanewise/lanewise/bench"
)

func newBench(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "bench",
		Short: "Measure searches, answers and what stands before models",
		Long: `Bench makes calls at a given rate, whether or not the earlier ones were answered
(an open loop), counts latencies from when each call was due, and writes what it
saw as a table, as JSON and as a page with plots. It marks its own figures as
invalid where it could not keep to the rate.`,
		Example: `  lanewise bench search --target http://127.0.0.1:8080 --rate 200 --json before.json
  lanewise bench compare before.json after.json`,
		Args: known,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newBenchSearch(a), newBenchChat(a), newBenchAnswer(a), newBenchLanes(a), newBenchRelay(a), newBenchIngest(a), newBenchEmbed(a),
		newBenchMerge(a), newBenchMap(a), newBenchStore(a), newBenchGoals(a), newBenchCompare(a), newBenchData(a))
	return cmd
}

// loading are the flags of a load.
type loading struct {
	bench.Load
	arrivals string
	rounds   int
	slo      string // of commands that look for a rate
}

func (l *loading) flags(f *pflag.FlagSet) {
	f.Float64Var(&l.Rate, "rate", 50, "calls a second")
	f.Float64Var(&l.To, "to", 0, "rate at the end, approached evenly (default: --rate)")
	f.StringVar(&l.arrivals, "arrivals", "poisson", "poisson (as of many independent callers) or constant")
	f.DurationVar(&l.Warmup, "warmup", 2*time.Second, "time before the measured one")
	f.DurationVar(&l.Duration, "duration", 10*time.Second, "measured time of a round")
	f.IntVar(&l.rounds, "rounds", 3, "rounds of each target, one target after the other in each")
	f.Uint64Var(&l.Seed, "seed", 1, "of the arrivals and of what is drawn")
	f.IntVar(&l.Limit, "limit", 4096, "calls under way at the same time; at the limit the generator is late")
	within(f, 0.001, 1e9, "rate")
	within(f, 0, 1e9, "to")
	within(f, 0, 0, "warmup")
	within(f, 0.001, 0, "duration")
	within(f, 1, 1000, "rounds")
	within(f, 1, 1e6, "limit")
}

// promise is the flag of a search for the highest rate.
func (l *loading) promise(f *pflag.FlagSet) {
	f.StringVar(&l.slo, "slo", "", "find the highest rate that keeps this, such as p99=50ms")
}

// check reads the flags that are texts.
func (l *loading) check() (slo *bench.SLO, err error) {
	switch l.arrivals {
	case "poisson", "constant":
		l.Constant = l.arrivals == "constant"
	default:
		return nil, misuse("--arrivals is %q: it is poisson or constant", l.arrivals)
	}
	if l.slo == "" {
		return nil, nil
	}
	read, err := bench.ParseSLO(l.slo)
	if err != nil {
		return nil, misuse("--slo: %v", err)
	}
	return &read, nil
}

// reporting are the flags of what becomes of a report.
type reporting struct{ json, html string }

func (r *reporting) flags(f *pflag.FlagSet) {
	f.StringVar(&r.json, "json", "", "also write the report to this file, for bench compare")
	f.StringVar(&r.html, "html", "", "also write it as a page with plots to this file")
}

// writable refuses files that could not be written, before the time of a benchmark is spent.
func (r *reporting) writable() error {
	for flag, path := range map[string]string{"--json": r.json, "--html": r.html} {
		if dir := filepath.Dir(path); path != "" {
			if about, err := os.Stat(dir); err != nil || !about.IsDir() {
				return misuse("%s: there is no folder %s", flag, dir)
			}
		}
	}
	return nil
}

// measure runs a benchmark with the flags that were set, and publishes its report, also when it was cut.
func (r *reporting) measure(cmd *cobra.Command, a *app, run func(ctx context.Context, r *bench.Report) error) error {
	if err := r.writable(); err != nil {
		return err
	}
	config := map[string]string{}
	cmd.Flags().VisitAll(func(f *pflag.Flag) {
		if f.Name != "help" && f.Name != "json" && f.Name != "html" {
			config[f.Name] = f.Value.String()
		}
	})
	report, err := bench.Measure(cmd.Context(), cmd.Name(), config, run)
	if len(report.Rows) == 0 && err != nil {
		return err // there is nothing to show
	}
	return errors.Join(err, r.publish(a, report), verdict(cmd.Context(), report))
}

func (r *reporting) publish(a *app, report *bench.Report) error {
	err := report.Table(a.out)
	for path, write := range map[string]func(io.Writer) error{r.json: report.JSON, r.html: report.HTML} {
		if path != "" {
			err = errors.Join(err, bench.WriteFile(path, write))
		}
	}
	return err
}

// verdict fails a command whose figures are not what was asked for.
func verdict(ctx context.Context, r *bench.Report) error {
	switch {
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case len(r.Invalid) > 0:
		return errors.New("the figures do not count: see INVALID above")
	}
	return nil
}

// systems are measured one after the other in each round, so that a machine that is busy for a while disturbs all of them.
type systems struct {
	*loading
	to     io.Writer // says how far it has come
	report *bench.Report
	names  []string
	// measure makes one load on system i.
	measure func(ctx context.Context, i int, l bench.Load) (measured, error)
	// draw is given each system's last round, for the plots.
	draw func(i int, m measured)
}

// measured is one round of one system.
type measured struct {
	bench.Result
	figures []bench.Figure
}

func (s *systems) run(ctx context.Context) error {
	for round := range s.rounds {
		for i, name := range s.names {
			_, _ = fmt.Fprintf(s.to, "round %d of %d: %s\n", round+1, s.rounds, name)
			load := s.Load
			load.Seed += uint64(round)
			m, err := s.measure(ctx, i, load)
			if err != nil {
				return err
			}
			s.report.Add(name, m.figures)
			s.report.Doubt(labelled(name, m.Invalid()))
			s.report.Note(labelled(name, m.ErrorNote()))
			if round == s.rounds-1 || m.Cut {
				s.draw(i, m)
			}
			if m.Cut {
				s.report.Cut = true
				return nil
			}
		}
	}
	return nil
}

// labelled puts a name before a text, if there is one.
func labelled(name, text string) string {
	if text == "" {
		return ""
	}
	return name + ": " + text
}

// progress says how a search for the highest rate goes.
func progress(to io.Writer, target string) func(bench.Probe) {
	return func(p bench.Probe) {
		kept := "broken"
		if p.Met {
			kept = "kept"
		}
		_, _ = fmt.Fprintf(to, "%s at %.1f a second: p99 %s, %s\n", target, p.Rate, p.Result.Latency.Quantile(0.99), kept)
	}
}

func newBenchCompare(a *app) *cobra.Command {
	least := 2.0
	cmd := &cobra.Command{
		Use:   "compare BEFORE.json AFTER.json",
		Short: "Say what got better or worse between two reports, beyond the noise",
		Long: `Compare looks at each figure that two reports of one benchmark have in common. A
change counts if the 95 % confidence interval of the difference (Welch's t, over
the rounds) excludes 0 and the mean moved by at least --least percent. It exits
with 1 where a figure got worse.`,
		Args: exactly(2, "two reports, as --json wrote them: BEFORE.json AFTER.json"),
		RunE: func(_ *cobra.Command, args []string) error {
			before, err := bench.Read(args[0])
			if err != nil {
				return err
			}
			after, err := bench.Read(args[1])
			if err != nil {
				return err
			}
			changes, err := bench.Compare(before, after, least/100)
			if err != nil {
				return err
			}
			return judge(a, changes, append(before.Invalid, after.Invalid...))
		},
	}
	cmd.Flags().Float64Var(&least, "least", least, "percent that a mean must move")
	within(cmd.Flags(), 0, 100, "least")
	return cmd
}

func judge(a *app, changes []bench.Change, invalid []string) error {
	worse := 0
	for _, c := range changes {
		if c.Verdict == bench.Regressed {
			worse++
		}
		_, _ = fmt.Fprintln(a.out, c)
	}
	switch {
	case len(invalid) > 0:
		return fmt.Errorf("a report is invalid: %s", invalid[0])
	case worse > 0:
		return fmt.Errorf("%d of %d figures got worse", worse, len(changes))
	}
	return nil
}
