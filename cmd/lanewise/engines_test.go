package main

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/go-openapi/strfmt"
	"github.com/milvus-io/milvus-sdk-go/v2/client"
	"github.com/milvus-io/milvus-sdk-go/v2/entity"
	"github.com/qdrant/go-client/qdrant"
	"github.com/weaviate/weaviate-go-client/v5/weaviate"
	"github.com/weaviate/weaviate/entities/models"

	"github.com/lanewise/lanewise/search"
)

// server is where a real engine is; the test is skipped where there is none.
func server(tb testing.TB, engine string) string {
	tb.Helper()
	name := "LANEWISE_TEST_" + strings.ToUpper(engine)
	at := os.Getenv(name)
	if at == "" {
		tb.Skipf("%s is not set: CONTRIBUTING.md tells where to get it", name)
	}
	return at
}

// milvusDatabase makes a database on the real server and returns a client of it.
func milvusDatabase(tb testing.TB) (c client.Client, database string) {
	tb.Helper()
	at, database := server(tb, "milvus"), "cli_"+rand.Text()
	ctx := context.WithoutCancel(tb.Context()) // also in the cleanup
	c, err := client.NewClient(ctx, client.Config{Address: at})
	if err == nil {
		err = cmp.Or(c.CreateDatabase(ctx, database), c.UsingDatabase(ctx, database))
	}
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		all, err := c.ListCollections(ctx)
		for _, one := range all {
			err = cmp.Or(err, c.DropCollection(ctx, one.Name))
		}
		if err = cmp.Or(err, c.DropDatabase(ctx, database), c.Close()); err != nil {
			tb.Error(err)
		}
	})
	return c, database
}

// articlesInMilvus makes a collection of some of the passages as another program would, and
// returns the server's URL.
func articlesInMilvus(t *testing.T, name string, which ...int) string {
	t.Helper()
	c, database := milvusDatabase(t)
	schema := entity.NewSchema().WithName(name).
		WithField(entity.NewField().WithName("number").WithDataType(entity.FieldTypeInt64).WithIsPrimaryKey(true)).
		WithField(entity.NewField().WithName("body").WithDataType(entity.FieldTypeVarChar).WithMaxLength(1000)).
		WithField(entity.NewField().WithName("year").WithDataType(entity.FieldTypeInt32)).
		WithField(entity.NewField().WithName("embedding").WithDataType(entity.FieldTypeFloatVector).WithDim(256))
	v := vectors(t, passages()...)
	var numbers []int64
	var texts []string
	var years []int32
	var rows [][]float32
	for _, i := range which {
		numbers, texts = append(numbers, int64(i)), append(texts, passages()[i])
		years, rows = append(years, int32(2020+i)), append(rows, v.Row(i)) //nolint:gosec // a handful
	}
	ctx := t.Context()
	index, err := entity.NewIndexFlat(entity.COSINE)
	err = cmp.Or(err, c.CreateCollection(ctx, schema, 1), c.CreateIndex(ctx, name, "embedding", index, false))
	if err == nil {
		_, err = c.Insert(ctx, name, "", entity.NewColumnInt64("number", numbers), entity.NewColumnVarChar("body", texts),
			entity.NewColumnInt32("year", years), entity.NewColumnFloatVector("embedding", 256, rows))
	}
	if err = cmp.Or(err, c.LoadCollection(ctx, name, false)); err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("milvus://%s/%s", server(t, "milvus"), database)
}

// rooted keeps the official client of Weaviate, which uses it, from being collected: the
// client has a finalizer that never ends.
type rooted struct {
	http.RoundTripper
	client *weaviate.Client
}

// weaviateClient is the official client of the real server.
func weaviateClient(tb testing.TB) (c *weaviate.Client, rest, grpc string) {
	tb.Helper()
	rest, grpc, _ = strings.Cut(server(tb, "weaviate"), ",")
	transport := &http.Transport{}
	kept := &rooted{RoundTripper: transport}
	c, err := weaviate.NewClient(weaviate.Config{Host: rest, Scheme: "http", ConnectionClient: &http.Client{Transport: kept}})
	if err != nil {
		tb.Fatal(err)
	}
	kept.client = c
	tb.Cleanup(transport.CloseIdleConnections)
	return c, rest, grpc
}

// articlesInWeaviate makes a class of some of the passages as another program would, and
// returns the server's addresses.
func articlesInWeaviate(t *testing.T, class string, which ...int) (rest, grpc string) {
	t.Helper()
	c, rest, grpc := weaviateClient(t)
	err := c.Schema().ClassCreator().WithClass(&models.Class{
		Class: class, Vectorizer: "none", VectorIndexType: "flat", VectorIndexConfig: map[string]any{"distance": "cosine"},
		Properties: []*models.Property{{Name: "body", DataType: []string{"text"}}, {Name: "year", DataType: []string{"int"}}},
	}).Do(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Schema().ClassDeleter().WithClassName(class).Do(context.WithoutCancel(t.Context())); err != nil {
			t.Error(err)
		}
	})
	batch, v := c.Batch().ObjectsBatcher(), vectors(t, passages()...)
	for _, i := range which {
		batch.WithObjects(&models.Object{
			Class: class, ID: strfmt.UUID(fmt.Sprintf("00000000-0000-0000-0000-%012x", i)), Vector: v.Row(i),
			Properties: map[string]any{"body": passages()[i], "year": 2020 + i},
		})
	}
	if _, err := batch.Do(t.Context()); err != nil {
		t.Fatal(err)
	}
	return rest, grpc
}

// qdrantClient is the official client of the real server; what has the prefix is dropped at the end.
func qdrantClient(tb testing.TB, prefix string) *qdrant.Client {
	tb.Helper()
	host, text, _ := strings.Cut(server(tb, "qdrant"), ":")
	port, err := strconv.Atoi(text)
	if err != nil {
		tb.Fatal(err)
	}
	c, err := qdrant.NewClient(&qdrant.Config{Host: host, Port: port, SkipCompatibilityCheck: true})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		ctx := context.WithoutCancel(tb.Context())
		all, err := c.ListCollections(ctx)
		for _, name := range all {
			if strings.HasPrefix(name, prefix) {
				err = cmp.Or(err, c.DeleteCollection(ctx, name))
			}
		}
		if err = cmp.Or(err, c.Close()); err != nil {
			tb.Error(err)
		}
	})
	return c
}

// articlesInQdrant makes a collection of some of the passages as another program would.
func articlesInQdrant(t *testing.T, name string, which ...int) {
	t.Helper()
	c := qdrantClient(t, name)
	err := c.CreateCollection(t.Context(), &qdrant.CreateCollection{
		CollectionName: name, VectorsConfig: qdrant.NewVectorsConfig(&qdrant.VectorParams{Size: 256, Distance: qdrant.Distance_Cosine}),
	})
	v := vectors(t, passages()...)
	var points []*qdrant.PointStruct
	for _, i := range which {
		points = append(points, &qdrant.PointStruct{
			Id: qdrant.NewIDNum(uint64(i)), Vectors: qdrant.NewVectorsDense(v.Row(i)), //nolint:gosec // a handful
			Payload: qdrant.NewValueMap(map[string]any{"body": passages()[i], "year": 2020 + i}),
		})
	}
	if err == nil {
		_, err = c.Upsert(t.Context(), &qdrant.UpsertPoints{CollectionName: name, Points: points, Wait: new(true)})
	}
	if err != nil {
		t.Fatal(err)
	}
}

// articlesName is one that no other test has, for every engine.
func articlesName() string { return "Articles" + strings.ToLower(rand.Text()) }

// What a server of an engine holds is searched as it is, and copied.
func TestEngines(t *testing.T) {
	for name, articles := range map[string]func(*testing.T) string{
		"milvus": func(t *testing.T) string {
			t.Helper()
			return articlesInMilvus(t, "articles", 0, 1, 2, 3) + "/articles"
		},
		"weaviate": func(t *testing.T) string {
			t.Helper()
			name := articlesName()
			rest, grpc := articlesInWeaviate(t, name, 0, 1, 2, 3)
			return fmt.Sprintf("weaviate://%s/%s?grpc=%s", rest, name, grpc)
		},
		"qdrant": func(t *testing.T) string {
			t.Helper()
			name := articlesName()
			articlesInQdrant(t, name, 0, 1, 2, 3)
			return fmt.Sprintf("qdrant://%s/%s", server(t, "qdrant"), name)
		},
	} {
		t.Run(name, func(t *testing.T) {
			at := articles(t)
			const scanner = "To read a file line by line use a scanner."
			world{}.run(t, "search", "--engine", at, "--embed", "static", "--filter", `{"year": {"$gte": 2021}}`, "the lines of a file").
				want(t, exitOK, ` 1. `, scanner, `the texts are read from "body"`)
			world{}.run(t, "search", "--engine", at, "words").want(t, exitFailure, "4 points of 256 dims, cosine", "add --embed URL#MODEL")
			w, state := serving(t), filepath.Join(t.TempDir(), "state")
			args := []string{"import", "--from", at, "--to", "copied", "--space", "static-256", "--state", state, "--batch", "3"}
			w.run(t, args...).want(t, exitOK, "4 documents copied to collection copied", "checked: 4 documents compared, the collection holds 4 points")
			w.run(t, "search", "--collection", "copied", "--filter", `{"year": 2022}`, "lines of a file").want(t, exitOK, scanner)
			w.run(t, args...).want(t, exitOK, "the collection holds 4 points")
		})
	}
}

// replicas are replicas on the real servers, each with room of its own there.
func replicas() map[string]func(testing.TB) string {
	return map[string]func(testing.TB) string{
		"milvus": func(tb testing.TB) string {
			tb.Helper()
			_, database := milvusDatabase(tb)
			return fmt.Sprintf(`url: "milvus://%s/%s", milvus: {consistency: session}`, server(tb, "milvus"), database)
		},
		"weaviate": func(tb testing.TB) string {
			tb.Helper()
			c, rest, grpc := weaviateClient(tb)
			prefix := "T" + strings.ToLower(rand.Text())
			tb.Cleanup(func() {
				ctx := context.WithoutCancel(tb.Context())
				all, err := c.Schema().Getter().Do(ctx)
				if err != nil {
					tb.Fatal(err)
				}
				for _, class := range all.Classes {
					if strings.HasPrefix(class.Class, prefix) {
						err = cmp.Or(err, c.Schema().ClassDeleter().WithClassName(class.Class).Do(ctx))
					}
				}
				if err != nil {
					tb.Error(err)
				}
			})
			return fmt.Sprintf(`url: "weaviate://%s", weaviate: {grpc: %q, prefix: %q}`, rest, grpc, prefix)
		},
		"qdrant": func(tb testing.TB) string {
			tb.Helper()
			prefix := "cli-" + rand.Text() + "-"
			qdrantClient(tb, prefix)
			return fmt.Sprintf(`url: "qdrant://%s", qdrant: {prefix: %q}`, server(tb, "qdrant"), prefix)
		},
		"postgres": func(tb testing.TB) string {
			tb.Helper()
			u := postgres(tb)
			schema := "cli_" + strings.ToLower(rand.Text())
			tb.Cleanup(func() { sql(tb, u, "drop schema if exists "+schema+" cascade") })
			sql(tb, u, "create extension if not exists vector")
			password, _ := u.User.Password()
			return fmt.Sprintf(`url: "postgres://lanewise@%s%s?sslmode=disable", key: %q, postgres: {schema: %s}`, u.Host, u.Path, password, schema)
		},
	}
}

// oneShard is a file with a shard that has these replicas.
func oneShard(tb testing.TB, replicas ...string) string {
	tb.Helper()
	file := filepath.Join(tb.TempDir(), "c.yaml")
	text := "shards:\n  - name: s0\n    replicas:\n"
	for _, r := range replicas {
		text += "      - {" + r + "}\n"
	}
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		tb.Fatal(err)
	}
	return file
}

// A copy into each engine, and what check says of it.
func TestEngines_asTargets(t *testing.T) {
	for name, replica := range replicas() {
		t.Run(name, func(t *testing.T) {
			there := replica(t)
			w, state, file := world{env: map[string]string{}}, filepath.Join(t.TempDir(), "state"), oneShard(t, there)
			w.run(t, "check", "-c", file, "--connect").want(t, exitOK, "s0/r0", "ok (no collection)")
			w.run(t, "import", "-c", file, "--from", jsonl(t, 700), "--metric", "euclidean", "--to", "docs", "--state", state).
				want(t, exitOK, "700 documents copied to collection docs", "64 documents compared, the collection holds 700 points")
			got := w.run(t, "check", "-c", file, "--connect")
			got.want(t, exitOK, "docs", "2", "euclidean", "700", "ok")
			if strings.Contains(got.out, "FAILS") || strings.Contains(got.out, "ok (no collection)") {
				t.Error(got.out)
			}
			other := oneShard(t, there, "path: "+storeWith(t, docsOf(2, search.Dot)))
			w.run(t, "check", "-c", other, "--connect").want(t, exitFailure, "FAILS: differs from s0/r0, which has 2 dims, euclidean", "do not fit")
		})
	}
}

// What three engines hold under one name is one collection of a configuration: each hit comes
// from wherever it is, and nothing is written.
func TestEngines_externalBesideEachOther(t *testing.T) {
	name := articlesName()
	milvus := articlesInMilvus(t, name, 0)
	rest, grpc := articlesInWeaviate(t, name, 1, 2)
	u := postgres(t)
	password, _ := u.User.Password()
	v := vectors(t, passages()...)
	row, err := json.Marshal(v.Row(3))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { sql(t, u, fmt.Sprintf("drop table if exists public.%q", name)) })
	sql(t, u, "create extension if not exists vector", fmt.Sprintf("create table public.%q (id bigint primary key, body text, year int, embedding vector(256))", name),
		fmt.Sprintf("insert into public.%q values (3, '%s', 2023, '%s')", name, passages()[3], row),
		fmt.Sprintf("create index on public.%q using hnsw (embedding vector_cosine_ops)", name))
	file := filepath.Join(t.TempDir(), "c.yaml")
	text := fmt.Sprintf(`shards:
  - {name: m, replicas: [{url: %q}]}
  - {name: w, replicas: [{url: "weaviate://%s", weaviate: {grpc: %q}}]}
  - {name: p, replicas: [{url: "postgres://lanewise@%s%s?sslmode=disable", key: %q}]}
collections:
  - {name: articles, placement: external, from: %s, text: body, space: static-256}
`, milvus, rest, grpc, u.Host, u.Path, password, name)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	w := world{env: map[string]string{}}
	w.run(t, "check", "-c", file, "--connect").want(t, exitOK, "m/r0", "w/r0", "p/r0", "1.35.2", "cosine", "ok (external)")
	for _, text := range passages() {
		got := w.run(t, "search", "-c", file, "--collection", "articles", text)
		got.want(t, exitOK, "4 hits from 3 of 3 shards")
		if first, _, _ := strings.Cut(got.out, " 2. "); !strings.Contains(first, text) {
			t.Errorf("%q is not the first hit:\n%s", text, got.out)
		}
	}
	w.run(t, "search", "-c", file, "--collection", "articles", "--filter", `{"year": {"$gte": 2021}}`, "words").want(t, exitOK, "3 hits from 3 of 3 shards")
	w.run(t, "search", "-c", file, "--collection", "articles", "--filter", `{"year": 2022}`, "words").want(t, exitOK, "1 hit", passages()[2])
	w.run(t, "ingest", "-c", file, "--collection", "articles", jsonl(t, 1)).want(t, exitFailure, "external")
}
