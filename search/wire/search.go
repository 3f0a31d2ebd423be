package wire

import (
	"encoding/json"
	"slices"
	"strconv"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/lanewise/lanewise/fault"
	"github.com/lanewise/lanewise/search"
)

const (
	maxK       = 10_000
	maxCursorK = 1_000 // of a request that opens a cursor
	maxLegs    = 16    // of one request
	maxBatch   = 1_000 // queries of one batch
)

// SearchRequest is the body of POST /v1/search. Fields that are absent are
// zero, except K, which is 10.
type SearchRequest struct {
	Collection  string        `json:"collection,omitzero"`
	Text        string        `json:"text,omitzero"`   // exclusive with Vector and Legs
	Vector      Vector        `json:"vector,omitzero"` // exclusive with Text and Legs
	K           int           `json:"k,omitzero"`      // 1 to 10,000
	Tenant      string        `json:"tenant,omitzero"`
	MinScore    *float64      `json:"min_score,omitzero"` // of the dense leg
	Mode        string        `json:"mode,omitzero"`      // "auto", "dense", "lexical", "hybrid"; "": auto
	Rerank      int           `json:"rerank,omitzero"`    // candidates to rerank; 0: none
	Group       *Group        `json:"group,omitzero"`
	Filter      search.Filter `json:"filter,omitzero"`
	Include     []string      `json:"include,omitzero"` // of "text", "metadata", "vector"; nil: text and metadata
	TimeoutMS   int           `json:"timeout_ms,omitzero"`
	OnPartial   string        `json:"on_partial,omitzero"`   // "fail", "return"; "": fail
	MinCoverage float64       `json:"min_coverage,omitzero"` // 0 to 1; above 0 it implies on_partial "return"
	Cursor      *string       `json:"cursor,omitzero"`       // "" opens a cursor, a cursor continues, nil: none
	Explain     bool          `json:"explain,omitzero"`
	Legs        []Leg         `json:"legs,omitzero"` // exclusive with Text and Vector
	EF          int           `json:"ef,omitzero"`
	Exact       bool          `json:"exact,omitzero"`
	Fusion      string        `json:"fusion,omitzero"` // "completed", "rrf", "dbsf"; "": completed
	MMR         *MMR          `json:"mmr,omitzero"`
	Space       string        `json:"space,omitzero"` // of the raw vectors in the request
}

// Leg is one ranking of a request that spells its rankings out. Exactly one of
// Text, Vector and Sparse is set.
type Leg struct {
	Collection string   `json:"collection,omitzero"` // "": the request's
	Text       string   `json:"text,omitzero"`
	Vector     Vector   `json:"vector,omitzero"`
	Sparse     *Sparse  `json:"sparse,omitzero"`
	Using      string   `json:"using,omitzero"`  // name of the vector; "lexical" with Text: the lexical leg
	Weight     *float64 `json:"weight,omitzero"` // in the fusion, more than 0; nil: 0.5
}

// Group cuts the hits to the best Size for each value of a metadata field.
type Group struct {
	By   string `json:"by"`   // dotted path
	Size int    `json:"size"` // 1 or more; absent: 1
}

// MMR asks for maximal marginal relevance: 1 ranks by score alone, 0 by
// difference alone.
type MMR struct {
	Lambda float64 `json:"lambda"`
}

func (r *SearchRequest) setDefaults() { r.K = 10 }

func (r *SearchRequest) check() error {
	if err := r.checkAsked(); err != nil {
		return err
	}
	return r.checkOptions()
}

// checkAsked checks what is looked for, and where. A cursor that continues
// holds all of it.
func (r *SearchRequest) checkAsked() error {
	if err := checkVector("/vector", r.Vector); err != nil {
		return err
	}
	asked := count(r.Text != "", r.Vector != nil, r.Legs != nil)
	switch continues := r.Cursor != nil && *r.Cursor != ""; {
	case asked > 1:
		return fault.BadField("", "give one of text, vector and legs, not several")
	case asked == 0 && !continues:
		return fault.BadField("", "give one of text, vector and legs")
	case len(r.Legs) > maxLegs:
		return fault.BadField("/legs", "at most %d", maxLegs)
	case r.Legs != nil && len(r.Legs) == 0:
		return fault.BadField("/legs", "must hold at least one leg")
	case r.Collection == "" && r.Legs == nil && !continues:
		return fault.BadField("/collection", "must be set")
	}
	for i := range r.Legs {
		if err := r.Legs[i].check("/legs/"+strconv.Itoa(i), r.Collection); err != nil {
			return err
		}
	}
	return nil
}

func (l *Leg) check(at, collection string) error {
	switch asked := count(l.Text != "", l.Vector != nil, l.Sparse != nil); {
	case asked != 1:
		return fault.BadField(at, "give exactly one of text, vector and sparse")
	case l.Collection == "" && collection == "":
		return fault.BadField(at+"/collection", "must be set, here or on the request")
	case l.Weight != nil && *l.Weight <= 0:
		return fault.BadField(at+"/weight", "must be more than 0")
	}
	if err := checkVector(at+"/vector", l.Vector); err != nil {
		return err
	}
	return l.Sparse.check(at + "/sparse")
}

func (r *SearchRequest) checkOptions() error {
	if err := firstOf(
		checkRange("/k", r.K, 1, maxK),
		checkRange("/rerank", r.Rerank, 0, 1<<31-1), // the router knows the limit
		checkRange("/ef", r.EF, 0, 1<<20),
		checkRange("/timeout_ms", r.TimeoutMS, 0, 1<<31-1),
		checkWord("/mode", r.Mode, "auto", "dense", "lexical", "hybrid"),
		checkWord("/on_partial", r.OnPartial, "fail", "return"),
		checkWord("/fusion", r.Fusion, "completed", "rrf", "dbsf"),
		checkInclude(r.Include),
		r.Group.check(),
	); err != nil {
		return err
	}
	switch {
	case r.MinCoverage < 0 || r.MinCoverage > 1:
		return fault.BadField("/min_coverage", "must be between 0 and 1")
	case r.MMR != nil && (r.MMR.Lambda < 0 || r.MMR.Lambda > 1):
		return fault.BadField("/mmr/lambda", "must be between 0 and 1")
	case r.Cursor != nil && *r.Cursor == "" && r.K > maxCursorK:
		return fault.BadField("/k", "must be at most %d with a cursor", maxCursorK)
	}
	return nil
}

func (g *Group) check() error {
	if g == nil {
		return nil
	}
	if g.By == "" {
		return fault.BadField("/group/by", "must name a metadata field")
	}
	if g.Size == 0 {
		g.Size = 1
	}
	return checkRange("/group/size", g.Size, 1, maxK)
}

func count(set ...bool) int {
	n := 0
	for _, s := range set {
		if s {
			n++
		}
	}
	return n
}

func firstOf(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

func checkRange(at string, n, low, high int) error {
	if n < low || n > high {
		return fault.BadField(at, "must be between %d and %d, is %d", low, high, n)
	}
	return nil
}

func checkWord(at, word string, allowed ...string) error {
	if word != "" && !slices.Contains(allowed, word) {
		return fault.BadField(at, "must be one of %q, is %q", slices.Clone(allowed), word)
	}
	return nil
}

func checkInclude(include []string) error {
	for i, word := range include {
		if word != "text" && word != "metadata" && word != "vector" {
			return fault.BadField("/include/"+strconv.Itoa(i), "must be one of \"text\", \"metadata\" and \"vector\", is %q", word)
		}
	}
	return nil
}

func checkVector(at string, v Vector) error {
	if v != nil && len(v) == 0 {
		return fault.BadField(at, "must not be empty")
	}
	return nil
}

// SearchResponse is the answer to a [SearchRequest]. In a batch it holds either
// an answer or an error.
type SearchResponse struct {
	Hits       []Hit           `json:"hits"`
	Report     Report          `json:"report"`
	NextCursor string          `json:"next_cursor,omitzero"`
	Explain    json.RawMessage `json:"explain,omitzero"` // a JSON object
	Error      *Problem        `json:"error,omitzero"`   // in a batch only
}

// Hit is a point that was found.
type Hit struct {
	ID         string              `json:"id"`
	Tenant     string              `json:"tenant,omitzero"`
	Collection string              `json:"collection,omitzero"` // where it is not the request's
	Score      float64             `json:"score"`               // larger is better
	RawScore   float64             `json:"raw_score"`           // the engine's own figure
	Shard      string              `json:"shard,omitzero"`
	Text       string              `json:"text,omitzero"`
	Metadata   json.RawMessage     `json:"metadata,omitzero"` // a JSON object
	Vector     Vector              `json:"vector,omitzero"`
	Legs       map[string]LegScore `json:"legs,omitzero"` // by the leg's name
}

// LegScore is the place of a hit in one leg.
type LegScore struct {
	Rank  int     `json:"rank,omitzero"` // from 1; absent: the leg ranked it lower than it was asked for
	Score float64 `json:"score"`
}

// Report is search.Report in public form.
type Report struct {
	Complete       bool      `json:"complete"`
	Coverage       float64   `json:"coverage"`
	ShardsAsked    int       `json:"shards_asked"`
	ShardsAnswered int       `json:"shards_answered"`
	Missing        []Missing `json:"missing,omitzero"`
	RowsAsked      int       `json:"rows_asked"`
	RowsSaved      int       `json:"rows_saved"`
	Refills        int       `json:"refills"`
	Dropped        int       `json:"dropped"`
	Vanished       int       `json:"vanished"`
	Mode           string    `json:"mode,omitzero"`
	Reranked       int       `json:"reranked,omitzero"`
	RerankSkipped  string    `json:"rerank_skipped,omitzero"`
	Hedges         int       `json:"hedges"`
	Failovers      int       `json:"failovers"`
	TookMS         float64   `json:"took_ms"`
	Epoch          uint64    `json:"epoch"`
}

// Missing is a shard without an answer.
type Missing struct {
	Shard  string        `json:"shard"`
	Reason search.Reason `json:"reason"`
	Detail string        `json:"detail,omitzero"`
}

// NewReport returns r in public form.
func NewReport(r search.Report) Report {
	out := Report{
		Complete: r.Complete, Coverage: r.Coverage, ShardsAsked: r.ShardsAsked, ShardsAnswered: r.ShardsAnswered,
		RowsAsked: r.RowsAsked, RowsSaved: r.RowsSaved, Refills: r.Refills, Dropped: r.Dropped, Vanished: r.Vanished,
		Mode: r.Mode, Reranked: r.Reranked, RerankSkipped: r.RerankSkipped, Hedges: r.Hedges, Failovers: r.Failovers, TookMS: float64(r.Took.Microseconds()) / 1000, Epoch: r.Epoch,
	}
	for _, m := range r.Missing {
		out.Missing = append(out.Missing, Missing(m))
	}
	return out
}

// BatchRequest is the body of POST /v1/search/batch.
type BatchRequest struct {
	Queries []SearchRequest `json:"queries"`
}

// UnmarshalJSON gives each query its own defaults and checks.
func (b *BatchRequest) UnmarshalJSON(data []byte) error {
	var raw struct {
		Queries []jsontext.Value `json:"queries"`
	}
	if err := unmarshal(data, &raw); err != nil {
		return err
	}
	if err := checkRange("/queries", len(raw.Queries), 1, maxBatch); err != nil {
		return err
	}
	b.Queries = make([]SearchRequest, len(raw.Queries))
	for i, query := range raw.Queries {
		var err error
		if b.Queries[i], err = Decode[SearchRequest](query); err != nil {
			return &fault.Error{Class: fault.Invalid, Field: "/queries/" + strconv.Itoa(i), Err: err}
		}
	}
	return nil
}

// BatchResponse answers the queries of a batch in their order.
type BatchResponse struct {
	Results []SearchResponse `json:"results"`
}
