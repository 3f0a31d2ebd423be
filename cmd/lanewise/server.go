package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"

	"github.com/spf13/cobra"

	"github.com/lanewise/lanewise/cmd/lanewise/internal/client"
	"github.com/lanewise/lanewise/config"
	"github.com/lanewise/lanewise/fault"
)

// defaultURL is where serve listens unless it is told otherwise.
const defaultURL = "http://" + config.DefaultListen

// target says which server a command speaks to: one at a URL, or one that a
// configuration describes and that runs in this process.
type target struct {
	url, key, file string
	collection     string
	tenant         string
}

func (t *target) flags(cmd *cobra.Command, a *app) {
	f := cmd.Flags()
	f.StringVar(&t.collection, "collection", "docs", "name of the collection")
	f.StringVar(&t.url, "url", "", "URL of a lanewise server (default $LANEWISE_URL, or "+defaultURL+")")
	f.StringVarP(&t.file, "config", "c", "", "configuration to run in this process, instead of a server")
	t.key = a.env("LANEWISE_KEY") // a flag would show it to everybody on the machine
	if err := cmd.MarkFlagFilename("config", "yaml", "yml"); err != nil {
		panic(err) // the flag is defined above
	}
}

// connect returns a client and what ends it.
func (t *target) connect(ctx context.Context, a *app) (*client.Client, func() error, error) {
	if t.file != "" && t.url != "" {
		return nil, nil, misuse("give --url or --config, not both")
	}
	if t.file == "" {
		c, err := client.New(client.Config{URL: cmp.Or(t.url, a.env("LANEWISE_URL"), defaultURL), Key: t.key})
		return c, func() error { return nil }, err
	}
	cfg, err := config.Load(t.file)
	if err != nil {
		return nil, nil, err
	}
	sys, err := cfg.Build(ctx, config.Options{Version: version()})
	if err != nil {
		return nil, nil, err
	}
	if sys.Router == nil {
		return nil, nil, errors.Join(misuse("%s describes a bare replica, which knows no texts", t.file), sys.Close())
	}
	key := ""
	if len(cfg.Keys) > 0 {
		key = string(cfg.Keys[0])
	}
	c, stop, err := client.Inside(sys.Handler, key)
	if err != nil {
		return nil, nil, errors.Join(err, sys.Close())
	}
	return c, func() error { stop(); return sys.Close() }, nil
}

// with runs f with a client of the server that t names.
func (t *target) with(ctx context.Context, a *app, f func(*client.Client) error) error {
	c, end, err := t.connect(ctx, a)
	if err != nil {
		return err
	}
	return errors.Join(t.advise(f(c)), end())
}

// advise adds what to do about an error that newcomers meet.
func (t *target) advise(err error) error {
	switch {
	case errors.Is(err, fault.NotFound):
		return fmt.Errorf("%w; create it with: lanewise ingest --collection %s FOLDER", err, t.collection)
	case errors.Is(err, fault.Partial):
		return fmt.Errorf("%w; to take what the others have: --partial", err)
	case errors.As(err, new(*net.OpError)) && t.file == "": // nothing listens; a server's own errors are words only
		return fmt.Errorf("%w; start a server with: lanewise serve", err)
	case errors.Is(err, fault.Unauthorized):
		return fmt.Errorf("%w; put the key into LANEWISE_KEY", err)
	}
	return err
}

// logger writes to standard error as the configuration says.
func logger(a *app, l config.Log) *slog.Logger {
	var level slog.Level
	if err := level.UnmarshalText([]byte(l.Level)); err != nil {
		level = slog.LevelInfo // the configuration has been checked
	}
	options := &slog.HandlerOptions{Level: level}
	if l.Format == "json" {
		return slog.New(slog.NewJSONHandler(a.err, options))
	}
	return slog.New(slog.NewTextHandler(a.err, options))
}
