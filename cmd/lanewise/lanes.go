package main

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/lanewise/lanewise/cmd/lanewise/internal/client"
)

func newLanes(a *app) *cobra.Command {
	var server target
	cmd := &cobra.Command{
		Use:   "lanes",
		Short: "List the lanes of a running server, and change them",
		Long: `A lane is a replica of a shard (s0/r1), or an upstream (embed/tei, rerank/jina,
llm/MODEL/vllm-0). What is changed holds until the server ends or it is changed back,
and the server's log says who did it.`,
		Example: "  lanewise lanes list\n  lanewise lanes drain s0/r1\n  lanewise lanes weight embed/tei 0.5",
		Args:    known,
		RunE:    func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	server.serverFlags(cmd.PersistentFlags(), a)
	cmd.AddCommand(&cobra.Command{
		Use: "list", Short: "List the lanes and what they are doing", Args: nothing, Example: "  lanewise lanes list --url http://10.0.0.1:8080",
		RunE: func(cmd *cobra.Command, _ []string) error {
			return server.with(cmd.Context(), a, func(c *client.Client) error { return listLanes(cmd.Context(), a, c) })
		},
	})
	for _, one := range []struct{ action, short string }{
		{"drain", "Give a lane no further calls, and let those under way end"},
		{"undrain", "Bring a lane back that drains or is ejected"},
		{"eject", "Take a lane out of use as if it had failed; it comes back by itself"},
	} {
		cmd.AddCommand(&cobra.Command{
			Use: one.action + " LANE", Short: one.short, Args: exactly(1, "the name of one lane, as lanewise lanes list shows it"), Example: "  lanewise lanes " + one.action + " s0/r1",
			RunE: func(cmd *cobra.Command, args []string) error {
				return changeLane(cmd.Context(), a, &server, client.LaneOrder{Lane: args[0], Action: one.action})
			},
		})
	}
	cmd.AddCommand(&cobra.Command{
		Use: "weight LANE WEIGHT", Short: "Change a lane's share of the load; 0 brings the configured one back",
		Args: exactly(2, "a lane and its weight"), Example: "  lanewise lanes weight embed/tei 0.5",
		RunE: func(cmd *cobra.Command, args []string) error {
			weight, err := strconv.ParseFloat(args[1], 64)
			if err != nil {
				return misuse("%q is not a number", args[1])
			}
			return changeLane(cmd.Context(), a, &server, client.LaneOrder{Lane: args[0], Action: "weight", Weight: &weight})
		},
	})
	return cmd
}

func listLanes(ctx context.Context, a *app, c *client.Client) error {
	lanes, err := c.Lanes(ctx)
	if err != nil {
		return err
	}
	w := tabwriter.NewWriter(a.out, 0, 0, 2, ' ', 0)
	_, _ = fmt.Fprintln(w, "lane\tstate\tweight\tin flight\tgood\tbad") // the flush tells of failures
	for _, l := range lanes {
		_, _ = fmt.Fprintf(w, "%s\t%s\t%g\t%d\t%d\t%d\n", l.Name, l.State, l.Weight, l.InFlight, l.Good, l.Bad)
	}
	return w.Flush()
}

func changeLane(ctx context.Context, a *app, server *target, o client.LaneOrder) error {
	return server.with(ctx, a, func(c *client.Client) error {
		done, err := c.ChangeLane(ctx, o)
		if err != nil {
			return err
		}
		if done.Before == done.After {
			return errors.New("nothing has changed: " + o.Lane + " is " + done.After.State)
		}
		a.printer().Line("%s: %s, weight %g → %s, weight %g", o.Lane, done.Before.State, done.Before.Weight, done.After.State, done.After.Weight)
		return nil
	})
}
