package arch

import (
	"fmt"
	"go/ast"
	"go/token"
	"slices"
	"strings"
	"unicode"
)

// A name is an exported name of a package and how it is documented.
type name struct {
	file       File
	ident      *ast.Ident
	documented bool
	counted    bool // towards the number of exported names: not a method, field or constant of the package's own type
}

// checkDocs wants a comment on every package and on every exported type,
// function, method, variable and constant; for the last two the comment of
// their group will do.
func checkDocs(_ *Module, p Package) (found []Finding) {
	files := p.source()
	if len(files) == 0 {
		return nil
	}
	if !slices.ContainsFunc(files, func(f File) bool { return f.Syntax.Doc != nil }) {
		found = append(found, Finding{At: p.Dir, Text: "the package has no comment"})
	}
	for _, n := range exported(p) {
		if !n.documented {
			found = append(found, n.file.finding(n.ident.Pos(), "%s has no comment", n.ident.Name))
		}
	}
	return found
}

func checkExported(_ *Module, p Package) []Finding {
	count := 0
	for _, n := range exported(p) {
		if n.counted {
			count++
		}
	}
	if count <= maxExported {
		return nil
	}
	return []Finding{{At: p.Dir, Text: fmt.Sprintf("%d exported names, at most %d", count, maxExported)}}
}

// checkWords refuses vague words in exported names, fields and packages included.
func checkWords(_ *Module, p Package) (found []Finding) {
	var idents []*ast.Ident
	for _, f := range p.source() {
		idents = append(idents[:0], f.Syntax.Name)
		for _, n := range exportedIn(f, nil) {
			idents = append(idents, n.ident)
		}
		idents = append(idents, members(f)...)
		for _, id := range idents {
			if w := vague(id.Name); w != "" {
				found = append(found, f.finding(id.Pos(), "%s: %q says too little, use a word of the field (docs/architecture.md)", id.Name, w))
			}
		}
	}
	return found
}

// vague returns the first refused word in a name, in singular or plural.
func vague(name string) string {
	for _, w := range split(name) {
		for refused := range strings.FieldsSeq(wordsRefused) {
			if w == refused || w == refused+"s" {
				return refused
			}
		}
	}
	return ""
}

// split cuts a name into its words, in lower case: "HTTPNodes2" is http, nodes, 2.
func split(name string) (words []string) {
	runes, start := []rune(name), 0
	for i := 1; i <= len(runes); i++ {
		if i == len(runes) || starts(runes, i) {
			words = append(words, strings.ToLower(strings.Trim(string(runes[start:i]), "_")))
			start = i
		}
	}
	return words
}

// starts reports whether a word starts at position i > 0.
func starts(r []rune, i int) bool {
	before, here := r[i-1], r[i]
	switch {
	case unicode.IsLower(here):
		return !unicode.IsLower(before) && !unicode.IsUpper(before)
	case unicode.IsUpper(here):
		return !unicode.IsUpper(before) || i+1 < len(r) && unicode.IsLower(r[i+1])
	}
	return unicode.IsLetter(before)
}

// exported lists the exported names of a package, without fields.
func exported(p Package) (names []name) {
	own := map[string]bool{}
	files := p.source()
	for _, f := range files {
		for _, spec := range specs(f, token.TYPE) {
			own[spec.spec.(*ast.TypeSpec).Name.Name] = true
		}
	}
	for _, f := range files {
		names = append(names, exportedIn(f, own)...)
	}
	return names
}

func exportedIn(f File, own map[string]bool) (names []name) {
	for _, fn := range functions(f) {
		if fn.Name.IsExported() && (fn.Recv == nil || ast.IsExported(receiver(fn))) {
			names = append(names, name{f, fn.Name, fn.Doc != nil, fn.Recv == nil})
		}
	}
	for _, s := range specs(f, token.TYPE) {
		if t := s.spec.(*ast.TypeSpec); t.Name.IsExported() {
			names = append(names, name{f, t.Name, documented(s.group, t.Doc, t.Comment), true})
		}
	}
	for _, s := range specs(f, token.VAR) {
		names = append(names, values(f, s, nil)...)
	}
	for _, s := range specs(f, token.CONST) {
		names = append(names, values(f, s, own)...)
	}
	return names
}

// values lists the exported names of a const or var specification. Constants of
// a type of their own package read as a part of that type, as in go doc.
func values(f File, s groupedSpec, own map[string]bool) (names []name) {
	v := s.spec.(*ast.ValueSpec)
	for _, id := range v.Names {
		if id.IsExported() {
			names = append(names, name{f, id, documented(s.group, v.Doc, v.Comment), !own[s.typeName]})
		}
	}
	return names
}

func documented(group *ast.GenDecl, comments ...*ast.CommentGroup) bool {
	return group.Doc != nil || slices.ContainsFunc(comments, func(c *ast.CommentGroup) bool { return c != nil })
}

// members lists the exported fields and interface methods of a file's types.
func members(f File) (idents []*ast.Ident) {
	for _, s := range specs(f, token.TYPE) {
		ast.Inspect(s.spec, func(n ast.Node) bool {
			if field, ok := n.(*ast.Field); ok {
				for _, id := range field.Names {
					if id.IsExported() {
						idents = append(idents, id)
					}
				}
			}
			return true
		})
	}
	return idents
}
