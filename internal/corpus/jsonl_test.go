package corpus

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestJSONL_readsDocuments(t *testing.T) {
	in := "\ufeff" + `{"id": "a", "text": "one", "metadata": {"year": 2024}}

{"id": "b", "vector": [1, -0.5], "tenant": "acme"}
{"id": "c", "text": "x", "vector": "AACAPwAAAMA=", "metadata": null}`
	got, bad, _ := collect(t, JSONL("in", strings.NewReader(in)))
	want := []Document{
		{ID: "a", Text: "one", Meta: []byte(`{"year": 2024}`), Path: "in", Line: 1},
		{ID: "b", Tenant: "acme", Vector: []float32{1, -0.5}, Path: "in", Line: 3},
		{ID: "c", Text: "x", Vector: []float32{1, -2}, Path: "in", Line: 4},
	}
	if diff := cmp.Diff(want, got); diff != "" || len(bad) > 0 {
		t.Fatalf("(-want +got):\n%s\nbad lines: %v", diff, bad)
	}
	stopsEarly(t, JSONL("in", strings.NewReader(in)))
}

func TestJSONL_namesBadLines(t *testing.T) {
	for _, c := range []struct{ line, want string }{
		{`{"id": "a", "text": "x", "meta": {}}`, `unknown field "meta"`},
		{`{"text": "x"}`, "id is missing"},
		{`{"id": "", "text": "x"}`, "id is missing"},
		{`{"id": 7, "text": "x"}`, "id is a JSON number, not a string"},
		{`{"id": "a"}`, "text is missing, and there is no vector"},
		{`{"id": "a", "text": "x", "metadata": [1]}`, "metadata is not a JSON object"},
		{`{"id": "a", "vector": [1, "2"]}`, "vector: "},
		{`{"id": "a", "vector": [1e999]}`, "vector: "},
		{`{"id": "a", "vector": "AACAfw=="}`, "vector: number 0 is not finite"},
		{`{"id": "a", "vector": "AAA="}`, "vector: not the base64 of 32-bit numbers"},
		{`{"id": "a", "text": "x"} {}`, "more than one JSON value on the line"},
		{`{"id": "a", "text": "x"`, "JSON ends too early"},
		{`["a"]`, "a JSON array, not an object"},
		{"{\"id\": \"a\", \"text\": \"\xff\"}", "not valid UTF-8"},
		{fmt.Sprintf(`{"id": %q, "text": "x"}`, strings.Repeat("a", maxID+1)), "id is longer than 512 bytes"},
		{`{"id": "a", "text": "` + strings.Repeat("x", maxLine) + `"}`, "line is longer than 16 MiB"},
	} {
		in := `{"id": "first", "text": "x"}` + "\n" + c.line + "\n" + `{"id": "last", "text": "x"}`
		docs, bad, _ := collect(t, JSONL("in.jsonl", strings.NewReader(in)))
		if len(docs) != 2 || len(bad) != 1 {
			t.Errorf("%.60s: %d documents and %d bad lines, want 2 and 1", c.line, len(docs), len(bad))
			continue
		}
		if !strings.HasPrefix(bad[0].Error(), "in.jsonl:2: "+c.want) {
			t.Errorf("%.60s: got %q, want in.jsonl:2: %s…", c.line, bad[0], c.want)
		}
	}
}

func TestJSONL_readsLongLines(t *testing.T) {
	text := strings.Repeat("x", 1<<20)
	docs, bad, _ := collect(t, JSONL("in", strings.NewReader(`{"id": "a", "text": "`+text+`"}`)))
	if len(bad) > 0 || len(docs) != 1 || docs[0].Text != text {
		t.Fatalf("%d documents, bad lines %v", len(docs), bad)
	}
}

func TestJSONLFile_missingFile(t *testing.T) {
	for _, err := range JSONLFile(t.TempDir()+"/none.jsonl", nil) {
		if !errors.Is(err, fs.ErrNotExist) {
			t.Fatalf("got %v, want not exist", err)
		}
	}
}

func ExampleJSONL() {
	in := `{"id": "a", "text": "one"}
{"id": "b"}`
	for doc, err := range JSONL("docs.jsonl", strings.NewReader(in)) {
		fmt.Println(doc.ID, err)
	}
	// Output:
	// a <nil>
	//  docs.jsonl:2: text is missing, and there is no vector
}

// FuzzParseRecord compares with encoding/json alone, wherever in a line a vector stands.
func FuzzParseRecord(f *testing.F) {
	for _, text := range []string{
		`[]`, `[ ]`, `[1]`, "[ 1.5 ,\t-0,\n2e-3 ]", `[3.4028235e38, 1e-46, 16777217, 0.1]`, `[1e39]`, `[null, 1]`,
		`[true]`, `["1"]`, `["1,2"]`, `["a,1,b"]`, `[[1],2]`, `[{"a":1}]`, `{"a":[1]}`, `null`, `7`, `[01]`, `[1.]`, `[.5]`, `[-]`, `[1e]`, `[1,]`, `[1 2]`,
		`"*"`, `"AACAPwAAAMA="`, `[`, `[1`, `[1]]`, `[1]} {}`, `[1],"vector":[2]`,
	} {
		f.Add(`{"id":"a","vector":` + text + `}`)
		f.Add(`{"id":"a","text":"t","metadata":{"vector":` + text + `}}`)
		f.Add(`{"id":"a","metadata":{"vector":[1]},"vector":` + text + `}`)
		f.Add(`{"id":"a","text":"\"vector\":[1]","x\"vector":` + text + `}`)
	}
	f.Add(`{"id":"a","metadata":{"vector":[1]},"vector":"*"}`)
	f.Fuzz(func(t *testing.T, line string) {
		want, refused := parseLeniently([]byte(line))
		if refused == nil {
			want.numbers, refused = parseVector(want.Vector)
		}
		got, err := parseRecord([]byte(line))
		if (err != nil) != (refused != nil) {
			t.Fatalf("%s: %v, encoding/json: %v", line, err, refused)
		}
		want.Vector, got.Vector = nil, nil
		if err == nil && !reflect.DeepEqual(got, want) {
			t.Errorf("%s reads as %+v, encoding/json: %+v", line, got, want)
		}
	})
}

// A line of 256 numbers, as an import reads them.
func BenchmarkJSONL(b *testing.B) {
	rng := rand.New(rand.NewPCG(1, 2)) //nolint:gosec // reproducible on purpose
	numbers := make([]float32, 256)
	for i := range numbers {
		numbers[i] = float32(rng.NormFloat64())
	}
	line, err := json.Marshal(map[string]any{"id": "p1", "text": "the text of point 1", "metadata": map[string]any{"n": 1}, "vector": numbers})
	if err != nil {
		b.Fatal(err)
	}
	b.SetBytes(int64(len(line)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := parseDocument(line); err != nil {
			b.Fatal(err)
		}
	}
}
