package arch

import (
	"go/ast"
	"go/token"
	"slices"
	"strings"
)

// constant lists the calls whose result nobody can change, or that yield a
// table computed once.
const constant = "errors.New fmt.Errorf regexp.MustCompile template.Must strings.NewReplacer sync.OnceValue " +
	"sync.OnceValues crc32.MakeTable crc64.MakeTable reflect.TypeFor big.NewInt time.Date netip.MustParsePrefix " +
	"netip.MustParseAddr math.Inf math.Log math.Sqrt math.NaN len cap min max append " +
	"slices.Concat strings.Fields strings.Split strings.Repeat"

func checkInit(_ *Module, p Package) (found []Finding) {
	for _, f := range p.Files {
		for _, fn := range functions(f) {
			if fn.Recv == nil && fn.Name.Name == "init" {
				found = append(found, f.finding(fn.Pos(), "no init functions: build it where it is used"))
			}
		}
	}
	return found
}

// checkState refuses package-level variables that can change: those without a
// value, those whose value is not a constant table, an error or an embedded
// file, and those that some function assigns to or takes the address of.
func checkState(_ *Module, p Package) (found []Finding) {
	files := p.source()
	vars := map[*ast.ValueSpec]bool{}
	names := map[string]bool{}
	for _, f := range files {
		for _, s := range specs(f, token.VAR) {
			v := s.spec.(*ast.ValueSpec)
			vars[v] = true
			for _, id := range v.Names {
				names[id.Name] = id.Name != "_"
				if id.Name != "_" && !embedded(s.group, v) && !frozen(p, v) {
					found = append(found, f.finding(id.Pos(), "%s is package-level state: make it a field, or a table that is complete where it is declared", id.Name))
				}
			}
		}
	}
	for _, f := range files {
		found = append(found, writes(f, names, vars)...)
	}
	return found
}

// embedded reports whether a variable is filled from a file by the compiler.
func embedded(group *ast.GenDecl, v *ast.ValueSpec) bool {
	for _, doc := range []*ast.CommentGroup{group.Doc, v.Doc} {
		if doc != nil && slices.ContainsFunc(doc.List, func(c *ast.Comment) bool { return strings.HasPrefix(c.Text, "//go:embed ") }) {
			return true
		}
	}
	return false
}

func frozen(p Package, v *ast.ValueSpec) bool {
	return len(v.Values) > 0 && !slices.ContainsFunc(v.Values, func(e ast.Expr) bool { return !frozenValue(p, e) })
}

func frozenValue(p Package, e ast.Expr) bool {
	switch e := e.(type) {
	case *ast.BasicLit:
		return p.command() // a version that the linker sets
	case *ast.CompositeLit:
		return !strings.HasPrefix(selector(e.Type), "sync.") && !strings.HasPrefix(selector(e.Type), "atomic.")
	case *ast.CallExpr:
		return frozenCall(p, e)
	}
	return false
}

// frozenCall accepts the calls listed above, the constructors of fault,
// conversions such as []byte("…"), and a function of the same package that
// returns a table by value: an array, a slice, a map or a struct.
func frozenCall(p Package, call *ast.CallExpr) bool {
	callee := selector(call.Fun)
	switch {
	case slices.Contains(strings.Fields(constant), callee), strings.HasPrefix(callee, "fault."):
		return true
	case callee == "":
		_, conversion := call.Fun.(*ast.ArrayType)
		return conversion
	}
	for _, f := range p.source() {
		for _, fn := range functions(f) {
			if fn.Recv == nil && fn.Name.Name == callee {
				return returnsTable(fn)
			}
		}
	}
	return false
}

func returnsTable(fn *ast.FuncDecl) bool {
	if fn.Type.Results.NumFields() != 1 {
		return false
	}
	switch fn.Type.Results.List[0].Type.(type) {
	case *ast.ArrayType, *ast.MapType, *ast.Ident:
		return true
	}
	return false
}

// writes finds assignments to package-level variables, to what is inside of
// them, and addresses taken of them.
func writes(f File, names map[string]bool, vars map[*ast.ValueSpec]bool) (found []Finding) {
	refuse := func(e ast.Expr) {
		id := root(e)
		if id == nil || !names[id.Name] {
			return
		}
		if id.Obj != nil { // resolved inside of this file: local, unless declared by one of the variables
			spec, ok := id.Obj.Decl.(*ast.ValueSpec)
			if !ok || !vars[spec] {
				return
			}
		}
		found = append(found, f.finding(e.Pos(), "%s is package-level and must not change", id.Name))
	}
	ast.Inspect(f.Syntax, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.AssignStmt:
			for _, left := range n.Lhs {
				if n.Tok != token.DEFINE {
					refuse(left)
				}
			}
		case *ast.IncDecStmt:
			refuse(n.X)
		case *ast.UnaryExpr:
			if n.Op == token.AND {
				refuse(n.X)
			}
		}
		return true
	})
	return found
}

// root returns the variable that an expression reaches into, or nil.
func root(e ast.Expr) *ast.Ident {
	switch e := e.(type) {
	case *ast.Ident:
		return e
	case *ast.SelectorExpr:
		return root(e.X)
	case *ast.IndexExpr:
		return root(e.X)
	case *ast.ParenExpr:
		return root(e.X)
	case *ast.StarExpr:
		return root(e.X)
	}
	return nil
}
