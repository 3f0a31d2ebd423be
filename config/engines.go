package config

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net/url"
	"strings"
	"time"

	"github.com/lanewise/lanewise/adapters/milvus"
	"github.com/lanewise/lanewise/adapters/pgvector"
	"github.com/lanewise/lanewise/adapters/qdrant"
	"github.com/lanewise/lanewise/adapters/remote"
	"github.com/lanewise/lanewise/adapters/weaviate"
	"github.com/lanewise/lanewise/fault"
	"github.com/lanewise/lanewise/internal/watched"
	"github.com/lanewise/lanewise/search"
)

// Qdrant tunes the use of a Qdrant server, 1.16 or newer, or of a cluster behind one
// address. The settings of a new collection apply when it is created; dims, metric and
// placement are those of the collection itself.
type Qdrant struct {
	Prefix      string `yaml:"prefix,omitempty"`      // before the names of collections in Qdrant. Default: none
	Consistency string `yaml:"consistency,omitempty"` // of reads: majority, quorum, all or a number of copies. Default: Qdrant's own
	ShardKey    string `yaml:"shard_key,omitempty"`   // that all points are kept under. Default: none
	Connections int    `yaml:"connections,omitempty"` // open at one time. Default 2

	Vector string   `yaml:"vector,omitempty"` // name of the vector in new collections. Default dense
	Shards int      `yaml:"shards,omitempty"` // of a new collection inside Qdrant. Default: Qdrant's own
	Copies int      `yaml:"copies,omitempty"` // of each of those shards. Default: Qdrant's own
	Index  []string `yaml:"index,omitempty"`  // fields whose numbers get an index in new collections. Default: none
}

// Milvus tunes the use of a Milvus server, 2.3 or newer.
type Milvus struct {
	Consistency string        `yaml:"consistency,omitempty"` // of reads: bounded, session, strong or eventually. Default bounded
	Lag         time.Duration `yaml:"lag,omitempty"`         // the server's common.gracefulTime. Default 5s
	Index       string        `yaml:"index,omitempty"`       // of new collections: flat (exact) or hnsw. Default flat
}

// Weaviate tunes the use of a Weaviate server, 1.33 or newer. The settings of a new
// collection apply when it is created.
type Weaviate struct {
	GRPC    string        `yaml:"grpc,omitempty"`     // host:port of gRPC. Default: port 50051 of the URL's host
	Prefix  string        `yaml:"prefix,omitempty"`   // of the names of classes: a capital, then letters and digits. Default Lanewise
	MaxRows int           `yaml:"max_rows,omitempty"` // the server's QUERY_MAXIMUM_RESULTS. Default 10000
	Lag     time.Duration `yaml:"lag,omitempty"`      // until a vector is indexed, where the server has ASYNC_INDEXING. Default: none

	Index      string `yaml:"index,omitempty"`       // of new collections: flat (exact) or hnsw. Default flat
	MaxOrdered int    `yaml:"max_ordered,omitempty"` // metadata fields of a collection that can be compared by order. Default 128
	NoDigest   bool   `yaml:"no_digest,omitempty"`   // new collections keep no digests: writes are cheaper, copies are compared by counts alone
}

// Postgres tunes the use of a PostgreSQL with the pgvector extension.
type Postgres struct {
	Schema         string `yaml:"schema,omitempty"`          // that holds the tables. Default lanewise
	Connections    int    `yaml:"connections,omitempty"`     // open at one time. Default 16
	HNSW           bool   `yaml:"hnsw,omitempty"`            // an approximate index on new collections. Default: exact scans
	M              int    `yaml:"m,omitempty"`               // links of a vertex of that index. Default 16
	EFConstruction int    `yaml:"ef_construction,omitempty"` // search breadth while it is built. Default 64
	EF             int    `yaml:"ef,omitempty"`              // least search breadth of a query. Default 40
	FieldIndex     bool   `yaml:"field_index,omitempty"`     // an index on the metadata of new collections
}

// server is a store that another process keeps.
type server interface {
	search.Store
	io.Closer
}

// Engine is a connection to the server of an engine.
type Engine interface {
	search.Store
	io.Closer
	Capabilities() search.Capabilities
	// Version asks the server for its version.
	Version(ctx context.Context) (string, error)
	// Walk reads a page of an external collection in the engine's own order: the points,
	// whole, and where the next page starts, which is empty behind the last one. An empty
	// after starts.
	Walk(ctx context.Context, collection, after string, limit int) (points []search.Point, next string, err error)
}

var _, _, _, _ Engine = (*qdrant.Store)(nil), (*milvus.Store)(nil), (*pgvector.Store)(nil), (*weaviate.Store)(nil)

// OpenEngine opens a replica of an engine with the external collections that are to be
// read. It does not connect yet.
func OpenEngine(r Replica, there ...External) (Engine, error) {
	if !isEngine(r.URL) {
		return nil, fault.New(fault.Invalid, "%s is no engine's", r.URL)
	}
	s, err := openServer(r, there)
	if err != nil {
		return nil, err
	}
	e, ok := s.(Engine)
	if !ok {
		return nil, errors.Join(fault.New(fault.Invalid, "collections of this engine cannot be read as they are"), s.Close())
	}
	return e, nil
}

// openServer opens a replica that is no folder. It does not connect yet.
//
//nolint:contextcheck // no adapter connects when it is made
func openServer(r Replica, there []External) (server, error) {
	var secure *tls.Config
	var err error
	if r.TLS || r.CA != "" || r.identified() {
		if secure, err = trust(r.CA); err != nil {
			return nil, err
		}
		secure.ServerName = r.ServerName
		if secure.GetClientCertificate, err = shown(r.ClientCert, r.ClientKey); err != nil {
			return nil, err
		}
	}
	if !isEngine(r.URL) {
		return remote.New(remote.Config{URL: r.URL, Key: string(r.Key), TLS: secure})
	}
	e, err := parseEngineURL(r.URL)
	if err != nil {
		return nil, err
	}
	switch e.engine {
	case engineMilvus:
		c := r.milvus(e)
		c.TLS = secure
		c.External = as(there, func(x external) milvus.External { return milvus.External(x) })
		return milvus.New(c)
	case engineWeaviate:
		c := r.weaviate(e)
		c.TLS = secure
		c.External = as(there, func(x external) weaviate.External { return weaviate.External(x) })
		return weaviate.New(c)
	case enginePostgres:
		c := r.postgres(e)
		c.External = as(there, func(x external) pgvector.External { return pgvector.External(x) })
		return pgvector.New(c)
	default:
		c := r.qdrant(e)
		c.TLS = secure
		c.External = as(there, func(x external) qdrant.External { return qdrant.External(x) })
		return qdrant.New(c)
	}
}

// qdrant is the adapter's own configuration, without the certificates.
func (r Replica) qdrant(e engineURL) qdrant.Config {
	q := r.Qdrant
	return qdrant.Config{
		Address: e.address, Key: string(r.Key), Prefix: q.Prefix, Vector: q.Vector, Consistency: q.Consistency, ShardKey: q.ShardKey,
		Shards: q.Shards, Copies: q.Copies, Index: q.Index, Connections: q.Connections,
	}
}

// milvus is the adapter's own configuration, without the certificates. The key is a
// password where the URL names a user.
func (r Replica) milvus(e engineURL) milvus.Config {
	c := milvus.Config{
		Address: e.address, Database: e.database(), Lag: r.Milvus.Lag,
		Consistency: milvus.Consistency(r.Milvus.Consistency), Index: milvus.Index(strings.ToUpper(r.Milvus.Index)),
	}
	if e.user == "" {
		c.Key = string(r.Key)
	} else {
		c.User, c.Password = e.user, string(r.Key)
	}
	return c
}

// weaviate is the adapter's own configuration, without the certificates.
func (r Replica) weaviate(e engineURL) weaviate.Config {
	w := r.Weaviate
	return weaviate.Config{
		Address: e.address, GRPC: w.GRPC, Key: string(r.Key), Prefix: w.Prefix, MaxRows: w.MaxRows, Lag: w.Lag,
		Index: weaviate.Index(strings.ToLower(w.Index)), MaxOrdered: w.MaxOrdered, NoDigest: w.NoDigest,
	}
}

// postgres is the adapter's own configuration. With TLS the server's name and
// certificate are verified.
func (r Replica) postgres(e engineURL) pgvector.Config {
	u := url.URL{Scheme: enginePostgres, Host: e.address, Path: "/" + e.database()}
	switch {
	case e.user != "" && r.Key != "":
		u.User = url.UserPassword(e.user, string(r.Key))
	case e.user != "":
		u.User = url.User(e.user)
	}
	options := e.options
	if r.TLS {
		options.Set("sslmode", "verify-full")
	}
	if r.CA != "" {
		options.Set("sslrootcert", r.CA)
	}
	u.RawQuery = options.Encode()
	p := r.Postgres
	c := pgvector.Config{DSN: u.String(), Schema: p.Schema, MaxConns: p.Connections, FieldIndex: p.FieldIndex}
	if p.HNSW {
		c.HNSW = &pgvector.HNSW{M: p.M, EFConstruction: p.EFConstruction, EF: p.EF}
	}
	return c
}

// trust returns the settings of an encrypted connection.
func trust(file string) (*tls.Config, error) {
	out := &tls.Config{MinVersion: tls.VersionTLS12}
	if file == "" {
		return out, nil
	}
	var err error
	if out.RootCAs, err = certPool(file); err != nil {
		return nil, fmt.Errorf("read the certificates: %w", err)
	}
	return out, nil
}

// shown returns what shows a certificate to servers, as the files have it when a connection is made; nil: there is none.
func shown(cert, key string) (func(*tls.CertificateRequestInfo) (*tls.Certificate, error), error) {
	if cert == "" {
		return nil, nil //nolint:nilnil // documented
	}
	current, err := watched.New(nil, func() (*tls.Certificate, error) {
		pair, err := tls.LoadX509KeyPair(cert, key)
		return &pair, err //nolint:wrapcheck // wrapped below, and names the file
	}, cert, key)
	if err != nil {
		return nil, fault.Wrap(fault.Invalid, "read the client's certificate", err)
	}
	return func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return current.Get(), nil }, nil
}

// where names the place of a replica: two that share it would be one.
func (r Replica) where() string {
	if !isEngine(r.URL) {
		return r.URL + r.Path
	}
	e, err := parseEngineURL(r.URL)
	if err != nil {
		return ""
	}
	e.user = ""
	switch e.engine {
	case engineQdrant:
		return e.String() + "/" + r.Qdrant.Prefix
	case engineWeaviate:
		return e.String() + "/" + cmp.Or(r.Weaviate.Prefix, "Lanewise")
	case enginePostgres:
		return e.String() + "/" + cmp.Or(r.Postgres.Schema, "lanewise")
	default:
		return e.String()
	}
}

// engine checks the server of an engine. Two replicas may share one, under prefixes,
// databases or schemas of their own: their collections would be the same ones otherwise.
func (v *validator) engine(path string, r Replica) {
	e, err := parseEngineURL(r.URL)
	if err != nil {
		v.at(path+".url", "%v", err)
		return
	}
	most := 0
	if e.hasDatabase() {
		most = 1
	}
	switch {
	case e.password != "":
		v.at(path+".url", "holds a password: use key instead")
	case len(e.path) > most:
		v.at(path+".url", "names a collection: a replica is a whole server; to read a collection that is there already, list it under collections")
	case e.engine == enginePostgres && len(e.path) == 0:
		v.at(path+".url", "names no database: write it as postgres://user@%s/DATABASE", e.address)
	case len(e.options) > 0 && e.engine != enginePostgres:
		v.at(path+".url", "has options, which only PostgreSQL's may")
	case e.user != "" && (e.engine == engineQdrant || e.engine == engineWeaviate):
		v.at(path+".url", "names a user: this engine only has a key")
	default:
		v.settings(path, r, e)
		v.unique(v.urls, r.where(), path+".url")
	}
}

// tuned tells of which engines there are settings.
func (r Replica) tuned() map[string]bool {
	return map[string]bool{
		engineQdrant: !isZero(r.Qdrant), engineMilvus: !isZero(r.Milvus), engineWeaviate: !isZero(r.Weaviate), enginePostgres: !isZero(r.Postgres),
	}
}

// settings checks what is said of an engine, by its own adapter where that can tell
// without connecting.
//
//nolint:contextcheck // no adapter connects when it is made
func (v *validator) settings(path string, r Replica, e engineURL) {
	for engine, given := range r.tuned() {
		v.check(!given || engine == e.engine, path+"."+engine, "has no meaning for "+e.engine+"://")
	}
	v.check(r.CA == "" || r.TLS, path+".ca", "has no meaning without tls")
	var err error
	at := path + "." + e.engine
	switch e.engine {
	case engineQdrant:
		err = r.qdrant(e).Validate()
	case engineMilvus:
		err = opened(milvus.New(r.milvus(e)))
	case engineWeaviate:
		err = opened(weaviate.New(r.weaviate(e)))
	case enginePostgres:
		if r.CA == "" { // else it reads the file, which Build does
			err = opened(pgvector.New(r.postgres(e)))
		}
	}
	if err == nil {
		return
	}
	field := fault.Field(err)
	v.at(at+strings.ReplaceAll(field, "/", "."), "%s", strings.TrimPrefix(err.Error(), field+": "))
}

// opened closes what was opened to see whether it can be. Neither adapter connects yet.
func opened(s io.Closer, err error) error {
	if err != nil {
		return err
	}
	return errors.Join(err, s.Close())
}
