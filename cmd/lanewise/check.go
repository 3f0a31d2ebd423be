package main

import (
	"cmp"
	"fmt"
	"strconv"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/lanewise/lanewise/cmd/lanewise/internal/show"
	"github.com/lanewise/lanewise/config"
)

func newCheck(a *app) *cobra.Command {
	var file string
	var connect bool
	cmd := &cobra.Command{
		Use:   "check -c FILE",
		Short: "Check a configuration and print what it amounts to",
		Long: `Check reads a configuration and reports everything that is wrong with it, by
line and column. It contacts nobody. If all is well it prints the configuration
with defaults and environment variables filled in, and secrets masked.

With --connect it asks every replica and every embedding upstream instead, and
prints a table: version, collections, dims, metric, points, time. The exit code is
1 if one cannot be reached or if two differ in a collection.`,
		Example: `  lanewise check -c lanewise.yaml
  lanewise check -c lanewise.yaml --connect`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 1 && file == "" {
				file = args[0]
			} else if len(args) == 1 || file == "" {
				return misuse("name one configuration file: lanewise check -c FILE")
			}
			cfg, err := config.Load(file)
			if err != nil {
				return err
			}
			if connect {
				answers := cfg.Connect(cmd.Context())
				printAnswers(a, answers)
				return config.Problems(answers)
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
	cmd.Flags().BoolVar(&connect, "connect", false, "ask every upstream")
	return cmd
}

// printAnswers prints a row for each collection of each upstream.
func printAnswers(a *app, answers []config.Answer) {
	w := tabwriter.NewWriter(a.out, 0, 0, 2, ' ', 0)
	_, _ = fmt.Fprintln(w, "UPSTREAM\tADDRESS\tVERSION\tCOLLECTION\tDIMS\tMETRIC\tPOINTS\tTIME\tRESULT")
	for _, row := range answers {
		points, dims := "-", "-"
		if row.Metric != "" {
			points = show.Count(row.Points)
		}
		if row.Dims > 0 {
			dims = strconv.Itoa(row.Dims)
		}
		result := "ok"
		if row.Note != "" {
			result += " (" + row.Note + ")"
		}
		if row.Problem != "" {
			result = "FAILS: " + strings.Join(strings.Fields(row.Problem), " ")
		}
		name := cmp.Or(row.Collection, row.Space)
		_, _ = fmt.Fprintln(w, strings.Join([]string{
			row.Upstream, row.Address, cmp.Or(row.Version, "-"), cmp.Or(name, "-"), dims, cmp.Or(string(row.Metric), "-"),
			points, show.Took(row.Took), result,
		}, "\t"))
	}
	_ = w.Flush()
}
