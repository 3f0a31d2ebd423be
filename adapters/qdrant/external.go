package qdrant

import (
	"cmp"
	"context"
	"slices"
	"strconv"
	"strings"

	"github.com/qdrant/go-client/qdrant"

	"github.com/lanewise/lanewise/fault"
	"github.com/lanewise/lanewise/search"
)

// External is a collection that is in Qdrant already and that is read as it is: its
// payload becomes the metadata, dims and metric are read from Qdrant, nothing is ever
// written. All of its points belong to the tenant "".
type External struct {
	Name   string        // that the collection has here; required
	From   string        // its name in Qdrant; empty: Name
	ID     string        // field of the payload that holds the ids; empty: Qdrant's own ids
	Text   string        // field of the payload that holds the text; empty: no texts
	Vector string        // name of the vector; empty: the only one, or the unnamed one
	Meta   string        // field of the payload that holds the metadata; empty: all of the payload
	Space  string        // id of the vectors' embedding space; empty: not known, and only vectors can be searched for
	Metric search.Metric // what Qdrant must have; empty: whatever it has
}

// external returns the external collection of that name, or nil.
func (c Config) external(name string) *External {
	for i := range c.External {
		if c.External[i].Name == name {
			return &c.External[i]
		}
	}
	return nil
}

func (c Config) checkExternal() error {
	for i, e := range c.External {
		at := "/external/" + strconv.Itoa(i)
		if e.Name == "" {
			return fault.BadField(at+"/name", "is empty")
		}
		for field, path := range map[string]string{"/id": e.ID, "/text": e.Text, "/meta": e.Meta} {
			if strings.ContainsAny(path, `"[]`) {
				return fault.BadField(at+field, "%q is no dotted path", path)
			}
		}
	}
	return nil
}

// readExternal describes an external collection by what Qdrant says of it.
func (s *Store) readExternal(x *External, config *qdrant.CollectionConfig) (*collection, error) {
	engine := cmp.Or(x.From, x.Name)
	if config.GetMetadata()[descriptor].GetStringValue() != "" {
		return nil, fault.New(fault.Conflict, "%s was made by lanewise: have its server as a replica to use it", engine)
	}
	name, params, err := x.vector(config.GetParams().GetVectorsConfig())
	if err != nil {
		return nil, fault.Wrap(fault.Conflict, engine, err)
	}
	metric, ok := metricOf(params.GetDistance())
	if !ok || x.Metric != "" && x.Metric != metric {
		return nil, fault.New(fault.Conflict, "%s: Qdrant compares its vectors by %v, not by %s", engine, params.GetDistance(),
			cmp.Or(string(x.Metric), "one of cosine, dot and euclidean"))
	}
	return &collection{
		Collection: search.Collection{
			Name: x.Name, Dims: int(params.GetSize()), Metric: metric, Space: x.Space, //nolint:gosec // Qdrant's dims are at most 65,536
			Placement: search.Placement{By: search.ByExternal},
		},
		engine: engine, dense: name, breadth: config.GetHnswConfig().GetEfConstruct(), external: x,
	}, nil
}

// noCollection lists the collections that there are, for somebody who misspelt one.
func (s *Store) noCollection(ctx context.Context, engine string, cause error) error {
	resp, err := s.collections().List(ctx, &qdrant.ListCollectionsRequest{})
	if err != nil {
		return cause
	}
	var names []string
	for _, d := range resp.GetCollections() {
		names = append(names, d.GetName())
	}
	slices.Sort(names)
	return fault.New(fault.NotFound, "there is no collection %q on %s; there are: %s", engine, s.config.Address,
		cmp.Or(strings.Join(names[:min(len(names), 20)], ", "), "none"))
}

// vector finds the vector that is meant.
func (x *External) vector(config *qdrant.VectorsConfig) (string, *qdrant.VectorParams, error) {
	named := config.GetParamsMap().GetMap()
	if only := config.GetParams(); only != nil && x.Vector == "" {
		return "", only, nil
	}
	if p, ok := named[x.Vector]; ok {
		return x.Vector, p, nil
	}
	if len(named) == 1 && x.Vector == "" {
		for name, p := range named {
			return name, p, nil
		}
	}
	names := sortedNames(named)
	if x.Vector == "" {
		return "", nil, fault.BadField("/vector", "is needed: there are %s", names)
	}
	return "", nil, fault.BadField("/vector", "there is no vector %q; there are: %s", x.Vector, cmp.Or(names, "one without a name"))
}

func metricOf(d qdrant.Distance) (search.Metric, bool) {
	switch d {
	case qdrant.Distance_Cosine:
		return search.Cosine, true
	case qdrant.Distance_Dot:
		return search.Dot, true
	case qdrant.Distance_Euclid:
		return search.Euclidean, true
	default:
		return "", false
	}
}

// externalID is where a key lies, or nil where there can be no such point.
func externalID(k search.Key) *qdrant.PointId {
	if k.Tenant != "" {
		return nil
	}
	if n, err := strconv.ParseUint(k.ID, 10, 64); err == nil && strconv.FormatUint(n, 10) == k.ID {
		return qdrant.NewIDNum(n)
	}
	if isUUID(k.ID) {
		return qdrant.NewIDUUID(k.ID)
	}
	return nil
}

func textOfID(id *qdrant.PointId) string {
	if uuid := id.GetUuid(); uuid != "" {
		return uuid
	}
	return strconv.FormatUint(id.GetNum(), 10)
}

// filter is the filter of reads: the points of a tenant, or of all, that pass f.
func (c *collection) filter(tenant *string, f search.Filter) (*qdrant.Filter, error) {
	if c.external == nil {
		if tenant != nil {
			return tenantFilter(*tenant, f)
		}
		return live(nil, f)
	}
	if tenant != nil && *tenant != "" {
		return nil, fault.BadField("/tenant", "collection %q is external: its points belong to no tenant", c.Name)
	}
	out := &qdrant.Filter{}
	if f.IsZero() {
		return out, nil
	}
	held, err := c.external.condition(f, 1)
	out.Must = append(out.Must, held)
	return out, err
}

// named is the condition that a point of an external collection has one of the keys.
func (c *collection) named(keys []search.Key) *qdrant.Condition {
	if c.external.ID != "" {
		var texts []string
		var numbers []int64
		for _, k := range keys {
			texts = append(texts, k.ID)
			if n, err := strconv.ParseInt(k.ID, 10, 64); err == nil {
				numbers = append(numbers, n)
			}
		}
		either := []*qdrant.Condition{qdrant.NewMatchKeywords(c.external.ID, texts...)}
		if len(numbers) > 0 {
			either = append(either, qdrant.NewMatchInts(c.external.ID, numbers...))
		}
		return anyOf(either...)
	}
	var ids []*qdrant.PointId
	for _, k := range keys {
		if id := externalID(k); id != nil {
			ids = append(ids, id)
		}
	}
	if len(ids) == 0 {
		return nothing()
	}
	return qdrant.NewHasID(ids...)
}

// Walk reads a page of an external collection in Qdrant's own order: the points, whole,
// and where the next page starts, which is empty behind the last one. An empty after
// starts. It is meant for copies of a collection.
func (s *Store) Walk(ctx context.Context, name, after string, limit int) (points []search.Point, next string, err error) {
	if err := s.begin(ctx, "walk"); err != nil {
		return nil, "", err
	}
	defer s.end()
	c, err := s.lookup(ctx, name)
	if err != nil {
		return nil, "", err
	}
	req := &qdrant.ScrollPoints{
		CollectionName: c.engine, Limit: new(uint32(limit)), Timeout: seconds(ctx), //nolint:gosec // a page
		WithPayload: qdrant.NewWithPayload(true), WithVectors: qdrant.NewWithVectorsInclude(c.dense),
		ReadConsistency: s.consistency, ShardKeySelector: s.shard,
	}
	if c.dense == "" {
		req.WithVectors = qdrant.NewWithVectors(true)
	}
	if after != "" {
		if req.Offset = externalID(search.Key{ID: after}); req.Offset == nil {
			return nil, "", fault.BadField("/after", "%q is no id of Qdrant", after)
		}
	}
	resp, err := s.points().Scroll(ctx, req)
	if err != nil {
		return nil, "", s.classify(ctx, "scroll in "+c.engine, err)
	}
	for _, p := range resp.GetResult() {
		points = append(points, c.decode(p, search.Fields{Text: true, Meta: true, Vector: true}))
	}
	if offset := resp.GetNextPageOffset(); offset != nil {
		next = textOfID(offset)
	}
	return points, next, nil
}

// Version asks the server for its version.
func (s *Store) Version(ctx context.Context) (string, error) {
	if err := s.begin(ctx, "ask for the version"); err != nil {
		return "", err
	}
	defer s.end()
	resp, err := s.client.GetQdrantClient().HealthCheck(ctx, &qdrant.HealthCheckRequest{})
	if err != nil {
		return "", s.classify(ctx, "ask for the version", err)
	}
	return resp.GetVersion(), nil
}
