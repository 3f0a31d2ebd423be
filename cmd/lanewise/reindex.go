package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/lanewise/lanewise/cmd/lanewise/internal/client"
	"github.com/lanewise/lanewise/cmd/lanewise/internal/show"
	"github.com/lanewise/lanewise/embed/bm25"
	"github.com/lanewise/lanewise/router"
)

type reindexOptions struct {
	target
	step router.Reindex
}

func newReindex(a *app) *cobra.Command {
	var o reindexOptions
	cmd := &cobra.Command{
		Use:   "reindex COLLECTION",
		Short: "Make a collection searchable by the words of its texts",
		Long: `Reindex adds a lexical leg to a collection that was made without one: it gives
every point the vector of its text's words. Searches and writes go on meanwhile;
the collection is searched by words once all points have them. It may be
interrupted: started again, it passes over the points that are done. The server
must run on this machine.`,
		Example: `  lanewise reindex docs --language en`,
		Args:    cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return misuse("name the collection: lanewise reindex COLLECTION")
			}
			o.collection, o.step.Collection = args[0], args[0]
			return o.with(cmd.Context(), a, func(c *client.Client) error { return o.run(cmd.Context(), a, c) })
		},
	}
	o.flags(cmd, a)
	f := cmd.Flags()
	if err := f.MarkHidden("collection"); err != nil {
		panic(err) // the flag is defined above
	}
	f.StringVar(&o.step.Language, "language", "", "of the texts: "+strings.Join(bm25.Languages(), ", ")+" (default none)")
	f.IntVar(&o.step.AvgLen, "avg-len", 0, "words of a typical text (default 100; lanewise ingest --measure proposes it)")
	return cmd
}

func (o *reindexOptions) run(ctx context.Context, a *app, c *client.Client) error {
	have, err := c.Collection(ctx, o.collection)
	if err != nil {
		return err
	}
	if have.Lexical != nil && *have.Lexical {
		if err := fits(have, o.step.Language, o.step.AvgLen); err != nil {
			return fmt.Errorf("collection %q: %w", o.collection, err)
		}
	}
	m := newMeter(a, "reindexed")
	defer m.end()
	began, seen, given := time.Now(), 0, 0
	for {
		done, err := c.Reindex(ctx, o.step)
		if err != nil {
			return err
		}
		seen, given = seen+done.Seen, given+done.Given
		m.set(seen)
		if o.step.Cursor = done.Cursor; o.step.Cursor == "" {
			break
		}
	}
	m.end()
	if given == 0 {
		a.printer().Line("collection %s has its words already: nothing to do", o.step.Collection)
		return nil
	}
	a.printer().Line("%s of collection %s got words in %s", show.Plural(given, "point"), o.step.Collection, show.Took(time.Since(began)))
	return nil
}
