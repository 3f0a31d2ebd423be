package main

import (
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/lanewise/lanewise/cmd/lanewise/internal/client"
	"github.com/lanewise/lanewise/search/wire"
)

func newAsk(a *app) *cobra.Command {
	var o searchOptions
	var asked wire.AnswerRequest
	cmd := &cobra.Command{
		Use:   "ask [flags] QUESTION",
		Short: "Answer a question, with citations",
		Long: `Ask finds the passages that bear on a question and prints an answer that cites
them. Where the server has no language model, the answer is quoted from the
passages and says so.

Below the answer come its sources, passages that did not fit into the model's
window, citations of nothing, the model, its tokens and, where it has a price,
what it cost.`,
		Example: `  lanewise ask "How do I install it?"
  lanewise ask --collection go -k 12 "How do I read a file line by line?"
  lanewise ask --model fast --explain "Who wrote it?"
  lanewise ask --json "Who wrote it?" | jq -r .answer`,
		Args: needs("the question"),
		RunE: func(cmd *cobra.Command, args []string) error {
			find, err := o.request(cmd, strings.Join(args, " "))
			if err != nil {
				return err
			}
			req := asked
			find.Explain = req.Explain
			req.SearchRequest, req.Question = find, find.Text
			req.Text = ""
			return o.with(cmd.Context(), a, func(c *client.Client) error { return ask(cmd.Context(), a, c, answerRequest{req, o.json}) })
		},
	}
	o.flags(cmd, a)
	cmd.Flags().IntVarP(&o.k, "count", "k", 8, "passages that the answer may rest on")
	f := cmd.Flags()
	f.StringVar(&asked.Model, "model", "", "model to ask (default: the server's)")
	f.StringVar(&asked.Prompt, "prompt", "", "template of the server (default: its own)")
	f.StringVar(&asked.ContextOrder, "context-order", "", "of the passages in the prompt: rank or stable (default: the server's)")
	f.IntVar(&asked.MaxTokens, "max-tokens", 0, "longest answer (default: the model's own limit)")
	f.BoolVar(&asked.Explain, "explain", false, "say how the model was reached")
	return cmd
}

type answerRequest struct {
	wire.AnswerRequest

	json bool
}

// ask prints an answer while it is written, and then its sources.
func ask(ctx context.Context, a *app, c *client.Client, r answerRequest) error {
	if r.json {
		answer, err := c.Answer(ctx, r.AnswerRequest)
		if err != nil {
			return err
		}
		return writeJSON(a.out, answer)
	}
	// A piece of text may break a line, and nothing else, on the terminal.
	text := strings.NewReplacer("\x1b", "", "\r", "", "\b", "")
	var found wire.SearchResponse
	said := false
	answer, err := c.Stream(ctx, r.AnswerRequest, client.Listener{
		Sources: func(f wire.SearchResponse) { found = f },
		Text: func(s string) {
			said = true
			_, _ = fmt.Fprint(a.out, text.Replace(s))
		},
	})
	if said {
		_, _ = fmt.Fprintln(a.out)
	}
	if err != nil {
		return err
	}
	p := a.printer()
	p.Sources(answer)
	if len(answer.Citations) == 0 && len(found.Hits) > 0 {
		p.Line("\nthe closest passages:")
		p.Hits(found.Hits[:min(3, len(found.Hits))])
	}
	return nil
}
