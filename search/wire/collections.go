package wire

import (
	"github.com/lanewise/lanewise/fault"
	"github.com/lanewise/lanewise/search"
)

const (
	maxDims   = 65_536
	maxAvgLen = 1_000_000
)

// Collection is the body of PUT /v1/collections/{name} and the description in
// answers. An absent metric is "cosine".
type Collection struct {
	Name        string        `json:"name,omitzero"` // in a request: absent, or the name in the path
	Dims        int           `json:"dims,omitzero"` // 1 to 65,536; absent: those of the space, or of the server's first embedder
	Metric      search.Metric `json:"metric,omitzero"`
	Space       string        `json:"space,omitzero"`
	StrictSpace bool          `json:"strict_space,omitzero"`
	Placement   placement     `json:"placement,omitzero"`
	Language    string        `json:"language,omitzero"` // ISO 639-1
	Lexical     *bool         `json:"lexical,omitzero"`  // searchable by words too; absent: where all shards can
	AvgLen      int           `json:"avg_len,omitzero"`  // words of a typical text; absent: 100
	Points      *int          `json:"points,omitzero"`   // in answers only: of all tenants
}

// placement is search.Placement in public form; NewCollection makes it.
type placement struct {
	By     search.PlaceBy `json:"by,omitzero"`
	Spread int            `json:"spread,omitzero"`
	Key    string         `json:"key,omitzero"`
}

// NewCollection returns c in public form.
func NewCollection(c search.Collection) Collection {
	out := Collection{
		Name: c.Name, Dims: c.Dims, Metric: c.Metric, Space: c.Space, StrictSpace: c.StrictSpace,
		Placement: placement(c.Placement), Language: c.Language, AvgLen: c.AvgLen,
	}
	if c.Lexical {
		out.Lexical = &c.Lexical
	}
	return out
}

// Descriptor returns c as package search has it.
func (c Collection) Descriptor() search.Collection {
	return search.Collection{
		Name: c.Name, Dims: c.Dims, Metric: c.Metric, Space: c.Space, StrictSpace: c.StrictSpace,
		Placement: search.Placement(c.Placement), Language: c.Language,
		Lexical: c.Lexical != nil && *c.Lexical, AvgLen: c.AvgLen,
	}
}

func (c *Collection) setDefaults() { c.Metric = search.Cosine }

func (c *Collection) check() error {
	if c.Points != nil {
		return fault.BadField("/points", "is counted by the server")
	}
	return firstOf(
		checkRange("/dims", c.Dims, 0, maxDims),
		checkRange("/avg_len", c.AvgLen, 0, maxAvgLen),
		checkWord("/metric", string(c.Metric), string(search.Cosine), string(search.Dot), string(search.Euclidean)),
		c.Placement.check(),
	)
}

func (p placement) check() error {
	switch {
	case p.By == search.ByKey && p.Key == "":
		return fault.BadField("/placement/key", "must name a metadata field")
	case p.By != search.ByKey && p.Key != "":
		return fault.BadField("/placement/key", "goes with \"by\": \"key\" only")
	case p.By != search.ByTenant && p.Spread != 0:
		return fault.BadField("/placement/spread", "goes with \"by\": \"tenant\" only")
	}
	return firstOf(
		checkWord("/placement/by", string(p.By),
			string(search.ByID), string(search.ByTenant), string(search.ByKey), string(search.ByExternal)),
		checkRange("/placement/spread", p.Spread, 0, 1<<16),
	)
}

// Collections is the answer to GET /v1/collections.
type Collections struct {
	Collections []Collection      `json:"collections"`
	Aliases     map[string]string `json:"aliases,omitzero"` // alias to collection
}

// Alias is the body of PUT /v1/aliases/{name}.
type Alias struct {
	Collection string `json:"collection"`
}

func (a *Alias) check() error {
	if a.Collection == "" {
		return fault.BadField("/collection", "must be set")
	}
	return nil
}
