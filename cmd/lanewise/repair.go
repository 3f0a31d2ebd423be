package main

import (
	"context"
	"fmt"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/lanewise/lanewise/cmd/lanewise/internal/client"
	"github.com/lanewise/lanewise/cmd/lanewise/internal/show"
	"github.com/lanewise/lanewise/router"
)

type repairOptions struct {
	file string
	how  router.Repair
	json bool
}

func newRepair(a *app) *cobra.Command {
	var o repairOptions
	cmd := &cobra.Command{
		Use:   "repair -c FILE",
		Short: "Bring the replicas of every shard back in step",
		Long: `Repair compares the replicas of every shard, shows by partition where they differ,
and copies the newest version of each point to the replicas that lack it. A replica
that joined, or lost data, is read again once it is in step. Repair works through
the running server, which goes on answering; if none runs it works on the stores
itself. It may be interrupted, and finds what is left when it is started again.

A deletion that a replica missed is made up for if it is less than 24 hours old;
after that the point comes back.`,
		Example: `  lanewise repair -c lanewise.yaml --dry-run
  lanewise repair -c lanewise.yaml --collection docs --rate 5000`,
		Args: nothing,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if o.file == "" {
				return misuse("name the configuration: lanewise repair -c FILE")
			}
			return o.run(cmd.Context(), a)
		},
	}
	f := cmd.Flags()
	f.StringVarP(&o.file, "config", "c", "", "configuration file")
	f.StringArrayVar(&o.how.Collections, "collection", nil, "only this collection (can be given several times)")
	f.BoolVar(&o.how.DryRun, "dry-run", false, "only show the differences")
	f.IntVar(&o.how.PerSecond, "rate", 0, "points to copy a second, at most (default: as fast as it goes)")
	f.BoolVar(&o.json, "json", false, "print the result as JSON")
	return cmd
}

func (o *repairOptions) run(ctx context.Context, a *app) error {
	cfgs, _, err := loadAll([]string{o.file})
	if err != nil {
		return err
	}
	return steering(ctx, a, cfgs, func(c *client.Client) error {
		done, err := c.Repair(ctx, o.how)
		if err != nil {
			return err
		}
		if o.json {
			return writeJSON(a.out, done)
		}
		return o.print(a, done)
	})
}

func (o *repairOptions) print(a *app, done router.Repaired) error {
	p := a.printer()
	if len(done.Differences) == 0 {
		p.Line("all replicas are in step")
		return nil
	}
	w := tabwriter.NewWriter(a.out, 0, 0, 2, ' ', 0)
	_, _ = fmt.Fprintln(w, "collection\treplica\tpartition\tmissing\tstale") // the flush tells of failures
	for _, d := range done.Differences {
		_, _ = fmt.Fprintf(w, "%s\t%s/%s\t%d\t%d\t%d\n", d.Collection, d.Shard, d.Replica, d.Partition, d.Missing, d.Stale)
	}
	if err := w.Flush(); err != nil {
		return err
	}
	if o.how.DryRun {
		p.Line("%s compared; nothing was changed", show.Plural(int(done.Compared), "point"))
		return nil
	}
	p.Line("%s compared, %s copied, %s deleted", show.Plural(int(done.Compared), "point"), show.Count(int(done.Copied)), show.Count(int(done.Deleted)))
	return nil
}
