package config

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/lanewise/lanewise/adapters/qdrant"
)

const qdrantFile = `
map: map
shards:
  - name: s0
    replicas:
      - {qdrant: {address: "127.0.0.1:1", key: "${KEY}", tls: true, ca: ca.pem, prefix: p-, consistency: quorum, index: [year, a.b]}}
      - {path: copy}
`

func TestParse_qdrant(t *testing.T) {
	c, err := parse("/etc/f.yaml", []byte(qdrantFile), func(string) (string, bool) { return "hunter2", true })
	if err != nil {
		t.Fatal(err)
	}
	want := Qdrant{
		Address: "127.0.0.1:1", Key: "hunter2", TLS: true, CA: "/etc/ca.pem", Prefix: "p-", Consistency: "quorum", Index: []string{"year", "a.b"},
	}
	if diff := cmp.Diff(want, c.Shards[0].Replicas[0].Qdrant); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	text, err := c.YAML()
	if err != nil || strings.Contains(text, "hunter2") || strings.Count(text, "qdrant:") != 1 {
		t.Errorf("printed as (%v):\n%s", err, text)
	}
}

func TestBuild_qdrantContactsNobody(t *testing.T) {
	c := &Config{Map: filepath.Join(t.TempDir(), "map"), Shards: []Shard{{Name: "s0", Replicas: []Replica{{Qdrant: Qdrant{Address: "127.0.0.1:1"}}}}}}
	if build(t, c).Router == nil {
		t.Error("no router")
	}
}

func TestOpenServer_qdrant(t *testing.T) {
	s, err := openServer(Replica{Qdrant: Qdrant{Address: "127.0.0.1:1", TLS: true}})
	if err != nil {
		t.Fatal(err)
	}
	if _, ok := s.(*qdrant.Store); !ok {
		t.Errorf("got a %T", s)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	file := filepath.Join(t.TempDir(), "ca.pem")
	for _, content := range []string{"", "no certificate"} {
		if content != "" {
			if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := openServer(Replica{Qdrant: Qdrant{Address: "127.0.0.1:1", TLS: true, CA: file}}); err == nil || !strings.Contains(err.Error(), file) {
			t.Errorf("%q as certificates: got %v, want an error that names the file", content, err)
		}
	}
}
