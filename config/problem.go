package config

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/lanewise/lanewise/fault"
)

// Problem is one thing that is wrong with a configuration. It is
// fault.Invalid.
type Problem struct {
	File         string // empty: the configuration was not read from a file
	Line, Column int    // from 1; 0: not known
	Path         string // such as "shards[0].replicas[1].url"; empty: the file as a whole
	Message      string // what is wrong and what to do about it

	unknownKey bool
}

// Error returns "file:line:column: path: message", as far as it is known.
func (p *Problem) Error() string {
	var b strings.Builder
	if p.File != "" {
		b.WriteString(p.File)
		if p.Line > 0 {
			fmt.Fprintf(&b, ":%d:%d", p.Line, p.Column)
		}
		b.WriteString(": ")
	}
	if p.Path != "" {
		b.WriteString(p.Path + ": ")
	}
	b.WriteString(p.Message)
	return b.String()
}

// Is reports whether target is fault.Invalid.
func (p *Problem) Is(target error) bool { return target == fault.Invalid }

// place is a position in the file, from 1.
type place struct{ line, column int }

// problems collects what is wrong, in the file or in values.
type problems struct {
	file   string
	places map[string]place
	list   []*Problem
}

// at reports what is wrong with the value at a path, or with the nearest thing
// above it that stands in the file.
func (p *problems) at(path, format string, args ...any) {
	where, known := p.places[path]
	for above := path; !known && above != ""; {
		above = parent(above)
		where, known = p.places[above]
	}
	p.list = append(p.list, &Problem{
		File: p.file, Line: where.line, Column: where.column, Path: path, Message: fmt.Sprintf(format, args...),
	})
}

// addUnrelated adds what a later check found, except what only follows from what
// is known already: a shard is not missing where its key is misspelt.
func (p *problems) addUnrelated(later []*Problem) {
	known := p.list
	for _, problem := range later {
		follows := func(q *Problem) bool {
			return under(problem.Path, q.Path) || under(q.Path, problem.Path) ||
				q.unknownKey && parent(q.Path) == parent(problem.Path)
		}
		if !slices.ContainsFunc(known, follows) {
			p.list = append(p.list, problem)
		}
	}
}

// under reports whether a path is another or lies below it.
func under(path, above string) bool {
	rest, ok := strings.CutPrefix(path, above)
	return ok && (rest == "" || above == "" || rest[0] == '.' || rest[0] == '[')
}

// err joins the problems in the order of the file.
func (p *problems) err() error {
	slices.SortStableFunc(p.list, func(a, b *Problem) int {
		return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column))
	})
	errs := make([]error, len(p.list))
	for i, problem := range p.list {
		errs[i] = problem
	}
	return errors.Join(errs...)
}

// parent cuts the last key or index off a path.
func parent(path string) string { return path[:max(strings.LastIndexAny(path, ".["), 0)] }

// join appends a key to a path.
func join(path, key string) string {
	if path == "" {
		return key
	}
	return path + "." + key
}
