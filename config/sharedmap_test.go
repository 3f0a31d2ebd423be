package config

import (
	"crypto/rand"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/lanewise/lanewise/fault"
	"github.com/lanewise/lanewise/router"
	"github.com/lanewise/lanewise/search"
)

const sharedYAML = `
map: etcd://10.0.0.1:2379,10.0.0.2:2379/lanewise/prod
shared_map: {name: left, lease: 5s, import: old.map, user: root, password: secret, tls: true, ca: ca.pem}
shards: [{name: s0, replicas: [{url: http://10.0.0.9:8080}]}]
`

func TestSharedMap_isRead(t *testing.T) {
	dir := t.TempDir()
	c, err := parse(filepath.Join(dir, "x.yaml"), []byte(sharedYAML), func(string) (string, bool) { return "", false })
	if err != nil {
		t.Fatal(err)
	}
	if c.MapFile() != "" || c.SharedMap.Import != filepath.Join(dir, "old.map") || c.Resolved().UsageFile != "" {
		t.Errorf("files: %q, %q", c.MapFile(), c.SharedMap.Import)
	}
	if _, err := c.etcd(); err == nil || !strings.Contains(err.Error(), "shared_map.ca") {
		t.Errorf("the certificates are not there: %v", err)
	}
	c.SharedMap.CA = ""
	e, err := c.etcd()
	if err != nil || strings.Join(e.Endpoints, " ") != "https://10.0.0.1:2379 https://10.0.0.2:2379" || e.Prefix != "lanewise/prod" ||
		e.User != "root" || e.Password != "secret" || e.TTL != 5*time.Second || e.TLS == nil {
		t.Errorf("%+v, %v", e, err)
	}
}

func TestSharedMap_refuses(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"map: redis://10.0.0.1/x":                                      "map: \"redis://10.0.0.1/x\" is neither a file nor",
		"map: x\nshared_map: {lease: 5s}":                              "shared_map: stands for nothing",
		"map: etcd://h:1\nshared_map: {lease: 1500ms}":                 "shared_map.lease: must be whole seconds",
		"map: etcd://h:1\nshared_map: {password: x}":                   "shared_map.user: missing",
		"map: etcd://h:1\nshared_map: {ca: x}":                         "shared_map.tls: must be true",
		"map: etcd://h:1\nshared_map: {tls: true, cert: x}":            "shared_map.cert_key: must be given",
		"map: etcd://h:1\nstore: x\nshared_map: {tls: true, lease: 0}": "map: cannot stand beside store",

		"map: kubernetes://rag":                                     "map: \"kubernetes://rag\": write kubernetes://NAMESPACE/NAME: there is no /",
		"map: kubernetes://rag/":                                    "\"\" is no name of a ConfigMap",
		"map: kubernetes://rag/Shards":                              "\"Shards\" is no name of a ConfigMap",
		"map: kubernetes://rag/" + strings.Repeat("s", 64):          "is no name of a ConfigMap: must be no more than 63",
		"map: kubernetes://rag.prod/shards":                         "\"rag.prod\" is no namespace",
		"map: kubernetes://rag/shards\nshared_map: {user: x}":       "shared_map: user, password, tls, ca, cert and cert_key are etcd's",
		"map: kubernetes://rag/shards\nshared_map: {lease: 1500ms}": "shared_map.lease: must be whole seconds",
	} {
		_, err := parse("x.yaml", []byte(text+"\nshards: [{name: s0, replicas: [{path: x}]}]\n"), func(string) (string, bool) { return "", false })
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v; want %q", text, err, want)
		}
	}
	for _, address := range []string{"etcd://", "etcd:///x", "etcd://user@h:1/x"} {
		if _, err := (&Config{Map: address}).etcd(); !errors.Is(err, fault.Invalid) {
			t.Errorf("%s: %v", address, err)
		}
	}
}

// Two servers share the map that one of them had in a file, in a real etcd.
func TestBuild_sharesTheMapInEtcd(t *testing.T) {
	address := os.Getenv("LANEWISE_TEST_ETCD")
	if address == "" {
		t.Skip("LANEWISE_TEST_ETCD is not set: start one with scripts/servers/etcd up")
	}
	shareMap(t, Config{Map: "etcd://" + address + "/" + unique(t)})
}

// The same in a ConfigMap of a real cluster.
func TestBuild_sharesTheMapInKubernetes(t *testing.T) {
	file := os.Getenv("LANEWISE_TEST_KUBERNETES")
	if file == "" {
		t.Skip("LANEWISE_TEST_KUBERNETES is not set: start a control plane with scripts/servers/kubernetes up")
	}
	shareMap(t, Config{Map: "kubernetes://default/" + strings.ToLower(unique(t)), Cluster: cluster{Kubeconfig: file}})
}

// unique is a name that no other test has.
func unique(t *testing.T) string {
	t.Helper()
	return "map" + rand.Text()
}

func shareMap(t *testing.T, c Config) {
	t.Helper()
	replica := host(t, build(t, &Config{Store: t.TempDir()}))
	file := filepath.Join(t.TempDir(), "map")
	c.Shards = []Shard{{Name: "s0", Replicas: []Replica{{Name: "r0", URL: replica}}}}
	alone := build(t, &Config{Map: file, Shards: c.Shards})
	if _, err := alone.Router.CreateCollection(t.Context(), search.Collection{Name: "docs", Dims: 1}); err != nil {
		t.Fatal(err)
	}
	epoch := alone.Router.State().Epoch
	if err := alone.Close(); err != nil {
		t.Fatal(err)
	}
	c.SharedMap = sharedMap{Import: file, Lease: 30 * time.Second} // a slow machine loses none
	for i := range 2 {
		s := build(t, &c)
		_, err := s.Router.Upsert(t.Context(), router.Upsert{Collection: "docs", Points: []search.Point{{Key: search.Key{ID: "a"}, Dense: []float32{1}}}})
		if err != nil || s.Router.State().Epoch <= epoch {
			t.Errorf("server %d: %v, at epoch %d after %d", i, err, s.Router.State().Epoch, epoch)
		}
	}
	if m, err := c.StoredMap(t.Context()); err != nil || m.Epoch() <= epoch {
		t.Errorf("stored: %v", err)
	}
}

func TestSharedMap_withoutACluster(t *testing.T) {
	t.Setenv("KUBECONFIG", "")
	c := Config{Map: "kubernetes:///shards"}
	if _, err := c.StoredMap(t.Context()); !errors.Is(err, fault.Invalid) || !strings.Contains(err.Error(), "kubernetes.kubeconfig") {
		t.Errorf("%v", err)
	}
	t.Setenv("KUBECONFIG", "nowhere.yaml")
	if _, err := c.StoredMap(t.Context()); err == nil || !strings.Contains(err.Error(), "nowhere.yaml") {
		t.Errorf("%v", err)
	}
}
