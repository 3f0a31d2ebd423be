package main

import (
	"context"
	cryptorand "crypto/rand"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/go-openapi/strfmt"
	"github.com/jackc/pgx/v5"
	"github.com/milvus-io/milvus-sdk-go/v2/entity"
	"github.com/qdrant/go-client/qdrant"
	"github.com/weaviate/weaviate-go-client/v5/weaviate"
	weaviategrpc "github.com/weaviate/weaviate-go-client/v5/weaviate/grpc"
	"github.com/weaviate/weaviate/entities/models"
)

const (
	importDims  = 256
	importPage  = 1000
	importCount = 10 * importPage
)

// row is a document of the benchmark.
type row struct {
	ID       string         `json:"id"`
	Text     string         `json:"text"`
	Vector   []float32      `json:"vector"`
	Metadata map[string]any `json:"metadata"`
}

func importRows() []row {
	rng := rand.New(rand.NewPCG(1, 2)) //nolint:gosec // reproducible on purpose
	rows := make([]row, importCount)
	for i := range rows {
		v := make([]float32, importDims)
		for j := range v {
			v[j] = float32(rng.NormFloat64())
		}
		rows[i] = row{fmt.Sprintf("p%05d", i), fmt.Sprintf("the text of point %d", i), v, map[string]any{"n": i, "lang": "en"}}
	}
	return rows
}

// BenchmarkImport compares the import of a JSONL file into each engine with the bulk
// upsert of the engine's own client, which has the same points in memory, writes them in
// batches of the same size, one after the other, and into a plain collection: no versions,
// no filters of any field. In turn in one run; of-client-rate is asked for at least 0.8.
func BenchmarkImport(b *testing.B) {
	rows := importRows()
	var text strings.Builder
	for _, r := range rows {
		line, err := json.Marshal(r)
		if err != nil {
			b.Fatal(err)
		}
		text.Write(append(line, '\n'))
	}
	file := filepath.Join(b.TempDir(), "docs.jsonl")
	if err := os.WriteFile(file, []byte(text.String()), 0o600); err != nil {
		b.Fatal(err)
	}
	clients := map[string]func(*testing.B) func(context.Context, int, []row) error{"milvus": milvusBulk, "qdrant": qdrantBulk, "weaviate": weaviateBulk, "postgres": postgresBulk}
	for name, replica := range replicas() {
		b.Run(name, func(b *testing.B) { compareImport(b, file, rows, replica, clients[name]) })
	}
}

// compareImport imports and upserts in turn.
func compareImport(b *testing.B, file string, rows []row, replica func(testing.TB) string, client func(*testing.B) func(context.Context, int, []row) error) {
	b.Helper()
	upsert := client(b)
	var own, theirs []float64 // points a second
	for round := 0; b.Loop(); round++ {
		name := fmt.Sprintf("docs%d", round)
		config := oneShard(b, replica(b)) // of its own: a router looks at all that its replicas hold
		got := world{env: map[string]string{}}.run(b, "import", "-c", config, "--from", file, "--to", name, "--state", filepath.Join(b.TempDir(), "s"), "--json")
		var sum struct {
			Copied int
			Rate   float64 `json:"per_second"`
		}
		if err := json.Unmarshal([]byte(got.out), &sum); err != nil || got.code != exitOK || sum.Copied != len(rows) {
			b.Fatalf("%+v, %v\n%s%s", sum, err, got.out, got.errOut)
		}
		own = append(own, sum.Rate)
		began := time.Now()
		for page := range slices.Chunk(rows, importPage) {
			if err := upsert(b.Context(), round, page); err != nil {
				b.Fatal(err)
			}
		}
		theirs = append(theirs, float64(len(rows))/time.Since(began).Seconds())
	}
	slices.Sort(own)
	slices.Sort(theirs)
	b.ReportMetric(0, "ns/op") // of both together: it says nothing
	b.ReportMetric(own[len(own)/2], "import/s")
	b.ReportMetric(theirs[len(theirs)/2], "client/s")
	b.ReportMetric(own[len(own)/2]/theirs[len(theirs)/2], "of-client-rate")
}

// milvusBulk upserts by the SDK.
func milvusBulk(b *testing.B) func(context.Context, int, []row) error {
	b.Helper()
	c, _ := milvusDatabase(b)
	varchar := func(name string) *entity.Field {
		return entity.NewField().WithName(name).WithDataType(entity.FieldTypeVarChar).WithMaxLength(65535)
	}
	made := -1
	return func(ctx context.Context, round int, page []row) error {
		name := fmt.Sprint("plain", round)
		if made != round {
			schema := entity.NewSchema().WithName(name).WithField(varchar("id").WithIsPrimaryKey(true)).WithField(varchar("text")).
				WithField(entity.NewField().WithName("meta").WithDataType(entity.FieldTypeJSON)).
				WithField(entity.NewField().WithName("vector").WithDataType(entity.FieldTypeFloatVector).WithDim(importDims))
			index, err := entity.NewIndexFlat(entity.COSINE)
			for _, err := range []error{err, c.CreateCollection(ctx, schema, 1), c.CreateIndex(ctx, name, "vector", index, false), c.LoadCollection(ctx, name, false)} {
				if err != nil {
					return err
				}
			}
			made = round
		}
		ids, texts, metas, vectors := make([]string, len(page)), make([]string, len(page)), make([][]byte, len(page)), make([][]float32, len(page))
		for i, r := range page {
			ids[i], texts[i], vectors[i] = r.ID, r.Text, r.Vector
			metas[i], _ = json.Marshal(r.Metadata) //nolint:errchkjson // a number and a string
		}
		_, err := c.Upsert(ctx, name, "", entity.NewColumnVarChar("id", ids), entity.NewColumnVarChar("text", texts),
			entity.NewColumnJSONBytes("meta", metas), entity.NewColumnFloatVector("vector", importDims, vectors))
		return err
	}
}

// qdrantBulk upserts by the client, each batch confirmed. Points have UUIDs or numbers there, so
// the id of a document is in the payload, too.
func qdrantBulk(b *testing.B) func(context.Context, int, []row) error {
	b.Helper()
	prefix := "plain-" + cryptorand.Text() + "-"
	c := qdrantClient(b, prefix)
	made := -1
	return func(ctx context.Context, round int, page []row) error {
		name := fmt.Sprint(prefix, round)
		if made != round {
			err := c.CreateCollection(ctx, &qdrant.CreateCollection{
				CollectionName: name, VectorsConfig: qdrant.NewVectorsConfig(&qdrant.VectorParams{Size: importDims, Distance: qdrant.Distance_Cosine}),
			})
			if err != nil {
				return err
			}
			made = round
		}
		points := make([]*qdrant.PointStruct, len(page))
		for i, r := range page {
			n, err := strconv.ParseUint(r.ID[1:], 10, 64)
			if err != nil {
				return err
			}
			points[i] = &qdrant.PointStruct{
				Id: qdrant.NewIDNum(n), Vectors: qdrant.NewVectorsDense(r.Vector),
				Payload: qdrant.NewValueMap(map[string]any{"doc": r.ID, "text": r.Text, "n": r.Metadata["n"], "lang": "en"}),
			}
		}
		_, err := c.Upsert(ctx, &qdrant.UpsertPoints{CollectionName: name, Points: points, Wait: new(true)})
		return err
	}
}

// weaviateBulk upserts by the official client, by gRPC. Objects have UUIDs there, so the id of
// a document is a property, by which it is looked up.
func weaviateBulk(b *testing.B) func(context.Context, int, []row) error {
	b.Helper()
	_, rest, grpc := weaviateClient(b)
	c, err := weaviate.NewClient(weaviate.Config{Host: rest, Scheme: "http", GrpcConfig: &weaviategrpc.Config{Host: grpc}})
	if err != nil {
		b.Fatal(err)
	}
	class := "Plain" + strings.ToLower(b.Name()[len("BenchmarkImport/"):])
	err = c.Schema().ClassCreator().WithClass(&models.Class{
		Class: class, Vectorizer: "none", VectorIndexType: "flat", VectorIndexConfig: map[string]any{"distance": "cosine"},
		Properties: []*models.Property{
			{Name: "doc", DataType: []string{"text"}, Tokenization: "field", IndexSearchable: new(false)},
			{Name: "text", DataType: []string{"text"}, IndexFilterable: new(false), IndexSearchable: new(false)}, {Name: "n", DataType: []string{"int"}},
			{Name: "lang", DataType: []string{"text"}, Tokenization: "field"},
		},
	}).Do(b.Context())
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = c.Schema().ClassDeleter().WithClassName(class).Do(context.WithoutCancel(b.Context())) })
	return func(ctx context.Context, round int, page []row) error {
		batch := c.Batch().ObjectsBatcher()
		for _, r := range page {
			batch.WithObjects(&models.Object{
				Class: class, ID: strfmt.UUID(fmt.Sprintf("00000000-0000-0000-%04x-%012s", round, r.ID[1:])), Vector: r.Vector,
				Properties: map[string]any{"doc": r.ID, "text": r.Text, "n": r.Metadata["n"], "lang": "en"},
			})
		}
		stored, err := batch.Do(ctx)
		for _, o := range stored {
			if o.Result != nil && o.Result.Errors != nil {
				return fmt.Errorf("%s was refused: %v", o.ID, o.Result.Errors.Error[0].Message)
			}
		}
		return err
	}
}

// postgresBulk upserts by a pipeline of single statements, as pgx offers it.
func postgresBulk(b *testing.B) func(context.Context, int, []row) error {
	b.Helper()
	u := postgres(b)
	conn, err := pgx.Connect(b.Context(), u.String())
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		sql(b, u, "drop table if exists import_plain")
		_ = conn.Close(context.WithoutCancel(b.Context()))
	})
	sql(b, u, "create extension if not exists vector", "drop table if exists import_plain", fmt.Sprintf("create table import_plain (round int, id text, body text, meta jsonb, v vector(%d), primary key (round, id))", importDims))
	return func(ctx context.Context, round int, page []row) error {
		var batch pgx.Batch
		for _, r := range page {
			vector, err := json.Marshal(r.Vector)
			if err != nil {
				return err
			}
			batch.Queue(`insert into import_plain values ($1, $2, $3, $4, $5::text::vector) on conflict (round, id)
				do update set body = excluded.body, meta = excluded.meta, v = excluded.v`, round, r.ID, r.Text, r.Metadata, string(vector))
		}
		return conn.SendBatch(ctx, &batch).Close()
	}
}
