package config

import (
	"fmt"
	"reflect"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
)

// maxDepth bounds nesting, which an alias inside its own anchor would make endless.
const maxDepth = 32

// decoder fills a Config from a YAML tree and notes where everything stands.
type decoder struct {
	problems
	env     func(string) (string, bool)
	anchors map[string]ast.Node
	depth   int
}

// decode reads a file into c. What is wrong with it is in the decoder after.
func (d *decoder) decode(data []byte, c *Config) {
	tree, err := parser.ParseBytes(data, 0)
	if err != nil {
		d.syntax(err)
		return
	}
	var docs []ast.Node
	for _, doc := range tree.Docs {
		if doc.Body != nil {
			docs = append(docs, doc.Body)
		}
	}
	switch len(docs) {
	case 0:
		d.at("", "the file is empty: it needs at least shards or a store")
	case 1:
		d.value(docs[0], "", reflect.ValueOf(c).Elem())
	default:
		d.at("", "the file holds %d YAML documents, not one", len(docs))
	}
}

// syntax reports an error of the YAML parser at its place.
func (d *decoder) syntax(err error) {
	p := &Problem{File: d.file, Message: err.Error()}
	if at, ok := err.(yaml.Error); ok { //nolint:errorlint // the parser does not wrap
		p.Message = at.GetMessage()
		if token := at.GetToken(); token != nil {
			p.Line, p.Column = token.Position.Line, token.Position.Column
		}
	}
	d.list = append(d.list, p)
}

// value decodes a tree into whatever to is.
func (d *decoder) value(n ast.Node, path string, to reflect.Value) {
	d.depth++
	defer func() { d.depth-- }()
	d.note(n, path)
	n = d.resolve(n, path)
	switch {
	case n == nil || d.depth > maxDepth:
		d.at(path, "nested too deeply, or an alias without an anchor")
	case n.Type() == ast.NullType:
		d.at(path, "has no value: leave the key out to use its default")
	case to.Type() == reflect.TypeFor[ClientKey]() && isText(n):
		d.scalar(n, path, to.FieldByName("Key"))
	case to.Kind() == reflect.Struct:
		d.object(n, path, to)
	case to.Kind() == reflect.Slice:
		d.sequence(n, path, to)
	default:
		d.scalar(n, path, to)
	}
}

// note remembers where a path stands.
func (d *decoder) note(n ast.Node, path string) {
	if _, known := d.places[path]; known || n == nil || n.GetToken() == nil {
		return
	}
	at := n.GetToken().Position
	if m, ok := n.(*ast.MappingNode); ok && len(m.Values) > 0 {
		at = m.Values[0].Key.GetToken().Position // the token of a block mapping is its first colon
	}
	d.places[path] = place{at.Line, at.Column}
}

// resolve follows anchors, aliases and tags to the value itself.
func (d *decoder) resolve(n ast.Node, path string) ast.Node {
	for range maxDepth {
		switch x := n.(type) {
		case *ast.AnchorNode:
			d.anchors[x.Name.GetToken().Value] = x.Value
			n = x.Value
		case *ast.AliasNode:
			n = d.anchors[x.Value.GetToken().Value]
		case *ast.TagNode:
			d.at(path, "tags such as %s are not used here", x.GetToken().Value)
			n = x.Value
		default:
			return n
		}
	}
	return nil
}

// object decodes a mapping into a struct.
func (d *decoder) object(n ast.Node, path string, to reflect.Value) {
	pairs, ok := mapping(n)
	if !ok {
		d.at(path, "is %s, not a mapping of keys", describe(n))
		return
	}
	fields := keys(to.Type())
	for _, pair := range pairs {
		key := pair.Key.GetToken().Value
		at := join(path, key)
		i, known := fields[key]
		if !known {
			d.note(pair.Key, at)
			d.at(at, "unknown key%s", suggest(key, fields))
			d.list[len(d.list)-1].unknownKey = true
			continue
		}
		d.places[at] = place{pair.Key.GetToken().Position.Line, pair.Key.GetToken().Position.Column}
		d.value(pair.Value, at, to.Field(i))
	}
}

func mapping(n ast.Node) ([]*ast.MappingValueNode, bool) {
	switch n := n.(type) {
	case *ast.MappingNode:
		return n.Values, true
	case *ast.MappingValueNode:
		return []*ast.MappingValueNode{n}, true
	}
	return nil, false
}

// keys maps the YAML names of a struct's fields to their index.
func keys(t reflect.Type) map[string]int {
	out := map[string]int{}
	for i := range t.NumField() {
		if name, _, _ := strings.Cut(t.Field(i).Tag.Get("yaml"), ","); name != "" {
			out[name] = i
		}
	}
	return out
}

// sequence decodes a sequence into a slice.
func (d *decoder) sequence(n ast.Node, path string, to reflect.Value) {
	s, ok := n.(*ast.SequenceNode)
	if !ok {
		d.at(path, "is %s, not a list: write its items with a dash each", describe(n))
		return
	}
	out := reflect.MakeSlice(to.Type(), len(s.Values), len(s.Values))
	for i, item := range s.Values {
		d.value(item, fmt.Sprintf("%s[%d]", path, i), out.Index(i))
	}
	to.Set(out)
}

// describe names the kind of a value for somebody who does not think in types.
func describe(n ast.Node) string {
	switch n.Type() {
	case ast.MappingType, ast.MappingValueType:
		return "a mapping"
	case ast.SequenceType:
		return "a list"
	case ast.IntegerType, ast.FloatType, ast.InfinityType, ast.NanType:
		return "the number " + n.GetToken().Value
	case ast.BoolType:
		return "the boolean " + n.GetToken().Value
	default:
		return fmt.Sprintf("the text %q", text(n))
	}
}
