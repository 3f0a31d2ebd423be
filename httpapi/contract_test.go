package httpapi

import (
	"encoding/json"
	"errors"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/danielgtaylor/huma/v2"

	"github.com/lanewise/lanewise/embed"
	"github.com/lanewise/lanewise/fault"
	"github.com/lanewise/lanewise/search/wire"
)

// document is the part of an OpenAPI document that the tests look at.
type document struct {
	OpenAPI    string
	Info       struct{ Title, Version string }
	Paths      map[string]map[string]operation
	Components struct {
		Schemas map[string]struct {
			Type       string
			Properties map[string]struct{ Description string }
		}
	}
}

type operation struct {
	OperationID string
	Summary     string
	Parameters  []struct{ Name, In string }
	RequestBody *struct {
		Content map[string]struct{ Schema, Example json.RawMessage }
	}
	Responses map[string]struct{ Description string }
}

func fullServer(t *testing.T) *server {
	t.Helper()
	r := newRouter(t, &script{lines: []string{"one [1]"}})
	return mustServer(t, Config{Lanes: &oneLane{}, Router: r, Store: r, Embedders: []embed.Provider{letters{}}, Models: &parrot{}, Version: "1.2.3"})
}

func contractOf(t *testing.T, s *server) document {
	t.Helper()
	w := do(s, newRequest("GET", "/openapi.json", ""))
	var d document
	if err := json.Unmarshal(w.Body.Bytes(), &d); err != nil || w.Code != 200 {
		t.Fatalf("%d, %v", w.Code, err)
	}
	return d
}

func TestContract_listsEveryRoute(t *testing.T) {
	s := fullServer(t)
	d := contractOf(t, s)
	if !strings.HasPrefix(d.OpenAPI, "3.1.") || d.Info.Title != "lanewise" || d.Info.Version != "1.2.3" {
		t.Errorf("head: %s %+v", d.OpenAPI, d.Info)
	}
	count := 0
	for _, item := range d.Paths {
		count += len(item)
	}
	if routes := s.routes(); count != len(routes) || count < 20 {
		t.Errorf("%d operations for %d routes", count, len(routes))
	}
	ids := map[string]bool{}
	for _, rt := range s.routes() {
		op, ok := d.Paths[rt.path][strings.ToLower(rt.method)]
		switch {
		case !ok:
			t.Errorf("%s %s is not in the document", rt.method, rt.path)
		case op.Summary == "" || ids[op.OperationID] || len(op.Responses) < 2:
			t.Errorf("%s %s: %+v", rt.method, rt.path, op)
		case (op.RequestBody != nil) != (rt.in != nil):
			t.Errorf("%s %s: body %v", rt.method, rt.path, op.RequestBody)
		case strings.Count(rt.path, "{") != len(op.Parameters)-len(rt.query):
			t.Errorf("%s %s: parameters %v", rt.method, rt.path, op.Parameters)
		}
		ids[op.OperationID] = true
	}
}

// TestContract_refersToWhatItHas: no reference points into the void, and every
// field is described.
func TestContract_refersToWhatItHas(t *testing.T) {
	s := fullServer(t)
	d := contractOf(t, s)
	refs := regexp.MustCompile(`"\$ref":"#/components/schemas/(\w+)"`).FindAllStringSubmatch(string(s.contract.json), -1)
	if len(refs) < 10 {
		t.Fatalf("only %d references", len(refs))
	}
	for _, m := range refs {
		if _, ok := d.Components.Schemas[m[1]]; !ok {
			t.Errorf("there is no schema %s", m[1])
		}
	}
	for name, schema := range d.Components.Schemas {
		for field, p := range schema.Properties {
			if p.Description == "" {
				t.Errorf("%s.%s has no description", name, field)
			}
		}
	}
}

// TestContract_textHasNoStrays: contract.txt describes nothing that is not there.
func TestContract_textHasNoStrays(t *testing.T) {
	schemas := fullServer(t).contract.registry.Map()
	notes, err := readNotes(contractText)
	if err != nil {
		t.Fatal(err)
	}
	for _, key := range slices.Sorted(maps.Keys(notes)) {
		name, field, _ := strings.Cut(key, ".")
		if schemas[name] == nil || schemas[name].Properties[field] == nil {
			t.Errorf("there is no field %s", key)
		}
	}
}

func TestReadNotes_refusesNonsense(t *testing.T) {
	for _, text := range []string{"A.b", "A.b: x\nA.b: y", ": x"} {
		if _, err := readNotes(text); err == nil {
			t.Errorf("%q is accepted", text)
		}
	}
	object := &huma.Schema{Properties: map[string]*huma.Schema{"b": {Type: "integer"}}}
	for _, option := range []string{"min=low", "colour=red", "default=x"} {
		if err := (note{options: []string{option}}).apply(object, "b"); err == nil {
			t.Errorf("option %q is accepted", option)
		}
	}
}

// TestContract_examplesWork sends the example of every route to the route.
func TestContract_examplesWork(t *testing.T) {
	s := fullServer(t)
	fill := strings.NewReplacer("{collection}", "docs", "{id}", "one", "{alias}", "live", "{model}", "letters")
	for _, rt := range s.routes() {
		if rt.tag == tagReplica || rt.method == http.MethodDelete {
			continue
		}
		path := fill.Replace(rt.path)
		if rt.id == "put-collection" {
			path = "/v1/collections/fresh" // of other dims than docs
		}
		example := strings.Replace(rt.example, `"model": "static"`, `"model": "letters"`, 1)
		if rt.id == "admin-reembed" {
			example = strings.Replace(example, "static-256", letters{}.Space().ID(), 1)
		}
		r := newRequest(rt.method, path, example)
		r.RemoteAddr = "127.0.0.1:4000"
		if w := do(s, r); w.Code != http.StatusOK {
			t.Errorf("%s %s %s: %d %s", rt.method, path, rt.example, w.Code, w.Body)
		}
		if rt.example != "" {
			if err := s.contract.validate(rt.in, []byte(rt.example)); err != nil {
				t.Errorf("%s: the example breaks the contract: %v", rt.id, err)
			}
		}
	}
}

// TestContract_answersKeepIt validates the golden answers.
func TestContract_answersKeepIt(t *testing.T) {
	c := fullServer(t).contract
	types := map[string]func([]byte) error{
		"create": func(b []byte) error { return c.validate(typeOf[wire.Collection](), b) },
		"list":   func(b []byte) error { return c.validate(typeOf[wire.Collections](), b) },
		"upsert": func(b []byte) error { return c.validate(typeOf[wire.WriteResponse](), b) },
		"get":    func(b []byte) error { return c.validate(typeOf[wire.Point](), b) },
		"count":  func(b []byte) error { return c.validate(typeOf[wire.CountResponse](), b) },
		"scroll": func(b []byte) error { return c.validate(typeOf[wire.ScrollResponse](), b) },
		"search": func(b []byte) error { return c.validate(typeOf[wire.SearchResponse](), b) },
		"full":   func(b []byte) error { return c.validate(typeOf[wire.SearchResponse](), b) },
		"batch":  func(b []byte) error { return c.validate(typeOf[wire.BatchResponse](), b) },
		"answer": func(b []byte) error { return c.validate(typeOf[wire.AnswerResponse](), b) },
	}
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) < 20 {
		t.Fatalf("%d files, %v", len(files), err)
	}
	seen := map[string]bool{}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		head, body, _ := strings.Cut(string(text), "\n")
		name := strings.TrimLeft(filepath.Base(file), "0123456789-")
		kind, _, _ := strings.Cut(strings.TrimSuffix(name, ".txt"), "-")
		check := types[kind]
		switch {
		case strings.Contains(head, "problem+json"):
			check = func(b []byte) error { return c.validate(typeOf[wire.Problem](), b) }
		case check == nil || !strings.HasPrefix(head, "200 application/json"):
			continue
		default:
			seen[kind] = true
		}
		if err := check([]byte(body)); err != nil {
			t.Errorf("%s breaks the contract: %v", file, err)
		}
	}
	if len(seen) != len(types) {
		t.Errorf("only %v were looked at", slices.Sorted(maps.Keys(seen)))
	}
}

// TestContract_agreesWithTheDecoder: on vector routes the schema is not used,
// so it could say something else than the decoder does. What is wrong about a
// single field is refused by both, with the same pointer.
func TestContract_agreesWithTheDecoder(t *testing.T) {
	c := fullServer(t).contract
	for fields, pointer := range map[string]string{
		`"text": "a"`:                           "",
		`"text": "a", "k": 10000`:               "",
		`"text": "a", "mode": null`:             "",
		`"text": "a", "k": 10001`:               "/k",
		`"text": "a", "k": 0`:                   "/k",
		`"text": "a", "k": 1.5`:                 "/k",
		`"text": "a", "k": "3"`:                 "/k",
		`"text": 3`:                             "/text",
		`"vector": [1, 2.5]`:                    "",
		`"vector": "AACAPwAAgD8="`:              "",
		`"text": "a", "mode": "hybrid"`:         "",
		`"text": "a", "mode": "both"`:           "/mode",
		`"text": "a", "include": ["text"]`:      "",
		`"text": "a", "include": ["texts"]`:     "/include/0",
		`"text": "a", "min_coverage": 1.5`:      "/min_coverage",
		`"text": "a", "on_partial": "maybe"`:    "/on_partial",
		`"text": "a", "fusion": "sum"`:          "/fusion",
		`"text": "a", "mmr": {"lambda": 2}`:     "/mmr/lambda",
		`"text": "a", "group": {"by": "x"}`:     "",
		`"text": "a", "rerank": -1`:             "/rerank",
		`"text": "a", "ef": -1`:                 "/ef",
		`"text": "a", "timeout_ms": -5`:         "/timeout_ms",
		`"text": "a", "explain": "yes"`:         "/explain",
		`"text": "a", "filter": {"a": 1}`:       "",
		`"text": "a", "filter": []`:             "/filter",
		`"text": "a", "colour": 1`:              "/colour",
		`"legs": [{"text": "a", "weight": -1}]`: "/legs/0/weight",
	} {
		body := []byte(`{"collection": "c", ` + fields + `}`)
		_, decoder := wire.Decode[wire.SearchRequest](body)
		schema := c.validate(typeOf[wire.SearchRequest](), body)
		for who, err := range map[string]error{"decoder": decoder, "schema": schema} {
			switch {
			case pointer == "" && err != nil:
				t.Errorf("%s: the %s refuses it: %v", fields, who, err)
			case pointer != "" && (!errors.Is(err, fault.Invalid) || fault.Field(err) != pointer):
				t.Errorf("%s: the %s says %v, want field %s", fields, who, err, pointer)
			}
		}
	}
}

// TestDecodeValid_holdsBodiesToTheContract: were the decoder to let something
// through, the schema would not.
func TestDecodeValid_holdsBodiesToTheContract(t *testing.T) {
	s := fullServer(t)
	s.contract.registry.Map()["Alias"].Properties["collection"].Enum = []any{"only-this"}
	s.contract.registry.Map()["Alias"].Properties["collection"].PrecomputeMessages()
	w := do(s, newRequest("PUT", "/v1/aliases/x", `{"collection": "docs"}`))
	if w.Code != http.StatusBadRequest || !strings.Contains(w.Body.String(), `"field":"/collection"`) {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}

func TestDocs_standsAlone(t *testing.T) {
	s := fullServer(t)
	w := do(s, newRequest("GET", "/docs", ""))
	page := w.Body.String()
	if w.Code != 200 || !strings.HasPrefix(w.Header().Get("Content-Type"), "text/html") {
		t.Fatalf("%d %s", w.Code, w.Header().Get("Content-Type"))
	}
	if m := regexp.MustCompile(`(?i)(https?:)?//[a-z]|<script|<img|<link|@import|url\(`).FindString(page); m != "" {
		t.Errorf("the page refers to something outside: %q", m)
	}
	if !strings.HasPrefix(w.Header().Get("Content-Security-Policy"), "default-src 'none'") {
		t.Error("the page may load what it likes")
	}
	ids := map[string]bool{}
	for _, m := range regexp.MustCompile(` id="([^"]+)"`).FindAllStringSubmatch(page, -1) {
		if ids[m[1]] {
			t.Errorf("id %s is there twice", m[1])
		}
		ids[m[1]] = true
	}
	for _, m := range regexp.MustCompile(`href="#([^"]+)"`).FindAllStringSubmatch(page, -1) {
		if !ids[m[1]] {
			t.Errorf("a link leads to #%s, which is not there", m[1])
		}
	}
	for _, rt := range s.routes() {
		if !strings.Contains(page, `id="`+rt.id+`"`) || !strings.Contains(page, rt.path) {
			t.Errorf("%s %s is not on the page", rt.method, rt.path)
		}
	}
}
