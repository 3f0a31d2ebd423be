package qdrant_test

import (
	"cmp"
	"context"
	"crypto/tls"
	"fmt"
	"maps"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/qdrant/go-client/qdrant"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
)

// server is an engine with Qdrant's gRPC interface, in this process: brute force
// in float32 over what it was given, with Qdrant's rules for payloads and
// filters. It proves that the adapter speaks the protocol, not that the engine
// keeps these rules; for that see TestConformance_realServer.
type server struct {
	address string // that it was started at last
	mu      sync.RWMutex
	shelf   map[string]*shelf
	key     string                          // that callers must show
	before  func(ctx context.Context) error // runs before every call, outside the lock
	old     bool                            // as before 1.16: metadata is not kept
	missed  int                             // rows that an approximate search does not find
	seen    map[string]call                 // the last call of each method
}

// call is what arrived.
type call struct {
	headers metadata.MD
	request any
}

// last returns the last call of a method.
func (s *server) last(t *testing.T, method string) call {
	t.Helper()
	c := s.recent(method)
	if c.request == nil {
		t.Fatalf("no call of %s", method)
	}
	return c
}

func (s *server) recent(method string) call {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.seen[method]
}

// hook sets what runs before every call.
func (s *server) hook(f func(context.Context) error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.before = f
}

func newServer() *server { return &server{shelf: map[string]*shelf{}, seen: map[string]call{}} }

// points and collections are its two services.
type pointService struct {
	qdrant.UnimplementedPointsServer
	*server
}

type collectionService struct {
	qdrant.UnimplementedCollectionsServer
	*server
}

// running is a server on a socket.
type running struct {
	*grpc.Server
	address string
	done    chan struct{}
}

// serve starts the server at an address, "127.0.0.1:0" for any, for a test.
func (s *server) serve(tb testing.TB, address string, identity *tls.Config) *running {
	tb.Helper()
	r, err := s.listen(address, identity)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(r.kill)
	return r
}

func (s *server) listen(address string, identity *tls.Config) (*running, error) {
	l, err := net.Listen("tcp", address)
	if err != nil {
		return nil, err
	}
	options := []grpc.ServerOption{
		grpc.UnaryInterceptor(s.guard), grpc.MaxRecvMsgSize(32 << 20), grpc.MaxSendMsgSize(1 << 30),
		grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{MinTime: 5 * time.Second, PermitWithoutStream: true}),
	}
	if identity != nil {
		options = append(options, grpc.Creds(credentials.NewTLS(identity)))
	}
	s.address = l.Addr().String()
	r := &running{Server: grpc.NewServer(options...), address: s.address, done: make(chan struct{})}
	qdrant.RegisterPointsServer(r, &pointService{server: s})
	qdrant.RegisterCollectionsServer(r, &collectionService{server: s})
	go func() {
		defer close(r.done)
		_ = r.Serve(l)
	}()
	return r, nil
}

// kill ends the server and its connections at once.
func (r *running) kill() {
	r.Stop()
	<-r.done
}

// guard checks the key, as Qdrant does.
func (s *server) guard(ctx context.Context, req any, info *grpc.UnaryServerInfo, handle grpc.UnaryHandler) (any, error) {
	md, _ := metadata.FromIncomingContext(ctx)
	if s.key != "" && !slices.Contains(md.Get("api-key"), s.key) {
		return nil, status.Error(codes.Unauthenticated, "Must provide an API key or an Authorization bearer token")
	}
	s.mu.Lock()
	s.seen[info.FullMethod[strings.LastIndexByte(info.FullMethod, '/')+1:]] = call{md, req}
	before := s.before
	s.mu.Unlock()
	if before != nil {
		if err := before(ctx); err != nil {
			return nil, err
		}
	}
	return handle(ctx, req)
}

// shelf is a collection.
type shelf struct {
	config  *qdrant.CollectionConfig
	points  map[string]*qdrant.PointStruct
	indexed map[string]qdrant.FieldType
	keys    []string // of shards
}

// at finds a collection.
func (s *server) at(name string) (*shelf, error) {
	c, ok := s.shelf[name]
	if !ok {
		return nil, status.Errorf(codes.NotFound, "Not found: Collection `%s` doesn't exist!", name)
	}
	return c, nil
}

// idText names a point. Numbers sort before UUIDs.
func idText(id *qdrant.PointId) string {
	if u := id.GetUuid(); u != "" {
		return "u" + u
	}
	return fmt.Sprintf("n%020d", id.GetNum())
}

// passing returns the points that pass a filter, in the order of their ids.
func (c *shelf) passing(f *qdrant.Filter) []*qdrant.PointStruct {
	var out []*qdrant.PointStruct
	for _, id := range slices.Sorted(maps.Keys(c.points)) {
		if p := c.points[id]; passes(f, document{point: p, fields: p.GetPayload()}) {
			out = append(out, p)
		}
	}
	return out
}

func (s *collectionService) Create(_ context.Context, req *qdrant.CreateCollection) (*qdrant.CollectionOperationResponse, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, ok := s.shelf[req.GetCollectionName()]; ok {
		return nil, status.Errorf(codes.AlreadyExists, "Wrong input: Collection `%s` already exists!", req.GetCollectionName())
	}
	s.shelf[req.GetCollectionName()] = &shelf{
		config: &qdrant.CollectionConfig{
			Params:     &qdrant.CollectionParams{VectorsConfig: req.GetVectorsConfig(), SparseVectorsConfig: req.GetSparseVectorsConfig()},
			HnswConfig: &qdrant.HnswConfigDiff{EfConstruct: new(uint64(100))},
			Metadata:   req.GetMetadata(),
		},
		points: map[string]*qdrant.PointStruct{}, indexed: map[string]qdrant.FieldType{},
	}
	if s.old {
		s.shelf[req.GetCollectionName()].config.Metadata = nil
	}
	return &qdrant.CollectionOperationResponse{Result: true}, nil
}

// Update merges metadata, as Qdrant does.
func (s *collectionService) Update(_ context.Context, req *qdrant.UpdateCollection) (*qdrant.CollectionOperationResponse, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	c, err := s.at(req.GetCollectionName())
	if err != nil {
		return nil, err
	}
	c.config = proto.CloneOf(c.config)
	maps.Copy(c.config.GetMetadata(), req.GetMetadata())
	return &qdrant.CollectionOperationResponse{Result: true}, nil
}

func (s *collectionService) Get(_ context.Context, req *qdrant.GetCollectionInfoRequest) (*qdrant.GetCollectionInfoResponse, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	c, err := s.at(req.GetCollectionName())
	if err != nil {
		return nil, err
	}
	return &qdrant.GetCollectionInfoResponse{Result: &qdrant.CollectionInfo{Config: c.config}}, nil
}

func (s *collectionService) List(context.Context, *qdrant.ListCollectionsRequest) (*qdrant.ListCollectionsResponse, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	resp := &qdrant.ListCollectionsResponse{}
	for name := range s.shelf {
		resp.Collections = append(resp.Collections, &qdrant.CollectionDescription{Name: name})
	}
	return resp, nil
}

func (s *collectionService) Delete(_ context.Context, req *qdrant.DeleteCollection) (*qdrant.CollectionOperationResponse, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, ok := s.shelf[req.GetCollectionName()]
	delete(s.shelf, req.GetCollectionName())
	return &qdrant.CollectionOperationResponse{Result: ok}, nil
}

func (s *collectionService) CreateShardKey(_ context.Context, req *qdrant.CreateShardKeyRequest) (*qdrant.CreateShardKeyResponse, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	c, err := s.at(req.GetCollectionName())
	if err != nil {
		return nil, err
	}
	key := req.GetRequest().GetShardKey().GetKeyword()
	if slices.Contains(c.keys, key) {
		return nil, status.Errorf(codes.InvalidArgument, "Bad request: Sharding key %q already exists for collection %s", key, req.GetCollectionName())
	}
	c.keys = append(c.keys, key)
	return &qdrant.CreateShardKeyResponse{Result: true}, nil
}

func (s *pointService) CreateFieldIndex(_ context.Context, req *qdrant.CreateFieldIndexCollection) (*qdrant.PointsOperationResponse, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	c, err := s.at(req.GetCollectionName())
	if err != nil {
		return nil, err
	}
	c.indexed[req.GetFieldName()] = req.GetFieldType()
	return completed(), nil
}

func completed() *qdrant.PointsOperationResponse {
	return &qdrant.PointsOperationResponse{Result: &qdrant.UpdateResult{Status: qdrant.UpdateStatus_Completed}}
}

// Upsert replaces whole points; stored ones that do not pass the filter stay.
func (s *pointService) Upsert(_ context.Context, req *qdrant.UpsertPoints) (*qdrant.PointsOperationResponse, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	c, err := s.at(req.GetCollectionName())
	if err != nil {
		return nil, err
	}
	for _, p := range req.GetPoints() {
		if err := c.normalise(p); err != nil {
			return nil, err
		}
	}
	for _, p := range req.GetPoints() {
		old, ok := c.points[idText(p.GetId())]
		for _, v := range p.GetPayload() {
			reread(v)
		}
		if !ok || req.GetUpdateFilter() == nil || passes(req.GetUpdateFilter(), document{point: old, fields: old.GetPayload()}) {
			c.points[idText(p.GetId())] = p
		}
	}
	return completed(), nil
}

func (s *pointService) Delete(_ context.Context, req *qdrant.DeletePoints) (*qdrant.PointsOperationResponse, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	c, err := s.at(req.GetCollectionName())
	if err != nil {
		return nil, err
	}
	for _, id := range req.GetPoints().GetPoints().GetIds() {
		delete(c.points, idText(id))
	}
	if f := req.GetPoints().GetFilter(); f != nil {
		for _, p := range c.passing(f) {
			delete(c.points, idText(p.GetId()))
		}
	}
	return completed(), nil
}

func (s *pointService) Get(_ context.Context, req *qdrant.GetPoints) (*qdrant.GetResponse, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	c, err := s.at(req.GetCollectionName())
	if err != nil {
		return nil, err
	}
	resp := &qdrant.GetResponse{}
	for _, id := range req.GetIds() {
		if p, ok := c.points[idText(id)]; ok {
			resp.Result = append(resp.Result, retrieved(p, req.GetWithPayload(), req.GetWithVectors()))
		}
	}
	return resp, nil
}

func (s *pointService) Count(_ context.Context, req *qdrant.CountPoints) (*qdrant.CountResponse, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	c, err := s.at(req.GetCollectionName())
	if err != nil {
		return nil, err
	}
	return &qdrant.CountResponse{Result: &qdrant.CountResult{Count: uint64(len(c.passing(req.GetFilter())))}}, nil
}

// Scroll goes by id, or by an integer that has an index.
func (s *pointService) Scroll(_ context.Context, req *qdrant.ScrollPoints) (*qdrant.ScrollResponse, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	c, err := s.at(req.GetCollectionName())
	if err != nil {
		return nil, err
	}
	found := c.passing(req.GetFilter())
	if by := req.GetOrderBy(); by != nil {
		if c.indexed[by.GetKey()] != qdrant.FieldType_FieldTypeInteger {
			return nil, status.Errorf(codes.InvalidArgument, "Wrong input: No range index for `order_by` key: `%s`", by.GetKey())
		}
		slices.SortStableFunc(found, func(a, b *qdrant.PointStruct) int {
			return cmp.Compare(b.GetPayload()[by.GetKey()].GetIntegerValue(), a.GetPayload()[by.GetKey()].GetIntegerValue())
		})
	}
	if from := req.GetOffset(); from != nil {
		found = slices.DeleteFunc(found, func(p *qdrant.PointStruct) bool { return idText(p.GetId()) < idText(from) })
	}
	resp := &qdrant.ScrollResponse{}
	limit := int(req.GetLimit())
	if len(found) > limit {
		if req.GetOrderBy() == nil {
			resp.NextPageOffset = found[limit].GetId()
		}
		found = found[:limit]
	}
	for _, p := range found {
		resp.Result = append(resp.Result, retrieved(p, req.GetWithPayload(), req.GetWithVectors()))
	}
	return resp, nil
}

func (s *pointService) QueryBatch(_ context.Context, req *qdrant.QueryBatchPoints) (*qdrant.QueryBatchResponse, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	c, err := s.at(req.GetCollectionName())
	if err != nil {
		return nil, err
	}
	resp := &qdrant.QueryBatchResponse{}
	for _, q := range req.GetQueryPoints() {
		rows, err := c.query(q, s.missed)
		if err != nil {
			return nil, err
		}
		resp.Result = append(resp.Result, &qdrant.BatchResult{Result: rows})
	}
	return resp, nil
}
