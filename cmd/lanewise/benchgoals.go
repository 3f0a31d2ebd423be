package main

import (
	"github.com/spf13/cobra"

	"github.com/lanewise/lanewise/bench/goals"
)

func newBenchGoals(a *app) *cobra.Command {
	o := reporting{}
	cmd := &cobra.Command{
		Use:     "goals",
		Short:   "Show what the balancer reached in simulations that take hours",
		Example: "  lanewise bench goals --html goals.html",
		Args:    nothing,
		RunE: func(*cobra.Command, []string) error {
			r, err := goals.Recorded()
			if err != nil {
				return err
			}
			return o.publish(a, r)
		},
	}
	o.flags(cmd.Flags())
	return cmd
}
