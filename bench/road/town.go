package road

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/lanewise/lanewise/adapters/local"
	"github.com/lanewise/lanewise/adapters/remote"
	"github.com/lanewise/lanewise/bench/data"
	embedai "github.com/lanewise/lanewise/embed/openai"
	"github.com/lanewise/lanewise/httpapi"
	"github.com/lanewise/lanewise/router"
	"github.com/lanewise/lanewise/search"
)

// town is a Town that stands.
type town struct {
	Town
	dir     string
	gates   []*gate // in the order of parts
	stores  []*local.Store
	queries [][]float32
	truth   [][]string
}

// parts names everything that a script can break.
func (t Town) parts() (out []string) {
	for i := range t.Embedders {
		out = append(out, fmt.Sprint("embed/", i))
	}
	for i := range t.Shards {
		for j := range t.Replicas {
			out = append(out, fmt.Sprintf("s%d/r%d", i, j))
		}
	}
	for i := range t.Engines {
		out = append(out, fmt.Sprint("llm/", i))
	}
	return out
}

// build starts all parts and stores the points.
func (t Town) build(ctx context.Context) (s *town, err error) {
	s = &town{Town: t}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.Close())
		}
	}()
	if s.dir, err = os.MkdirTemp("", "lanewise-road-"); err != nil {
		return nil, err
	}
	points, err := data.Spec{Kind: "clustered", N: t.Points + 100, Dims: dims, Seed: t.Seed}.Points()
	if err != nil {
		return nil, err
	}
	for _, p := range points[t.Points:] {
		s.queries = append(s.queries, p.Dense)
	}
	points = points[:t.Points]
	for i := range points {
		points[i].Text = fmt.Sprintf("Passage %s. It is about lane %d.", points[i].ID, i)
	}
	if s.truth, err = data.Truth(search.Cosine, points, s.queries, hits); err != nil {
		return nil, err
	}
	for _, name := range t.parts() {
		h, err := s.handler(name)
		if err != nil {
			return nil, err
		}
		g, err := open(ctx, name, h)
		if err != nil {
			return nil, err
		}
		s.gates = append(s.gates, g)
	}
	return s, s.fill(ctx, points)
}

func (s *town) handler(part string) (http.Handler, error) {
	switch kind, _, _ := strings.Cut(part, "/"); kind {
	case "embed":
		return http.HandlerFunc(s.embed), nil
	case "llm":
		return http.HandlerFunc(s.generate), nil
	}
	store, err := local.Open(local.Config{Path: filepath.Join(s.dir, strings.ReplaceAll(part, "/", "-"))})
	if err != nil {
		return nil, err
	}
	s.stores = append(s.stores, store)
	return httpapi.New(httpapi.Config{Store: store})
}

// fill stores the points through a router, which places them.
func (s *town) fill(ctx context.Context, points []search.Point) (err error) {
	shards, end, err := s.replicas()
	if err != nil {
		return err
	}
	defer end()
	r, err := router.New(router.Config{Shards: shards, WriteTimeout: time.Minute}) //nolint:contextcheck // it outlives the call
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, r.Close()) }()
	space, err := s.space(ctx)
	if err != nil {
		return err
	}
	if _, err := r.CreateCollection(ctx, search.Collection{Name: "docs", Dims: dims, Metric: search.Cosine, Space: space}); err != nil {
		return err
	}
	_, err = r.Upsert(ctx, router.Upsert{Collection: "docs", Points: points})
	return err
}

// space of the fake embedders.
func (s *town) space(ctx context.Context) (string, error) {
	e, err := embedai.New(ctx, embedai.Config{URL: s.urls("embed")[0], Model: "m", Dims: dims})
	if err != nil {
		return "", err
	}
	return e.Space().ID(), e.Close()
}

// replicas opens a client for each replica.
func (s *town) replicas() (shards []router.Shard, end func(), err error) {
	var open []*remote.Store
	end = func() {
		for _, r := range open {
			_ = r.Close()
		}
	}
	for i := range s.Shards {
		shard := router.Shard{Name: fmt.Sprint("s", i)}
		for j := range s.Replicas {
			r, err := remote.New(remote.Config{URL: s.gates[s.Embedders+i*s.Replicas+j].url})
			if err != nil {
				end()
				return nil, nil, err
			}
			open = append(open, r)
			shard.Replicas = append(shard.Replicas, router.Replica{Name: fmt.Sprint("r", j), Store: r})
		}
		shards = append(shards, shard)
	}
	return shards, end, nil
}

// Close ends all parts and removes their data.
func (s *town) Close() (err error) {
	for _, g := range s.gates {
		g.close()
	}
	for _, store := range s.stores {
		err = errors.Join(err, store.Close())
	}
	return errors.Join(err, os.RemoveAll(s.dir))
}

func (s *town) right(i int) []string { return s.truth[i%len(s.truth)] }

func (s *town) question(i int) string { return fmt.Sprint("question ", i%len(s.queries)) }

func (s *town) reset() {
	for _, g := range s.gates {
		g.calls.Store(0)
	}
}

func (s *town) calls() (n int64) {
	for _, g := range s.gates {
		n += g.calls.Load()
	}
	return n
}

// play makes the events happen, each at its time.
func (s *town) play(ctx context.Context, warmup time.Duration) {
	start := time.Now().Add(warmup)
	if !until(ctx, start) {
		return
	}
	s.reset()
	for _, e := range s.Script {
		if !until(ctx, start.Add(e.At)) {
			return
		}
		for _, g := range s.gates {
			if g.name == e.Part {
				g.set(e)
			}
		}
	}
}

func until(ctx context.Context, at time.Time) bool {
	select {
	case <-time.After(time.Until(at)):
		return true
	case <-ctx.Done():
		return false
	}
}

// urls of the parts of a kind.
func (s *town) urls(kind string) (out []string) {
	for _, g := range s.gates {
		if strings.HasPrefix(g.name, kind+"/") {
			out = append(out, g.url)
		}
	}
	return out
}

// service is how long the fake embedder takes.
const service = 5 * time.Millisecond

// embed answers /v1/embeddings: of "question 7" with query 7.
func (s *town) embed(w http.ResponseWriter, r *http.Request) {
	var body struct {
		Input []string `json:"input"`
	}
	if err := json.NewDecoder(r.Body).Decode(&body); err != nil {
		http.Error(w, `{"error": {"message": "bad body"}}`, http.StatusBadRequest)
		return
	}
	type row struct {
		Index     int       `json:"index"`
		Embedding []float32 `json:"embedding"`
	}
	var rows []row
	for i, text := range body.Input {
		n, _ := strconv.Atoi(strings.TrimPrefix(text, "question ")) // a canary gets the vector of question 0
		rows = append(rows, row{i, s.queries[n%len(s.queries)]})
	}
	select {
	case <-time.After(service):
	case <-r.Context().Done():
		return
	}
	_ = json.NewEncoder(w).Encode(map[string]any{"data": rows, "model": "m", "usage": map[string]int{"prompt_tokens": 3 * len(rows), "total_tokens": 3 * len(rows)}})
}

// generate answers /v1/chat/completions with the words, one after the other.
func (s *town) generate(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "text/event-stream")
	out := http.NewResponseController(w)
	for _, word := range strings.SplitAfter(s.words(), " ") {
		select {
		case <-time.After(s.Pace):
		case <-r.Context().Done():
			return
		}
		fmt.Fprintf(w, "data: {\"choices\": [{\"index\": 0, \"delta\": {\"content\": %q}}]}\n\n", word)
		_ = out.Flush()
	}
	fmt.Fprintf(w, "data: {\"choices\": [{\"index\": 0, \"delta\": {}, \"finish_reason\": \"stop\"}], \"usage\": {\"prompt_tokens\": 100, \"completion_tokens\": %d}}\n\ndata: [DONE]\n\n", s.Words)
}
