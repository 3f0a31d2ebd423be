package corpus

import (
	"go/ast"
	"go/doc"
	"go/printer"
	"go/token"
	"strings"
)

// maxSignature bounds the declaration in a symbol's text, in bytes: a long
// struct or a long list of constants says little more than its beginning.
const maxSignature = 600

// symbols turns one package's documentation into documents.
type symbols struct {
	path string
	fset *token.FileSet
	seen map[string]bool
	docs []Document
}

func (s *symbols) ofPackage(p *doc.Package) []Document {
	s.constants(p.Consts)
	s.variables(p.Vars)
	s.functions("func", "", p.Funcs)
	for _, t := range p.Types {
		s.add("type", t.Name, t.Decl, t.Doc)
		s.constants(t.Consts)
		s.variables(t.Vars)
		s.functions("func", "", t.Funcs)
		s.functions("method", t.Name+".", t.Methods)
	}
	return s.docs
}

func (s *symbols) functions(kind, receiver string, list []*doc.Func) {
	for _, f := range list {
		s.add(kind, receiver+f.Name, f.Decl, f.Doc)
	}
}

// constants adds each group of constants that says anything as one document.
func (s *symbols) constants(groups []*doc.Value) {
	for _, g := range groups {
		if g.Doc != "" || anyDocumented(g.Decl) {
			s.add("const", g.Names[0], g.Decl, orSpace(g.Doc))
		}
	}
}

// variables adds a document for each variable with a comment of its own, and
// one for a group that has a comment only as a whole.
func (s *symbols) variables(groups []*doc.Value) {
	for _, g := range groups {
		if len(g.Decl.Specs) == 1 || !anyDocumented(g.Decl) {
			comment := g.Doc
			if v, ok := g.Decl.Specs[0].(*ast.ValueSpec); ok && comment == "" {
				comment = takeComment(v)
			}
			s.add("var", g.Names[0], g.Decl, comment)
			continue
		}
		for _, spec := range g.Decl.Specs {
			if v, ok := spec.(*ast.ValueSpec); ok && documented(v) {
				comment := takeComment(v)
				s.add("var", v.Names[0].Name, &ast.GenDecl{Tok: token.VAR, Specs: []ast.Spec{v}}, comment)
			}
		}
	}
}

// add appends the document of a symbol, unless it has no doc or came before.
func (s *symbols) add(kind, name string, decl ast.Decl, comment string) {
	id := s.path + "." + name
	if comment == "" || s.seen[id] {
		return
	}
	s.seen[id] = true
	// The text starts with its title, as that of any passage: the name that the symbol goes by elsewhere.
	text := id + "\npackage " + s.path + ", " + kind + " " + name + "\n\n" + s.signature(decl) + "\n\n" + comment
	s.docs = append(s.docs, Document{
		ID:   id,
		Text: strings.TrimSpace(text),
		Meta: metadata(symbolMeta{Package: s.path, Kind: kind, Symbol: name}),
	})
}

// signature prints a declaration without a function's body, cut at the end of a
// line where it is long.
func (s *symbols) signature(decl ast.Decl) string {
	if f, ok := decl.(*ast.FuncDecl); ok {
		f.Body = nil
	}
	var b strings.Builder
	cfg := printer.Config{Mode: printer.UseSpaces, Tabwidth: 4}
	if err := cfg.Fprint(&b, s.fset, decl); err != nil {
		return "" // a strings.Builder takes everything; only a broken tree fails
	}
	text := strings.TrimSpace(b.String())
	if len(text) <= maxSignature {
		return text
	}
	cut := max(strings.LastIndexByte(text[:maxSignature], '\n'), 1)
	return text[:cut] + "\n    …"
}

func anyDocumented(decl *ast.GenDecl) bool {
	for _, spec := range decl.Specs {
		if v, ok := spec.(*ast.ValueSpec); ok && documented(v) {
			return true
		}
	}
	return false
}

func documented(v *ast.ValueSpec) bool { return v.Doc != nil || v.Comment != nil }

// takeComment returns the comments of a spec and removes them from it, so that
// they are not printed again with its declaration.
func takeComment(v *ast.ValueSpec) string {
	comment := v.Doc.Text() + v.Comment.Text()
	v.Doc, v.Comment = nil, nil
	return comment
}

// orSpace keeps a group whose comments stand inside its declaration.
func orSpace(comment string) string {
	if comment == "" {
		return " "
	}
	return comment
}
