// Package arch checks the shape of this module: who imports whom, what is
// documented, how long things may grow and that no package keeps state.
//
// It reads the folders that `go list` names and the syntax of every file in
// them, whatever its build tags, so the rules hold on every platform. Its tests
// run the rules on the module itself; small fixtures show that each rule can fail.
package arch

import (
	"bytes"
	"encoding/json"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
)

// Module is the parsed source of a module.
type Module struct {
	Path     string // import path of its root
	Packages []Package
}

// Package is one folder of a module: its package and that package's tests.
type Package struct {
	Dir   string // relative to the module's root, with slashes; "." is the root
	Files []File
}

// File is a parsed source file.
type File struct {
	Name   string // relative to the module's root
	Test   bool   // *_test.go
	Syntax *ast.File

	set *token.FileSet
}

// Finding is a broken rule.
type Finding struct {
	Rule string // name of the rule
	At   string // file:line, or the folder of a package
	Text string // what is wrong, and what to do
}

// String returns the finding on one line.
func (f Finding) String() string { return fmt.Sprintf("%s: %s (%s)", f.At, f.Text, f.Rule) }

// Load reads the module whose root is the folder root.
func Load(root string) (*Module, error) {
	cmd := exec.Command("go", "list", "-e", "-json=Dir,Module", "./...")
	cmd.Dir = root
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("go list: %w", err)
	}
	m := &Module{}
	for dec := json.NewDecoder(bytes.NewReader(out)); dec.More(); {
		var listed struct {
			Dir    string
			Module struct{ Path, Dir string }
		}
		if err := dec.Decode(&listed); err != nil {
			return nil, fmt.Errorf("read the list: %w", err)
		}
		dir, err := filepath.Rel(listed.Module.Dir, listed.Dir)
		if err != nil {
			return nil, fmt.Errorf("place %s: %w", listed.Dir, err)
		}
		m.Path = listed.Module.Path
		m.Packages = append(m.Packages, Package{Dir: filepath.ToSlash(dir)})
	}
	return m, m.parseAll(root)
}

// parseAll fills the packages, each in its own goroutine.
func (m *Module) parseAll(root string) error {
	errs := make([]error, len(m.Packages))
	var wg sync.WaitGroup
	for i := range m.Packages {
		wg.Go(func() { errs[i] = m.Packages[i].parse(root) })
	}
	wg.Wait()
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

func (p *Package) parse(root string) error {
	names, err := filepath.Glob(filepath.Join(root, filepath.FromSlash(p.Dir), "*.go"))
	if err != nil {
		return fmt.Errorf("list %s: %w", p.Dir, err)
	}
	for _, name := range names {
		source, err := os.ReadFile(name)
		if err != nil {
			return fmt.Errorf("read the source: %w", err)
		}
		file, err := parseFile(p.Dir+"/"+filepath.Base(name), source)
		if err != nil {
			return err
		}
		p.Files = append(p.Files, file)
	}
	return nil
}

func parseFile(name string, source []byte) (File, error) {
	set := token.NewFileSet()
	tree, err := parser.ParseFile(set, name, source, parser.ParseComments)
	if err != nil {
		return File{}, fmt.Errorf("parse: %w", err)
	}
	return File{Name: name, Test: strings.HasSuffix(name, "_test.go"), Syntax: tree, set: set}, nil
}

// line returns the line of a position.
func (f File) line(p token.Pos) int { return f.set.Position(p).Line }

// lines returns how many lines a piece of syntax takes.
func (f File) lines(n ast.Node) int { return f.line(n.End()) - f.line(n.Pos()) + 1 }

// finding blames a piece of syntax; the rule's name is filled in by Check.
func (f File) finding(at token.Pos, format string, args ...any) Finding {
	return Finding{At: fmt.Sprintf("%s:%d", f.Name, f.line(at)), Text: fmt.Sprintf(format, args...)}
}

// generated reports whether a file says that it must not be edited.
func (f File) generated() bool { return ast.IsGenerated(f.Syntax) }

// source returns the files that are neither tests nor generated.
func (p Package) source() []File {
	var files []File
	for _, f := range p.Files {
		if !f.Test && !f.generated() {
			files = append(files, f)
		}
	}
	return files
}

// command reports whether the package is a program.
func (p Package) command() bool {
	return len(p.Files) > 0 && p.Files[0].Syntax.Name.Name == "main"
}
