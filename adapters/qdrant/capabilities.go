package qdrant

import "github.com/lanewise/lanewise/search"

// Capabilities are those of collections that this package made.
func (*Store) Capabilities() search.Capabilities {
	return search.Capabilities{
		Engine: "qdrant", Prefix: true, Versions: true, Sparse: true, Exact: true,
		MaxDims: mostDims, MaxOrder: longestOrder, MaxNested: deepestFilter,
	}
}
