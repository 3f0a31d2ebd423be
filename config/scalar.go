package config

import (
	"math"
	"reflect"
	"strconv"
	"strings"
	"time"

	"github.com/goccy/go-yaml/ast"
)

// scalar decodes a single value. A text that holds ${NAME} may stand for a
// number or a boolean too.
func (d *decoder) scalar(n ast.Node, path string, to reflect.Value) {
	if _, single := n.(ast.ScalarNode); !single {
		d.at(path, "is %s, not a single value", describe(n))
		return
	}
	value, replaced, ok := d.expand(text(n), path)
	if !ok {
		return
	}
	quoted := isText(n) && !replaced
	switch target := to.Addr().Interface().(type) {
	case *string:
		if !isText(n) {
			d.at(path, "is %s, not a text: put it in quotes", describe(n))
		}
		*target = value
	case *Secret:
		if !isText(n) {
			d.at(path, "is not a text: put it in quotes") // and is not repeated here
		}
		*target = Secret(value)
	case *time.Duration:
		d.duration(n, path, value, target)
	case *Size:
		size, err := parseSize(value)
		if err != nil {
			d.at(path, "%v", err)
		}
		*target = size
	case *int:
		d.integer(path, value, quoted, target)
	case *float64:
		d.float(path, value, quoted, target)
	case *bool:
		d.boolean(path, value, quoted, target)
	default:
		panic("config: no decoder for " + to.Type().String())
	}
}

func isText(n ast.Node) bool { return n.Type() == ast.StringType || n.Type() == ast.LiteralType }

// text returns a scalar as it is meant: without quotes, and with the lines of a
// block joined.
func text(n ast.Node) string {
	switch n := n.(type) {
	case *ast.StringNode:
		return n.Value
	case *ast.LiteralNode:
		return strings.TrimSuffix(n.Value.Value, "\n")
	}
	return n.GetToken().Value
}

func (d *decoder) duration(n ast.Node, path, value string, to *time.Duration) {
	v, err := time.ParseDuration(value)
	switch {
	case err == nil && v >= 0:
		*to = v
	case err == nil:
		d.at(path, "%s is negative", value)
	case !isText(n):
		d.at(path, "%s has no unit: write %ss or %sms", value, value, value)
	default:
		d.at(path, "%q is not a duration: write it as 250ms, 2s or 1m30s", value)
	}
}

func (d *decoder) integer(path, value string, quoted bool, to *int) {
	v, err := strconv.Atoi(value)
	if err != nil || quoted {
		d.at(path, "%q is not a whole number", value)
		return
	}
	*to = v
}

func (d *decoder) float(path, value string, quoted bool, to *float64) {
	v, err := strconv.ParseFloat(value, 64)
	if err != nil || quoted || math.IsNaN(v) || math.IsInf(v, 0) {
		d.at(path, "%q is not a number", value)
		return
	}
	*to = v
}

func (d *decoder) boolean(path, value string, quoted bool, to *bool) {
	if (value != "true" && value != "false") || quoted {
		d.at(path, "%q is not true or false", value)
		return
	}
	*to = value == "true"
}

// expand replaces ${NAME} and ${NAME:-default} by environment variables; "$${"
// stands for "${" itself. ok is false where a variable is missing.
func (d *decoder) expand(value, path string) (out string, replaced, ok bool) {
	var b strings.Builder
	ok = true
	for {
		before, rest, found := strings.Cut(value, "${")
		if !found {
			b.WriteString(value)
			return b.String(), replaced, ok
		}
		if head, escaped := strings.CutSuffix(before, "$"); escaped {
			b.WriteString(head + "${")
			value = rest
			continue
		}
		b.WriteString(before)
		name, behind, closed := strings.Cut(rest, "}")
		if !closed {
			d.at(path, "${ is not closed by }")
			return "", false, false
		}
		v, set := d.lookup(name)
		if !set {
			d.at(path, "environment variable %s is not set", name)
			ok = false
		}
		b.WriteString(v)
		value, replaced = behind, true
	}
}

// lookup returns the value of NAME or NAME:-default.
func (d *decoder) lookup(expr string) (value string, set bool) {
	name, fallback, hasDefault := strings.Cut(expr, ":-")
	value, set = d.env(name)
	if hasDefault && value == "" {
		return fallback, true
	}
	return value, set
}
