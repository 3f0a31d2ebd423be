package config

import (
	"fmt"

	"github.com/lanewise/lanewise/search"
)

// External is a collection that the engines of all shards hold already, and that is read
// as it is: dims and metric come from the engines, nothing is ever written.
type External struct {
	// Name is what the collection is called here.
	Name string `yaml:"name"`
	// Placement must be "external".
	Placement string `yaml:"placement"`
	// From is its name in the engines; in PostgreSQL a table, or SCHEMA.TABLE. Default: the name.
	From string `yaml:"from,omitempty"`
	// ID is the field or column of the ids. Default: the engine's own id, the primary key.
	ID string `yaml:"id,omitempty"`
	// Text is the field or column of the texts. Default: none, and hits have no text.
	Text string `yaml:"text,omitempty"`
	// Vector is the field, column or named vector. Default: the only one.
	Vector string `yaml:"vector,omitempty"`
	// Metadata is the field or column that holds the metadata. Default: everything else.
	Metadata string `yaml:"metadata,omitempty"`
	// Metric is needed for a PostgreSQL table without an HNSW index; elsewhere it only checks
	// what the engine says. Default: the engine's.
	Metric string `yaml:"metric,omitempty"`
	// Space is the id of the embedding space that its vectors are of, such as static-256.
	// Default: not known, and only vectors can be searched for.
	Space string `yaml:"space,omitempty"`
}

// external has the fields of every adapter's own type of that name.
type external struct {
	Name, From, ID, Text, Vector, Meta, Space string
	Metric                                    search.Metric
}

func (x External) adapter() external {
	return external{
		Name: x.Name, From: x.From, ID: x.ID, Text: x.Text, Vector: x.Vector, Meta: x.Metadata, Space: x.Space, Metric: search.Metric(x.Metric),
	}
}

// as converts them to the type of an adapter.
func as[T any](all []External, convert func(external) T) []T {
	var out []T
	for _, x := range all {
		out = append(out, convert(x.adapter()))
	}
	return out
}

// external checks the collections that are there already. They lie on every shard, so
// every replica must be an engine.
func (v *validator) external(c *Config) {
	names := map[string]string{}
	for i, x := range c.Collections {
		at := fmt.Sprintf("collections[%d]", i)
		v.check(x.Name != "", at+".name", "missing: what is the collection called?")
		v.unique(names, x.Name, at+".name")
		v.check(x.Placement == string(search.ByExternal), at+".placement",
			"must be external: a collection of lanewise's own is made by PUT /v1/collections/NAME")
		switch search.Metric(x.Metric) {
		case "", search.Cosine, search.Dot, search.Euclidean:
		default:
			v.at(at+".metric", "is none of cosine, dot and euclidean")
		}
	}
	if len(c.Collections) == 0 {
		return
	}
	for i, s := range c.Shards {
		for j, r := range s.Replicas {
			if !isEngine(r.URL) {
				v.at("collections", "an external collection is asked of every shard, and shards[%d].replicas[%d] is no engine", i, j)
				return
			}
		}
	}
	v.check(c.Store == "", "collections", "cannot stand beside store: a bare replica only keeps what a router sends")
}
