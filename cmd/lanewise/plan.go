package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/lanewise/lanewise/cmd/lanewise/internal/client"
	"github.com/lanewise/lanewise/cmd/lanewise/internal/steer"
	"github.com/lanewise/lanewise/config"
	"github.com/lanewise/lanewise/shardmap"
)

// loadAll reads configuration files, and returns their absolute paths, too: a server may have to read
// them from another folder.
func loadAll(files []string) (cfgs []*config.Config, paths []string, err error) {
	for _, file := range files {
		cfg, err := config.Load(file)
		if err != nil {
			return nil, nil, err
		}
		path, err := filepath.Abs(file)
		if err != nil {
			return nil, nil, err
		}
		cfgs, paths = append(cfgs, cfg), append(paths, path)
	}
	return cfgs, paths, nil
}

// steering runs f with a client of the router that the configurations are about.
func steering(ctx context.Context, a *app, cfgs []*config.Config, f func(*client.Client) error) error {
	o := steer.Options{Options: config.Options{Log: logger(a, config.Log{Level: "error"}), Version: version()}, Key: a.env("LANEWISE_KEY")}
	c, end, err := steer.Reach(ctx, o, cfgs...)
	if err != nil {
		return err
	}
	return errors.Join(f(c), end())
}

type planOptions struct {
	files         []string
	out           string
	json, noCount bool
}

func newPlan(a *app) *cobra.Command {
	var o planOptions
	cmd := &cobra.Command{
		Use:   "plan -c OLD -c NEW",
		Short: "Show what another list of shards would move",
		Long: `Plan compares the shards of a configuration with those that are stored in its
map, and shows which partitions and points would move, shard by shard. It
changes nothing. The points are counted through the running server or, if
there is none, in the stores. With -o the plan is kept for lanewise apply.`,
		Example: `  lanewise plan -c lanewise.yaml -c new.yaml
  lanewise plan -c lanewise.yaml -c new.yaml -o plan.json`,
		Args: nothing,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if len(o.files) != 2 {
				return misuse("name two configurations: lanewise plan -c OLD -c NEW")
			}
			return o.run(cmd.Context(), a)
		},
	}
	f := cmd.Flags()
	f.StringArrayVarP(&o.files, "config", "c", nil, "configuration file: first the one in use, then the new one")
	f.StringVarP(&o.out, "output", "o", "", "file to write the plan to")
	f.BoolVar(&o.json, "json", false, "print the plan as JSON")
	f.BoolVar(&o.noCount, "no-count", false, "do not count the points, and ask no store")
	return cmd
}

func (o *planOptions) run(ctx context.Context, a *app) error {
	cfgs, paths, err := loadAll(o.files)
	if err != nil {
		return err
	}
	plan, err := o.make(ctx, a, cfgs, paths[1])
	if err != nil {
		return err
	}
	if o.out != "" {
		data, err := json.MarshalIndent(plan, "", " ")
		if err != nil {
			return err
		}
		if err := os.WriteFile(o.out, append(data, '\n'), 0o600); err != nil {
			return fmt.Errorf("write the plan: %w", err)
		}
	}
	if o.json {
		return writeJSON(a.out, plan)
	}
	p := a.printer()
	p.Line("%s", plan)
	if o.out != "" {
		p.Line("carry it out with: lanewise apply %s -c %s", o.out, o.files[1])
	}
	return nil
}

func (o *planOptions) make(ctx context.Context, a *app, cfgs []*config.Config, now string) (*shardmap.Plan, error) {
	if o.noCount {
		return steer.Uncounted(ctx, cfgs[0], cfgs[1])
	}
	var plan shardmap.Plan
	err := steering(ctx, a, cfgs[:1], func(c *client.Client) (err error) {
		plan, err = c.Plan(ctx, now)
		return err
	})
	return &plan, err
}
