package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/lanewise/lanewise/config"
)

func newServe(a *app) *cobra.Command {
	var file, listen, data string
	var open, watch bool
	home, err := dataHome(a)
	if err != nil {
		home = "~" // only for the help text; serve reports the error
	}
	cmd := &cobra.Command{
		Use:   "serve",
		Short: "Serve a router, or a replica",
		Long: `Serve runs what a configuration file describes until it is interrupted.

A file that changes, or SIGHUP, puts the new configuration in force without losing a request; one that is
wrong changes nothing, and the log says why. SIGTERM and Ctrl-C let requests under way end; a second one does not wait.

Without a file it serves one local store from a folder of your own (` + "`--data`" + `, by
default ` + defaultData(home) + `), with the built-in embedding model, on this
machine only.`,
		Example: `  lanewise serve
  lanewise serve --data ./store --listen 127.0.0.1:9000
  lanewise serve -c lanewise.yaml`,
		Args: nothing,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := described(a, file, data)
			if err != nil {
				return err
			}
			if file == "" {
				a.printer().Line("no configuration: serving one local store in %s", cfg.LocalStores()[0].Path)
			}
			adapt := func(c *config.Config) {
				c.Listen, c.Open = cmp.Or(listen, c.Listen), c.Open || open
				c.Traces.Endpoint = cmp.Or(c.Traces.Endpoint, collector(a))
			}
			adapt(cfg)
			if file == "" {
				return serve(cmd.Context(), a, cfg, nil)
			}
			r := &reloader{file: file, watch: watch, adapt: adapt, hangup: make(chan os.Signal, 1)}
			signal.Notify(r.hangup, syscall.SIGHUP) // before it says that it serves: who has read that may send one
			defer signal.Stop(r.hangup)
			return serve(cmd.Context(), a, cfg, r.run)
		},
	}
	cmd.Flags().StringVarP(&file, "config", "c", "", "configuration file")
	cmd.Flags().StringVar(&listen, "listen", "", "address to serve on, instead of the configuration's")
	cmd.Flags().BoolVar(&watch, "watch", true, "put the configuration file in force again when it changes; SIGHUP does so in any case")
	cmd.Flags().BoolVar(&open, "open", false, "let everybody in who reaches the address, without keys")
	cmd.Flags().StringVar(&data, "data", "", "folder of the local store, without a configuration")
	return cmd
}

// collector is where the environment has spans sent, by the variables of OpenTelemetry.
func collector(a *app) string {
	base := a.env("OTEL_EXPORTER_OTLP_ENDPOINT")
	if base != "" {
		base = strings.TrimRight(base, "/") + "/v1/traces"
	}
	return cmp.Or(a.env("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"), base)
}

// described loads a configuration, or describes a local store where no file is named.
func described(a *app, file, data string) (*config.Config, error) {
	switch {
	case file != "" && data != "":
		return nil, misuse("give --config or --data, not both")
	case file != "":
		return config.Load(file)
	}
	if data == "" {
		base, err := dataHome(a)
		if err != nil {
			return nil, err
		}
		data = defaultData(base)
	}
	return config.Local(data), nil
}

func defaultData(base string) string { return filepath.Join(base, "lanewise") }

// dataHome returns the folder in which programs keep a user's data.
func dataHome(a *app) (string, error) {
	if dir := a.env("XDG_DATA_HOME"); dir != "" {
		return dir, nil
	}
	home, err := os.UserHomeDir()
	if err != nil {
		return "", fmt.Errorf("find a folder for the data: %w; name one with --data", err)
	}
	return filepath.Join(home, ".local", "share"), nil
}

// serve runs a configuration until ctx ends. again exchanges it meanwhile, until its context ends; nil: nobody does.
func serve(ctx context.Context, a *app, cfg *config.Config, again func(context.Context, *config.Live)) (err error) {
	log := logger(a, cfg.Resolved().Log)
	live, err := cfg.Live(ctx, config.Options{Log: log, Version: version()})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, live.Close()) }()
	sys := live.System()
	l, err := net.Listen("tcp", sys.Listen)
	if err != nil {
		return fmt.Errorf("serve: %w; choose another address with --listen", err)
	}
	if !loopback(l.Addr()) && cfg.Open && len(cfg.Keys) == 0 && cfg.KeysFile == "" {
		log.Warn("everybody who reaches this address may read and write: set keys, or listen on 127.0.0.1", "listen", l.Addr().String())
	}
	role := "router"
	if sys.Router == nil {
		role = "replica"
	}
	scheme := "http"
	if cfg.TLS.Cert != "" {
		scheme = "https"
	}
	url := scheme + "://" + l.Addr().String()
	a.printer().Line("lanewise %s on %s (lanes: %s/ui/, API: %s/docs), Ctrl-C ends it", role, url, url, url)
	if again != nil {
		reloading, stop := context.WithCancel(ctx)
		ended := make(chan struct{})
		go func() { defer close(ended); again(reloading, live) }()
		defer func() { stop(); <-ended }()
	}
	return live.Serve(ctx, l)
}

func loopback(addr net.Addr) bool {
	tcp, ok := addr.(*net.TCPAddr)
	return ok && tcp.IP.IsLoopback()
}
