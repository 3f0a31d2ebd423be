package qdrant

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/qdrant/go-client/qdrant"

	"github.com/lanewise/lanewise/fault"
	"github.com/lanewise/lanewise/search"
)

const (
	sparseVector = "sparse"   // name of the lexical vector
	descriptor   = "lanewise" // name of the description in a collection's metadata
)

// collection is what this store knows of a collection.
type collection struct {
	search.Collection
	engine   string    // its name in Qdrant
	dense    string    // name of its dense vector
	breadth  uint64    // of Qdrant's searches where none is asked for
	external *External // nil: made by this package

	swept sync.Mutex // guards the rest
	last  time.Time  // when old marks were removed
}

// description is what is stored of a search.Collection in Qdrant.
type description struct {
	Format      int    `json:"format"`
	Prefix      string `json:"prefix,omitempty"` // of the store that made it
	Vector      string `json:"vector"`
	Dims        int    `json:"dims"`
	Metric      string `json:"metric"`
	Space       string `json:"space,omitempty"`
	StrictSpace bool   `json:"strict_space,omitempty"`
	By          string `json:"by"`
	Spread      int    `json:"spread,omitempty"`
	Key         string `json:"key,omitempty"`
	Language    string `json:"language,omitempty"`
	Lexical     bool   `json:"lexical,omitempty"`
	AvgLen      int    `json:"avg_len,omitempty"`
}

func (c Config) describe(want *search.Collection) description {
	return description{
		Format: 1, Prefix: c.Prefix, Vector: c.Vector, Dims: want.Dims, Metric: string(want.Metric), Space: want.Space, StrictSpace: want.StrictSpace,
		By: string(want.Placement.By), Spread: want.Placement.Spread, Key: want.Placement.Key, Language: want.Language,
		Lexical: want.Lexical, AvgLen: want.AvgLen,
	}
}

func (d description) collection(name string) search.Collection {
	return search.Collection{
		Name: name, Dims: d.Dims, Metric: search.Metric(d.Metric), Space: d.Space, StrictSpace: d.StrictSpace,
		Placement: search.Placement{By: search.PlaceBy(d.By), Spread: d.Spread, Key: d.Key}, Language: d.Language,
		Lexical: d.Lexical, AvgLen: d.AvgLen,
	}
}

func distanceOf(m search.Metric) qdrant.Distance {
	switch m {
	case search.Dot:
		return qdrant.Distance_Dot
	case search.Euclidean:
		return qdrant.Distance_Euclid
	default:
		return qdrant.Distance_Cosine
	}
}

func (c *collection) pointID(k search.Key) *qdrant.PointId {
	if c.external != nil {
		return externalID(k)
	}
	return pointID(k, c.Placement.By == search.ByTenant)
}

// lookup returns a collection, from memory where it was seen before.
func (s *Store) lookup(ctx context.Context, name string) (*collection, error) {
	if c, ok := s.known.Load(name); ok {
		return c.(*collection), nil
	}
	c, err := s.load(ctx, name)
	if err == nil {
		s.known.Store(name, c)
	}
	return c, err
}

// fitting returns a collection for which check is content. What is known of a
// collection may be old, so it is asked for again before anything is refused.
func (s *Store) fitting(ctx context.Context, name string, check func(*collection) error) (*collection, error) {
	c, err := s.lookup(ctx, name)
	if err != nil || check(c) == nil {
		return c, err
	}
	s.known.Delete(name)
	if c, err = s.lookup(ctx, name); err != nil {
		return nil, err
	}
	return c, check(c)
}

// forget drops what is known of a collection whose use went wrong in a way that
// tells of a change behind this store's back.
func (s *Store) forget(name string, err error) {
	if errors.Is(err, fault.NotFound) || errors.Is(err, fault.Invalid) {
		s.known.Delete(name)
	}
}

// load asks Qdrant for a collection.
func (s *Store) load(ctx context.Context, name string) (*collection, error) {
	if name == "" {
		return nil, fault.New(fault.NotFound, "no collection is named")
	}
	if err := checkText("/collection", name); err != nil {
		return nil, err
	}
	engine, x := s.config.Prefix+name, s.config.external(name)
	if x != nil {
		engine = cmp.Or(x.From, x.Name)
	}
	resp, err := s.collections().Get(ctx, &qdrant.GetCollectionInfoRequest{CollectionName: engine})
	if err != nil {
		err = s.classify(ctx, "describe "+engine, err)
		if x != nil && errors.Is(err, fault.NotFound) {
			return nil, s.noCollection(ctx, engine, err)
		}
		return nil, err
	}
	if x != nil {
		return s.readExternal(x, resp.GetResult().GetConfig())
	}
	return s.read(name, resp.GetResult().GetConfig())
}

// errForeign is a collection whose points cannot be read from their payload, or one
// that a store with another prefix made.
var errForeign = errors.New("the collection in Qdrant was not made by lanewise under this prefix, or Qdrant is older than 1.16")

func (s *Store) read(name string, config *qdrant.CollectionConfig) (*collection, error) {
	var d description
	text := config.GetMetadata()[descriptor].GetStringValue()
	if text == "" || json.Unmarshal([]byte(text), &d) != nil || d.Format != 1 || d.Prefix != s.config.Prefix {
		return nil, fault.Wrap(fault.Conflict, s.config.Prefix+name, errForeign)
	}
	vector := config.GetParams().GetVectorsConfig().GetParamsMap().GetMap()[d.Vector]
	c := &collection{
		Collection: d.collection(name), engine: s.config.Prefix + name, dense: d.Vector,
		breadth: config.GetHnswConfig().GetEfConstruct(),
	}
	if vector.GetSize() != uint64(d.Dims) || vector.GetDistance() != distanceOf(c.Metric) {
		return nil, fault.New(fault.Conflict, "%s: Qdrant holds %d dims of %v, its description says %d of %s",
			c.engine, vector.GetSize(), vector.GetDistance(), d.Dims, d.Metric)
	}
	return c, nil
}

// create makes a collection, or finishes making one that is there already.
func (s *Store) create(ctx context.Context, b *search.Batch) error {
	want := *b.Create
	if b.Collection != "" && b.Collection != want.Name {
		return fault.BadField("/create/name", "is %q, but the batch is for %q", want.Name, b.Collection)
	}
	if err := checkCollection(&want); err != nil {
		return err
	}
	have, err := s.load(ctx, want.Name)
	if errors.Is(err, fault.NotFound) {
		have, err = s.make(ctx, &want)
	}
	if err == nil && have.Collection != want && have.Accepts(want) {
		have, err = s.redescribe(ctx, have, &want)
	}
	switch {
	case err != nil:
		return err
	case have.Collection != want:
		return fault.New(fault.Conflict, "collection %q is already there, as %+v and not as %+v", want.Name, have.Collection, want)
	}
	if err := s.makeShardKey(ctx, have.engine); err != nil {
		return err
	}
	if err := s.indexes(ctx, have.engine); err != nil {
		return err
	}
	s.known.Store(want.Name, have)
	return nil
}

// make creates a collection in Qdrant and reads it back: a server that does not
// keep the description must not keep the collection either.
func (s *Store) make(ctx context.Context, want *search.Collection) (*collection, error) {
	err := s.request(ctx, want)
	if errors.Is(err, fault.Conflict) { // somebody else was faster
		return s.load(ctx, want.Name)
	}
	if err != nil {
		return nil, err
	}
	c, err := s.load(ctx, want.Name)
	if errors.Is(err, errForeign) {
		_ = s.drop(ctx, &collection{Collection: *want, engine: s.config.Prefix + want.Name}) // err says what is wrong
	}
	return c, err
}

func (s *Store) request(ctx context.Context, want *search.Collection) error {
	text, err := json.Marshal(s.config.describe(want))
	if err != nil {
		return fault.Wrap(fault.Invalid, "describe the collection", err)
	}
	engine := s.config.Prefix + want.Name
	req := &qdrant.CreateCollection{
		CollectionName: engine,
		VectorsConfig: qdrant.NewVectorsConfigMap(map[string]*qdrant.VectorParams{
			s.config.Vector: {Size: uint64(want.Dims), Distance: distanceOf(want.Metric)},
		}),
		SparseVectorsConfig: qdrant.NewSparseVectorsConfig(map[string]*qdrant.SparseVectorParams{sparseVector: {}}),
		Metadata:            map[string]*qdrant.Value{descriptor: qdrant.NewValueString(string(text))},
		Timeout:             seconds(ctx),
	}
	if s.config.Shards > 0 {
		req.ShardNumber = new(uint32(s.config.Shards))
	}
	if s.config.Copies > 0 {
		req.ReplicationFactor = new(uint32(s.config.Copies))
	}
	if s.shard != nil {
		req.ShardingMethod = new(qdrant.ShardingMethod_Custom)
	}
	_, err = s.collections().Create(ctx, req)
	return s.classify(ctx, "create "+engine, err)
}

// makeShardKey also finishes what was begun: a cluster may make the key and not say so in time.
func (s *Store) makeShardKey(ctx context.Context, engine string) error {
	if s.shard == nil {
		return nil
	}
	_, err := s.collections().CreateShardKey(ctx, &qdrant.CreateShardKeyRequest{
		CollectionName: engine, Request: &qdrant.CreateShardKey{ShardKey: s.shard.GetShardKeys()[0]}, Timeout: seconds(ctx),
	})
	if err != nil && strings.Contains(err.Error(), "already exists") {
		return nil
	}
	return s.classify(ctx, "create the shard key of "+engine, err)
}

// indexes makes the payload indexes that filters, versions and tenants need. To
// make one again changes nothing.
func (s *Store) indexes(ctx context.Context, engine string) error {
	tenants := qdrant.NewPayloadIndexParamsKeyword(&qdrant.KeywordIndexParams{IsTenant: new(true)})
	lookups := qdrant.NewPayloadIndexParamsInt(&qdrant.IntegerIndexParams{Lookup: new(true), Range: new(false)})
	ask := []*qdrant.CreateFieldIndexCollection{
		{FieldName: fieldTenant, FieldType: qdrant.FieldType_FieldTypeKeyword.Enum(), FieldIndexParams: tenants},
		{FieldName: fieldTerms, FieldType: qdrant.FieldType_FieldTypeKeyword.Enum()},
		{FieldName: fieldMillis, FieldType: qdrant.FieldType_FieldTypeInteger.Enum()},
		{FieldName: fieldSeq, FieldType: qdrant.FieldType_FieldTypeInteger.Enum()},
		{FieldName: fieldDeleted, FieldType: qdrant.FieldType_FieldTypeBool.Enum()},
		{FieldName: fieldWords, FieldType: qdrant.FieldType_FieldTypeInteger.Enum(), FieldIndexParams: lookups},
	}
	for _, field := range s.config.Index {
		ask = append(ask, &qdrant.CreateFieldIndexCollection{FieldName: numPath(field), FieldType: qdrant.FieldType_FieldTypeFloat.Enum()})
	}
	for _, req := range ask {
		req.CollectionName, req.Wait, req.Timeout = engine, new(true), seconds(ctx)
		if _, err := s.points().CreateFieldIndex(ctx, req); err != nil {
			return s.classify(ctx, "index "+req.GetFieldName()+" of "+engine, err)
		}
	}
	return nil
}

// drop removes a collection.
func (s *Store) drop(ctx context.Context, c *collection) error {
	resp, err := s.collections().Delete(ctx, &qdrant.DeleteCollection{CollectionName: c.engine, Timeout: seconds(ctx)})
	if err != nil {
		return s.classify(ctx, "drop "+c.engine, err)
	}
	s.known.Delete(c.Name)
	if !resp.GetResult() {
		return fault.New(fault.NotFound, "collection %q is not there", c.Name)
	}
	return nil
}

// Stats describes a collection, or all that lanewise made where collection is
// empty. Bytes is an estimate from the vectors; there is no digest.
func (s *Store) Stats(ctx context.Context, collection string) ([]search.Stats, error) {
	if err := s.begin(ctx, "stats"); err != nil {
		return nil, err
	}
	defer s.end()
	names := []string{collection}
	if collection == "" {
		var err error
		if names, err = s.names(ctx); err != nil {
			return nil, err
		}
	}
	out := make([]search.Stats, 0, len(names))
	for _, name := range names {
		one, err := s.stats(ctx, name)
		if collection == "" && (errors.Is(err, errForeign) || errors.Is(err, fault.NotFound)) { // not ours, or dropped meanwhile
			continue
		}
		if err != nil {
			return nil, err
		}
		out = append(out, one)
	}
	return out, nil
}

// names lists the collections with the prefix, in order.
func (s *Store) names(ctx context.Context) ([]string, error) {
	resp, err := s.collections().List(ctx, &qdrant.ListCollectionsRequest{})
	if err != nil {
		return nil, s.classify(ctx, "list the collections", err)
	}
	var names []string
	for _, x := range s.config.External {
		names = append(names, x.Name)
	}
	for _, d := range resp.GetCollections() {
		if name, ok := strings.CutPrefix(d.GetName(), s.config.Prefix); ok && name != "" {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return slices.Compact(names), nil
}

// stats reads the collection afresh.
func (s *Store) stats(ctx context.Context, name string) (search.Stats, error) {
	c, err := s.load(ctx, name)
	if err != nil {
		return search.Stats{}, err
	}
	s.known.Store(name, c)
	alive, err := c.filter(nil, search.Filter{})
	if err != nil {
		return search.Stats{}, err
	}
	n, err := s.count(ctx, c, alive)
	if err != nil {
		return search.Stats{}, err
	}
	if c.external != nil {
		return search.Stats{Collection: c.Collection, Points: n, Bytes: int64(n) * int64(4*c.Dims)}, nil
	}
	newest, err := s.newest(ctx, c)
	return search.Stats{Collection: c.Collection, Points: n, Bytes: int64(n) * int64(4*c.Dims), Newest: newest}, err
}

// newest finds the highest version: the highest millisecond, then the highest
// counter in it.
func (s *Store) newest(ctx context.Context, c *collection) (search.Version, error) {
	top, err := s.highest(ctx, c, fieldMillis, nil)
	if err != nil || top == nil {
		return 0, err
	}
	ms := float64(millis(versionOf(top)))
	same := &qdrant.Filter{Must: []*qdrant.Condition{qdrant.NewRange(fieldMillis, &qdrant.Range{Gte: &ms})}}
	if top, err = s.highest(ctx, c, fieldSeq, same); err != nil || top == nil {
		return 0, err
	}
	return versionOf(top), nil
}

// highest returns the payload of the point with the highest value of a field.
func (s *Store) highest(ctx context.Context, c *collection, field string, f *qdrant.Filter) (map[string]*qdrant.Value, error) {
	resp, err := s.points().Scroll(ctx, &qdrant.ScrollPoints{
		CollectionName: c.engine, Filter: f, Limit: new(uint32(1)), Timeout: seconds(ctx),
		OrderBy:         &qdrant.OrderBy{Key: field, Direction: qdrant.Direction_Desc.Enum()},
		WithPayload:     qdrant.NewWithPayloadInclude(fieldMillis, fieldSeq),
		ReadConsistency: s.consistency, ShardKeySelector: s.shard,
	})
	if err != nil {
		return nil, s.classify(ctx, "read the newest version of "+c.engine, err)
	}
	if len(resp.GetResult()) == 0 {
		return nil, nil //nolint:nilnil // no point, no version
	}
	return resp.GetResult()[0].GetPayload(), nil
}
