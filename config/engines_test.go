package config

import (
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/lanewise/lanewise/adapters/milvus"
	"github.com/lanewise/lanewise/adapters/pgvector"
	"github.com/lanewise/lanewise/adapters/qdrant"
	"github.com/lanewise/lanewise/adapters/remote"
	"github.com/lanewise/lanewise/adapters/weaviate"
	"github.com/lanewise/lanewise/search"
)

const qdrantFile = `
map: map
shards:
  - name: s0
    replicas:
      - {url: "qdrant://127.0.0.1:1", key: "${KEY}", tls: true, ca: ca.pem, qdrant: {prefix: p-, consistency: quorum, index: [year, a.b]}}
      - {path: copy}
`

func TestParse_qdrant(t *testing.T) {
	c, err := parse("/etc/f.yaml", []byte(qdrantFile), func(string) (string, bool) { return "hunter2", true })
	if err != nil {
		t.Fatal(err)
	}
	want := Replica{
		URL: "qdrant://127.0.0.1:1", Key: "hunter2", TLS: true, CA: "/etc/ca.pem",
		Qdrant: Qdrant{Prefix: "p-", Consistency: "quorum", Index: []string{"year", "a.b"}},
	}
	if diff := cmp.Diff(want, c.Shards[0].Replicas[0]); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	text, err := c.YAML()
	if err != nil || strings.Contains(text, "hunter2") || strings.Count(text, "qdrant:") != 2 {
		t.Errorf("printed as (%v):\n%s", err, text)
	}
}

func TestBuild_qdrantContactsNobody(t *testing.T) {
	c := &Config{Map: filepath.Join(t.TempDir(), "map"), Shards: []Shard{{Name: "s0", Replicas: []Replica{{URL: "qdrant://127.0.0.1:1"}}}}}
	if build(t, c).Router == nil {
		t.Error("no router")
	}
}

func TestOpenServer_byScheme(t *testing.T) {
	for text, want := range map[string]any{
		"qdrant://127.0.0.1:1": (*qdrant.Store)(nil), "milvus://127.0.0.1:1/db": (*milvus.Store)(nil), "weaviate://127.0.0.1:1": (*weaviate.Store)(nil),
		"postgres://me@127.0.0.1:1/db": (*pgvector.Store)(nil), "postgresql://me@127.0.0.1:1/db": (*pgvector.Store)(nil),
		"http://127.0.0.1:1": (*remote.Store)(nil),
	} {
		s, err := openServer(Replica{URL: text, TLS: true}, nil)
		if err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		if reflect.TypeOf(s) != reflect.TypeOf(want) {
			t.Errorf("%s: got a %T", text, s)
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}
}

func TestOpenServer_readsTheCertificates(t *testing.T) {
	file := filepath.Join(t.TempDir(), "ca.pem")
	for _, content := range []string{"", "no certificate"} {
		if content != "" {
			if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		for _, text := range []string{"qdrant://127.0.0.1:1", "milvus://127.0.0.1:1", "weaviate://127.0.0.1:1", "https://127.0.0.1:1"} {
			if _, err := openServer(Replica{URL: text, TLS: true, CA: file}, nil); err == nil || !strings.Contains(err.Error(), file) {
				t.Errorf("%s, %q as certificates: got %v, want an error that names the file", text, content, err)
			}
		}
	}
}

func TestReplica_settingsReachTheAdapters(t *testing.T) {
	r := Replica{
		URL: "milvus://me@h/db", Key: "pw", TLS: true, CA: "/ca.pem",
		Milvus:   Milvus{Consistency: "strong", Index: "hnsw", Lag: time.Second},
		Postgres: Postgres{Schema: "s", Connections: 3, HNSW: true, M: 8},
	}
	e, err := parseEngineURL(r.URL)
	if err != nil {
		t.Fatal(err)
	}
	want := milvus.Config{Address: "h:19530", Database: "db", User: "me", Password: "pw", Consistency: milvus.Strong, Index: milvus.HNSW, Lag: time.Second}
	if got := r.milvus(e); !reflect.DeepEqual(got, want) {
		t.Errorf("milvus: got %+v", got)
	}
	e.user = ""
	if got := r.milvus(e); got.Key != "pw" || got.Password != "" {
		t.Errorf("milvus without a user: got %+v", got)
	}
	w := Replica{Key: "k", Weaviate: Weaviate{GRPC: "g:1", Prefix: "P", MaxRows: 5, Lag: time.Second, Index: "HNSW", MaxOrdered: 6, NoDigest: true}}
	if got, want := w.weaviate(e), (weaviate.Config{
		Address: "h:19530", GRPC: "g:1", Key: "k", Prefix: "P", MaxRows: 5, Lag: time.Second, Index: weaviate.HNSW, MaxOrdered: 6, NoDigest: true,
	}); !reflect.DeepEqual(got, want) {
		t.Errorf("weaviate: got %+v", got)
	}
	if e, err = parseEngineURL("postgres://me@h/db?application_name=x"); err != nil {
		t.Fatal(err)
	}
	dsn := "postgres://me:pw@h:5432/db?application_name=x&sslmode=verify-full&sslrootcert=%2Fca.pem"
	if got := r.postgres(e); got.DSN != dsn || got.Schema != "s" || got.MaxConns != 3 || got.HNSW.M != 8 {
		t.Errorf("postgres: got %+v", got)
	}
}

func TestEngineReplica(t *testing.T) {
	for text, want := range map[string]struct {
		server Replica
		name   string
	}{
		"qdrant://h:1/docs":                            {Replica{URL: "qdrant://h:1"}, "docs"},
		"qdrant://h/docs?tls=true&ca=x.pem":            {Replica{URL: "qdrant://h:6334", TLS: true, CA: "x.pem"}, "docs"},
		"qdrant://h":                                   {Replica{URL: "qdrant://h:6334"}, ""},
		"milvus://me:pw@h/docs":                        {Replica{URL: "milvus://me@h:19530", Key: "pw"}, "docs"},
		"milvus://h/db/docs":                           {Replica{URL: "milvus://h:19530/db"}, "docs"},
		"postgres://me:pw@h/db/s.docs?sslmode=require": {Replica{URL: "postgres://me@h:5432/db?sslmode=require", Key: "pw"}, "s.docs"},
		"weaviate://h/Docs?grpc=g:1":                   {Replica{URL: "weaviate://h:8080", Weaviate: Weaviate{GRPC: "g:1"}}, "Docs"},
		"postgresql://h/db":                            {Replica{URL: "postgres://h:5432/db"}, ""},
	} {
		server, name, err := EngineReplica(text)
		if err != nil || name != want.name || !reflect.DeepEqual(server, want.server) {
			t.Errorf("%s: got %#v %q %v", text, server, name, err)
		}
	}
	for _, text := range []string{"qdrant://h/a/b", "milvus://h/a/b/c", "http://h", "h:6334", "qdrant://me:pw@h:x/d"} {
		if _, _, err := EngineReplica(text); err == nil || strings.Contains(err.Error(), "pw") {
			t.Errorf("%s: got %v", text, err)
		}
	}
}

func TestExternal_reachesEveryAdapter(t *testing.T) {
	x := External{Name: "docs", From: "f", ID: "i", Text: "t", Vector: "v", Metadata: "m", Space: "s", Metric: "dot"}
	want := external{Name: "docs", From: "f", ID: "i", Text: "t", Vector: "v", Meta: "m", Space: "s", Metric: "dot"}
	if got := x.adapter(); got != want {
		t.Errorf("got %+v", got)
	}
	for _, text := range []string{"qdrant://127.0.0.1:1", "milvus://127.0.0.1:1", "postgres://me@127.0.0.1:1/db", "weaviate://127.0.0.1:1"} {
		x := x
		if text[0] == 'w' { // its properties are the metadata
			x.Metadata = ""
		}
		s, err := openServer(Replica{URL: text}, []External{x})
		if err != nil {
			t.Fatal(err)
		}
		_, err = s.Write(t.Context(), search.Batch{Collection: "docs", Drop: true})
		if text[0] != 'q' && (err == nil || !strings.Contains(err.Error(), "external")) { // Qdrant is asked first what it is
			t.Errorf("%s: a write: %v", text, err)
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}
}
