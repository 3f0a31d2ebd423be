package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/lanewise/lanewise/embed"
	"github.com/lanewise/lanewise/embed/static"
)

// postgres is the URL of a real PostgreSQL; the test is skipped where there is none.
func postgres(tb testing.TB) *url.URL {
	tb.Helper()
	u, err := url.Parse(server(tb, "postgres"))
	if err != nil {
		tb.Fatal(err)
	}
	return u
}

// sql runs statements on the server.
func sql(tb testing.TB, u *url.URL, statements ...string) {
	tb.Helper()
	ctx := context.Background() // also runs in cleanups
	conn, err := pgx.Connect(ctx, u.String())
	if err != nil {
		tb.Fatal(err)
	}
	defer conn.Close(ctx) //nolint:errcheck // it is done
	for _, s := range statements {
		if _, err := conn.Exec(ctx, s); err != nil {
			tb.Fatalf("%s: %v", s, err)
		}
	}
}

// passages are the texts of the tables in these tests.
func passages() []string {
	return []string{
		"A hash map finds a value by its key in constant time.", "Rain falls when clouds cool down.",
		"To read a file line by line use a scanner.", "The cat sleeps on the warm roof.",
	}
}

// vectors embeds texts with the model that is built in.
func vectors(t *testing.T, texts ...string) embed.Vectors {
	t.Helper()
	p, err := static.New()
	if err != nil {
		t.Fatal(err)
	}
	v, err := p.Embed(t.Context(), embed.Batch{Texts: texts, Task: embed.DocumentTask})
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// articlesTable makes a table as another program would and returns its URL, with the
// server's password in it.
func articlesTable(t *testing.T, name string) string {
	t.Helper()
	u := postgres(t)
	t.Cleanup(func() { sql(t, u, "drop schema if exists "+name+" cascade") })
	statements := []string{
		"create extension if not exists vector", "drop schema if exists " + name + " cascade", "create schema " + name,
		"create table " + name + ".articles (id bigint primary key, body text, year int, embedding vector(256))",
	}
	texts := passages()
	v := vectors(t, texts...)
	for i, text := range texts {
		row, err := json.Marshal(v.Row(i))
		if err != nil {
			t.Fatal(err)
		}
		statements = append(statements, fmt.Sprintf("insert into %s.articles values (%d, '%s', %d, '%s')", name, i, text, 2020+i, row))
	}
	sql(t, u, statements...)
	sql(t, u, "create index on "+name+".articles using hnsw (embedding vector_cosine_ops)")
	at := *u
	at.Path += "/" + name + ".articles"
	return at.String()
}

func TestSearch_engine(t *testing.T) {
	at := articlesTable(t, "cli_search")
	got := world{}.run(t, "search", "--engine", at, "--embed", "static", "--filter", `{"year": {"$gte": 2021}}`, "how do I go through the lines of a file?")
	got.want(t, exitOK, ` 1. `, "To read a file line by line use a scanner.", `the texts are read from "body"`, "3 hits from 1 of 1 shards")
	if strings.Contains(got.out, "hash map") {
		t.Errorf("the filter was not used:\n%s", got.out)
	}
	ask := world{}.run(t, "ask", "--engine", at, "--embed", "static", "What do I use to read a file line by line?")
	ask.want(t, exitOK, "scanner")
}

func TestSearch_engineWithoutAModel(t *testing.T) {
	at := articlesTable(t, "cli_model")
	got := world{}.run(t, "search", "--engine", at, "words")
	got.want(t, exitFailure, "4 points of 256 dims, cosine", "add --embed URL#MODEL", "--embed static is the model that is built in")
	if u, err := url.Parse(at); err != nil {
		t.Fatal(err)
	} else if password, _ := u.User.Password(); strings.Contains(got.errOut, password) {
		t.Errorf("the password is repeated: %s", got.errOut)
	}
	short := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = fmt.Fprint(w, `{"data": [{"index": 0, "embedding": [1, 2, 3]}], "usage": {}}`)
	}))
	defer short.Close()
	world{}.run(t, "search", "--engine", at, "--embed", short.URL+"/v1#small", "words").
		want(t, exitFailure, "gives vectors of 3 dims, the collection has 256: it was made with another model")
	world{}.run(t, "search", "--engine", at, "--embed", "small", "words").want(t, exitFailure, "write it as URL#MODEL")
}

func TestSearch_engineThatDoesNotFit(t *testing.T) {
	at := articlesTable(t, "cli_misfit")
	u := postgres(t)
	wrong := func(change func(*url.URL)) string {
		other, err := url.Parse(at)
		if err != nil {
			t.Fatal(err)
		}
		change(other)
		return other.String()
	}
	for name, c := range map[string]struct{ engine, want string }{
		"missing table":  {strings.ReplaceAll(at, "articles", "articels"), "with vectors there are: cli_misfit.articles"},
		"no table":       {u.String(), "names no collection"},
		"wrong password": {wrong(func(u *url.URL) { u.User = url.UserPassword(u.User.Username(), "wrong") }), "LANEWISE_ENGINE_KEY"},
		"wrong port":     {wrong(func(u *url.URL) { u.Host = "127.0.0.1:1" }), "are host and port right"},
		"qdrant's port":  {"qdrant://127.0.0.1:1/docs", "6333 is that of HTTP"},
		"no engine":      {"mongo://h/docs", "is no engine"},
	} {
		world{}.run(t, "search", "--engine", c.engine, "--embed", "static", "words").want(t, exitFailure, c.want)
		_ = name
	}
	world{}.run(t, "search", "--engine", at, "--text-field", "title", "--embed", "static", "words").want(t, exitFailure, "there are id, body, year, embedding")
	world{}.run(t, "search", "--embed", "static", "words").want(t, exitUsage, "belong to --engine")
	world{}.run(t, "search", "--engine", at, "-c", "x", "words").want(t, exitUsage, "stands alone")
}
