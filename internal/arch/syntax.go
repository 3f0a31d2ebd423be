package arch

import (
	"go/ast"
	"go/token"
	"strconv"
	"strings"
)

// functions lists the function and method declarations of a file.
func functions(f File) (list []*ast.FuncDecl) {
	for _, d := range f.Syntax.Decls {
		if fn, ok := d.(*ast.FuncDecl); ok {
			list = append(list, fn)
		}
	}
	return list
}

// receiver returns the name of a method's type, or "".
func receiver(fn *ast.FuncDecl) string {
	if fn.Recv == nil || len(fn.Recv.List) == 0 {
		return ""
	}
	return typeName(fn.Recv.List[0].Type)
}

// typeName returns the name of a type without pointer and type arguments.
func typeName(e ast.Expr) string {
	switch e := e.(type) {
	case *ast.Ident:
		return e.Name
	case *ast.StarExpr:
		return typeName(e.X)
	case *ast.ParenExpr:
		return typeName(e.X)
	case *ast.IndexExpr:
		return typeName(e.X)
	case *ast.IndexListExpr:
		return typeName(e.X)
	}
	return ""
}

// selector returns "pkg.Name" for a selection, "Name" for an identifier, else "".
func selector(e ast.Expr) string {
	switch e := e.(type) {
	case *ast.Ident:
		return e.Name
	case *ast.SelectorExpr:
		if x, ok := e.X.(*ast.Ident); ok {
			return x.Name + "." + e.Sel.Name
		}
	case *ast.IndexExpr:
		return selector(e.X)
	case *ast.IndexListExpr:
		return selector(e.X)
	}
	return ""
}

// groupedSpec is a specification with the declaration around it, and the type
// of a constant as iota rows inherit it.
type groupedSpec struct {
	group    *ast.GenDecl
	spec     ast.Spec
	typeName string
}

// specs lists the top-level specifications of one kind.
func specs(f File, kind token.Token) (list []groupedSpec) {
	for _, d := range f.Syntax.Decls {
		group, ok := d.(*ast.GenDecl)
		if !ok || group.Tok != kind {
			continue
		}
		inherited := ""
		for _, spec := range group.Specs {
			if v, ok := spec.(*ast.ValueSpec); ok && (v.Type != nil || len(v.Values) > 0) {
				inherited = valueType(v)
			}
			list = append(list, groupedSpec{group, spec, inherited})
		}
	}
	return list
}

// valueType returns the type that a constant is declared with, T in both
// "A T = 1" and "A = T(1)".
func valueType(v *ast.ValueSpec) string {
	if v.Type != nil {
		return typeName(v.Type)
	}
	if call, ok := v.Values[0].(*ast.CallExpr); ok {
		return typeName(call.Fun)
	}
	return ""
}

// importsPath reports whether a file imports a package.
func importsPath(f File, path string) bool {
	for _, spec := range f.Syntax.Imports {
		if got, err := strconv.Unquote(spec.Path.Value); err == nil && got == path {
			return true
		}
	}
	return false
}

// hasOutput reports whether an example states its output, without which it is
// compiled and not run.
func hasOutput(f File, fn *ast.FuncDecl) bool {
	for _, group := range f.Syntax.Comments {
		if group.Pos() > fn.Pos() && group.End() < fn.End() {
			text := strings.ToLower(group.Text())
			if strings.HasPrefix(text, "output:") || strings.HasPrefix(text, "unordered output:") {
				return true
			}
		}
	}
	return false
}
