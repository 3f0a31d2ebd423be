package config

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"encoding/hex"
	"fmt"
	"io"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/lanewise/lanewise/fault"
	"github.com/lanewise/lanewise/kubernetes"
	"github.com/lanewise/lanewise/router"
	"github.com/lanewise/lanewise/shardmap"
	"github.com/lanewise/lanewise/shardmap/etcdmap"
)

// sharedMap says how routers that share their shard map reach it and know of each other. In Kubernetes the section of
// that name says how the API server is reached.
type sharedMap struct {
	// Name of this router, which tells it apart in logs and messages. Default: the machine's name. What follows it
	// tells one start from the next.
	Name string `yaml:"name,omitempty"`
	// Lease is how long the others wait for a router that gives no sign of life, in whole seconds. Default 10s.
	Lease time.Duration `yaml:"lease,omitempty"`
	// Import is the file of the map that is taken over where none is shared yet. Default: a new map.
	Import string `yaml:"import,omitempty"`

	User     string `yaml:"user,omitempty"` // of etcd. Default: none
	Password Secret `yaml:"password,omitempty"`
	TLS      bool   `yaml:"tls,omitempty"` // encrypts the connections and verifies the servers
	// CA is a file of certificates to trust, in PEM. Default: the system's.
	CA string `yaml:"ca,omitempty"`
	// Cert and CertKey are files of the certificate that this router shows, and of its private key. Default: none.
	Cert    string `yaml:"cert,omitempty"`
	CertKey string `yaml:"cert_key,omitempty"`
}

// What a map that is no file begins with.
const (
	etcdScheme       = "etcd"
	kubernetesScheme = "kubernetes"
)

// MapFile returns the file of the shard map; empty where there is none, or routers share it elsewhere.
func (c *Config) MapFile() string {
	if c.mapIsShared() {
		return ""
	}
	return c.Map
}

func (c *Config) mapIsShared() bool { return strings.Contains(c.Map, "://") }

// StoredMap reads the shard map from where it is kept. None is fault.NotFound, with a map in memory, too.
func (c *Config) StoredMap(ctx context.Context) (*shardmap.Map, error) {
	switch {
	case c.Map == "":
		return nil, fault.New(fault.NotFound, "the shard map is in memory only")
	case !c.mapIsShared():
		return shardmap.Read(c.Map)
	}
	store, err := c.openMapStore(func() (*kubernetes.Cluster, error) { return c.Cluster.connect(nil) })
	if err != nil {
		return nil, err
	}
	defer store.Close() //nolint:errcheck // it was only read
	return router.ReadShared(ctx, store)
}

// mapStore is where a map is shared.
type mapStore interface {
	router.MapStore
	io.Closer
}

// openMapStore connects to nobody yet, but for etcd with a user.
func (c *Config) openMapStore(connect func() (*kubernetes.Cluster, error)) (store mapStore, err error) {
	if strings.HasPrefix(c.Map, kubernetesScheme+"://") {
		store, err = c.openConfigMap(connect)
	} else {
		store, err = c.openEtcd()
	}
	if err != nil {
		return nil, fmt.Errorf("share the map: %w", err)
	}
	return store, nil
}

// configMap is a map in Kubernetes, and what reaches it.
type configMap struct {
	*kubernetes.Map
	io.Closer
}

func (c *Config) openConfigMap(connect func() (*kubernetes.Cluster, error)) (mapStore, error) {
	namespace, name, err := c.configMap()
	if err != nil {
		return nil, err
	}
	cluster, err := connect()
	if err != nil {
		return nil, err
	}
	return configMap{cluster.Map(namespace, name, c.SharedMap.Lease), cluster}, nil
}

// configMap is what the address of a map in Kubernetes says.
func (c *Config) configMap() (namespace, name string, err error) {
	_, rest, _ := strings.Cut(c.Map, "://")
	if namespace, name, err = kubernetes.MapName(rest); err != nil {
		return "", "", fmt.Errorf("map: %q: write kubernetes://NAMESPACE/NAME: %w", c.Map, err)
	}
	return namespace, name, nil
}

func (c *Config) openEtcd() (mapStore, error) {
	e, err := c.etcd()
	if err != nil {
		return nil, err
	}
	return etcdmap.Open(e)
}

// etcd is what the address of the map and its settings say.
func (c *Config) etcd() (etcdmap.Config, error) {
	rest, ok := strings.CutPrefix(c.Map, etcdScheme+"://")
	hosts, prefix, _ := strings.Cut(rest, "/")
	if !ok || hosts == "" || strings.ContainsAny(c.Map, "@?#") {
		return etcdmap.Config{}, fault.New(fault.Invalid, "map: %q is no address of a map: write etcd://HOST:PORT,HOST:PORT/PREFIX", c.Map)
	}
	m := c.SharedMap
	e := etcdmap.Config{Endpoints: strings.Split(hosts, ","), Prefix: prefix, User: m.User, Password: string(m.Password), TTL: m.Lease}
	if !m.TLS {
		return e, nil
	}
	for i, host := range e.Endpoints {
		e.Endpoints[i] = (&url.URL{Scheme: "https", Host: host}).String()
	}
	var err error
	e.TLS, err = m.tls()
	return e, err
}

func (m sharedMap) tls() (*tls.Config, error) {
	c := &tls.Config{MinVersion: tls.VersionTLS12}
	if m.CA != "" {
		var err error
		if c.RootCAs, err = certPool(m.CA); err != nil {
			return nil, fmt.Errorf("read shared_map.ca: %w", err)
		}
	}
	if m.Cert != "" {
		pair, err := tls.LoadX509KeyPair(m.Cert, m.CertKey)
		if err != nil {
			return nil, fault.Wrap(fault.Invalid, "read shared_map.cert", err)
		}
		c.Certificates = []tls.Certificate{pair}
	}
	return c, nil
}

// shareMap gives a router what it shares its map through, if it does. That is closed after the router.
func (s *System) shareMap(c *Config, to *router.Config) error {
	if !c.mapIsShared() {
		return nil
	}
	store, err := c.openMapStore(s.clustered.connect)
	if err != nil {
		return err
	}
	s.opened(store.Close)
	to.MapStore, to.MapPath, to.Name = store, c.SharedMap.Import, c.SharedMap.Name
	if to.Name == "" {
		if to.Name, err = os.Hostname(); err != nil {
			return fmt.Errorf("shared_map.name: the machine does not tell its own: %w", err)
		}
	}
	start := make([]byte, 4)
	_, _ = rand.Read(start) // it never fails
	to.Name += "-" + hex.EncodeToString(start)
	return nil
}

// sharedMap checks what can be checked without whoever keeps it.
func (v *validator) sharedMap(c *Config) {
	m := c.SharedMap
	if !c.mapIsShared() {
		v.check(m == sharedMap{}, "shared_map", "stands for nothing: map names neither etcd://HOST:PORT/PREFIX nor kubernetes://NAMESPACE/NAME")
		return
	}
	switch scheme, _, _ := strings.Cut(c.Map, "://"); scheme {
	case etcdScheme: // its files are read later
	case kubernetesScheme:
		if _, _, err := c.configMap(); err != nil {
			v.at("map", "%s", strings.TrimPrefix(err.Error(), "map: "))
		}
		etcdOnly := sharedMap{Name: m.Name, Lease: m.Lease, Import: m.Import}
		v.check(m == etcdOnly, "shared_map", "user, password, tls, ca, cert and cert_key are etcd's: the section kubernetes says how its API server is reached")
	default:
		v.at("map", "%q is neither a file nor etcd://HOST:PORT/PREFIX nor kubernetes://NAMESPACE/NAME", c.Map)
	}
	v.check(m.Lease == 0 || m.Lease >= 2*time.Second && m.Lease%time.Second == 0, "shared_map.lease", "must be whole seconds, 2s at least")
	v.check(m.Password == "" || m.User != "", "shared_map.user", "missing: there is a password")
	v.check(m.TLS || m.CA == "" && m.Cert == "", "shared_map.tls", "must be true: there are certificates")
	v.check((m.Cert == "") == (m.CertKey == ""), "shared_map.cert_key", "must be given with cert, and only then")
}
