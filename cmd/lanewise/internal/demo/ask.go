package demo

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/lanewise/lanewise/balance"
	"github.com/lanewise/lanewise/cmd/lanewise/internal/show"
	"github.com/lanewise/lanewise/router"
	"github.com/lanewise/lanewise/search"
	"github.com/lanewise/lanewise/search/wire"
)

// questions are asked in full, with answers.
func questions() []string {
	return []string{
		"read a file line by line",
		"How do I run an external command and capture its output?",
		"walk a directory tree",
		"cancel work after a timeout",
		"split a string by a separator",
		"How do I create a temporary directory?",
	}
}

const (
	shownHits = 3
	shardLane = "shards" // the router's name for the lanes of its shards
)

// ask answers the questions and prints which replica did what.
func (d *Demo) ask(ctx context.Context) error {
	for i, q := range questions() {
		answer, err := d.answer(ctx, q)
		if err != nil {
			return fmt.Errorf("question %q: %w", q, err)
		}
		if i == 0 {
			d.figures.firstAnswer = time.Since(d.cfg.Start)
		}
		d.printAnswer(i+1, q, answer)
	}
	return nil
}

func (d *Demo) answer(ctx context.Context, text string) (router.Answer, error) {
	stream, err := d.cluster.system.Router.Answer(ctx, router.Question{Request: router.Request{
		Collection: collection, Text: text, Explain: true, Fields: search.Fields{Text: true, Meta: true},
	}})
	if err != nil {
		return router.Answer{}, err
	}
	defer stream.Close() //nolint:errcheck // settles the lease; the answer is read already
	return stream.All()
}

func (d *Demo) printAnswer(n int, q string, a router.Answer) {
	out := d.cfg.Out
	out.Line("")
	out.Line("%s", out.Bold(fmt.Sprintf("%d. %s", n, q)))
	hits := make([]wire.Hit, min(shownHits, len(a.Hits)))
	for i := range hits {
		h := a.Hits[i]
		hits[i] = wire.Hit{ID: h.ID, Score: h.Score, Text: h.Text, Metadata: h.Meta}
	}
	out.Hits(hits)
	out.Line("  answer:")
	out.Wrap("    ", a.Text)
	for _, c := range a.Citations {
		out.Line("    [%d] %s", c.N, c.ID)
	}
	out.Line("  %s", out.Dim(fmt.Sprintf("%s in all; replicas: %s", show.Took(a.Report.Took), answered(a.Explain))))
}

// answered says which replica of each shard answered, and in which time.
func answered(e *router.Explain) string {
	if e == nil {
		return "not known"
	}
	best := map[string]string{}
	for _, a := range e.Attempts {
		if a.Lane == shardLane && a.Won {
			best[a.Pool] = a.Pool + "/" + a.Member + " " + show.Took(a.Took) + reason(a.Reason)
		}
	}
	var parts []string
	for i := 0; i < shards*replicas; i += replicas {
		if text := best[shardName(i)]; text != "" {
			parts = append(parts, text)
		}
	}
	return strings.Join(parts, ", ")
}

func reason(r balance.Reason) string {
	if r == balance.First {
		return ""
	}
	return " (" + string(r) + ")"
}
