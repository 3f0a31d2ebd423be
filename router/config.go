package router

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/lanewise/lanewise/balance"
	"github.com/lanewise/lanewise/balance/admit"
	"github.com/lanewise/lanewise/balance/limit"
	"github.com/lanewise/lanewise/embed"
	"github.com/lanewise/lanewise/fault"
	"github.com/lanewise/lanewise/llm"
	"github.com/lanewise/lanewise/llm/prompt"
	"github.com/lanewise/lanewise/rerank"
	"github.com/lanewise/lanewise/search"
	"github.com/lanewise/lanewise/shardmap"
)

// Config says what a router stands on. Everything but Shards may be left zero.
type Config struct {
	Shards []Shard

	// MapPath is the file that holds the shard map: the placement, its epoch and
	// the collections. The router takes its lock, so that one router writes at a
	// time. Without it the map lives in memory, and the collections are those
	// that the replicas report at the start.
	MapPath string

	// MapStore holds the shard map where several routers share it, instead of a file. MapPath then
	// names the file of the map that is taken over where none is shared yet. The caller closes it after the router.
	MapStore MapStore
	// Name tells the routers that share a map apart. It is needed with MapStore, and must be a new one after each start.
	Name string

	// Embedders turn texts into vectors, one for each space; a collection that
	// names no space uses the first. Without one only vectors can be searched.
	Embedders []embed.Provider

	// Lexicon returns what takes the texts of a lexical collection by their words, such as a bm25.Encoder;
	// fault.Invalid where it cannot. Without it there are no lexical collections.
	Lexicon func(c search.Collection) (Lexicon, error)

	// StatsAge is how old the document frequencies behind the weights of words may be. 0: 10 s; negative: asked
	// for with every search.
	StatsAge time.Duration

	// Reranker puts candidates in order where a request asks for it. Without one that is refused.
	Reranker rerank.Provider

	// Generator writes the answers. Without it Answer is refused.
	Generator llm.Provider

	// Routes chooses the model, the collection and the prompt of questions whose model is llm.Auto, by what they
	// ask. nil: that is a name like any other.
	Routes func(ctx context.Context, text string) (llm.Routing, error)

	// AnswerFloor is the score that the best source of an answer needs in a dense leg: below it no model
	// is asked, and the answer is that nothing was found. It depends on the embedding model. 0: none.
	AnswerFloor float64

	// Prompts are the templates of answers by their names. "default" is used for questions that name none;
	// without it a built-in one is.
	Prompts map[string]*prompt.Template

	// Rephrase has the Generator put questions that lean on the conversation before them into words that can be
	// searched for by themselves. Otherwise, and where it does not, prompt.SearchText says what is searched for.
	Rephrase bool

	// ContextOrder is the order of the passages in prompts where a question does not say it. Empty: by rank.
	ContextOrder prompt.Order

	// Lane tunes the attempts of the shard lanes: hedging and its budget.
	Lane balance.LaneConfig

	// Picker chooses the replica of a shard; nil: balance.Fastest.
	Picker balance.Picker

	// Limit bounds the questions that each replica has at a time, by itself.
	Limit limit.Config

	SearchTimeout time.Duration // of a whole search; 0: 2 s
	AnswerTimeout time.Duration // of a whole answer; 0: 60 s
	WriteTimeout  time.Duration // of a write, its embedding included; 0: 10 s
	ExtraAttempts int           // hedges and failovers that one request may cost over all lanes; 0: 8, negative: none

	// Admission bounds the searches at work and those that wait. Most: 0 means
	// 1,024 here, and Target half of SearchTimeout.
	Admission admit.Config

	// CursorKey signs the cursors of pages, and the fences of passages in prompts. Routers with the same key
	// read each other's cursors and lay the same passages out alike; without one a key is drawn, and
	// cursors end with the process.
	CursorKey []byte

	Trace *balance.Trace // called for every attempt of the shard lanes; nil: not
	Log   *slog.Logger   // changes of state; nil: none
}

// Shard is a disjoint part of every collection, on one or more replicas.
type Shard struct {
	Name     string
	Weight   float64 // share of the data, relative to the others; 0: 1
	Replicas []Replica

	// Lexical are companions that rank the shard's points by words, for replicas that cannot. Each
	// holds the words, texts and metadata of all points, must be a search.TermCounter, and counts in the acknowledgements of
	// writes. While none is in step the lexical leg of the shard is missing. Empty: the replicas rank.
	Lexical []Replica
}

// Replica is a full copy of a shard.
type Replica struct {
	Name   string
	Weight float64 // share of the queries, relative to the shard's others; 0: 1
	Aborts bool    // a search that is cancelled stops costing the replica anything
	Store  search.Store

	words bool // it is a lexical companion
}

// MaxK is the longest list that one request may ask for.
const MaxK = 10_000

func (c Config) withDefaults() Config {
	c.SearchTimeout = cmp.Or(c.SearchTimeout, 2*time.Second)
	c.AnswerTimeout = cmp.Or(c.AnswerTimeout, time.Minute)
	c.WriteTimeout = cmp.Or(c.WriteTimeout, 10*time.Second)
	c.ExtraAttempts = cmp.Or(c.ExtraAttempts, 8)
	c.StatsAge = cmp.Or(c.StatsAge, 10*time.Second)
	c.Lane.Name = cmp.Or(c.Lane.Name, "shards")
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	return c
}

// validate checks what only the router knows; names and weights of shards are
// checked by the shard map.
func (c Config) validate() error {
	var errs []error
	if c.MapStore != nil && c.Name == "" {
		errs = append(errs, fault.New(fault.Invalid, "name: routers that share a shard map need one each"))
	}
	names := map[string]bool{}
	for i, s := range c.Shards {
		if len(s.Replicas) == 0 {
			errs = append(errs, fault.New(fault.Invalid, "shards[%d].replicas: at least one replica is needed", i))
		}
		for j, r := range slices.Concat(s.Replicas, s.Lexical) {
			path := fmt.Sprintf("shards[%d].replicas[%d]", i, j)
			if j >= len(s.Replicas) {
				path = fmt.Sprintf("shards[%d].lexical[%d]", i, j-len(s.Replicas))
			}
			full := s.Name + "/" + r.Name
			switch {
			case r.Name == "":
				errs = append(errs, fault.New(fault.Invalid, "%s.name: must not be empty", path))
			case names[full]:
				errs = append(errs, fault.New(fault.Invalid, "%s.name: %q appears twice in shard %q", path, r.Name, s.Name))
			case r.Store == nil:
				errs = append(errs, fault.New(fault.Invalid, "%s.store: must not be nil", path))
			}
			names[full] = true
		}
		errs = append(errs, checkCompanions(s, func(j int) string { return fmt.Sprintf("shards[%d].lexical[%d]", i, j) }))
	}
	return errors.Join(errs...)
}

// mapShards is the part of the configuration that decides on placement.
func (c Config) mapShards() []shardmap.Shard {
	out := make([]shardmap.Shard, len(c.Shards))
	for i, s := range c.Shards {
		out[i] = shardmap.Shard{Name: s.Name, Weight: s.Weight}
		for _, r := range s.Replicas {
			out[i].Replicas = append(out[i].Replicas, r.Name)
		}
	}
	return out
}
