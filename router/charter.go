package router

import (
	"encoding/json"

	"github.com/lanewise/lanewise/fault"
	"github.com/lanewise/lanewise/shardmap"
)

// charter is what routers that share a map agree on. It is replaced as a whole, by compare and swap.
type charter struct {
	m        *shardmap.Map
	revision string // of the store; empty: nothing is stored yet

	Map    string `json:"map"`            // the stored form
	Joined uint64 `json:"joined"`         // how often a router has joined, ever
	Move   *note  `json:"move,omitempty"` // that is not finished
	Claim  *claim `json:"claim,omitempty"`
}

// claim is of the one router that does what the others have to take part in.
type claim struct {
	By   string `json:"by"`   // the router's name
	Turn uint64 `json:"turn"` // tells the claims of a router apart
	Sole bool   `json:"sole"` // it writes alone; else it carries out the move
}

// moving reports whether a router is carrying out the move.
func (c charter) moving() bool { return c.Move != nil && c.Claim != nil && !c.Claim.Sole }

// with returns the charter with another map.
func (c charter) with(m *shardmap.Map) charter {
	c.m = m
	return c
}

func (c charter) encode() ([]byte, error) {
	text, err := c.m.Encode()
	if err != nil {
		return nil, err
	}
	c.Map = string(text)
	return json.Marshal(c)
}

func decodeCharter(data []byte, revision string) (c charter, err error) {
	if err := json.Unmarshal(data, &c); err != nil {
		return c, fault.Wrap(fault.Invalid, "read the shared shard map", err)
	}
	if c.m, err = shardmap.Decode([]byte(c.Map)); err != nil {
		return c, fault.Wrap(fault.Invalid, "read the shared shard map", err)
	}
	c.Map, c.revision = "", revision
	return c, nil
}
