package main

import (
	"context"
	"time"

	"github.com/spf13/cobra"

	"github.com/lanewise/lanewise/cmd/lanewise/internal/client"
	"github.com/lanewise/lanewise/config"
)

func newHealth(*app) *cobra.Command {
	var file, listen string
	var timeout time.Duration
	cmd := &cobra.Command{
		Use:   "health [flags]",
		Short: "Ask the server on this machine whether it may get traffic",
		Long: `Health asks the server of a configuration for /readyz, and exits with 1 where that
does not say yes in time: a health check for containers, in which there is no other
program. It needs no key, and trusts the very certificate that the configuration names.`,
		Example: "  lanewise health\n  lanewise health -c /etc/lanewise.yaml",
		Args:    nothing,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg := &config.Config{}
			if file != "" {
				var err error
				if cfg, err = config.Load(file); err != nil {
					return err
				}
			}
			if listen != "" {
				cfg.Listen = listen
			}
			ctx, cancel := context.WithTimeout(cmd.Context(), timeout)
			defer cancel()
			return healthy(ctx, cfg.Resolved())
		},
	}
	cmd.Flags().StringVarP(&file, "config", "c", "", "configuration file of the server")
	cmd.Flags().StringVar(&listen, "listen", "", "address of the server, if it is not the configuration's")
	cmd.Flags().DurationVar(&timeout, "timeout", 2*time.Second, "time to wait")
	within(cmd.Flags(), 0.001, 0, "timeout")
	return cmd
}

func healthy(ctx context.Context, cfg *config.Config) error {
	scheme, secure, err := cfg.LocalTLS()
	if err != nil {
		return err
	}
	c, err := client.New(client.Config{URL: scheme + "://" + cfg.Listen, TLS: secure})
	if err != nil {
		return err
	}
	return c.Ready(ctx)
}
