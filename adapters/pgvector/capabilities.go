package pgvector

import "github.com/lanewise/lanewise/search"

// Capabilities depend on Config.HNSW, whose index takes fewer dims.
func (s *Store) Capabilities() search.Capabilities {
	c := search.Capabilities{
		Engine: "pgvector", Prefix: true, Versions: true, Exact: true,
		MaxDims: mostDims, MaxID: longestKey, MaxText: largestText, MaxMeta: largestMeta,
	}
	if s.config.HNSW != nil {
		c.MaxDims = mostIndexedDims
	}
	return c
}
