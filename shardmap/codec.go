package shardmap

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"slices"

	"github.com/lanewise/lanewise/fault"
	"github.com/lanewise/lanewise/search"
)

// The stored form of a map is a line of text, then JSON:
//
//	lanewise-map 1 sha256:<hex of the JSON's checksum> <bytes of the JSON>
//
// so that a cut, an edited and a newer file are told apart before any of it is believed.
const (
	magic  = "lanewise-map"
	format = 1
)

type storedMap struct {
	Epoch       uint64             `json:"epoch"`
	Shards      []storedShard      `json:"shards"`
	Owners      string             `json:"owners"` // base64 of one little-endian uint16 a partition
	Collections []storedCollection `json:"collections,omitempty"`
	Aliases     map[string]string  `json:"aliases,omitempty"`
	Canaries    map[string][]byte  `json:"canaries,omitempty"` // space to little-endian float32s, as base64
}

type storedShard struct {
	Name     string   `json:"name"`
	Weight   float64  `json:"weight"`
	Replicas []string `json:"replicas,omitempty"`
}

type storedCollection struct {
	Name        string              `json:"name"`
	Dims        int                 `json:"dims"`
	Metric      search.Metric       `json:"metric"`
	Space       string              `json:"space,omitempty"`
	StrictSpace bool                `json:"strict_space,omitempty"`
	Placement   storedPlacement     `json:"placement"`
	Language    string              `json:"language,omitempty"`
	Lexical     bool                `json:"lexical,omitempty"`
	AvgLen      int                 `json:"avg_len,omitempty"`
	Overrides   map[string][]string `json:"overrides,omitempty"`
}

type storedPlacement struct {
	By     search.PlaceBy `json:"by"`
	Spread int            `json:"spread,omitempty"`
	Key    string         `json:"key,omitempty"`
}

// Encode returns the stored form of the map: text, checksummed, the same bytes for the
// same map.
func (m *Map) Encode() ([]byte, error) {
	body, err := json.MarshalIndent(m.stored(), "", " ")
	if err != nil {
		return nil, fmt.Errorf("encode shard map: %w", err)
	}
	body = append(body, '\n')
	sum := sha256.Sum256(body)
	head := fmt.Appendf(nil, "%s %d sha256:%s %d\n", magic, format, hex.EncodeToString(sum[:]), len(body))
	return append(head, body...), nil
}

func (m *Map) stored() storedMap {
	s := storedMap{Epoch: m.epoch, Aliases: m.aliases}
	for _, shard := range m.shards {
		s.Shards = append(s.Shards, storedShard(shard))
	}
	raw := make([]byte, 0, 2*partitions)
	for _, owner := range m.owners {
		raw = binary.LittleEndian.AppendUint16(raw, owner)
	}
	s.Owners = base64.StdEncoding.EncodeToString(raw)
	for _, name := range slices.Sorted(maps.Keys(m.collections)) {
		s.Collections = append(s.Collections, storeCollection(m.collections[name].descriptor, m.Overrides(name)))
	}
	for space, vector := range m.canaries {
		if s.Canaries == nil {
			s.Canaries = map[string][]byte{}
		}
		s.Canaries[space], _ = binary.Append(nil, binary.LittleEndian, vector) // floats always fit
	}
	return s
}

func storeCollection(c search.Collection, overrides map[string][]string) storedCollection {
	return storedCollection{
		Name: c.Name, Dims: c.Dims, Metric: c.Metric, Space: c.Space, StrictSpace: c.StrictSpace,
		Placement: storedPlacement(c.Placement), Language: c.Language, Lexical: c.Lexical, AvgLen: c.AvgLen,
		Overrides: overrides,
	}
}

func (s storedCollection) descriptor() search.Collection {
	return search.Collection{
		Name: s.Name, Dims: s.Dims, Metric: s.Metric, Space: s.Space, StrictSpace: s.StrictSpace,
		Placement: search.Placement(s.Placement), Language: s.Language, Lexical: s.Lexical, AvgLen: s.AvgLen,
	}
}

// Decode reads the stored form of a map. A cut, edited or newer one is fault.Invalid with the
// reason. Placement is read, never computed.
func Decode(data []byte) (*Map, error) {
	body, err := unseal(data)
	if err != nil {
		return nil, err
	}
	var s storedMap
	if err := json.Unmarshal(body, &s); err != nil {
		return nil, fault.Wrap(fault.Invalid, "decode shard map", err)
	}
	return s.restore()
}

// unseal checks the first line against the rest and returns the rest.
func unseal(data []byte) ([]byte, error) {
	head, body, ok := bytes.Cut(data, []byte{'\n'})
	if !ok {
		if len(data) == 0 {
			return nil, fault.New(fault.Invalid, "the file is empty")
		}
		return nil, fault.New(fault.Invalid, "its first line is cut off, or it is not a shard map")
	}
	var word, sum string
	var version, size int
	if _, err := fmt.Sscanf(string(head), "%s %d", &word, &version); err != nil || word != magic {
		return nil, fault.New(fault.Invalid, "it is not a shard map: its first line does not start with %q and a version", magic)
	}
	if version != format {
		return nil, fault.New(fault.Invalid, "it has format %d, and this version of lanewise reads format %d", version, format)
	}
	if _, err := fmt.Sscanf(string(head), "%s %d sha256:%s %d", &word, &version, &sum, &size); err != nil {
		return nil, fault.New(fault.Invalid, "its first line is damaged: %q", head)
	}
	if len(body) != size {
		return nil, fault.New(fault.Invalid, "it was cut or extended: %d bytes follow the first line instead of %d", len(body), size)
	}
	if got := sha256.Sum256(body); hex.EncodeToString(got[:]) != sum {
		return nil, fault.New(fault.Invalid, "it was edited or damaged: its checksum is not the one in its first line")
	}
	return body, nil
}

// restore builds the map and checks everything that it will rely on.
func (s storedMap) restore() (*Map, error) {
	m := &Map{epoch: s.Epoch, owners: new([partitions]uint16), aliases: s.Aliases, collections: make(map[string]*part, len(s.Collections))}
	for _, shard := range s.Shards {
		m.shards = append(m.shards, Shard(shard))
	}
	if _, err := validate(m.shards); err != nil {
		return nil, err
	}
	m.shards = sortShards(m.shards)
	if err := m.restoreOwners(s.Owners); err != nil {
		return nil, err
	}
	for _, c := range s.Collections {
		if err := m.restoreCollection(c); err != nil {
			return nil, fmt.Errorf("collection %q: %w", c.Name, err)
		}
	}
	for alias, target := range s.Aliases {
		if _, ok := m.collections[target]; !ok {
			return nil, fault.New(fault.Invalid, "alias %q stands for a collection %q that is not there", alias, target)
		}
	}
	if err := m.restoreCanaries(s.Canaries); err != nil {
		return nil, err
	}
	m.index()
	return m, nil
}

func (m *Map) restoreCanaries(stored map[string][]byte) error {
	for space, raw := range stored {
		vector := make([]float32, len(raw)/4)
		if _, err := binary.Decode(raw, binary.LittleEndian, vector); err != nil || len(raw)%4 != 0 {
			return fault.New(fault.Invalid, "canary of space %q: %d bytes are no vector", space, len(raw))
		}
		if m.canaries == nil {
			m.canaries = map[string][]float32{}
		}
		m.canaries[space] = vector
	}
	return nil
}

func (m *Map) restoreOwners(text string) error {
	raw, err := base64.StdEncoding.DecodeString(text)
	if err != nil {
		return fault.Wrap(fault.Invalid, "owners", err)
	}
	if len(raw) != 2*partitions {
		return fault.New(fault.Invalid, "owners: %d bytes instead of %d", len(raw), 2*partitions)
	}
	for p := range m.owners {
		owner := binary.LittleEndian.Uint16(raw[2*p:])
		if int(owner) >= len(m.shards) {
			return fault.New(fault.Invalid, "owners: partition %d belongs to shard %d of %d", p, owner, len(m.shards))
		}
		m.owners[p] = owner
	}
	return nil
}

func (m *Map) restoreCollection(s storedCollection) error {
	c := s.descriptor()
	if err := checkCollection(c); err != nil {
		return err
	}
	p := &part{descriptor: c}
	if len(s.Overrides) > 0 {
		p.overrides = make(map[string][]int, len(s.Overrides))
	}
	for tenant, shards := range s.Overrides {
		if err := m.setOverride(p.overrides, tenant, shards); err != nil {
			return err
		}
	}
	m.collections[c.Name] = p
	return nil
}
