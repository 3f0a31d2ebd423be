package remote

import "github.com/lanewise/lanewise/search"

// Capabilities are those of the protocol. What is behind the server may restrict them
// further, and its errors say so.
func (*Store) Capabilities() search.Capabilities {
	return search.Capabilities{Engine: "lanewise", Prefix: true, Versions: true, Sparse: true, Exact: true}
}
