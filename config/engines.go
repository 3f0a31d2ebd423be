package config

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"os"
	"reflect"
	"strings"

	"github.com/lanewise/lanewise/adapters/qdrant"
	"github.com/lanewise/lanewise/adapters/remote"
	"github.com/lanewise/lanewise/fault"
	"github.com/lanewise/lanewise/search"
)

// Qdrant is a Qdrant server, 1.16 or newer, or a cluster behind one address. The
// settings of a new collection apply when it is created; dims, metric and placement
// are those of the collection itself.
type Qdrant struct {
	Address     string `yaml:"address,omitempty"`     // host:port of the gRPC service, such as 10.0.0.5:6334
	Key         Secret `yaml:"key,omitempty"`         // API key. Default: none
	TLS         bool   `yaml:"tls,omitempty"`         // encrypt the connection
	CA          string `yaml:"ca,omitempty"`          // file of certificates to trust, in PEM. Default: the system's
	Prefix      string `yaml:"prefix,omitempty"`      // before the names of collections in Qdrant. Default: none
	Consistency string `yaml:"consistency,omitempty"` // of reads: majority, quorum, all or a number of copies. Default: Qdrant's own
	ShardKey    string `yaml:"shard_key,omitempty"`   // that all points are kept under. Default: none
	Connections int    `yaml:"connections,omitempty"` // open at one time. Default 2

	Vector string   `yaml:"vector,omitempty"` // name of the vector in new collections. Default dense
	Shards int      `yaml:"shards,omitempty"` // of a new collection inside Qdrant. Default: Qdrant's own
	Copies int      `yaml:"copies,omitempty"` // of each of those shards. Default: Qdrant's own
	Index  []string `yaml:"index,omitempty"`  // fields whose numbers get an index in new collections. Default: none
}

func (q Qdrant) isZero() bool { return reflect.ValueOf(q).IsZero() }

// adapter is the adapter's own configuration, without the certificates.
func (q Qdrant) adapter() qdrant.Config {
	return qdrant.Config{
		Address: q.Address, Key: string(q.Key), Prefix: q.Prefix, Vector: q.Vector, Consistency: q.Consistency, ShardKey: q.ShardKey,
		Shards: q.Shards, Copies: q.Copies, Index: q.Index, Connections: q.Connections,
	}
}

// server is a store that another process keeps.
type server interface {
	search.Store
	io.Closer
}

// openServer opens a replica that is no folder. It does not connect yet.
func openServer(r Replica) (server, error) {
	if r.Qdrant.isZero() {
		return remote.New(remote.Config{URL: r.URL, Key: string(r.Key)})
	}
	c := r.Qdrant.adapter()
	var err error
	if r.Qdrant.TLS {
		if c.TLS, err = trust(r.Qdrant.CA); err != nil {
			return nil, err
		}
	}
	return qdrant.New(c)
}

// trust returns the settings of an encrypted connection.
func trust(file string) (*tls.Config, error) {
	out := &tls.Config{MinVersion: tls.VersionTLS12}
	if file == "" {
		return out, nil
	}
	pem, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("read the certificates: %w", err)
	}
	out.RootCAs = x509.NewCertPool()
	if !out.RootCAs.AppendCertsFromPEM(pem) {
		return nil, fault.New(fault.Invalid, "%s holds no certificate in PEM", file)
	}
	return out, nil
}

// where names the place of a replica.
func (r Replica) where() string {
	if !r.Qdrant.isZero() {
		return "qdrant://" + r.Qdrant.Address + "/" + r.Qdrant.Prefix
	}
	return r.URL + r.Path
}

// qdrant checks a Qdrant server. Two replicas may share one, under prefixes of their
// own: their collections would be the same ones otherwise.
func (v *validator) qdrant(path string, q Qdrant) {
	v.check(q.Address != "", path+".address", "missing: where is the server?")
	v.check(q.CA == "" || q.TLS, path+".ca", "has no meaning without tls")
	if err := q.adapter().Validate(); err != nil && q.Address != "" {
		field := fault.Field(err)
		v.at(path+strings.ReplaceAll(field, "/", "."), "%s", strings.TrimPrefix(err.Error(), field+": "))
		return
	}
	v.unique(v.urls, Replica{Qdrant: q}.where(), path+".address")
}
