package main

import (
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/lanewise/lanewise/cmd/lanewise/internal/client"
	"github.com/lanewise/lanewise/search"
	"github.com/lanewise/lanewise/search/wire"
)

// searchOptions are the flags that search and ask share.
type searchOptions struct {
	target

	k       int
	filter  string
	mode    string
	min     float64
	timeout time.Duration
	partial bool
	json    bool
}

func (o *searchOptions) flags(cmd *cobra.Command, a *app) {
	o.target.flags(cmd, a)
	o.engineFlags(cmd, a)
	f := cmd.Flags()
	f.StringVar(&o.tenant, "tenant", "", "only this tenant's documents")
	f.StringVar(&o.filter, "filter", "", `condition on the metadata, as JSON: '{"year": {"$gte": 2020}}'`)
	f.StringVar(&o.mode, "mode", "", "auto, dense, lexical or hybrid (default auto)")
	f.Float64Var(&o.min, "min-score", 0, "leave out hits below this score")
	f.DurationVar(&o.timeout, "timeout", 0, "for the whole request (default: the server's)")
	f.BoolVar(&o.partial, "partial", false, "accept an answer in which shards are missing")
	f.BoolVar(&o.json, "json", false, "print the server's answer as JSON")
}

// request is the search for a text.
func (o *searchOptions) request(cmd *cobra.Command, text string) (wire.SearchRequest, error) {
	r := wire.SearchRequest{
		Collection: o.collection, Tenant: o.tenant, Text: text, K: o.k, Mode: o.mode,
		TimeoutMS: int(o.timeout.Milliseconds()), Include: []string{"text", "metadata"},
	}
	if strings.TrimSpace(text) == "" {
		return r, misuse("the text is empty")
	}
	if cmd.Flags().Changed("count") && o.k < 1 {
		return r, misuse("--count must be at least 1")
	}
	if cmd.Flags().Changed("timeout") && o.timeout < time.Millisecond {
		return r, misuse("--timeout must be at least 1ms")
	}
	if cmd.Flags().Changed("min-score") {
		r.MinScore = &o.min
	}
	if o.partial {
		r.OnPartial = "return"
	}
	if o.filter != "" {
		f, err := search.ParseFilter([]byte(o.filter))
		if err != nil {
			return r, misuse("--filter: %w", err)
		}
		r.Filter = f
	}
	return r, nil
}

func newSearch(a *app) *cobra.Command {
	var o searchOptions
	cmd := &cobra.Command{
		Use:   "search [flags] TEXT",
		Short: "Find the passages that fit a text best",
		Long: `Search finds the passages that fit a text best, on a lanewise server, or in a
collection that an engine holds already (--engine), which is read as it is:

  qdrant://host:6334/docs
  milvus://[user@]host:19530/[database/]docs
  weaviate://host:8080/Docs
  postgres://user@host:5432/database/[schema.]table

?tls=true encrypts the connection, &ca=FILE names the certificates to trust. The
key or password comes from LANEWISE_ENGINE_KEY, that of the embedding server from
LANEWISE_EMBED_KEY. --embed says which model the collection's vectors were made
with; without it nothing is embedded, and the dims that were found are printed.`,
		Example: `  lanewise search "read a file line by line"
  lanewise search --collection go -k 3 --filter '{"kind": "func"}' parse a date
  lanewise search --engine qdrant://10.0.0.5:6334/docs --embed http://10.0.0.9:8000/v1#bge-small "how to install"
  lanewise search --json install | jq -r '.hits[].id'`,
		Args: needs("the text to search for"),
		RunE: func(cmd *cobra.Command, args []string) error {
			req, err := o.request(cmd, strings.Join(args, " "))
			if err != nil {
				return err
			}
			return o.with(cmd.Context(), a, func(c *client.Client) error {
				found, err := c.Search(cmd.Context(), req)
				if err != nil {
					return err
				}
				if o.json {
					return writeJSON(a.out, found)
				}
				a.printer().Hits(found.Hits)
				a.printer().Report(len(found.Hits), found.Report)
				return nil
			})
		},
	}
	o.flags(cmd, a)
	cmd.Flags().IntVarP(&o.k, "count", "k", 5, "hits to show")
	return cmd
}
