package main

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/lanewise/lanewise/cmd/lanewise/internal/client"
	"github.com/lanewise/lanewise/cmd/lanewise/internal/engine"
	"github.com/lanewise/lanewise/cmd/lanewise/internal/show"
	"github.com/lanewise/lanewise/cmd/lanewise/internal/transfer"
	"github.com/lanewise/lanewise/fault"
	"github.com/lanewise/lanewise/internal/corpus"
	"github.com/lanewise/lanewise/search"
	"github.com/lanewise/lanewise/search/wire"
)

type importOptions struct {
	target
	source         engine.Options
	space, state   string
	page, parallel int
	json           bool
}

func newImport(a *app) *cobra.Command {
	var o importOptions
	cmd := &cobra.Command{
		Use:   "import --from ENGINE_URL|FILE.jsonl --to NAME",
		Short: "Copy a collection of an engine, with its vectors and payloads",
		Long: `Import copies a collection that an engine holds into one of lanewise, which it
creates if it is missing, with the dims and the metric of the engine:

  qdrant://host:6334/docs
  milvus://[user@]host:19530/[database/]docs
  weaviate://host:8080/Docs
  postgres://user@host:5432/database/[schema.]table
  FILE.jsonl   as ingest reads it

The key or password of the engine comes from LANEWISE_ENGINE_KEY. A file in
the working directory remembers how far the copy has come: after an end of any
kind the same command goes on there. At the end the copy is checked by count and
by sampled documents; the exit code is 1 where it differs.`,
		Example: `  lanewise import --from qdrant://10.0.0.5:6334/docs --to docs
  lanewise import -c lanewise.yaml --from postgres://me@10.0.0.7/app/articles --text-field body --to articles`,
		Args: nothing,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if o.source.URL == "" || o.collection == "" {
				return misuse("say what to copy: --from ENGINE_URL --to NAME")
			}
			if o.page < 1 || o.parallel < 1 {
				return misuse("--batch and --parallel must be at least 1")
			}
			from, err := o.open(cmd.Context(), a)
			if err != nil {
				return err
			}
			err = o.with(cmd.Context(), a, func(c *client.Client) error { return o.run(cmd.Context(), a, c, from) })
			return errors.Join(err, from.close())
		},
	}
	o.flags(cmd, a)
	f := cmd.Flags()
	f.Lookup("collection").Hidden = true // it is --to
	f.StringVar(&o.source.URL, "from", "", "collection of an engine, or a JSONL file")
	f.StringVar(&o.collection, "to", "", "name of the collection to write to")
	f.StringVar(&o.space, "space", "", "of a new collection: id of the embedding space that the vectors are of")
	f.StringVar(&o.state, "state", "", "file that remembers how far the copy has come (default NAME.import)")
	f.StringVar(&o.source.Text, "text-field", "", "field or column of the texts (default: found out)")
	f.StringVar(&o.source.ID, "id-field", "", "field or column of the ids (default: the engine's own)")
	f.StringVar(&o.source.Vector, "vector-field", "", "name of the vectors (default: the only ones)")
	f.StringVar(&o.source.Meta, "metadata-field", "", "field or column of the metadata (default: everything else)")
	f.StringVar(&o.source.Metric, "metric", "", "of a source that does not say: cosine, dot or euclidean")
	f.IntVar(&o.page, "batch", 1000, "documents a request")
	f.IntVar(&o.parallel, "parallel", 3, "requests at a time")
	f.BoolVar(&o.json, "json", false, "print the summary as JSON")
	o.source.Key = a.env("LANEWISE_ENGINE_KEY")
	return cmd
}

// origin is an open source.
type origin struct {
	read       transfer.Read
	collection search.Collection                      // dims 0: not known
	count      func(ctx context.Context) (int, error) // points that it holds now; nil: it cannot tell
	name       string                                 // without secrets
	close      func() error
}

// open opens the source.
func (o *importOptions) open(ctx context.Context, a *app) (*origin, error) {
	if !strings.Contains(o.source.URL, "://") {
		path, err := filepath.Abs(o.source.URL)
		if err != nil {
			return nil, err
		}
		if _, err := os.Stat(path); err != nil {
			return nil, err // before a collection is made for it
		}
		pages := lines(path)
		of := search.Collection{Dims: pages.dims(), Metric: search.Metric(o.source.Metric)}
		return &origin{read: pages.read, name: path, close: pages.close, collection: of}, nil
	}
	s, err := engine.Open(ctx, o.source)
	if err != nil {
		return nil, err
	}
	_, _ = fmt.Fprintf(a.err, "lanewise: %s\n", s.Describe())
	if s.Guessed {
		_, _ = fmt.Fprintf(a.err, "lanewise: the texts are read from %q (--text-field names another)\n", s.External.Text)
	}
	read := func(ctx context.Context, after string, limit int) ([]corpus.Document, string, error) {
		points, next, err := s.Walk(ctx, s.External.Name, after, limit)
		docs := make([]corpus.Document, len(points))
		for i, p := range points {
			docs[i] = corpus.Document{ID: p.ID, Text: p.Text, Meta: p.Meta, Vector: p.Dense}
		}
		return docs, next, err
	}
	count := func(ctx context.Context) (int, error) { return s.Count(ctx, s.External.Name, "", search.Filter{}) }
	return &origin{read, s.Collection, count, s.Replica.URL + "/" + s.External.From, s.Close}, nil
}

// filePages reads a JSONL file in pages; a place is a number of lines.
type filePages struct {
	pull func() (corpus.Document, error, bool)
	stop func()
}

func lines(path string) *filePages {
	pull, stop := iter.Pull2(corpus.JSONLFile(path, nil))
	return &filePages{pull, stop}
}

// dims are those of the first document's vector: 0 where it has none, or cannot be read.
func (p *filePages) dims() int {
	first, err, more := p.pull()
	rest := p.pull
	p.pull = func() (corpus.Document, error, bool) {
		p.pull = rest
		return first, err, more
	}
	return len(first.Vector)
}

func (p *filePages) close() error {
	p.stop()
	return nil
}

func (p *filePages) read(_ context.Context, after string, limit int) (docs []corpus.Document, next string, err error) {
	passed := 0
	if after != "" {
		if passed, err = strconv.Atoi(after); err != nil {
			return nil, "", fmt.Errorf("%q is no line of a file: %w", after, err)
		}
	}
	for len(docs) < limit {
		d, err, more := p.pull()
		switch {
		case !more:
			return docs, "", nil
		case err != nil:
			return nil, "", err
		case d.Line > passed:
			docs = append(docs, d)
		}
	}
	return docs, strconv.Itoa(docs[len(docs)-1].Line), nil
}

func (o *importOptions) run(ctx context.Context, a *app, c *client.Client, from *origin) error {
	if err := o.ensure(ctx, c, from.collection); err != nil {
		return fmt.Errorf("collection %q: %w", o.collection, err)
	}
	if o.state == "" {
		o.state = o.collection + ".import"
	}
	m := newMeter(a, "copied")
	sum, err := transfer.Run(ctx, from.read, func(ctx context.Context, tenant string, docs []corpus.Document) error {
		return c.Upsert(ctx, o.collection, tenant, docs)
	}, transfer.Config{From: from.name, To: o.collection, State: o.state, Page: o.page, Parallel: o.parallel, Progress: m.set})
	m.end()
	if err != nil {
		return fmt.Errorf("%w; %s copied so far, and the same command goes on there", err, show.Plural(sum.Copied, "document"))
	}
	found, err := settled(ctx, func() (verified, error) { return o.verify(ctx, c, from, sum) })
	if printErr := o.print(a, sum, found); err == nil {
		err = printErr
	}
	if err != nil {
		return err
	}
	return transfer.Forget(o.state)
}

// ensure makes sure that the collection is there and takes the vectors.
func (o *importOptions) ensure(ctx context.Context, c *client.Client, of search.Collection) error {
	have, err := c.Collection(ctx, o.collection)
	switch {
	case errors.Is(err, fault.NotFound):
		_, err = c.CreateCollection(ctx, o.collection, wire.Collection{Dims: of.Dims, Metric: of.Metric, Space: o.space})
		return err
	case err != nil:
		return err
	case of.Dims > 0 && have.Dims != of.Dims:
		return fault.New(fault.Conflict, "is there with %d dims, the source has %d", have.Dims, of.Dims)
	case of.Dims > 0 && of.Metric != "" && have.Metric != of.Metric:
		return fault.New(fault.Conflict, "is there and compares by %s, the source by %s", have.Metric, of.Metric)
	}
	return nil
}

// verified is what a comparison of the two ends came to.
type verified struct{ count, sampled int }

// settled checks until there is nothing to say or ten seconds are over: an engine that is
// eventually consistent shows the last writes a little later.
func settled(ctx context.Context, check func() (verified, error)) (verified, error) {
	over := time.Now().Add(10 * time.Second)
	again := time.NewTicker(300 * time.Millisecond)
	defer again.Stop()
	for {
		v, err := check()
		if err == nil || time.Now().After(over) {
			return v, err
		}
		select {
		case <-again.C:
		case <-ctx.Done():
			return v, context.Cause(ctx)
		}
	}
}

// verify compares the ends by count and by the sampled documents.
func (o *importOptions) verify(ctx context.Context, c *client.Client, from *origin, sum transfer.Summary) (v verified, err error) {
	tenants := map[string]bool{}
	for _, d := range sum.Sample {
		tenants[d.Tenant] = true
		got, err := c.Point(ctx, o.collection, d.Tenant, d.ID)
		if err == nil {
			err = transfer.Compare(d, corpus.Document{ID: got.ID, Text: got.Text, Meta: got.Metadata, Vector: got.Vector})
		}
		if err != nil {
			return v, fmt.Errorf("the copy differs from its source: %v", err) //nolint:errorlint // that a point is not there is no fault of the command line
		}
		v.sampled++
	}
	if len(tenants) > 1 || len(tenants) == 1 && !tenants[""] {
		return v, nil // a count is of one tenant, and there may be others than the sampled ones
	}
	if v.count, err = c.Count(ctx, o.collection, ""); err != nil {
		return v, err
	}
	if from.count == nil {
		return v, nil // lines of a file may have an id twice
	}
	held, err := from.count(ctx)
	switch {
	case err != nil:
		return v, fmt.Errorf("count the source: %w", err)
	case sum.Copied != held:
		return v, fmt.Errorf("the source holds %d points, and %d were copied: was it written to meanwhile?", held, sum.Copied)
	case v.count < sum.Copied:
		return v, fmt.Errorf("%d points were copied, and the collection holds %d", sum.Copied, v.count)
	}
	return v, nil
}

// print reports what a copy came to.
func (o *importOptions) print(a *app, sum transfer.Summary, v verified) error {
	if o.json {
		return writeJSON(a.out, map[string]any{
			"collection": o.collection, "copied": sum.Copied, "now": sum.Now, "resumed": sum.Resumed, "count": v.count, "sampled": v.sampled,
			"took_ms": float64(sum.Took.Microseconds()) / 1000, "per_second": sum.Rate(),
		})
	}
	p := a.printer()
	resumed := ""
	if sum.Resumed {
		resumed = fmt.Sprintf(" (%s by earlier runs)", show.Count(sum.Copied-sum.Now))
	}
	p.Line("%s copied to collection %s%s in %s, %s a second", show.Plural(sum.Copied, "document"), o.collection, resumed,
		show.Took(sum.Took), show.Count(int(sum.Rate())))
	p.Line("checked: %s compared, the collection holds %s", show.Plural(v.sampled, "document"), show.Plural(v.count, "point"))
	return nil
}
