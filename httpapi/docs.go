package httpapi

import (
	"bytes"
	_ "embed"
	"encoding/json"
	"fmt"
	"html/template"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"github.com/lanewise/lanewise/search/wire"
)

// docsTemplate is the page of /docs: one file that needs nothing from anywhere.
//
//go:embed docs.html
var docsTemplate string

// docsPage is what the template shows.
type docsPage struct {
	Title, Version string
	About          []string // paragraphs
	Sections       []docsSection
	Errors         []docsError
	Types          []docsType
}

type docsSection struct {
	Name       string
	Operations []docsOperation
}

type docsOperation struct {
	ID, Method, Path, Summary, Detail string
	Query                             []parameter
	In, Out                           docsRef
	Curl                              string
}

// docsRef is the type of a field or a body, with a link where it has a name.
type docsRef struct {
	Text string // "list of ", or all of it where Link is empty
	Link string // name of a type on the page
}

type docsType struct {
	Name   string
	Fields []docsField
}

type docsField struct {
	Name     string
	Type     docsRef
	Required bool
	Limits   string
	Text     string
	line     int
}

type docsError struct {
	Status  int
	Class   string
	Meaning string
}

func renderDocs(c *contract, routes []route, notes map[string]note) ([]byte, error) {
	t, err := template.New("docs").Parse(docsTemplate)
	if err != nil {
		return nil, fmt.Errorf("parse docs.html: %w", err)
	}
	page := docsPage{Title: c.doc.Info.Title, Version: c.doc.Info.Version, Errors: docsErrors(), Types: c.docsTypes(notes)}
	page.About = strings.Split(c.doc.Info.Description, "\n\n")
	for _, tag := range c.doc.Tags {
		section := docsSection{Name: tag.Name}
		for _, rt := range routes {
			if rt.tag == tag.Name {
				section.Operations = append(section.Operations, c.docsOperation(rt))
			}
		}
		if len(section.Operations) > 0 {
			page.Sections = append(page.Sections, section)
		}
	}
	var out bytes.Buffer
	if err := t.Execute(&out, page); err != nil {
		return nil, fmt.Errorf("render docs.html: %w", err)
	}
	return out.Bytes(), nil
}

func (c *contract) docsOperation(rt route) docsOperation {
	op := docsOperation{
		ID: rt.id, Method: rt.method, Path: rt.path, Summary: rt.summary, Detail: rt.detail, Query: rt.query, Curl: curl(rt),
	}
	if rt.in != nil && rt.in != typeOf[opaque]() {
		op.In = refOf(c.schema(rt.in))
	}
	if rt.out != nil && rt.out != typeOf[opaque]() {
		op.Out = refOf(c.schema(rt.out))
	}
	return op
}

// curl returns a command line to try, or "" where there is nothing to try.
func curl(rt route) string {
	path := strings.NewReplacer("{collection}", "docs", "{id}", "a", "{alias}", "live").Replace(rt.path)
	switch {
	case rt.tag == tagReplica || rt.id == "docs":
		return ""
	case rt.example != "":
		return "curl -X " + rt.method + " $URL" + path + " -H 'content-type: application/json' -d '" + rt.example + "'"
	case rt.method == http.MethodGet:
		return "curl $URL" + path
	}
	return "curl -X " + rt.method + " $URL" + path
}

// docsTypes lists the named types by name; their fields come as in
// contract.txt, the required ones first.
func (c *contract) docsTypes(notes map[string]note) (types []docsType) {
	all := c.registry.Map()
	for _, name := range slices.Sorted(maps.Keys(all)) {
		t := docsType{Name: name}
		for field, s := range all[name].Properties {
			n, _ := noteOf(notes, name, field)
			t.Fields = append(t.Fields, docsField{
				Name: field, Type: refOf(s), Required: slices.Contains(all[name].Required, field), Limits: limits(s), Text: s.Description, line: n.line,
			})
		}
		slices.SortFunc(t.Fields, func(a, b docsField) int { return a.rank() - b.rank() })
		types = append(types, t)
	}
	return types
}

// rank is the place of a field in its type.
func (f docsField) rank() int {
	if f.Required {
		return f.line
	}
	return f.line + 1<<16
}

func refOf(s *huma.Schema) docsRef {
	switch {
	case s.Ref != "":
		return docsRef{Link: s.Ref[strings.LastIndexByte(s.Ref, '/')+1:]}
	case s.OneOf != nil:
		return docsRef{Text: "vector"}
	case s.Type == "array":
		inner := refOf(s.Items)
		return docsRef{Text: "list of " + inner.Text, Link: inner.Link}
	case s.Type == "object":
		if inner, ok := s.AdditionalProperties.(*huma.Schema); ok {
			ref := refOf(inner)
			return docsRef{Text: "map of " + ref.Text, Link: ref.Link}
		}
	}
	return docsRef{Text: s.Type}
}

// limits words what a schema demands of a value.
func limits(s *huma.Schema) string {
	var parts []string
	words := s.Enum
	if s.Items != nil {
		words = s.Items.Enum
	}
	for _, w := range words {
		parts = append(parts, fmt.Sprint(w))
	}
	text := strings.Join(parts, " | ")
	low, high := figure(s.Minimum), figure(s.Maximum)
	switch {
	case low != "" && high != "":
		text += low + " to " + high
	case low != "" && low != "0":
		text += "at least " + low
	}
	if s.Default != nil {
		standard, err := json.Marshal(s.Default)
		if err == nil {
			text += "; default " + string(standard)
		}
	}
	return strings.TrimPrefix(text, "; ")
}

func figure(f *float64) string {
	if f == nil {
		return ""
	}
	return strconv.FormatFloat(*f, 'f', -1, 64)
}

func docsErrors() []docsError {
	rows := []docsError{
		{http.StatusMethodNotAllowed, "invalid", "The endpoint has other methods; Allow lists them."},
		{http.StatusRequestEntityTooLarge, "invalid", "The body is over the limit (32 MiB unless configured otherwise)."},
		{http.StatusUnsupportedMediaType, "invalid", "The body is not application/json, or compressed."},
	}
	for _, s := range statuses {
		if s.meaning != "" {
			rows = append(rows, docsError{s.code, wire.NewProblem(s.is, s.code).Class, s.meaning})
		}
	}
	slices.SortStableFunc(rows, func(a, b docsError) int { return a.Status - b.Status })
	return rows
}

func (s *server) docs(w *recorder, _ *http.Request) error {
	w.Header().Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'")
	s.send(w, answer{contentType: "text/html; charset=utf-8"}, s.contract.page)
	return nil
}
