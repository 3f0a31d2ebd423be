package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/lanewise/lanewise/bench"
	"github.com/lanewise/lanewise/bench/relay"
	"github.com/lanewise/lanewise/fault"
)

// benchRelay are the flags of bench relay.
type benchRelay struct {
	loading
	reporting
	only []string
}

func newBenchRelay(a *app) *cobra.Command {
	o := benchRelay{}
	var to, listen string
	cmd := &cobra.Command{
		Use:   "relay",
		Short: "What passing a chat completion on costs, beside nginx, HAProxy, LiteLLM and others",
		Long: `Relay passes chat completions of 500 bytes on to a stub of an engine that answers at
once, through lanewise and through whichever of these are installed: nginx, HAProxy,
a bare httputil.ReverseProxy, vllm-router, sglang-router, LiteLLM. Each is a process of
its own; they take turns in every round. Shown are the CPU time of a request, requests
a second on one core, the memory, and latencies, with those of no relay at all.`,
		Example: `  lanewise bench relay --rate 500 --rounds 5
  lanewise bench relay --only lanewise,ReverseProxy --json relay.json`,
		Args: nothing,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if to != "" {
				return relay.ServeReverseProxy(listen, to)
			}
			if _, err := o.check(); err != nil {
				return err
			}
			for _, name := range o.only {
				if !slices.Contains(relayNames(), name) {
					return misuse("--only: %q is not one of: %s", name, strings.Join(relayNames(), ", "))
				}
			}
			return o.measure(cmd, a, func(ctx context.Context, r *bench.Report) error { return o.run(ctx, a, r) })
		},
	}
	f := cmd.Flags()
	o.loading.flags(f)
	o.reporting.flags(f)
	f.StringSliceVar(&o.only, "only", nil, "some of: "+strings.Join(relayNames(), ", ")+" (default: all that are installed)")
	f.StringVar(&to, "reverse-proxy-to", "", "be the bare proxy, for the command's own use")
	f.StringVar(&listen, "reverse-proxy-listen", "", "likewise")
	for _, own := range []string{"reverse-proxy-to", "reverse-proxy-listen"} {
		if err := f.MarkHidden(own); err != nil {
			panic(err) // the flag is defined above
		}
	}
	return cmd
}

func relayNames() (names []string) {
	for _, r := range relays() {
		names = append(names, r.Name)
	}
	return names
}

// relays are lanewise, the bare proxy, and the others.
func relays() []relay.Relay {
	return append([]relay.Relay{
		{Name: "lanewise", Note: "its defaults", Start: func(_ context.Context, dir, address, engine string) (*exec.Cmd, error) {
			config := filepath.Join(dir, "lanewise.yaml")
			text := fmt.Sprintf("listen: %s\nlog: {level: warn}\nshards: [{name: s0, replicas: [{path: store}]}]\nllm: {upstreams: [{kind: openai, url: \"http://%s/v1\", model: m}]}\n", address, engine)
			if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
				return nil, err
			}
			return itself("serve", "-c", config)
		}},
		{Name: "ReverseProxy", Note: "net/http/httputil, nothing else", Start: func(_ context.Context, _, address, engine string) (*exec.Cmd, error) {
			return itself("bench", "relay", "--reverse-proxy-listen", address, "--reverse-proxy-to", engine)
		}},
	}, relay.Peers()...)
}

func itself(args ...string) (*exec.Cmd, error) {
	self, err := os.Executable()
	return exec.Command(self, args...), err //nolint:gosec,noctx // this program; it is stopped
}

func (o *benchRelay) run(ctx context.Context, a *app, r *bench.Report) error {
	engine, stop, err := relay.Engine(ctx)
	if err != nil {
		return err
	}
	defer stop()
	up := relaying{engine: engine, report: r}
	defer up.stop()
	for _, p := range relays() {
		if len(o.only) > 0 && !slices.Contains(o.only, p.Name) {
			continue
		}
		_, _ = fmt.Fprintf(a.err, "starting %s\n", p.Name)
		if err := up.start(ctx, p); err != nil {
			return err
		}
	}
	for round := range o.rounds {
		_, _ = fmt.Fprintf(a.err, "round %d of %d\n", round+1, o.rounds)
		load := o.Load
		load.Seed += uint64(round)
		if err := up.measure(ctx, load); err != nil || r.Cut {
			return err
		}
	}
	return nil
}

// relaying are the relays that run.
type relaying struct {
	engine string
	report *bench.Report
	names  []string
	up     []*relay.Running
}

func (u *relaying) start(ctx context.Context, p relay.Relay) error {
	running, err := p.Run(ctx, u.engine)
	switch {
	case errors.Is(err, fault.NotFound):
		u.report.Note("skipped: " + err.Error())
	case err != nil:
		return err
	default:
		u.names, u.up = append(u.names, p.Name), append(u.up, running)
		u.report.Note(p.Name + ": " + p.About(ctx))
	}
	return nil
}

func (u *relaying) stop() {
	for _, r := range u.up {
		r.Stop()
	}
}

// measure loads the engine directly and through each relay.
func (u *relaying) measure(ctx context.Context, l bench.Load) error {
	direct, err := relay.Direct(ctx, l, u.engine)
	if err != nil {
		return err
	}
	u.enter("no relay", direct)
	for i, r := range u.up {
		result, err := r.Measure(ctx, l)
		if err != nil {
			return err
		}
		u.enter(u.names[i], result)
	}
	return nil
}

func (u *relaying) enter(name string, r relay.Result) {
	u.report.Add(name, r.Figures())
	u.report.Doubt(labelled(name, r.Invalid()))
	u.report.Note(labelled(name, r.ErrorNote()))
	u.report.Cut = u.report.Cut || r.Cut
}
