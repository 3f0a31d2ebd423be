package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/goccy/go-yaml"
	"github.com/spf13/cobra"

	"github.com/lanewise/lanewise/bench"
	"github.com/lanewise/lanewise/bench/peer"
	"github.com/lanewise/lanewise/bench/road"
	"github.com/lanewise/lanewise/fault"
)

// benchAnswer are the flags of bench answer.
type benchAnswer struct {
	loading
	reporting
	road.Town
	script string
}

func newBenchAnswer(a *app) *cobra.Command {
	o := benchAnswer{}
	cmd := &cobra.Command{
		Use:   "answer",
		Short: "Carry questions to their answers while parts break, beside a chain by hand",
		Long: `Answer sends questions down the whole road - embedding, shards, merge, model -
under one deadline, while a script breaks parts of it. The same parts are also
called one after the other, as people write it by hand (a third of the deadline
a call, two retries after 100 ms on the next upstream), and with LiteLLM in
front of the models where it is installed.

The shards are real lanewise servers on loopback; what embeds and what generates
are fakes, so that right answers are known.

A script is YAML: a list of events with at, part (embed/0, s0/r1, llm/2), do
(slow, hang, busy, error, kill, heal) and, for slow, delay. Without one an
embedder is slow, a replica dies, an engine answers 429 and one is killed with
its streams, one after the other.`,
		Example: `  lanewise bench answer --html answer.html
  lanewise bench answer --rate 20 --duration 60s --script faults.yaml`,
		Args: nothing,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if _, err := o.check(); err != nil {
				return err
			}
			var err error
			if o.Script, err = o.events(); err != nil {
				return err
			}
			return o.measure(cmd, a, func(ctx context.Context, r *bench.Report) error { return o.run(ctx, a, r) })
		},
	}
	f := cmd.Flags()
	o.loading.flags(f)
	o.reporting.flags(f)
	f.StringVar(&o.script, "script", "", "file of the events")
	f.IntVar(&o.Embedders, "embedders", 2, "upstreams that embed")
	f.IntVar(&o.Shards, "shards", 2, "of the collection")
	f.IntVar(&o.Replicas, "replicas", 2, "of each shard")
	f.IntVar(&o.Engines, "engines", 3, "that generate")
	f.IntVar(&o.Words, "words", 20, "of an answer")
	f.DurationVar(&o.Pace, "pace", 10*time.Millisecond, "between words")
	f.DurationVar(&o.Deadline, "deadline", 2*time.Second, "of an answer")
	within(f, 1, 100, "embedders", "shards", "replicas", "engines")
	within(f, 1, 1e4, "words")
	within(f, 1e-6, 0, "pace")
	within(f, 0.001, 0, "deadline")
	return cmd
}

func (o *benchAnswer) run(ctx context.Context, a *app, r *bench.Report) (err error) {
	ways := []road.Way{road.Lanewise, road.ByHand}
	if _, err := peer.Find("litellm"); err == nil {
		ways = append(ways, road.WithLiteLLM)
	} else {
		r.Note("skipped: " + string(road.WithLiteLLM) + ": " + err.Error())
	}
	r.Note("what embeds and what generates are fakes on loopback; the shards are real servers; errors are answers that never came")
	var overtime []bench.Plot
	tails := bench.Tails()
	all := systems{loading: &o.loading, to: a.err, report: r}
	for _, by := range ways {
		all.names = append(all.names, string(by))
	}
	all.measure = func(ctx context.Context, i int, l bench.Load) (measured, error) {
		o.Seed = l.Seed
		result, err := o.Run(ctx, l, ways[i])
		return measured{result.Result, result.Figures()}, err
	}
	all.draw = func(i int, m measured) {
		tails.Lines = append(tails.Lines, bench.TailLine(all.names[i], m.Latency))
		overtime = append(overtime, bench.Overtime(all.names[i], m.Series, o.Script.Marks())...)
	}
	err = all.run(ctx)
	r.Plots = append([]bench.Plot{tails}, overtime...)
	return err
}

// events reads the script, or returns the usual one.
func (o *benchAnswer) events() (script road.Script, err error) {
	if o.script == "" {
		part := o.Duration / 6
		return road.Script{
			{At: part, Part: "embed/0", Do: road.Slow}, {At: 2 * part, Part: "embed/0", Do: road.Heal},
			{At: 2 * part, Part: "s0/r0", Do: road.Kill}, {At: 3 * part, Part: "s0/r0", Do: road.Heal},
			{At: 3 * part, Part: "llm/0", Do: road.Busy}, {At: 4 * part, Part: "llm/0", Do: road.Heal},
			{At: 4 * part, Part: "llm/0", Do: road.Kill}, {At: 5 * part, Part: "llm/0", Do: road.Heal},
		}, nil
	}
	var events []struct {
		At    time.Duration `yaml:"at"`
		Part  string        `yaml:"part"`
		Do    road.Action   `yaml:"do"`
		Delay time.Duration `yaml:"delay"`
	}
	if err := readScript(o.script, &events); err != nil {
		return nil, err
	}
	for _, e := range events {
		script = append(script, road.Event(e))
	}
	return script, nil
}

// readScript reads a list of events strictly.
func readScript(path string, events any) error {
	file, err := os.ReadFile(path)
	if err != nil {
		return fmt.Errorf("read the script: %w", err)
	}
	if err := yaml.NewDecoder(bytes.NewReader(file), yaml.Strict()).Decode(events); err != nil && !errors.Is(err, io.EOF) {
		return fault.New(fault.Invalid, "%s: %s", path, yaml.FormatError(err, false, false))
	}
	return nil
}
