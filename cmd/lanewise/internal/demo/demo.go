// Package demo shows lanewise at work on real input: the doc comments of the Go
// standard library, on four shards with three replicas each, every replica an
// HTTP server of its own on a loopback port.
package demo

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/lanewise/lanewise/cmd/lanewise/internal/ingest"
	"github.com/lanewise/lanewise/cmd/lanewise/internal/show"
	"github.com/lanewise/lanewise/config"
	"github.com/lanewise/lanewise/internal/corpus"
	"github.com/lanewise/lanewise/router"
	"github.com/lanewise/lanewise/search"
)

// Config says how the demonstration is run. Corpus may be nil.
type Config struct {
	Out      show.Printer
	Corpus   corpus.Documents         // nil: the Go installation's doc comments
	Start    time.Time                // of the process; zero: now
	Progress func(what string, n int) // nil: none
	Finished func()                   // ends a progress; nil: none
	Queries  int                      // under load, before and after the faults; 0: 600 each
}

const collection = "go"

// ErrDiffers means that the sharded ranking was not the ranking over one store.
var ErrDiffers = errors.New("the rankings differ: see above")

// Demo is a demonstration in progress: a cluster with a corpus in it.
type Demo struct {
	cfg     Config
	dir     string
	cluster *cluster
	single  *config.System // one store with everything; nil until it is needed
	answers map[string][]search.Hit
	docs    []corpus.Document
	figures figures
}

// figures are what the demonstration promises to print.
type figures struct {
	firstAnswer time.Duration // since the start
	indexed     time.Duration // corpus built, embedded and indexed
	documents   int
	bytes       int64
}

// Run shows everything once, prints the figures, and returns with the cluster
// still running. Close the Demo, also where there is an error.
func Run(ctx context.Context, cfg Config) (*Demo, error) {
	if cfg.Start.IsZero() {
		cfg.Start = time.Now()
	}
	d := &Demo{cfg: cfg, answers: map[string][]search.Hit{}}
	for _, step := range []func(context.Context) error{
		d.start, d.index, d.ask, d.verify, d.disturb, d.report,
	} {
		if err := step(ctx); err != nil {
			if ctx.Err() != nil {
				err = context.Cause(ctx)
			}
			return d, err
		}
	}
	return d, nil
}

// Router is the cluster's router, to be served.
func (d *Demo) Router() *config.System { return d.cluster.system }

// Close stops every server and removes the files.
func (d *Demo) Close() error {
	var errs []error
	if d.cluster != nil {
		errs = append(errs, d.cluster.close())
	}
	if d.single != nil {
		errs = append(errs, d.single.Close())
	}
	if d.dir != "" {
		errs = append(errs, os.RemoveAll(d.dir))
	}
	return errors.Join(errs...)
}

// start brings up the replicas and the router.
func (d *Demo) start(ctx context.Context) (err error) {
	if d.dir, err = os.MkdirTemp("", "lanewise-demo-"); err != nil {
		return fmt.Errorf("make a folder for the demo: %w", err)
	}
	began := time.Now()
	if d.cluster, err = startCluster(ctx, d.dir); err != nil {
		return err
	}
	d.cfg.Out.Line("%d shards x %d replicas: %d HTTP servers on loopback, with their files in %s, up in %s",
		shards, replicas, shards*replicas, d.dir, show.Took(time.Since(began)))
	return nil
}

// index reads the corpus and stores it on the cluster; every passage is
// embedded on its way.
func (d *Demo) index(ctx context.Context) error {
	began := time.Now()
	docs, err := d.corpus()
	if err != nil {
		return err
	}
	r := d.cluster.system.Router
	if _, err := r.CreateCollection(ctx, search.Collection{Name: collection, Lexical: true, Language: "en"}); err != nil {
		return err
	}
	keep := func(yield func(corpus.Document, error) bool) {
		for doc, err := range docs {
			d.docs = append(d.docs, doc)
			if !yield(doc, err) {
				return
			}
		}
	}
	sum, err := ingest.Run(ctx, keep, upsert(r), ingest.Config{Batch: 1000, Bytes: 4 << 20, Parallel: 2, Strict: true, Progress: d.progress("indexed")})
	d.finished()
	if err != nil {
		return err
	}
	d.figures.indexed, d.figures.documents, d.figures.bytes = time.Since(began), sum.Stored, sum.Bytes
	d.cfg.Out.Line("corpus: %s of the Go standard library (%s of text) read, embedded and indexed on all replicas in %s",
		show.Plural(sum.Stored, "doc comment"), show.Bytes(sum.Bytes), show.Took(d.figures.indexed))
	return nil
}

func (d *Demo) corpus() (corpus.Documents, error) {
	if d.cfg.Corpus != nil {
		return d.cfg.Corpus, nil
	}
	root, err := corpus.GoRoot()
	return corpus.Godoc(root), err
}

// upsert stores documents through a router, which embeds them.
func upsert(r *router.Router) ingest.Write {
	return func(ctx context.Context, tenant string, docs []corpus.Document) error {
		points := make([]search.Point, len(docs))
		for i, doc := range docs {
			points[i] = search.Point{Key: search.Key{ID: doc.ID}, Text: doc.Text, Meta: doc.Meta, Dense: doc.Vector}
		}
		_, err := r.Upsert(ctx, router.Upsert{Collection: collection, Tenant: tenant, Points: points})
		return err
	}
}

func (d *Demo) progress(what string) func(int) {
	return func(n int) {
		if d.cfg.Progress != nil {
			d.cfg.Progress(what, n)
		}
	}
}

func (d *Demo) finished() {
	if d.cfg.Finished != nil {
		d.cfg.Finished()
	}
}

// oneStore brings up a router over a single local store and puts the same
// documents into it.
func (d *Demo) oneStore(ctx context.Context) error {
	cfg := config.Local(filepath.Join(d.dir, "single"))
	var err error
	if d.single, err = cfg.Build(ctx, config.Options{}); err != nil {
		return err
	}
	if _, err := d.single.Router.CreateCollection(ctx, search.Collection{Name: collection, Lexical: true, Language: "en"}); err != nil {
		return err
	}
	again := func(yield func(corpus.Document, error) bool) {
		for _, doc := range d.docs {
			if !yield(doc, nil) {
				return
			}
		}
	}
	_, err = ingest.Run(ctx, again, upsert(d.single.Router), ingest.Config{Batch: 2000, Bytes: 4 << 20, Parallel: 2, Strict: true})
	return err
}

// report prints the three figures.
func (d *Demo) report(context.Context) error {
	f, out := d.figures, d.cfg.Out
	now, peak := memory()
	out.Line("")
	out.Line("%s", out.Bold("figures"))
	out.Line("  first answer                        %s after the start", show.Took(f.firstAnswer))
	out.Line("  corpus built, embedded and indexed  %s", show.Took(f.indexed))
	out.Line("  resident memory of the process      %s, at most %s so far", show.Bytes(now), show.Bytes(peak))
	return nil
}
