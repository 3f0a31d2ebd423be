package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"

	"github.com/spf13/cobra"

	"github.com/lanewise/lanewise/cmd/lanewise/internal/client"
	"github.com/lanewise/lanewise/cmd/lanewise/internal/ingest"
	"github.com/lanewise/lanewise/cmd/lanewise/internal/show"
	"github.com/lanewise/lanewise/embed/bm25"
	"github.com/lanewise/lanewise/fault"
	"github.com/lanewise/lanewise/internal/corpus"
	"github.com/lanewise/lanewise/search"
	"github.com/lanewise/lanewise/search/wire"
)

type ingestOptions struct {
	target
	godoc, strict, verbose, json bool
	batch, parallel, avgLen      int
	metric, language             string
	measure                      bool
}

func newIngest(a *app) *cobra.Command {
	var o ingestOptions
	cmd := &cobra.Command{
		Use:   "ingest [flags] FOLDER | FILE | -",
		Short: "Store documents in a collection",
		Long: `Ingest stores documents in a collection, which it creates if it is missing. To
ingest the same documents again changes nothing.

  FOLDER       the Markdown and text files below it, or one such file, cut at
               headings and paragraphs; path, line and title become metadata
  FILE.jsonl   one document a line: {"id": "a", "text": "…", "metadata": {…}},
               with a "vector" and a "tenant" if there are any
  -            the same from standard input
  --godoc      the doc comments of the Go standard library on this machine

A line that is no document is reported by its number, skipped and counted; the
exit code is then 1, as it is where there is nothing to store. With --strict the
first one ends the run.

A new collection of texts is searchable by their words, too. --language lets
words of one stem count as the same word; --avg-len is the length that texts are
measured against, which --measure proposes.`,
		Example: `  lanewise ingest ./docs
  lanewise ingest --collection notes notes.jsonl
  lanewise ingest --collection go --godoc --language en
  lanewise ingest --measure ./docs
  export-my-data | lanewise ingest --collection mine -`,
		Args: func(_ *cobra.Command, args []string) error {
			if o.godoc == (len(args) == 1) || len(args) > 1 {
				return errors.New("give one of FOLDER, FILE, - and --godoc")
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			docs, err := o.documents(a, args)
			if err != nil {
				return err
			}
			if o.measure {
				return o.measureTexts(a, docs)
			}
			return o.with(cmd.Context(), a, func(c *client.Client) error { return o.run(cmd.Context(), a, c, docs) })
		},
	}
	o.flags(cmd, a)
	f := cmd.Flags()
	f.BoolVar(&o.godoc, "godoc", false, "ingest the documentation of the Go standard library")
	f.BoolVar(&o.strict, "strict", false, "stop at the first bad line")
	f.BoolVarP(&o.verbose, "verbose", "v", false, "name every file and every line that is left out")
	f.BoolVar(&o.json, "json", false, "print the summary as JSON")
	f.IntVar(&o.batch, "batch", 256, "documents a request")
	f.IntVar(&o.parallel, "parallel", 4, "requests at a time")
	f.StringVar(&o.metric, "metric", string(search.Cosine), "of a new collection: cosine, dot or euclidean")
	f.StringVar(&o.language, "language", "", "of a new collection: "+strings.Join(bm25.Languages(), ", ")+" (default none)")
	f.IntVar(&o.avgLen, "avg-len", 0, fmt.Sprintf("of a new collection: words of a typical text (default %d)", bm25.DefaultAvgLen))
	f.BoolVar(&o.measure, "measure", false, "store nothing, and propose --avg-len")
	return cmd
}

// documents returns the reader of the source that the arguments name.
func (o *ingestOptions) documents(a *app, args []string) (corpus.Documents, error) {
	if o.batch < 1 || o.parallel < 1 {
		return nil, misuse("--batch and --parallel must be at least 1")
	}
	if o.godoc {
		root, err := corpus.GoRoot()
		return corpus.Godoc(root), err
	}
	if args[0] == "-" {
		return corpus.JSONLFile("-", a.in), nil
	}
	info, err := os.Stat(args[0])
	switch {
	case err != nil:
		return nil, err
	case info.IsDir() || corpus.IsText(args[0]):
		return corpus.Dir(args[0]), nil
	}
	return corpus.JSONLFile(args[0], nil), nil
}

// measureTexts counts the words of the documents as a lexical leg would.
func (o *ingestOptions) measureTexts(a *app, docs corpus.Documents) error {
	lexicon, err := bm25.New(bm25.Config{Language: o.language})
	if err != nil {
		return misuse("--language: %w", err)
	}
	texts, words := 0, 0
	for doc, err := range docs {
		if err != nil || doc.Text == "" {
			continue // ingest itself reports what cannot be read
		}
		texts++
		words += lexicon.Length(doc.Text)
	}
	if texts == 0 {
		return errNothing
	}
	mean := max(1, (words+texts/2)/texts)
	a.printer().Line("%s of %d words on average: --avg-len %d", show.Plural(texts, "text"), mean, mean)
	return nil
}

// maxNamed is how many bad lines are named: a file of another kind has nothing else.
const maxNamed = 20

// errBad makes the exit code 1 where documents were passed over.
var errBad = errors.New("some documents were not stored: see above")

// errNothing makes it 1 where there was nothing to store, which is hardly what was meant.
var errNothing = errors.New("no documents were found: a folder needs Markdown or text files (.md, .markdown, .mdx, .txt, .text, .rst, .adoc), another file one document a line")

func (o *ingestOptions) run(ctx context.Context, a *app, c *client.Client, docs corpus.Documents) error {
	m := newMeter(a, "stored")
	kinds := map[string]int{} // of skipped files
	named := 0                // bad lines
	sum, err := ingest.Run(ctx, docs, o.writer(c), ingest.Config{
		Batch: o.batch, Parallel: o.parallel, Strict: o.strict, Progress: m.set,
		Problem: func(problem error) {
			if s, ok := errors.AsType[*corpus.Skipped](problem); ok {
				kinds[s.Reason]++
				if !o.verbose {
					return
				}
			}
			if named++; named > maxNamed && !o.verbose {
				return
			}
			m.note(problem.Error())
		},
	})
	m.end()
	if err != nil && sum.Stored == 0 {
		return err // there is nothing to sum up
	}
	if printErr := o.print(a, sum, kinds); err == nil {
		err = printErr
	}
	switch {
	case err != nil:
		return err
	case sum.Bad > maxNamed && !o.verbose:
		return fmt.Errorf("%w, the first %d of them; --verbose names all", errBad, maxNamed)
	case sum.Bad > 0:
		return errBad
	case sum.Stored == 0:
		return errNothing
	}
	return nil
}

// writer returns the function that stores a batch. Its first call makes sure
// that the collection is there.
func (o *ingestOptions) writer(c *client.Client) ingest.Write {
	var mu sync.Mutex
	ready := false
	ensure := func(ctx context.Context, dims int) error {
		mu.Lock()
		defer mu.Unlock()
		if ready {
			return nil
		}
		have, err := c.Collection(ctx, o.collection)
		switch {
		case errors.Is(err, fault.NotFound):
			_, err = c.CreateCollection(ctx, o.collection, wire.Collection{
				Dims: dims, Metric: search.Metric(o.metric), Language: o.language, AvgLen: o.avgLen,
			})
		case err == nil:
			err = fits(have, o.language, o.avgLen)
		}
		ready = err == nil
		return err
	}
	return func(ctx context.Context, tenant string, docs []corpus.Document) error {
		if err := ensure(ctx, len(docs[0].Vector)); err != nil {
			return fmt.Errorf("collection %q: %w", o.collection, err)
		}
		return c.Upsert(ctx, o.collection, tenant, docs)
	}
}

// fits says whether a collection that is there counts words as it was asked for:
// language and length are stated once, and never change. Empty and 0 ask for nothing.
func fits(have wire.Collection, language string, avgLen int) error {
	length := cmp.Or(have.AvgLen, bm25.DefaultAvgLen)
	switch {
	case language != "" && language != have.Language:
		return fault.New(fault.Conflict, "--language %s: its words are counted with %s already", language, cmp.Or(have.Language, "none"))
	case avgLen != 0 && avgLen != length:
		return fault.New(fault.Conflict, "--avg-len %d: its words are counted with %d already", avgLen, length)
	}
	return nil
}

// print reports what a run did.
func (o *ingestOptions) print(a *app, sum ingest.Summary, skipped map[string]int) error {
	if o.json {
		return writeJSON(a.out, map[string]any{
			"collection": o.collection, "stored": sum.Stored, "bytes": sum.Bytes, "bad": sum.Bad,
			"skipped": sum.Skipped, "took_ms": float64(sum.Took.Microseconds()) / 1000, "per_second": sum.Rate(),
		})
	}
	p := a.printer()
	p.Line("%s (%s of text) stored in collection %s in %s, %s a second", show.Plural(sum.Stored, "document"),
		show.Bytes(sum.Bytes), o.collection, show.Took(sum.Took), show.Count(int(sum.Rate())))
	for _, reason := range sortedKeys(skipped) {
		p.Line("left out: %s (%s)", show.Plural(skipped[reason], "file"), reason)
	}
	if sum.Bad > 0 {
		p.Line("bad: %s", show.Plural(sum.Bad, "document"))
	}
	return nil
}
