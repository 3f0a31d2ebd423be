package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/lanewise/lanewise/cmd/lanewise/internal/client"
	"github.com/lanewise/lanewise/cmd/lanewise/internal/engine"
	"github.com/lanewise/lanewise/config"
	"github.com/lanewise/lanewise/fault"
)

// defaultURL is where serve listens unless it is told otherwise.
const defaultURL = "http://" + config.DefaultListen

// target says which server a command speaks to: one at a URL, or one that a
// configuration describes and that runs in this process.
type target struct {
	url, key, file string
	certificates   client.Certificates
	collection     string
	tenant         string

	engine engine.Options // of a collection without a server or a file
	model  engine.Model
}

// engineFlags are those of a collection that an engine holds.
func (t *target) engineFlags(cmd *cobra.Command, a *app) {
	f := cmd.Flags()
	f.StringVar(&t.engine.URL, "engine", "", "URL of a collection that an engine holds, instead of a server")
	f.StringVar(&t.model.Spec, "embed", "", "with --engine: model of its vectors, as URL#MODEL, or static")
	f.StringVar(&t.engine.Text, "text-field", "", "with --engine: field or column of the texts (default: found out)")
	f.StringVar(&t.engine.ID, "id-field", "", "with --engine: field or column of the ids (default: the engine's own)")
	f.StringVar(&t.engine.Vector, "vector-field", "", "with --engine: name of the vectors (default: the only ones)")
	f.StringVar(&t.engine.Meta, "metadata-field", "", "with --engine: field or column of the metadata (default: everything else)")
	f.StringVar(&t.engine.Metric, "metric", "", "with --engine: cosine, dot or euclidean, where the engine does not say")
	t.engine.Key = a.env("LANEWISE_ENGINE_KEY")
	t.model.Key = a.env("LANEWISE_EMBED_KEY")
}

// overEngine describes a router over the engine's collection.
func (t *target) overEngine(ctx context.Context, a *app) (*config.Config, error) {
	o := t.engine
	o.Name = t.collection
	source, err := engine.Open(ctx, o)
	if err != nil {
		return nil, err
	}
	if source.Guessed {
		_, _ = fmt.Fprintf(a.err, "lanewise: the texts are read from %q (--text-field names another)\n", source.External.Text)
	}
	upstream, space, err := source.Embedder(ctx, t.model)
	if err = errors.Join(err, source.Close()); err != nil {
		return nil, err
	}
	return source.Config(upstream, space), nil
}

func (t *target) flags(cmd *cobra.Command, a *app) {
	f := cmd.Flags()
	f.StringVar(&t.collection, "collection", "docs", "name of the collection")
	t.serverFlags(f, a)
	f.StringVarP(&t.file, "config", "c", "", "configuration to run in this process, instead of a server")
	if err := cmd.MarkFlagFilename("config", "yaml", "yml"); err != nil {
		panic(err) // the flag is defined above
	}
}

// serverFlags are those of a server that runs.
func (t *target) serverFlags(f *pflag.FlagSet, a *app) {
	f.StringVar(&t.url, "url", "", "URL of a lanewise server (default $LANEWISE_URL, or "+defaultURL+")")
	certificateFlags(f, &t.certificates, a)
	t.key = a.env("LANEWISE_KEY") // a flag would show it to everybody on the machine
}

// certificateFlags are those of an https server.
func certificateFlags(f *pflag.FlagSet, c *client.Certificates, a *app) {
	f.StringVar(&c.CA, "cacert", a.env("LANEWISE_CACERT"), "file of the certificates that vouch for an https server, in PEM (default $LANEWISE_CACERT, or the system's)")
	f.StringVar(&c.Cert, "cert", a.env("LANEWISE_CERT"), "file of a certificate to show to the server, in PEM (default $LANEWISE_CERT)")
	f.StringVar(&c.Key, "key", a.env("LANEWISE_CERT_KEY"), "file of that certificate's private key, in PEM (default $LANEWISE_CERT_KEY)")
}

// connect returns a client and what ends it.
func (t *target) connect(ctx context.Context, a *app) (*client.Client, func() error, error) {
	switch {
	case t.file != "" && t.url != "":
		return nil, nil, misuse("give --url or --config, not both")
	case t.engine.URL != "" && (t.file != "" || t.url != ""):
		return nil, nil, misuse("--engine stands alone, without --url and --config")
	case t.engine.URL == "" && t.engine != (engine.Options{Key: t.engine.Key}), t.engine.URL == "" && t.model.Spec != "":
		return nil, nil, misuse("--embed, --metric and the field flags belong to --engine")
	case t.engine.URL != "":
		cfg, err := t.overEngine(ctx, a)
		if err != nil {
			return nil, nil, err
		}
		return t.inside(ctx, cfg)
	case t.file == "":
		secure, err := t.certificates.Open()
		if err != nil {
			return nil, nil, usageError{err}
		}
		c, err := client.New(client.Config{URL: cmp.Or(t.url, a.env("LANEWISE_URL"), defaultURL), Key: t.key, TLS: secure})
		return c, func() error { return nil }, err
	}
	cfg, err := config.Load(t.file)
	if err != nil {
		return nil, nil, err
	}
	return t.inside(ctx, cfg)
}

// inside runs a configuration in this process.
func (t *target) inside(ctx context.Context, cfg *config.Config) (*client.Client, func() error, error) {
	sys, err := cfg.Build(ctx, config.Options{Version: version(), Unguarded: true})
	if err != nil {
		return nil, nil, err
	}
	if sys.Router == nil {
		return nil, nil, errors.Join(misuse("%s describes a bare replica, which knows no texts", t.file), sys.Close())
	}
	c, stop, err := client.Inside(sys.Handler, "")
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
	case errors.Is(err, fault.NotFound) && fault.Field(err) == "/collection":
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
