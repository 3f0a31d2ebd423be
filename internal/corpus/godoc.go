package corpus

import (
	"fmt"
	"go/ast"
	"go/build"
	"go/doc"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
)

// GoRoot returns the folder of the Go installation: the GOROOT that the
// environment or the go command names.
func GoRoot() (string, error) {
	root := os.Getenv("GOROOT")
	if root == "" {
		out, err := exec.Command("go", "env", "GOROOT").Output()
		if err != nil {
			return "", fmt.Errorf("find the Go installation: %w; install Go, or set GOROOT to its folder", err)
		}
		root = strings.TrimSpace(string(out))
	}
	if _, err := os.Stat(filepath.Join(root, "src", "fmt")); err != nil { //nolint:gosec // the user's own Go
		return "", fmt.Errorf("GOROOT %s holds no Go sources: %w; set GOROOT to the folder of a Go installation", root, err)
	}
	return root, nil
}

// Godoc reads the doc comments of the Go standard library under root (see
// [GoRoot]), one document for each documented symbol, in the order of import
// paths and, in a package, of constants, variables, functions and types. The id
// is the import path and the symbol ("bufio.Scanner.Scan"), the metadata holds
// package, kind (const, var, func, type, method) and symbol. Packages named
// internal, vendor or cmd are left out. A group of constants is one document
// under the name of its first.
//
// The packages are parsed on all cores, as Linux on amd64 sees them, whatever
// the machine; those that are not built there are read whole.
func Godoc(root string) Documents {
	src := filepath.Join(root, "src")
	packages, err := findPackages(src)
	if err != nil {
		return one(fmt.Errorf("read Go sources: %w", err))
	}
	return func(yield func(Document, error) bool) {
		results, stop := parseAll(src, packages)
		defer stop()
		for _, result := range results {
			read := <-result
			if read.err != nil {
				yield(Document{}, read.err)
				return
			}
			for _, d := range read.docs {
				if !yield(d, nil) {
					return
				}
			}
		}
	}
}

// findPackages lists the folders under src that may hold a package, as slashed
// import paths in lexical order.
func findPackages(src string) ([]string, error) {
	var paths []string
	err := filepath.WalkDir(src, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.IsDir() || path == src {
			return err
		}
		switch d.Name() {
		case "internal", "vendor", "cmd", "testdata":
			return filepath.SkipDir
		}
		rel, err := filepath.Rel(src, path)
		paths = append(paths, filepath.ToSlash(rel))
		return err
	})
	return paths, err
}

type parsed struct {
	docs []Document
	err  error
}

// parseAll reads the packages in parallel. Each result comes on its own
// channel, so that they can be taken in order. The returned stop ends the work
// and waits for it.
func parseAll(src string, packages []string) (results []chan parsed, stop func()) {
	results = make([]chan parsed, len(packages))
	for i := range results {
		results[i] = make(chan parsed, 1)
	}
	var wg sync.WaitGroup
	next, quit := make(chan int), make(chan struct{})
	for range min(runtime.GOMAXPROCS(0), len(packages)) {
		wg.Go(func() {
			for i := range next {
				docs, err := readPackage(src, packages[i])
				results[i] <- parsed{docs, err}
			}
		})
	}
	wg.Go(func() {
		defer close(next)
		for i := range packages {
			select {
			case next <- i:
			case <-quit:
				return
			}
		}
	})
	return results, func() { close(quit); wg.Wait() }
}

// readPackage returns the documents of one package; none where the folder holds
// no library.
func readPackage(src, path string) ([]Document, error) {
	dir := filepath.Join(src, filepath.FromSlash(path))
	names, err := goFiles(dir)
	if err != nil {
		return nil, err
	}
	fset := token.NewFileSet()
	var files []*ast.File
	for _, name := range names {
		f, err := parser.ParseFile(fset, filepath.Join(dir, name), nil, parser.ParseComments|parser.SkipObjectResolution)
		if err != nil {
			return nil, fmt.Errorf("parse Go source: %w", err)
		}
		if f.Name.Name != "main" && f.Name.Name != "documentation" {
			files = append(files, f)
		}
	}
	if len(files) == 0 {
		return nil, nil
	}
	mode := doc.Mode(0)
	if path == "builtin" {
		mode = doc.AllDecls // its lower-case names are what it documents
	}
	p, err := doc.NewFromFiles(fset, files, path, mode)
	if err != nil {
		return nil, fmt.Errorf("read doc comments of %s: %w", path, err)
	}
	return (&symbols{path: path, fset: fset, seen: map[string]bool{}}).ofPackage(p), nil
}

// goFiles lists the files of the package in dir as Linux on amd64 builds it, or
// all of them if it is not built there.
func goFiles(dir string) ([]string, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	platform := build.Default
	platform.GOOS, platform.GOARCH, platform.CgoEnabled = "linux", "amd64", true
	var all, built []string
	for _, e := range entries {
		name := e.Name()
		if e.IsDir() || !strings.HasSuffix(name, ".go") || strings.HasSuffix(name, "_test.go") {
			continue
		}
		all = append(all, name)
		if ok, err := platform.MatchFile(dir, name); err == nil && ok {
			built = append(built, name)
		}
	}
	if len(built) == 0 {
		return all, nil
	}
	return built, nil
}

// symbolMeta is the metadata of a documented symbol.
type symbolMeta struct {
	Package string `json:"package"`
	Kind    string `json:"kind"`
	Symbol  string `json:"symbol"`
}
