package demo

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/lanewise/lanewise/cmd/lanewise/internal/show"
	"github.com/lanewise/lanewise/router"
	"github.com/lanewise/lanewise/search"
)

const (
	verifiedK = 10 // hits compared for each query
	probes    = 40 // every so many documents gives a query
)

// verify puts everything into one store as well and compares the rankings: the
// same ids, in the same order, with the same scores to the last bit.
func (d *Demo) verify(ctx context.Context) error {
	began := time.Now()
	if err := d.oneStore(ctx); err != nil {
		return fmt.Errorf("one store with everything: %w", err)
	}
	queries := append(questions(), d.samples()...)
	hits, different := 0, 0
	for i, q := range queries {
		want, err := retrieve(ctx, d.single.Router, q)
		if err != nil {
			return fmt.Errorf("one store, %q: %w", q, err)
		}
		got, err := retrieve(ctx, d.cluster.system.Router, q)
		if err != nil {
			return fmt.Errorf("sharded, %q: %w", q, err)
		}
		d.answers[q] = want.Hits
		hits += len(want.Hits)
		if diff := difference(want.Hits, got.Hits); diff != "" {
			different++
			d.cfg.Out.Line("  DIFFERS: %q: %s", q, diff)
		}
		d.progress("compared")(i + 1)
	}
	d.finished()
	d.cfg.Out.Line("")
	d.cfg.Out.Line("%s", d.cfg.Out.Bold("the same ranking as one store with everything"))
	d.cfg.Out.Line("  %s, %s compared by id and score, bit for bit: %d rankings differ (%s)",
		show.Plural(len(queries), "query"), show.Plural(hits, "hit"), different, show.Took(time.Since(began)))
	if different > 0 {
		return ErrDiffers
	}
	return nil
}

// samples are queries in the corpus' own words: the start of every so many
// documents' last paragraph.
func (d *Demo) samples() []string {
	var out []string
	for i := 0; i < len(d.docs); i += probes {
		text := d.docs[i].Text
		if at := strings.LastIndex(text, "\n\n"); at >= 0 {
			text = text[at:]
		}
		words := strings.Fields(text)
		if q := strings.Join(words[:min(len(words), 12)], " "); q != "" {
			out = append(out, q)
		}
	}
	return out
}

func retrieve(ctx context.Context, r *router.Router, text string) (router.Response, error) {
	return r.Retrieve(ctx, router.Request{Collection: collection, Text: text, K: verifiedK, Explain: true})
}

// difference returns the first place where two rankings differ, or "".
func difference(want, got []search.Hit) string {
	if len(want) != len(got) {
		return fmt.Sprintf("%d hits instead of %d", len(got), len(want))
	}
	for i := range want {
		if want[i].Key != got[i].Key || want[i].Score != got[i].Score {
			return fmt.Sprintf("hit %d is %s (%v) instead of %s (%v)", i+1, got[i].ID, got[i].Score, want[i].ID, want[i].Score)
		}
	}
	return ""
}
