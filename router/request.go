package router

import (
	"time"

	"github.com/lanewise/lanewise/balance"
	"github.com/lanewise/lanewise/llm"
	"github.com/lanewise/lanewise/llm/prompt"
	"github.com/lanewise/lanewise/llm/relay"
	"github.com/lanewise/lanewise/merge"
	"github.com/lanewise/lanewise/search"
)

// Mode is how a text is matched against the stored passages.
type Mode string

// The modes. The zero value means Auto.
const (
	Auto    Mode = "auto"    // the best that all shards of the collection can do
	Dense   Mode = "dense"   // by embedding
	Lexical Mode = "lexical" // by words
	Hybrid  Mode = "hybrid"  // by both
)

// OnPartial says what becomes of an answer in which shards are missing.
type OnPartial string

// The choices. The zero value means FailPartial, unless a minimum coverage is set.
const (
	FailPartial   OnPartial = "fail"   // a PartialError
	ReturnPartial OnPartial = "return" // the hits there are, and a report of what is missing
)

// Request is a search in text or vectors. Only Collection and one of Text, Vector
// and Legs are needed; the other zero values mean the defaults stated here.
type Request struct {
	Collection  string // name or alias
	Tenant      string
	Text        string    // embedded into the collection's space, and taken by its words, as Mode says
	Vector      []float32 // instead of Text: as long as the collection's dims
	Space       string    // the space of Vector, where the collection is strict about it
	Legs        []Leg     // instead of Text and Vector: several rankings, fused into one
	Fusion      Fusion    // of several legs; empty: completed
	K           int       // hits wanted; 0: 10
	MinScore    *float64  // lowest canonical score in a dense leg; nil: none. Neither fused scores nor BM25's have a threshold
	Mode        Mode
	Filter      search.Filter
	Rerank      int      // best candidates that the rerank lane puts in order; 0: none. Hits then carry its scores, and their former ones as Raw
	Group       *Group   // nil: hits are not grouped
	MMR         *float64 // lambda of maximal marginal relevance, 0 to 1; nil: by score alone
	Fields      search.Fields
	EF          int  // least search breadth of approximate indexes; 0: the engine's own
	Exact       bool // scan, even where there is an approximate index
	Timeout     time.Duration
	OnPartial   OnPartial
	MinCoverage float64 // smallest acceptable share of the documents, 0 to 1; above 0 it implies ReturnPartial
	Cursor      *string // "": the response's NextCursor leads on; a NextCursor: that page; nil: no paging
	Explain     bool
}

// Fusion is a way to make one ranking of several legs.
type Fusion = merge.Method

// Leg is one ranking of a request that spells its rankings out. One of Text, Vector and Sparse is given.
type Leg struct {
	Collection string        // empty: the request's
	Text       string        // embedded into the collection's space, or with Using Words weighed word by word
	Vector     []float32     // a dense query vector
	Sparse     search.Sparse // a query vector of words
	Using      string        // which vector of the points: "" the dense one, or Words
	Weight     float64       // in the fusion; 0: all legs count the same
}

// Words is the name of the vector that holds a point's words.
const Words = "lexical"

// Group lets at most Size hits of every value of a metadata field pass. Hits
// without the field are not limited.
type Group struct {
	By   string // dotted path
	Size int    // 0: 1
}

// Response holds the hits, best first, and how they came about.
type Response struct {
	Hits       []search.Hit
	Report     search.Report
	NextCursor string   // of the next page, where the request asked for a cursor and there is one
	Explain    *Explain // where the request asked for it
	Stages     []Stage  // that the request has passed, in order; with an error, those before it

	nearest float64 // best score in a dense leg; +Inf where there is none
}

// Explain tells where the time of a request went.
type Explain struct {
	Stages   []Stage           // in order
	Attempts []balance.Attempt // of all lanes, in the order of their end; attempts still running are left out
	Routing  *llm.Routing      // what the semantic routes made of a question; nil: they were not asked
}

// Stage is one part of the road. Each begins where the one before it ends.
type Stage struct {
	Name string // "rephrase", "route", "embed", "terms", "search", "first_token", "generate"
	Took time.Duration
}

// Question asks for an answer in words, from the passages that a search finds.
type Question struct {
	Request                    // what to search for; K 0: 8
	Question     string        // empty: Text. Where nothing else is to be searched for, the question is, as prompt.SearchText says
	Turns        []llm.Message // the conversation so far, oldest first, without the question
	Model        string        // empty: the upstream's own; llm.Auto: by what it asks
	MaxTokens    int           // of the answer; 0: the upstream's own limit
	Prompt       string        // name of the template; empty: "default"
	ContextOrder prompt.Order  // of the passages in the prompt; empty: the configuration's
	Session      string        // of a conversation, whose prompts are kept together; empty: none
}

// Answer is a finished answer.
type Answer struct {
	Text      string
	Citations []Citation // in the order of their numbers: of sources that were in the prompt
	Unknown   []int      // numbers that the text cites and that were not in the prompt
	Model     string
	Choice    llm.Choice   // among several models
	Route     relay.Route  // to the upstream that answers
	Routing   *llm.Routing // what the semantic routes made of the question; nil: they were not asked
	Finish    string
	Usage     llm.Usage    // of the answer, and of putting the question into words where a model did that
	Searched  string       // the text that was searched for; empty: a vector or legs
	Hits      []search.Hit // that were found, in the order of the prompt: hit i is source i+1
	LeftOut   []int        // numbers of the hits that did not fit into the prompt, best first
	// TurnsLeftOut are the oldest turns that did not fit.
	TurnsLeftOut int
	// Repacked says that the model that answered has a smaller window than the one
	// that was asked first, and has read fewer sources.
	Repacked     bool
	PromptTokens int // of the prompt, as estimated before it was sent
	Report       search.Report
	Explain      *Explain
	Stages       []Stage // that the answer has passed, in order
}

// Citation is a source that the answer refers to as [N].
type Citation struct {
	N     int
	ID    string
	Score float64
	Quote string // what of the passage the answer rests on: its own words
}

// Ack acknowledges a write: it is durable on every replica.
type Ack struct {
	Written int            // points written or deleted
	Version search.Version // of the newest of them
	Lag     time.Duration  // until a search is sure to find them
}

// Upsert stores points of one tenant, replacing those of the same id. Points
// without a vector are embedded from their text. Versions are stamped by the
// router; those given are ignored.
type Upsert struct {
	Collection string
	Tenant     string
	Points     []search.Point
}

// Delete removes points of one tenant, by id or by filter.
type Delete struct {
	Collection string
	Tenant     string
	IDs        []string
	Filter     search.Filter // used where IDs is nil; the zero Filter is refused
}
