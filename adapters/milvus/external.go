package milvus

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"strconv"
	"strings"

	"github.com/milvus-io/milvus-proto/go-api/v2/commonpb"
	"github.com/milvus-io/milvus-proto/go-api/v2/milvuspb"
	"github.com/milvus-io/milvus-proto/go-api/v2/schemapb"
	"github.com/milvus-io/milvus-sdk-go/v2/entity"

	"github.com/lanewise/lanewise/fault"
	"github.com/lanewise/lanewise/search"
)

// External is a collection that is in Milvus already and that is read as it is: its
// scalar fields become the metadata, dims and metric are read from Milvus, nothing is
// ever written. The primary key is the id. All of its points belong to the tenant "".
// It must be loaded. Filters see the scalar fields of type bool, integer, double and
// varchar.
type External struct {
	Name   string        // that the collection has here; required
	From   string        // its name in Milvus; empty: Name
	ID     string        // must be the primary key, or empty
	Text   string        // field of the texts; empty: no texts
	Vector string        // field of the vectors; empty: the only one
	Meta   string        // JSON field of the metadata; empty: all other fields
	Space  string        // id of the vectors' embedding space; empty: not known, and only vectors can be searched for
	Metric search.Metric // what Milvus must have; empty: whatever it has
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

// outline is what the server says of an external collection.
type outline struct {
	search.Collection
	engine  string
	pk      *schemapb.FieldSchema
	vector  string
	text    string
	meta    string // the JSON field that is the metadata; empty: the fields
	fields  []*schemapb.FieldSchema
	dynamic bool // there are fields that the schema does not name
	index   string
}

// dynamicField is where Milvus keeps what the schema does not name.
const dynamicField = "$meta"

// outlined calls f with what is known of an external collection, and once more where that
// turns out to be out of date.
func (s *Store) outlined(ctx context.Context, x *External, f func(*outline) error) error {
	if known, ok := s.outlines.Load(x.Name); ok {
		err := f(known.(*outline)) //nolint:forcetypeassert // nothing else is stored
		if !errors.Is(err, fault.Invalid) && !errors.Is(err, fault.NotFound) {
			return err
		}
		s.outlines.Delete(x.Name)
	}
	o, err := s.outline(ctx, x)
	if err != nil {
		return err
	}
	s.outlines.Store(x.Name, o)
	return f(o)
}

func (s *Store) outline(ctx context.Context, x *External) (*outline, error) {
	engine := cmp.Or(x.From, x.Name)
	out, err := s.rpc.DescribeCollection(ctx, &milvuspb.DescribeCollectionRequest{CollectionName: engine})
	if err := s.judge(ctx, "describe "+engine, out.GetStatus(), err); err != nil {
		if errors.Is(err, fault.NotFound) {
			return nil, s.noCollection(ctx, engine, err)
		}
		return nil, err
	}
	if strings.HasPrefix(out.GetSchema().GetDescription(), `{"lanewise":`) {
		return nil, fault.New(fault.Conflict, "%s was made by lanewise: have its server as a replica to use it", engine)
	}
	o := &outline{engine: engine, dynamic: out.GetSchema().GetEnableDynamicField()}
	o.Name, o.Space, o.Placement.By = x.Name, x.Space, search.ByExternal
	if err := o.choose(x, out.GetSchema()); err != nil {
		return nil, fault.Wrap(fault.Conflict, "collection "+engine, err)
	}
	return o, s.indexOf(ctx, x, o)
}

// noCollection lists the collections that there are, for somebody who misspelt one.
func (s *Store) noCollection(ctx context.Context, engine string, cause error) error {
	out, err := s.rpc.ShowCollections(ctx, &milvuspb.ShowCollectionsRequest{})
	if s.judge(ctx, "list collections", out.GetStatus(), err) != nil {
		return cause
	}
	names := out.GetCollectionNames()
	slices.Sort(names)
	return fault.New(fault.NotFound, "there is no collection %q on %s; there are: %s", engine, s.cfg.Address,
		cmp.Or(strings.Join(names[:min(len(names), 20)], ", "), "none"))
}

// choose finds the fields that are meant.
func (o *outline) choose(x *External, schema *schemapb.CollectionSchema) error {
	var vectors []string
	for _, f := range schema.GetFields() {
		switch {
		case f.GetIsPrimaryKey():
			o.pk = f
		case f.GetDataType() == schemapb.DataType_FloatVector:
			vectors = append(vectors, f.GetName())
			if f.GetName() == x.Vector || x.Vector == "" {
				o.vector = f.GetName()
				o.Dims, _ = strconv.Atoi(valueOf(f.GetTypeParams(), "dim"))
			}
		case f.GetDataType() < schemapb.DataType_BinaryVector:
			o.fields = append(o.fields, f)
		}
	}
	names := strings.Join(vectors, ", ")
	switch {
	case o.vector == "" || o.Dims < 1:
		return fault.BadField("/vector", "there is no such field of float vectors; there are: %s", cmp.Or(names, "none"))
	case x.Vector == "" && len(vectors) > 1:
		return fault.BadField("/vector", "is needed: there are %s", names)
	case x.ID != "" && x.ID != o.pk.GetName():
		return fault.BadField("/id", "must be the primary key, %s", o.pk.GetName())
	case x.Text != "" && !o.has(x.Text, schemapb.DataType_VarChar) && !o.dynamic:
		return fault.BadField("/text", "there is no varchar field %q", x.Text)
	case x.Meta != "" && !o.has(x.Meta, schemapb.DataType_JSON):
		return fault.BadField("/meta", "there is no JSON field %q", x.Meta)
	}
	o.text, o.meta = x.Text, x.Meta
	return nil
}

func (o *outline) has(name string, kind schemapb.DataType) bool {
	return slices.ContainsFunc(o.fields, func(f *schemapb.FieldSchema) bool { return f.GetName() == name && f.GetDataType() == kind })
}

// indexOf reads the metric and the kind of the index.
func (s *Store) indexOf(ctx context.Context, x *External, o *outline) error {
	out, err := s.rpc.DescribeIndex(ctx, &milvuspb.DescribeIndexRequest{CollectionName: o.engine, FieldName: o.vector})
	if err := s.judge(ctx, "describe the index of "+o.engine, out.GetStatus(), err); err != nil {
		return err
	}
	for _, d := range out.GetIndexDescriptions() {
		if d.GetFieldName() == o.vector {
			o.index = valueOf(d.GetParams(), "index_type")
			o.Metric = map[string]search.Metric{
				string(entity.COSINE): search.Cosine, string(entity.IP): search.Dot, string(entity.L2): search.Euclidean,
			}[valueOf(d.GetParams(), "metric_type")]
		}
	}
	switch {
	case o.Metric == "":
		return fault.New(fault.Conflict, "collection %s has no index on %s that compares by COSINE, IP or L2", o.engine, o.vector)
	case x.Metric != "" && x.Metric != o.Metric:
		return fault.New(fault.Conflict, "collection %s compares its vectors by %s, not by %s", o.engine, o.Metric, x.Metric)
	}
	return nil
}

func valueOf(pairs []*commonpb.KeyValuePair, name string) string {
	for _, p := range pairs {
		if p.GetKey() == name {
			return p.GetValue()
		}
	}
	return ""
}

// params are the settings of a search in the index.
func (o *outline) params(leg search.Leg, rows int) string {
	switch {
	case o.index == string(HNSW):
		return `{"ef":` + strconv.Itoa(min(max(leg.EF, rows, 64), 32768)) + `}`
	case strings.Contains(o.index, "IVF"):
		return `{"nprobe":` + strconv.Itoa(min(max(leg.EF/16, 16), 65536)) + `}`
	case o.index == "DISKANN":
		return `{"search_list":` + strconv.Itoa(min(max(leg.EF, rows, 100), 65535)) + `}`
	default:
		return "{}"
	}
}

// Version asks the server for its version.
func (s *Store) Version(ctx context.Context) (string, error) {
	if err := s.enter(ctx, "ask for the version"); err != nil {
		return "", err
	}
	defer s.leave()
	out, err := s.rpc.GetVersion(ctx, &milvuspb.GetVersionRequest{})
	if err := s.judge(ctx, "ask for the version", out.GetStatus(), err); err != nil {
		return "", err
	}
	return out.GetVersion(), nil
}
