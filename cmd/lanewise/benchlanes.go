package main

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/lanewise/lanewise/bench"
	"github.com/lanewise/lanewise/bench/lanes"
)

// benchLanes are the flags of bench lanes.
type benchLanes struct {
	loading
	reporting
	lanes.Plaza
	script   string
	policies []string
}

func newBenchLanes(a *app) *cobra.Command {
	o := benchLanes{}
	cmd := &cobra.Command{
		Use:   "lanes",
		Short: "Compare ways to choose replicas while a script breaks them",
		Long: `Lanes runs the real router over fake replicas on real sockets, once for each way
to choose among them, while a script slows, stalls and kills some. The replicas
hold nothing, and their service times are drawn.

A script is YAML: a list of events with at, replica (s0/r1, or * for all), do
(slow, stall, error, busy, kill, partition, heal) and, for slow, factor. Without
one, one replica is ten times as slow for the second quarter of the time, and
another one is killed for the third.`,
		Example: `  lanewise bench lanes --html lanes.html
  lanewise bench lanes --rate 200 --duration 30s --script faults.yaml --policies lanewise,random`,
		Args: nothing,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if _, err := o.check(); err != nil {
				return err
			}
			policies, err := o.chosen()
			if err != nil {
				return err
			}
			if o.Script, err = o.events(); err != nil {
				return err
			}
			if err := o.Check(); err != nil {
				return err
			}
			return o.measure(cmd, a, func(ctx context.Context, r *bench.Report) error { return o.run(ctx, a, r, policies) })
		},
	}
	f := cmd.Flags()
	o.loading.flags(f)
	o.reporting.flags(f)
	f.StringVar(&o.script, "script", "", "file of the events")
	f.StringSliceVar(&o.policies, "policies", nil, "some of: "+strings.Join(policyNames(), ", ")+" (default: all)")
	f.IntVar(&o.Shards, "shards", 2, "each search asks all of them")
	f.IntVar(&o.Replicas, "replicas", 3, "of each shard")
	f.IntVar(&o.Slots, "slots", 4, "calls that a replica works on at a time")
	f.DurationVar(&o.Service, "service", 10*time.Millisecond, "mean service time")
	f.DurationVar(&o.Deadline, "timeout", time.Second, "of a search")
	within(f, 1, 1000, "shards", "replicas", "slots")
	within(f, 1e-6, 0, "service")
	within(f, 0.001, 0, "timeout")
	f.BoolVar(&o.Ignore, "ignore-cancel", false, "replicas go on with work that was cancelled")
	return cmd
}

func policyNames() (names []string) {
	for _, p := range lanes.Policies() {
		names = append(names, p.Name)
	}
	return names
}

// chosen returns the policies that the flags name.
func (o *benchLanes) chosen() (out []lanes.Policy, err error) {
	if len(o.policies) == 0 {
		return lanes.Policies(), nil
	}
	for _, name := range o.policies {
		i := slices.Index(policyNames(), strings.TrimSpace(name))
		if i < 0 {
			return nil, misuse("--policies: %q is not one of: %s", name, strings.Join(policyNames(), ", "))
		}
		out = append(out, lanes.Policies()[i])
	}
	return out, nil
}

func (o *benchLanes) run(ctx context.Context, a *app, r *bench.Report, policies []lanes.Policy) (err error) {
	r.Note("the replicas are fakes on loopback in this process; the router is the real one")
	tails := bench.Tails()
	p99 := bench.Plot{Title: "p99 over time", X: "seconds", Y: "ms", LogY: true, Marks: o.Script.Marks()}
	var shares bench.Plot
	var latest lanes.Result // the round that is drawn
	all := systems{loading: &o.loading, to: a.err, report: r}
	for _, by := range policies {
		all.names = append(all.names, by.Name)
	}
	all.measure = func(ctx context.Context, i int, l bench.Load) (measured, error) {
		o.Seed = l.Seed
		latest, err = o.Run(ctx, l, policies[i])
		return measured{latest.Result, latest.Figures()}, err
	}
	all.draw = func(i int, m measured) {
		name := all.names[i]
		tails.Lines = append(tails.Lines, bench.TailLine(name, m.Latency))
		p99.Lines = append(p99.Lines, bench.Overtime(name, m.Series, nil)[0].Lines[1])
		shares = bench.Plot{Title: name + ": each replica's share of its shard", X: "seconds", Y: "share", Lines: latest.Shares, Marks: o.Script.Marks()}
	}
	err = all.run(ctx)
	r.Plots = []bench.Plot{tails, p99, shares}
	return err
}

// events reads the script, or returns the usual one.
func (o *benchLanes) events() (script lanes.Script, err error) {
	if o.script == "" {
		quarter := o.Duration / 4
		return lanes.Script{
			{At: quarter, Replica: "s0/r0", Do: lanes.Slow}, {At: 2 * quarter, Replica: "s0/r0", Do: lanes.Heal},
			{At: 2 * quarter, Replica: fmt.Sprintf("s%d/r%d", o.Shards-1, o.Replicas-1), Do: lanes.Kill},
			{At: 3 * quarter, Replica: fmt.Sprintf("s%d/r%d", o.Shards-1, o.Replicas-1), Do: lanes.Heal},
		}, nil
	}
	var events []struct {
		At      time.Duration `yaml:"at"`
		Replica string        `yaml:"replica"`
		Do      lanes.Action  `yaml:"do"`
		Factor  float64       `yaml:"factor"`
	}
	if err := readScript(o.script, &events); err != nil {
		return nil, err
	}
	for _, e := range events {
		script = append(script, lanes.Event(e))
	}
	return script, nil
}
