package milvus

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
	"unicode/utf8"

	"github.com/milvus-io/milvus-proto/go-api/v2/commonpb"
	"github.com/milvus-io/milvus-proto/go-api/v2/milvuspb"
	"github.com/milvus-io/milvus-sdk-go/v2/entity"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/protoadapt"

	"github.com/lanewise/lanewise/fault"
	"github.com/lanewise/lanewise/search"
)

// schema is what this Store remembers of a collection.
type schema struct {
	search.Collection
	engine string // the name in Milvus
	id     int64  // changes when the collection is made anew
	index  Index
	// unranked is how many more searches must leave out by a condition what the index cannot rank.
	unranked *atomic.Int32
}

// descriptor is the description of a collection in Milvus.
type descriptor struct {
	Lanewise   int               `json:"lanewise"` // version of this layout
	Collection search.Collection `json:"collection"`
	Index      Index             `json:"index"`
}

// schemas remembers collections until a call shows that they have changed.
type schemas struct{ byName sync.Map }

func (m *schemas) forget(name string) { m.byName.Delete(name) }

// engineName is a collection's name as Milvus takes it: letters, digits and '_',
// beginning with no digit. What it does not take becomes "__" and two hexadecimal
// digits, and so does one of two '_' in a row, so that no two names become one.
func engineName(name string) string {
	var b strings.Builder
	for i := range len(name) {
		c := name[i]
		switch {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9' && i > 0,
			c == '_' && !strings.HasPrefix(name[i+1:], "_"):
			b.WriteByte(c)
		default:
			fmt.Fprintf(&b, "__%02x", c)
		}
	}
	return b.String()
}

// withSchema calls f with a collection's schema. Where f finds something wrong with
// its request, and the schema was remembered and turns out to be out of date, it is
// called again.
func (s *Store) withSchema(ctx context.Context, name string, f func(schema) error) error {
	known, remembered := s.schemas.byName.Load(name)
	if !remembered {
		fresh, err := s.describe(ctx, name)
		if err != nil {
			return err
		}
		return f(fresh)
	}
	old := known.(schema) //nolint:forcetypeassert // nothing else is stored
	err := f(old)
	if !errors.Is(err, fault.Invalid) && !errors.Is(err, fault.NotFound) {
		return err
	}
	s.schemas.forget(name)
	fresh, describing := s.describe(ctx, name)
	switch {
	case describing != nil:
		return describing
	case fresh.id == old.id:
		return err
	}
	return f(fresh)
}

// describe asks the server what a collection is.
func (s *Store) describe(ctx context.Context, name string) (schema, error) {
	out, err := s.rpc.DescribeCollection(ctx, &milvuspb.DescribeCollectionRequest{CollectionName: engineName(name)})
	if err := s.judge(ctx, "describe "+name, out.GetStatus(), err); err != nil {
		if errors.Is(err, fault.NotFound) {
			return schema{}, fault.Wrap(fault.NotFound, fmt.Sprintf("there is no collection %q", name), err)
		}
		return schema{}, err
	}
	var d descriptor
	if json.Unmarshal([]byte(described(out)), &d) != nil || d.Lanewise != 1 || d.Collection.Name != name {
		return schema{}, fault.New(fault.Conflict, "collection %q on %s was not made by this program", name, s.cfg.Address)
	}
	found := schema{Collection: d.Collection, engine: engineName(name), id: out.GetCollectionID(), index: d.Index, unranked: new(atomic.Int32)}
	s.schemas.byName.Store(name, found)
	return found, nil
}

// settings is the property that stands in for the description where that changed:
// Milvus lets nobody change a description.
const settings = "lanewise.descriptor"

// described is the text of the descriptor that counts.
func described(out *milvuspb.DescribeCollectionResponse) string {
	for _, p := range out.GetProperties() {
		if p.GetKey() == settings {
			return p.GetValue()
		}
	}
	return out.GetSchema().GetDescription()
}

// redescribe stores other settings of a collection that is there.
func (s *Store) redescribe(ctx context.Context, there schema, c search.Collection) error {
	about, err := json.Marshal(descriptor{Lanewise: 1, Collection: c, Index: there.index})
	if err != nil {
		return fault.Wrap(fault.Invalid, "describe "+c.Name, err)
	}
	defer s.schemas.forget(c.Name)
	st, err := s.rpc.AlterCollection(ctx, &milvuspb.AlterCollectionRequest{CollectionName: there.engine, Properties: pairs(settings, string(about))})
	return s.judge(ctx, "describe "+c.Name, st, err)
}

// create makes a collection, or finds that it is there, and loads it.
func (s *Store) create(ctx context.Context, c search.Collection) error {
	if err := checkCollection(c); err != nil {
		return err
	}
	there, err := s.describe(ctx, c.Name)
	if err == nil && there.Collection != c && there.Accepts(c) {
		return s.redescribe(ctx, there, c)
	}
	switch {
	case err == nil && there.Collection != c:
		return fault.New(fault.Conflict, "collection %q is there, and is another one", c.Name)
	case err == nil: // a create that was cut short is completed
	case errors.Is(err, fault.NotFound):
		s.guard.forget(c.Name, true)
		if err := s.define(ctx, c); err != nil {
			return err
		}
		there = schema{Collection: c, engine: engineName(c.Name), index: s.cfg.Index}
	default:
		return err
	}
	if err := s.buildIndex(ctx, there); err != nil {
		return err
	}
	return s.load(ctx, there)
}

func checkCollection(c search.Collection) error {
	const maxDims = 32768
	switch {
	case c.Name == "" || len(engineName(c.Name)) > 255:
		return fault.BadField("/name", "%q must have between 1 and 255 characters, as it is written in Milvus", c.Name)
	case !utf8.ValidString(c.Name):
		return fault.BadField("/name", "is not valid UTF-8")
	case c.Dims < 1 || c.Dims > maxDims:
		return fault.BadField("/dims", "is %d, it must be between 1 and %d", c.Dims, maxDims)
	case metricOf(c.Metric) == "":
		return fault.BadField("/metric", "%q is none of cosine, dot, euclidean", c.Metric)
	}
	return nil
}

func metricOf(m search.Metric) entity.MetricType {
	switch m {
	case search.Cosine:
		return entity.COSINE
	case search.Dot:
		return entity.IP
	case search.Euclidean:
		return entity.L2
	default:
		return ""
	}
}

// define creates the empty collection.
func (s *Store) define(ctx context.Context, c search.Collection) error {
	about, err := json.Marshal(descriptor{Lanewise: 1, Collection: c, Index: s.cfg.Index})
	if err != nil {
		return fault.Wrap(fault.Invalid, "describe "+c.Name, err)
	}
	varchar := func(name string) *entity.Field {
		return entity.NewField().WithName(name).WithDataType(entity.FieldTypeVarChar).WithMaxLength(maxBytes)
	}
	text := entity.NewSchema().WithName(engineName(c.Name)).WithDescription(string(about)).
		WithField(varchar("pk").WithIsPrimaryKey(true)).
		WithField(varchar("tenant")).
		WithField(varchar("id")).
		WithField(entity.NewField().WithName("version").WithDataType(entity.FieldTypeInt64)).
		WithField(entity.NewField().WithName("kind").WithDataType(entity.FieldTypeInt8)).
		WithField(varchar("text")).
		WithField(varchar("meta")).
		WithField(entity.NewField().WithName("filter").WithDataType(entity.FieldTypeJSON)).
		WithField(varchar("sparse")).
		WithField(entity.NewField().WithName("vector").WithDataType(entity.FieldTypeFloatVector).WithDim(int64(c.Dims)))
	packed, err := proto.Marshal(protoadapt.MessageV2Of(text.ProtoMessage()))
	if err != nil {
		return fault.Wrap(fault.Invalid, "schema of "+c.Name, err)
	}
	st, err := s.rpc.CreateCollection(ctx, &milvuspb.CreateCollectionRequest{
		CollectionName: engineName(c.Name), Schema: packed, ShardsNum: 1, ConsistencyLevel: commonpb.ConsistencyLevel_Bounded,
	})
	return s.judge(ctx, "create "+c.Name, st, err)
}

// buildIndex makes the vectors' index; the same one again is fine.
func (s *Store) buildIndex(ctx context.Context, c schema) error {
	params := "{}"
	if c.index == HNSW {
		params = `{"M":"16","efConstruction":"200"}`
	}
	st, err := s.rpc.CreateIndex(ctx, &milvuspb.CreateIndexRequest{
		CollectionName: c.engine, FieldName: "vector", IndexName: "vector",
		ExtraParams: pairs("index_type", string(c.index), "metric_type", string(metricOf(c.Metric)), "params", params),
	})
	return s.judge(ctx, "index "+c.Name, st, err)
}

// load brings the collection into the server's memory and waits until it is there.
func (s *Store) load(ctx context.Context, c schema) error {
	st, err := s.rpc.LoadCollection(ctx, &milvuspb.LoadCollectionRequest{CollectionName: c.engine, ReplicaNumber: 1})
	if err := s.judge(ctx, "load "+c.Name, st, err); err != nil {
		return err
	}
	again := time.NewTicker(20 * time.Millisecond)
	defer again.Stop()
	for {
		out, err := s.rpc.GetLoadState(ctx, &milvuspb.GetLoadStateRequest{CollectionName: c.engine})
		if err := s.judge(ctx, "load "+c.Name, out.GetStatus(), err); err != nil {
			return err
		}
		if out.GetState() == commonpb.LoadState_LoadStateLoaded {
			return nil
		}
		select {
		case <-again.C:
		case <-ctx.Done():
			return s.ended("load "+c.Name, ctx.Err())
		}
	}
}

// drop removes a collection.
func (s *Store) drop(ctx context.Context, name string) error {
	s.schemas.forget(name)
	if _, err := s.describe(ctx, name); err != nil {
		return err // also where it is not this program's to drop
	}
	s.schemas.forget(name)
	st, err := s.rpc.DropCollection(ctx, &milvuspb.DropCollectionRequest{CollectionName: engineName(name)})
	s.guard.forget(name, false)
	return s.judge(ctx, "drop "+name, st, err)
}

// list names this program's collections on the server, in order.
func (s *Store) list(ctx context.Context) ([]schema, error) {
	out, err := s.rpc.ShowCollections(ctx, &milvuspb.ShowCollectionsRequest{})
	if err := s.judge(ctx, "list collections", out.GetStatus(), err); err != nil {
		return nil, err
	}
	var all []schema
	for _, engine := range out.GetCollectionNames() {
		c, err := s.describe(ctx, plainName(engine))
		if errors.Is(err, fault.NotFound) || errors.Is(err, fault.Conflict) {
			continue // dropped meanwhile, or somebody else's
		}
		if err != nil {
			return nil, err
		}
		all = append(all, c)
	}
	return all, nil
}

// plainName takes engineName back.
func plainName(engine string) string {
	var b strings.Builder
	for i := 0; i < len(engine); i++ {
		if strings.HasPrefix(engine[i:], "__") && i+4 <= len(engine) {
			if c, err := strconv.ParseUint(engine[i+2:i+4], 16, 8); err == nil {
				b.WriteByte(byte(c))
				i += 3
				continue
			}
		}
		b.WriteByte(engine[i])
	}
	return b.String()
}

// pairs makes the server's parameters from names and values in turn.
func pairs(nameValue ...string) []*commonpb.KeyValuePair {
	list := make([]*commonpb.KeyValuePair, 0, len(nameValue)/2)
	for i := 0; i+1 < len(nameValue); i += 2 {
		list = append(list, &commonpb.KeyValuePair{Key: nameValue[i], Value: nameValue[i+1]})
	}
	return list
}
