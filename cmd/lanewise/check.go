package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/lanewise/lanewise/config"
)

func newCheck(a *app) *cobra.Command {
	var file string
	cmd := &cobra.Command{
		Use:   "check -c FILE",
		Short: "Check a configuration and print what it amounts to",
		Long: `Check reads a configuration and reports everything that is wrong with it, by
line and column. It contacts nobody. If all is well it prints the configuration
with defaults and environment variables filled in, and secrets masked.`,
		Example: `  lanewise check -c lanewise.yaml`,
		Args:    cobra.MaximumNArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			if len(args) == 1 && file == "" {
				file = args[0]
			} else if len(args) == 1 || file == "" {
				return misuse("name one configuration file: lanewise check -c FILE")
			}
			cfg, err := config.Load(file)
			if err != nil {
				return err
			}
			text, err := cfg.Resolved().YAML()
			if err != nil {
				return err
			}
			_, err = fmt.Fprintf(a.out, "# %s is valid. With its defaults filled in:\n%s", file, text)
			return err
		},
	}
	cmd.Flags().StringVarP(&file, "config", "c", "", "configuration file")
	return cmd
}
