package access

import (
	"strings"

	"github.com/lanewise/lanewise/fault"
)

// Scopes is a set of things that a caller may do.
type Scopes uint8

// The scopes.
const (
	Search  Scopes = 1 << iota // search, and read points and collections
	Answer                     // ask questions, and have models generate
	Embed                      // turn texts into vectors
	Write                      // write and delete points, change collections
	Replica                    // read and write the raw content of all tenants: for routers
	Admin                      // operate the server

	None Scopes = 0
	All         = Search | Answer | Embed | Write | Replica | Admin
)

// scopeNames are in the order of the bits.
var scopeNames = [...]string{"search", "answer", "embed", "write", "replica", "admin"}

// ParseScopes reads names such as "search". No names are no scopes. Its error is fault.Invalid.
func ParseScopes(names []string) (Scopes, error) {
	var s Scopes
	for _, name := range names {
		bit := None
		for i, known := range scopeNames {
			if name == known {
				bit = 1 << i
			}
		}
		if bit == None {
			return None, fault.New(fault.Invalid, "there is no scope %q: choose from %s", name, strings.Join(All.Names(), ", "))
		}
		s |= bit
	}
	return s, nil
}

// Names lists the scopes in their usual order.
func (s Scopes) Names() []string {
	names := make([]string, 0, len(scopeNames))
	for i, name := range scopeNames {
		if s&(1<<i) != 0 {
			names = append(names, name)
		}
	}
	return names
}
