package local

import "github.com/lanewise/lanewise/search"

// Capabilities are those of the embedded store: everything, up to a few limits of its file.
func (*Store) Capabilities() search.Capabilities {
	return search.Capabilities{
		Engine: "local", Prefix: true, Versions: true, Sparse: true, Exact: true, MaxDims: mostDims, MaxID: longestID,
	}
}
