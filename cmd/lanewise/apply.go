package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"github.com/lanewise/lanewise/cmd/lanewise/internal/client"
	"github.com/lanewise/lanewise/cmd/lanewise/internal/show"
	"github.com/lanewise/lanewise/router"
)

type applyOptions struct {
	files []string
	rate  int
	json  bool
}

func newApply(a *app) *cobra.Command {
	var o applyOptions
	cmd := &cobra.Command{
		Use:   "apply PLAN -c NEW",
		Short: "Move points as a plan says",
		Long: `Apply carries out a plan: it copies what moves to the new shards, compares the
copies with the originals, puts the new shard map in force, and removes the points
from where they were. It works through the running server, which goes on answering;
points that move cannot be written meanwhile. If no server runs it works on the
stores itself.

It may be interrupted at any moment, and goes on where it was when it is started
again. Afterwards the server is to be started with the new configuration. Shards
that leave keep their data until you remove it. Where no server runs, name the old
configuration with a second -c if shards leave.`,
		Example: `  lanewise apply plan.json -c new.yaml
  lanewise apply plan.json -c new.yaml -c lanewise.yaml --rate 5000`,
		Args: exactly(1, "the file of the plan: lanewise apply PLAN -c NEW"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(o.files) == 0 {
				return misuse("name the new configuration: lanewise apply PLAN -c NEW")
			}
			return o.run(cmd.Context(), a, args[0])
		},
	}
	f := cmd.Flags()
	f.StringArrayVarP(&o.files, "config", "c", nil, "configuration file: the new one, then the old one if it is needed")
	f.IntVar(&o.rate, "rate", 0, "points to copy a second, at most (default: as fast as it goes)")
	f.BoolVar(&o.json, "json", false, "print the result as JSON")
	return cmd
}

func (o *applyOptions) run(ctx context.Context, a *app, file string) error {
	plan, err := os.ReadFile(file) //nolint:gosec // named by the operator
	if err != nil {
		return fmt.Errorf("read the plan: %w", err)
	}
	if !json.Valid(plan) {
		return fmt.Errorf("%s is no plan: make one with lanewise plan -o %s", file, file)
	}
	cfgs, paths, err := loadAll(o.files)
	if err != nil {
		return err
	}
	return steering(ctx, a, cfgs, func(c *client.Client) error {
		moved, err := c.Apply(ctx, paths[0], router.Move{Plan: plan, PerSecond: o.rate})
		if err != nil {
			return err
		}
		if o.json {
			return writeJSON(a.out, moved)
		}
		p := a.printer()
		p.Line("%s copied, %s there already, %s removed from where they were", show.Plural(int(moved.Copied), "point"),
			show.Count(int(moved.Already)), show.Plural(int(moved.Cleaned), "copy"))
		p.Line("the shard map is at epoch %d: from now on serve with %s", moved.Epoch, o.files[0])
		return nil
	})
}
