package arch

import (
	"fmt"
	"go/ast"
	"slices"
	"strings"
)

// The limits of length and breadth, on everything but tests unless they say otherwise.
const (
	maxFunction  = 70  // lines, comments and braces included
	maxFile      = 400 // lines
	maxTestFile  = 700 // lines
	maxParams    = 4   // a context included, the receiver not
	maxExported  = 40  // names a package: types, functions, variables and constants that have no type of their own
	wordsRefused = "node host worker manager helper util common"
)

// A rule looks at one package.
type rule struct {
	name  string
	check func(m *Module, p Package) []Finding
}

func rules() []rule {
	return []rule{
		{"root", checkRoot},
		{"imports", checkImports},
		{"docs", checkDocs},
		{"words", checkWords},
		{"exported", checkExported},
		{"functions", checkFunctions},
		{"files", checkFiles},
		{"parameters", checkParameters},
		{"init", checkInit},
		{"state", checkState},
		{"examples", checkExamples},
		{"sleep", checkSleep},
	}
}

// Rules returns the names of all rules.
func Rules() []string {
	var names []string
	for _, r := range rules() {
		names = append(names, r.name)
	}
	return names
}

// Check runs the named rules, or all of them if none is named.
func (m *Module) Check(names ...string) []Finding {
	var findings []Finding
	for _, r := range rules() {
		if len(names) > 0 && !slices.Contains(names, r.name) {
			continue
		}
		for _, p := range m.Packages {
			for _, f := range r.check(m, p) {
				f.Rule = r.name
				findings = append(findings, f)
			}
		}
	}
	return findings
}

// checkRoot keeps the module's root free of code.
func checkRoot(_ *Module, p Package) []Finding {
	if p.Dir != "." || len(p.Files) == 0 {
		return nil
	}
	return []Finding{{At: ".", Text: "the module's root holds no Go code"}}
}

// checkFunctions limits the length of functions. Tests are exempt: a table of
// cases is long and still simple.
func checkFunctions(_ *Module, p Package) (found []Finding) {
	for _, f := range p.source() {
		for _, fn := range functions(f) {
			if n := f.lines(fn); n > maxFunction {
				found = append(found, f.finding(fn.Pos(), "%s has %d lines, at most %d", fn.Name.Name, n, maxFunction))
			}
		}
	}
	return found
}

func checkFiles(_ *Module, p Package) (found []Finding) {
	for _, f := range p.Files {
		limit := maxFile
		if f.Test {
			limit = maxTestFile
		}
		if n := f.set.File(f.Syntax.Pos()).LineCount(); n > limit && !f.generated() {
			found = append(found, Finding{At: f.Name, Text: fmt.Sprintf("%d lines, at most %d", n, limit)})
		}
	}
	return found
}

// checkParameters counts parameters of functions and of interface methods.
// Function literals are exempt: their shape is mostly dictated by the callee.
func checkParameters(_ *Module, p Package) (found []Finding) {
	for _, f := range p.source() {
		ast.Inspect(f.Syntax, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.FuncDecl:
				found = append(found, tooMany(f, n.Name, n.Type)...)
			case *ast.InterfaceType:
				for _, method := range n.Methods.List {
					if t, ok := method.Type.(*ast.FuncType); ok {
						found = append(found, tooMany(f, method.Names[0], t)...)
					}
				}
			}
			return true
		})
	}
	return found
}

func tooMany(f File, name *ast.Ident, t *ast.FuncType) []Finding {
	if n := t.Params.NumFields(); n > maxParams {
		return []Finding{f.finding(name.Pos(), "%s takes %d parameters, at most %d", name.Name, n, maxParams)}
	}
	return nil
}

// checkExamples wants a runnable example in every package that users of the
// module can import. Test suites are exempt: there is no T in an example.
func checkExamples(_ *Module, p Package) []Finding {
	suite := slices.ContainsFunc(p.source(), func(f File) bool { return importsPath(f, "testing") })
	if p.command() || suite || len(p.source()) == 0 || slices.Contains(strings.Split(p.Dir, "/"), "internal") {
		return nil
	}
	for _, f := range p.Files {
		if !f.Test {
			continue
		}
		for _, fn := range functions(f) {
			if strings.HasPrefix(fn.Name.Name, "Example") && hasOutput(f, fn) {
				return nil
			}
		}
	}
	return []Finding{{At: p.Dir, Text: "no runnable example (func Example with an Output comment)"}}
}

// checkSleep refuses time.Sleep in tests. Packages whose tests use
// testing/synctest are exempt: in a bubble a sleep is exact and takes no time.
func checkSleep(_ *Module, p Package) (found []Finding) {
	if slices.ContainsFunc(p.Files, func(f File) bool { return f.Test && importsPath(f, "testing/synctest") }) {
		return nil
	}
	for _, f := range p.Files {
		if !f.Test {
			continue
		}
		ast.Inspect(f.Syntax, func(n ast.Node) bool {
			if call, ok := n.(*ast.CallExpr); ok && selector(call.Fun) == "time.Sleep" {
				found = append(found, f.finding(call.Pos(), "tests do not sleep: use testing/synctest, or wait for an event"))
			}
			return true
		})
	}
	return found
}
