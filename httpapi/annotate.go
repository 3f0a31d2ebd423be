package httpapi

import (
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/danielgtaylor/huma/v2"
)

// contractText says of every field of every body what its Go type cannot: its
// meaning, limits, default and allowed words. One line each:
//
//	Type.field [min=N] [max=N] [default=JSON] [words=a|b] [optional]: Meaning.
//
//go:embed contract.txt
var contractText string

// annotate adds the text to the schemas. A field without a line, a line without
// a field and a line that cannot be read are errors.
func annotate(registry huma.Registry, notes map[string]note) error {
	var errs []error
	for _, name := range slices.Sorted(maps.Keys(registry.Map())) {
		schema := registry.Map()[name]
		for _, field := range slices.Sorted(maps.Keys(schema.Properties)) {
			note, ok := noteOf(notes, name, field)
			if !ok {
				errs = append(errs, fmt.Errorf("contract.txt: %s.%s is not described", name, field))
				continue
			}
			if err := note.apply(schema, field); err != nil {
				errs = append(errs, fmt.Errorf("contract.txt: %s.%s: %w", name, field, err))
			}
		}
		schema.PrecomputeMessages()
	}
	return errors.Join(errs...)
}

// noteOf returns the line of a field. A question has the fields of a search.
func noteOf(notes map[string]note, name, field string) (note, bool) {
	n, ok := notes[name+"."+field]
	if !ok && name == "AnswerRequest" {
		n, ok = notes["SearchRequest."+field]
	}
	return n, ok
}

// note is a line of contract.txt.
type note struct {
	line    int
	options []string // such as min=1
	text    string
}

func readNotes(text string) (map[string]note, error) {
	notes := map[string]note{}
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '#' {
			continue
		}
		head, meaning, ok := strings.Cut(line, ": ")
		words := strings.Fields(head)
		if !ok || len(words) == 0 {
			return nil, fmt.Errorf("contract.txt: no meaning in %q", line)
		}
		if _, twice := notes[words[0]]; twice {
			return nil, fmt.Errorf("contract.txt: %s is there twice", words[0])
		}
		notes[words[0]] = note{len(notes), words[1:], meaning}
	}
	return notes, nil
}

// apply puts the note on a field of an object.
func (n note) apply(object *huma.Schema, field string) error {
	s := object.Properties[field]
	if s.Ref != "" { // siblings of $ref are allowed since OpenAPI 3.1
		s = &huma.Schema{Ref: s.Ref}
		object.Properties[field] = s
	}
	s.Description = n.text
	for _, option := range n.options {
		name, value, _ := strings.Cut(option, "=")
		if err := set(object, field, name, value); err != nil {
			return err
		}
	}
	s.PrecomputeMessages()
	return nil
}

// set gives a field one option of its line.
func set(object *huma.Schema, field, name, value string) (err error) {
	s := object.Properties[field]
	switch name {
	case "min":
		s.Minimum, err = number(value)
	case "max":
		s.Maximum, err = number(value)
	case "words":
		for w := range strings.SplitSeq(value, "|") {
			s.Enum = append(s.Enum, w)
		}
		if s.Type == "array" {
			s.Items.Enum, s.Enum = s.Enum, nil
			s.Items.PrecomputeMessages()
		}
	case "default":
		err = json.Unmarshal([]byte(value), &s.Default)
		drop(object, field)
	case "optional":
		drop(object, field)
	default:
		err = fmt.Errorf("there is no option %q", name)
	}
	return err
}

// drop makes a field optional.
func drop(object *huma.Schema, field string) {
	object.Required = slices.DeleteFunc(object.Required, func(r string) bool { return r == field })
}
