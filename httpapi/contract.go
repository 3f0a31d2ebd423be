package httpapi

import (
	"encoding/json"
	"fmt"
	"net/http"
	"reflect"
	"strconv"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"github.com/lanewise/lanewise/fault"
	"github.com/lanewise/lanewise/search"
	"github.com/lanewise/lanewise/search/wire"
)

// contract is the OpenAPI document of a server, in the forms in which it is used.
type contract struct {
	doc      *huma.OpenAPI
	registry huma.Registry
	json     []byte // of /openapi.json
	page     []byte // of /docs
}

const about = `Vector search over shards, and answers with citations.

Bodies are JSON. Times are milliseconds in fields that end in _ms; versions are decimal strings. Unknown fields, repeated names and
compressed bodies are refused. Every answer carries X-Request-Id, the client's own if it sends one, and a client may limit its
patience with the header ` + wire.TimeoutHeader + `.`

func newContract(version string, routes []route, keyed bool) (*contract, error) {
	registry := huma.NewMapRegistry("#/components/schemas/", huma.DefaultSchemaNamer)
	registry.RegisterTypeAlias(typeOf[wire.Vector](), typeOf[vectorSchema]())
	registry.RegisterTypeAlias(typeOf[search.Filter](), typeOf[filterSchema]())
	registry.RegisterTypeAlias(typeOf[search.Version](), typeOf[versionSchema]())
	registry.RegisterTypeAlias(typeOf[json.RawMessage](), typeOf[objectSchema]())
	registry.RegisterTypeAlias(typeOf[opaque](), typeOf[opaqueSchema]())
	c := &contract{registry: registry, doc: &huma.OpenAPI{
		OpenAPI:    "3.1.0",
		Info:       &huma.Info{Title: "lanewise", Version: version, Description: about},
		Components: &huma.Components{Schemas: registry},
	}}
	if keyed {
		c.doc.Components.SecuritySchemes = map[string]*huma.SecurityScheme{"key": {Type: "http", Scheme: "bearer"}}
		c.doc.Security = []map[string][]string{{"key": {}}}
	}
	for _, rt := range routes {
		c.doc.AddOperation(c.operation(rt, keyed))
	}
	for _, tag := range [...]string{tagSearch, tagAnswer, tagPoints, tagCollections, tagEmbeddings, tagModels, tagReplica, tagServer} {
		c.doc.Tags = append(c.doc.Tags, &huma.Tag{Name: tag})
	}
	notes, err := readNotes(contractText)
	if err != nil {
		return nil, err
	}
	if err := annotate(registry, notes); err != nil {
		return nil, err
	}
	if c.json, err = json.Marshal(c.doc); err != nil {
		return nil, fmt.Errorf("encode the document: %w", err)
	}
	c.page, err = renderDocs(c, routes, notes)
	return c, err
}

// operation describes a route, with the scopes that it needs where callers have keys.
func (c *contract) operation(rt route, keyed bool) *huma.Operation {
	op := &huma.Operation{
		Method: rt.method, Path: rt.path, OperationID: rt.id, Tags: []string{rt.tag}, Summary: rt.summary, Description: rt.detail,
		Responses: map[string]*huma.Response{
			"default": {
				Description: "A problem document (RFC 9457); the class says what is wrong.",
				Content:     map[string]*huma.MediaType{"application/problem+json": {Schema: c.schema(typeOf[wire.Problem]())}},
			},
		},
	}
	if rt.openAI {
		op.Responses["default"] = &huma.Response{
			Description: "An error as OpenAI words it.",
			Content:     map[string]*huma.MediaType{"application/json": {Schema: c.schema(typeOf[openAIError]())}},
		}
	}
	switch {
	case rt.open:
		op.Security = []map[string][]string{}
	case keyed: // the names of one of which the caller needs
		op.Security = nil
		for _, scope := range rt.scope.Names() {
			op.Security = append(op.Security, map[string][]string{"key": {scope}})
		}
	}
	for _, name := range pathParameters(rt.path) {
		op.Parameters = append(op.Parameters, &huma.Param{Name: name, In: "path", Required: true, Schema: &huma.Schema{Type: "string"}})
	}
	for _, q := range rt.query {
		op.Parameters = append(op.Parameters, &huma.Param{Name: q.Name, In: "query", Description: q.Doc, Schema: &huma.Schema{Type: "string"}})
	}
	if rt.in != nil {
		body := &huma.MediaType{Schema: c.schema(rt.in)}
		if rt.example != "" {
			body.Example = json.RawMessage(rt.example)
		}
		op.RequestBody = &huma.RequestBody{Required: true, Content: map[string]*huma.MediaType{"application/json": body}}
	}
	switch {
	case rt.out != nil:
		op.Responses["200"] = &huma.Response{
			Description: "OK", Content: map[string]*huma.MediaType{"application/json": {Schema: c.schema(rt.out)}},
		}
		if rt.id == "answer" || rt.id == "chat" || rt.id == "completions" {
			op.Responses["200"].Content["text/event-stream"] = &huma.MediaType{Schema: &huma.Schema{Type: "string"}}
		}
	case rt.media != "":
		op.Responses["200"] = &huma.Response{
			Description: "OK", Content: map[string]*huma.MediaType{rt.media: {Schema: &huma.Schema{}}},
		}
	default:
		op.Responses["204"] = &huma.Response{Description: "Done"}
	}
	return op
}

func (c *contract) schema(t reflect.Type) *huma.Schema { return c.registry.Schema(t, true, "") }

// pathParameters lists the names in the braces of a path.
func pathParameters(path string) (names []string) {
	for part := range strings.SplitSeq(path, "/") {
		if name, ok := strings.CutPrefix(part, "{"); ok {
			names = append(names, strings.TrimSuffix(name, "}"))
		}
	}
	return names
}

// decodeValid reads the body of an ordinary route and holds it to the contract.
func decodeValid[T any](s *server, w *recorder, r *http.Request) (T, error) {
	data, err := s.body(w, r)
	if err != nil {
		var none T
		return none, err
	}
	body, err := wire.Decode[T](data)
	if err == nil {
		err = s.bindAndCharge(w, r, &body)
	}
	if err != nil {
		return body, err
	}
	return body, s.contract.validate(typeOf[T](), data)
}

// validate holds valid JSON to the schema of a type.
func (c *contract) validate(t reflect.Type, data []byte) error {
	var value any
	if err := json.Unmarshal(data, &value); err != nil {
		return fault.Wrap(fault.Invalid, "read JSON", err)
	}
	var res huma.ValidateResult
	huma.Validate(c.registry, c.schema(t), huma.NewPathBuffer(nil, 0), huma.ModeWriteToServer, withoutNulls(value), &res)
	if len(res.Errors) == 0 {
		return nil
	}
	var detail *huma.ErrorDetail
	if d, ok := res.Errors[0].(huma.ErrorDetailer); ok {
		detail = d.ErrorDetail()
		return fault.BadField(pointer(detail.Location), "%s", detail.Message)
	}
	return fault.Wrap(fault.Invalid, "validate the body", res.Errors[0])
}

// withoutNulls drops the null fields of objects: null stands for an absent field.
func withoutNulls(value any) any {
	object, ok := value.(map[string]any)
	if !ok {
		return value
	}
	for name, v := range object {
		if v == nil {
			delete(object, name)
		} else {
			object[name] = withoutNulls(v)
		}
	}
	return object
}

// pointer turns a location such as legs[0].k into the JSON pointer /legs/0/k.
func pointer(location string) string {
	if location == "" {
		return ""
	}
	return "/" + strings.NewReplacer(".", "/", "[", "/", "]", "").Replace(location)
}

func (s *server) openAPI(w *recorder, _ *http.Request) error {
	s.send(w, answer{}, s.contract.json)
	return nil
}

// Types that say in the contract what the Go types cannot.
type (
	opaque        struct{}
	opaqueSchema  struct{}
	vectorSchema  struct{}
	filterSchema  struct{}
	versionSchema struct{}
	objectSchema  struct{}
)

// Schema allows anything.
func (opaqueSchema) Schema(huma.Registry) *huma.Schema {
	return &huma.Schema{Description: "A value of the replica protocol."}
}

// Schema is a list of numbers, or the same as text.
func (vectorSchema) Schema(huma.Registry) *huma.Schema {
	return &huma.Schema{OneOf: []*huma.Schema{
		{Type: "array", Items: &huma.Schema{Type: "number", Format: "float"}},
		{Type: "string", ContentEncoding: "base64", Description: "Little-endian float32."},
	}}
}

// Schema is an object; its grammar is beyond a schema.
func (filterSchema) Schema(huma.Registry) *huma.Schema {
	return &huma.Schema{Type: "object", AdditionalProperties: true}
}

// Schema is a decimal string: a version exceeds what some languages' numbers hold exactly.
func (versionSchema) Schema(huma.Registry) *huma.Schema {
	return &huma.Schema{Type: "string", Pattern: "^[0-9]+$"}
}

// Schema is any JSON object.
func (objectSchema) Schema(huma.Registry) *huma.Schema {
	return &huma.Schema{Type: "object", AdditionalProperties: true}
}

// number parses a limit of contract.txt.
func number(text string) (*float64, error) {
	f, err := strconv.ParseFloat(text, 64)
	if err != nil {
		return nil, fmt.Errorf("read the limit: %w", err)
	}
	return &f, nil
}
