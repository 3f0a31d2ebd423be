package weaviate

import (
	"github.com/lanewise/lanewise/internal/scalars"
	"github.com/lanewise/lanewise/search"
)

// Capabilities depend on Config.Index: collections that an earlier configuration made may
// have the other kind.
func (s *Store) Capabilities() search.Capabilities {
	flat := s.cfg.Index == Flat
	return search.Capabilities{
		Engine: "weaviate", Prefix: flat, Exact: flat, MaxK: s.cfg.MaxRows, MaxDims: mostDims,
		MaxID: longestKey, MaxText: largestText, MaxMeta: largestMeta, MaxOrder: scalars.MostOrdered,
	}
}
