package milvus

import (
	"github.com/lanewise/lanewise/internal/scalars"
	"github.com/lanewise/lanewise/search"
)

// Capabilities depend on Config.Index: collections that an earlier configuration made may
// have the other kind.
func (s *Store) Capabilities() search.Capabilities {
	flat := s.cfg.Index == Flat
	return search.Capabilities{
		Engine: "milvus", Prefix: flat, Exact: flat, MaxK: maxRows,
		MaxDims: 32768, MaxID: maxBytes - 1, MaxText: maxBytes, MaxMeta: maxBytes, MaxOrder: scalars.MostOrdered,
	}
}
