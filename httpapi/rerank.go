package httpapi

import (
	"encoding/json"
	"net/http"
	"slices"
	"strconv"

	"github.com/danielgtaylor/huma/v2"

	"github.com/lanewise/lanewise/access"
	"github.com/lanewise/lanewise/fault"
	"github.com/lanewise/lanewise/rerank"
)

// rerankRequest is the body of POST /v1/rerank, as Cohere and Jina have it.
type rerankRequest struct {
	Model     string       `json:"model,omitzero"`
	Query     string       `json:"query"`
	Documents []rerankText `json:"documents"`
	TopN      int          `json:"top_n,omitzero"`
	Return    bool         `json:"return_documents,omitzero"`
}

// rerankText is a document: a text, or an object with one.
type rerankText string

// UnmarshalJSON reads either form.
func (t *rerankText) UnmarshalJSON(data []byte) error {
	if len(data) > 0 && data[0] == '{' {
		var object struct {
			Text string `json:"text"`
		}
		err := json.Unmarshal(data, &object)
		*t = rerankText(object.Text)
		return err
	}
	return json.Unmarshal(data, (*string)(t))
}

// Schema lists the forms.
func (rerankText) Schema(huma.Registry) *huma.Schema {
	text := &huma.Schema{Type: "string"}
	return &huma.Schema{OneOf: []*huma.Schema{
		text, {Type: "object", Properties: map[string]*huma.Schema{"text": text}, Required: []string{"text"}},
	}}
}

// rerankResponse is the answer: the best first.
type rerankResponse struct {
	Results []rerankResult `json:"results"`
	Usage   rerankUsage    `json:"usage"`
}

type rerankResult struct {
	Index    int             `json:"index"`
	Score    float64         `json:"relevance_score"`
	Document *rerankDocument `json:"document,omitzero"`
}

type rerankDocument struct {
	Text string `json:"text"`
}

type rerankUsage struct {
	Total int `json:"total_tokens"`
}

// rerankRoutes is the rerank lane by itself.
func (s *server) rerankRoutes() []route {
	return []route{{
		method: "POST", path: "/v1/rerank", id: "rerank", scope: access.Search, reach: reachesBody, tag: tagSearch, handle: s.rerank,
		in: typeOf[rerankRequest](), out: typeOf[rerankResponse](),
		example: `{"query": "read a file line by line", "documents": ["Scanner reads lines.", "Sort sorts a slice."]}`,
		summary: "Put texts into the order in which they answer a question",
		detail: "Scores the documents on the rerank lane and returns them best first, in the form of Cohere's and Jina's interfaces. " +
			"Without a reranker in the configuration (rerank) it is refused with 400, as rerank in a search is.",
	}}
}

// rerank answers POST /v1/rerank.
func (s *server) rerank(w *recorder, r *http.Request) error {
	body, err := decode[rerankRequest](s, w, r)
	if err != nil {
		return err
	}
	if err := body.check(); err != nil {
		return err
	}
	batch := rerank.Batch{Query: body.Query, Texts: make([]string, len(body.Documents))}
	for i, d := range body.Documents {
		batch.Texts[i] = string(d)
	}
	scores, err := s.router.Rerank(r.Context(), batch)
	if err != nil {
		return err
	}
	return s.reply(w, body.answer(scores))
}

func (b *rerankRequest) check() error {
	switch {
	case b.Query == "":
		return fault.BadField("/query", "is missing")
	case len(b.Documents) == 0 || len(b.Documents) > rerank.MostTexts:
		return fault.BadField("/documents", "must hold 1 to %d texts, holds %d", rerank.MostTexts, len(b.Documents))
	case b.TopN < 0:
		return fault.BadField("/top_n", "must not be negative")
	}
	if i := slices.Index(b.Documents, ""); i >= 0 {
		return fault.BadField("/documents/"+strconv.Itoa(i), "is empty")
	}
	return nil
}

// answer orders the documents by their scores, equal ones as they were.
func (b *rerankRequest) answer(scores rerank.Scores) rerankResponse {
	out := rerankResponse{Usage: rerankUsage{scores.Tokens}}
	for i, score := range scores.Values {
		result := rerankResult{Index: i, Score: score}
		if b.Return {
			result.Document = &rerankDocument{string(b.Documents[i])}
		}
		out.Results = append(out.Results, result)
	}
	slices.SortStableFunc(out.Results, func(x, y rerankResult) int {
		switch {
		case x.Score > y.Score:
			return -1
		case x.Score < y.Score:
			return 1
		}
		return 0
	})
	if b.TopN > 0 {
		out.Results = out.Results[:min(b.TopN, len(out.Results))]
	}
	return out
}
