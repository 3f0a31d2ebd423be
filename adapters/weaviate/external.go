package weaviate

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/weaviate/weaviate/entities/models"
	pb "github.com/weaviate/weaviate/grpc/generated/protocol/v1"

	"github.com/lanewise/lanewise/fault"
	"github.com/lanewise/lanewise/search"
)

// External is a class that is in Weaviate already and that is read as it is: its
// properties become the metadata, the metric is read from its index, dims from one of its
// objects, nothing is ever written. All of its points belong to the tenant "". A class
// without an object, or with tenants of its own, is fault.Conflict.
type External struct {
	Name string // that the collection has here; required
	From string // its name in Weaviate; empty: Name
	// ID is the property of the ids: one of type int, uuid, or text tokenized as a field, with
	// an index for filters and another value in each object. Empty: Weaviate's own ids.
	ID     string
	Text   string        // property of the texts; empty: no texts
	Vector string        // name of the vector; empty: the only one
	Meta   string        // must be empty: the properties are the metadata
	Space  string        // id of the vectors' embedding space; empty: not known, and only vectors can be searched for
	Metric search.Metric // what Weaviate must have; empty: whatever it has
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
	for i, x := range c.External {
		at := "/external/" + strconv.Itoa(i)
		if x.Name == "" {
			return fault.BadField(at+"/name", "is empty")
		}
		if x.Meta != "" {
			return fault.BadField(at+"/meta", "must be empty: the properties of a class are its metadata")
		}
	}
	return nil
}

// outline is what is known of an external class, beside the rest of a class.
type outline struct {
	*External
	vector     string // its name; empty: it has none
	rough      bool   // the server's distances may be those of compressed vectors
	properties map[string]*models.Property
}

// outline asks the server what an external class is, and remembers it.
func (s *Store) outline(ctx context.Context, x *External) (*class, error) {
	engine := cmp.Or(x.From, x.Name)
	got, err := s.rest.ClassGetter().WithClassName(engine).Do(ctx)
	if err := s.judgeRest(ctx, "describe "+engine, err); err != nil {
		if errors.Is(err, fault.NotFound) {
			return nil, s.noClass(ctx, engine, err)
		}
		return nil, err
	}
	c, err := x.read(got)
	if err != nil {
		return nil, fault.Wrap(fault.Conflict, "class "+engine, err)
	}
	if c.Dims, err = s.sample(ctx, c); err != nil {
		return nil, err
	}
	about, err := json.Marshal(got)
	if err != nil {
		return nil, fault.Wrap(fault.Unavailable, "describe "+engine, err)
	}
	c.born = string(about) + strconv.Itoa(c.Dims)
	s.classes.Store(x.Name, c)
	return c, nil
}

// noClass lists the classes that there are, for somebody who misspelt one.
func (s *Store) noClass(ctx context.Context, engine string, cause error) error {
	got, err := s.rest.Getter().Do(ctx)
	if err != nil {
		return cause
	}
	var names []string
	for _, c := range got.Classes {
		names = append(names, c.Class)
	}
	slices.Sort(names)
	return fault.New(fault.NotFound, "there is no class %q on %s; there are: %s", engine, s.cfg.Address,
		cmp.Or(strings.Join(names[:min(len(names), 20)], ", "), "none"))
}

// read takes in what the server says of a class.
func (x *External) read(got *models.Class) (*class, error) {
	o := &outline{External: x, properties: map[string]*models.Property{}}
	for _, p := range got.Properties {
		o.properties[p.Name] = p
	}
	switch {
	case strings.HasPrefix(got.Description, `{"lanewise":`):
		return nil, fault.New(fault.Conflict, "was made by lanewise: have its server as a replica to use it")
	case got.MultiTenancyConfig != nil && got.MultiTenancyConfig.Enabled:
		return nil, fault.New(fault.Conflict, "has tenants of its own, and cannot be read as one collection")
	case x.ID != "" && !isName(o.properties[x.ID]):
		return nil, fault.BadField("/id", "there is no property %q of type int, uuid, or text tokenized as a field, with an index for filters", x.ID)
	case x.Text != "" && !slices.Equal(o.typeOf(x.Text), []string{"text"}):
		return nil, fault.BadField("/text", "there is no text property %q", x.Text)
	}
	kind, index, err := o.choose(got)
	if err != nil {
		return nil, err
	}
	settings, _ := index.(map[string]any) //nolint:errcheck // nil has no distance
	metric, known := map[any]search.Metric{"cosine": search.Cosine, "dot": search.Dot, "l2-squared": search.Euclidean}[settings["distance"]]
	if !known || x.Metric != "" && x.Metric != metric {
		return nil, fault.New(fault.Conflict, "compares its vectors by %v, not by %s", settings["distance"],
			cmp.Or(string(x.Metric), "one of cosine, dot and l2-squared"))
	}
	o.rough = compressed(settings)
	c := &class{engine: got.Class, index: HNSW, outline: o}
	if kind == string(Flat) && !o.rough {
		c.index = Flat
	}
	c.Collection = search.Collection{Name: x.Name, Metric: metric, Space: x.Space, Placement: search.Placement{By: search.ByExternal}}
	return c, nil
}

// isName reports whether a property can hold the ids.
func isName(p *models.Property) bool {
	kind := kindOf(p)
	return (kind == "int" || kind == "uuid" || kind == "text") && p.DataType[0] == kind
}

func (o *outline) typeOf(name string) []string {
	if p := o.properties[name]; p != nil {
		return p.DataType
	}
	return nil
}

// choose finds the vector that is meant: the kind and the settings of its index.
func (o *outline) choose(got *models.Class) (kind string, settings any, err error) {
	if len(got.VectorConfig) == 0 && o.Vector == "" {
		return got.VectorIndexType, got.VectorIndexConfig, nil
	}
	if v, ok := got.VectorConfig[o.Vector]; ok {
		o.vector = o.Vector
		return v.VectorIndexType, v.VectorIndexConfig, nil
	}
	names := slices.Sorted(maps.Keys(got.VectorConfig))
	switch {
	case o.Vector != "":
		return "", nil, fault.BadField("/vector", "there is no vector %q; there are: %s", o.Vector, cmp.Or(strings.Join(names, ", "), "one without a name"))
	case len(names) > 1:
		return "", nil, fault.BadField("/vector", "is needed: there are %s", strings.Join(names, ", "))
	}
	o.vector = names[0]
	v := got.VectorConfig[o.vector]
	return v.VectorIndexType, v.VectorIndexConfig, nil
}

// compressed reports whether an index keeps less than the vectors.
func compressed(settings map[string]any) bool {
	for _, name := range []string{"bq", "pq", "sq", "rq"} {
		if one, ok := settings[name].(map[string]any); ok && one["enabled"] == true {
			return true
		}
	}
	return false
}

// sample reads dims from the first objects.
func (s *Store) sample(ctx context.Context, c *class) (int, error) {
	r := &reply{vector: true}
	if err := s.ask(ctx, c, &pb.SearchRequest{Limit: s.limit(16)}, r); err != nil {
		return 0, err
	}
	for _, x := range r.rows {
		if len(x.Dense) > 0 {
			return len(x.Dense), nil
		}
	}
	return 0, fault.New(fault.Conflict, "class %s: none of its first %d objects has a vector of numbers, so its dims cannot be told", c.engine, len(r.rows))
}

// Version asks the server for its version.
func (s *Store) Version(ctx context.Context) (string, error) {
	if err := s.enter(ctx, "ask for the version"); err != nil {
		return "", err
	}
	defer s.leave()
	got, err := s.about.MetaGetter().Do(ctx)
	if err := s.judgeRest(ctx, "ask for the version", err); err != nil {
		return "", err
	}
	return got.Version, nil
}
