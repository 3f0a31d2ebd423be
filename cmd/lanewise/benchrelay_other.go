//go:build !linux

package main

import (
	"errors"

	"github.com/spf13/cobra"
)

// newBenchRelay says why there is none here.
func newBenchRelay(*app) *cobra.Command {
	return &cobra.Command{
		Use: "relay", Short: "What passing a chat completion on costs (on Linux only)", Example: "  lanewise bench relay",
		RunE: func(*cobra.Command, []string) error {
			return errors.New("the CPU time of other processes is read from /proc, which only Linux has")
		},
	}
}
