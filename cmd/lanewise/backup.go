package main

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/lanewise/lanewise/cmd/lanewise/internal/backup"
	"github.com/lanewise/lanewise/config"
)

func newBackup(a *app) *cobra.Command {
	return copying(a, &cobra.Command{
		Use:   "backup [flags] FOLDER",
		Short: "Copy the embedded stores and the shard map into a folder",
		Long: `Backup copies what a configuration keeps on this machine into a folder that
is not there yet: a file for each embedded store, and the shard map. Where its
server is running the stores are copied through it, each as of one moment, while
it goes on serving.`,
		Example: `  lanewise backup monday
  lanewise backup -c lanewise.yaml /mnt/backups/monday`,
	}, func(ctx context.Context, cfg *config.Config, dir string, done backup.Done) error {
		return backup.Save(ctx, backup.Source{Config: cfg, Key: a.env("LANEWISE_KEY")}, dir, done)
	})
}

func newRestore(a *app) *cobra.Command {
	return copying(a, &cobra.Command{
		Use:   "restore [flags] FOLDER",
		Short: "Make the embedded stores and the shard map from a backup",
		Long: `Restore makes the embedded stores and the shard map of a configuration from a
folder that backup wrote. Nothing may be in their places yet. A copy that is cut
short or damaged is refused, and leaves nothing behind.`,
		Example: `  lanewise restore --data ./again monday
  lanewise restore -c lanewise.yaml /mnt/backups/monday`,
	}, func(_ context.Context, cfg *config.Config, dir string, done backup.Done) error {
		return backup.Load(cfg, dir, done) //nolint:contextcheck // a store is restored whole or not at all
	})
}

// copying completes a command that works on a configuration and a folder.
func copying(a *app, cmd *cobra.Command, run func(context.Context, *config.Config, string, backup.Done) error) *cobra.Command {
	var file, data, listen string
	cmd.Flags().StringVarP(&file, "config", "c", "", "configuration file")
	cmd.Flags().StringVar(&data, "data", "", "folder of the local store, without a configuration")
	cmd.Flags().StringVar(&listen, "listen", "", "address of the running server, if it is not the configuration's")
	cmd.Args = exactly(1, "the folder of the backup")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		cfg, err := described(a, file, data)
		if err != nil {
			return err
		}
		if listen != "" {
			cfg.Listen = listen
		}
		return run(cmd.Context(), cfg, args[0], func(name string, bytes int64) {
			a.printer().Line("%s: %d bytes", name, bytes)
		})
	}
	return cmd
}
