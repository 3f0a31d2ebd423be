// Command rag embeds a router over one local store in a service that answers
// GET /?q=QUESTION with quotes from its passages. Its argument is a data folder.
package main

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"os"

	"github.com/lanewise/lanewise/adapters/local"
	"github.com/lanewise/lanewise/embed"
	"github.com/lanewise/lanewise/embed/static"
	"github.com/lanewise/lanewise/llm/extract"
	"github.com/lanewise/lanewise/router"
	"github.com/lanewise/lanewise/search"
)

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: rag FOLDER")
		os.Exit(2)
	}
	ctx := context.Background()
	store := must(local.Open(local.Config{Path: os.Args[1]}))
	model := must(static.New())
	quote := must(extract.New(extract.Config{Embed: func(ctx context.Context, texts []string) (rows [][]float32, err error) {
		v, err := model.Embed(ctx, embed.Batch{Texts: texts, Task: embed.QueryTask})
		for i := range v.Rows() {
			rows = append(rows, v.Row(i))
		}
		return rows, err
	}}))
	shards := []router.Shard{{Name: "s0", Replicas: []router.Replica{{Name: "r0", Store: store}}}}
	r := must(router.New(router.Config{Shards: shards, Embedders: []embed.Provider{model}, Generator: quote}))
	must(r.CreateCollection(ctx, search.Collection{Name: "lanes"}))
	must(r.Upsert(ctx, router.Upsert{Collection: "lanes", Points: []search.Point{
		{Key: search.Key{ID: "hedging"}, Text: "A slow replica is hedged: a second one is asked, and the faster answer wins."},
		{Key: search.Key{ID: "failover"}, Text: "When a replica fails, the next one is asked at once."},
		{Key: search.Key{ID: "storage"}, Text: "Points are kept on disk in one file per store."},
	}}))

	http.HandleFunc("GET /", func(w http.ResponseWriter, req *http.Request) {
		ask := router.Question{Request: router.Request{Collection: "lanes", Text: req.FormValue("q"), K: 2}}
		stream, err := r.Answer(req.Context(), ask)
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		defer stream.Close()      //nolint:errcheck // settles the lease
		answer, _ := stream.All() // what has come so far, where it breaks off
		fmt.Fprintln(w, answer.Text)
		for _, c := range answer.Citations {
			fmt.Fprintf(w, "[%d] %s %.3f\n", c.N, c.ID, c.Score)
		}
	})
	l := must(net.Listen("tcp", "127.0.0.1:0"))
	fmt.Printf("try: http://%s/?q=What+happens+to+a+slow+replica\n", l.Addr())
	panic(http.Serve(l, nil)) //nolint:gosec // an example without timeouts
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}
