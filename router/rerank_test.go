package router_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/lanewise/lanewise/embed"
	"github.com/lanewise/lanewise/fault"
	"github.com/lanewise/lanewise/rerank"
	"github.com/lanewise/lanewise/router"
	"github.com/lanewise/lanewise/search"
)

// reranker is a function that reranks.
type reranker func(ctx context.Context, b rerank.Batch) (rerank.Scores, error)

func (f reranker) Rerank(ctx context.Context, b rerank.Batch) (rerank.Scores, error) {
	return f(ctx, b)
}

// byLength prefers long texts.
func byLength(_ context.Context, b rerank.Batch) (rerank.Scores, error) {
	s := rerank.Scores{Values: make([]float64, len(b.Texts))}
	for i, text := range b.Texts {
		s.Values[i] = float64(len(text))
	}
	return s, nil
}

// rerankRouter searches four hits a to d, whose texts are the longer the lower their scores are.
func rerankRouter(t *testing.T, f reranker) *router.Router {
	t.Helper()
	var hits []search.Hit
	for i, id := range []string{"a", "b", "c", "d"} {
		h := hit(id, float64(9-i))
		h.Text = strings.Repeat("x", i+1)
		hits = append(hits, h)
	}
	c := router.Config{Embedders: []embed.Provider{letters{}}}
	if f != nil {
		c.Reranker = f
	}
	r := newRouter(t, c, []search.Store{after(0, hits...)})
	create(t, r, search.Collection{Name: "notes", Space: letters{}.Space().ID()})
	return r
}

func TestRetrieve_reranked(t *testing.T) {
	var read rerank.Batch
	r := rerankRouter(t, func(ctx context.Context, b rerank.Batch) (rerank.Scores, error) {
		read = b
		return byLength(ctx, b)
	})
	res := retrieve(t, r, router.Request{Collection: "notes", Text: "abc", K: 2, Rerank: 3})
	if ids(res) != "c b" || res.Report.Reranked != 3 || res.Hits[0].Score != 3 || res.Hits[0].Raw != 7 || res.Hits[0].Text != "" {
		t.Errorf("got %q, %+v", ids(res), res)
	}
	if read.Query != "abc" || strings.Join(read.Texts, " ") != "x xx xxx" {
		t.Errorf("the model read %+v", read)
	}
	res = retrieve(t, r, router.Request{Collection: "notes", Text: "abc", K: 4, Rerank: 1, Fields: search.Fields{Text: true}})
	if ids(res) != "d c b a" || res.Hits[0].Text != "xxxx" {
		t.Errorf("fewer candidates than hits: got %q, %+v", ids(res), res.Hits)
	}
	if res := retrieve(t, r, router.Request{Collection: "notes", Text: "abc"}); ids(res) != "a b c d" || res.Report.Reranked != 0 {
		t.Errorf("not asked for: got %q, %+v", ids(res), res.Report)
	}
}

func TestRetrieve_rerankThatFails(t *testing.T) {
	for name, f := range map[string]reranker{
		"error": func(context.Context, rerank.Batch) (rerank.Scores, error) {
			return rerank.Scores{}, errors.New("no model")
		},
		"too few": func(context.Context, rerank.Batch) (rerank.Scores, error) { return rerank.Scores{}, nil },
	} {
		res := retrieve(t, rerankRouter(t, f), router.Request{Collection: "notes", Text: "abc", Rerank: 4})
		if ids(res) != "a b c d" || res.Report.RerankSkipped == "" || res.Report.Reranked != 0 || !res.Report.Complete {
			t.Errorf("%s: got %q, %+v", name, ids(res), res.Report)
		}
	}
}

func TestRetrieve_rerankThatIsLate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := rerankRouter(t, func(ctx context.Context, _ rerank.Batch) (rerank.Scores, error) {
			<-ctx.Done()
			return rerank.Scores{}, context.Cause(ctx)
		})
		start := time.Now()
		res := retrieve(t, r, router.Request{Collection: "notes", Text: "abc", Rerank: 4, Timeout: time.Second})
		if took := time.Since(start); took != time.Second/2 {
			t.Errorf("waited %v, which is not half of the time", took)
		}
		if ids(res) != "a b c d" || !strings.Contains(res.Report.RerankSkipped, "deadline") {
			t.Errorf("got %q, %+v", ids(res), res.Report)
		}
	})
}

func TestRetrieve_refusesToRerank(t *testing.T) {
	r := rerankRouter(t, byLength)
	first := ""
	for name, q := range map[string]router.Request{
		"negative": {Collection: "notes", Text: "a", Rerank: -1},
		"huge":     {Collection: "notes", Text: "a", Rerank: 1001},
		"cursor":   {Collection: "notes", Text: "a", Rerank: 5, Cursor: &first},
		"no text":  {Collection: "notes", Vector: make([]float32, 8), Rerank: 5},
		"no texts": {Collection: "notes", Legs: []router.Leg{{Vector: make([]float32, 8)}}, Rerank: 5},
	} {
		if _, err := r.Retrieve(t.Context(), q); fault.Of(err) != fault.Invalid || fault.Field(err) != "/rerank" {
			t.Errorf("%s: got %v", name, err)
		}
	}
	bare := rerankRouter(t, nil)
	if _, err := bare.Retrieve(t.Context(), router.Request{Collection: "notes", Text: "a", Rerank: 5}); fault.Field(err) != "/rerank" {
		t.Errorf("no reranker: got %v", err)
	}
	if _, err := bare.Rerank(t.Context(), rerank.Batch{Query: "q", Texts: []string{"a"}}); fault.Of(err) != fault.Invalid {
		t.Errorf("no reranker: got %v", err)
	}
	if s, err := r.Rerank(t.Context(), rerank.Batch{Query: "q", Texts: []string{"aa"}}); err != nil || s.Values[0] != 2 {
		t.Errorf("got %v, %v", s, err)
	}
}
