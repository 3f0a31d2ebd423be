package arch

import (
	"maps"
	"os/exec"
	"path"
	"slices"
	"strings"
	"testing"
)

// TestModule_keepsTheRules is what this package is for.
func TestModule_keepsTheRules(t *testing.T) {
	m, err := Load("../..")
	if err != nil {
		t.Fatal(err)
	}
	if len(m.Packages) < 5 {
		t.Fatalf("found only %d packages", len(m.Packages))
	}
	for _, name := range Rules() {
		t.Run(name, func(t *testing.T) {
			for _, f := range m.Check(name) {
				t.Error(f)
			}
		})
	}
}

// TestLibrary_linksNoDatabaseSDK: who embeds the router with the local or the
// remote store links no engine's client, no web framework and no command line.
func TestLibrary_linksNoDatabaseSDK(t *testing.T) {
	m, err := Load("../..")
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), "go", "list", "-deps")
	for _, dir := range []string{"router", "adapters/local", "adapters/remote", "embed/static", "llm/extract"} {
		if slices.ContainsFunc(m.Packages, func(p Package) bool { return p.Dir == dir }) {
			cmd.Args = append(cmd.Args, "./"+dir)
		}
	}
	if len(cmd.Args) == 3 {
		t.Fatal("none of the packages exists")
	}
	cmd.Dir = "../.."
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	for dep := range strings.Lines(string(out)) {
		for _, sdk := range []string{"qdrant", "milvus", "weaviate", "jackc/pgx", "google.golang.org/grpc", "huma", "spf13", "k8s.io/"} {
			if strings.Contains(dep, sdk) {
				t.Errorf("the library links %s", dep)
			}
		}
	}
}

// fixture builds a module from the text of its files.
func fixture(t *testing.T, files map[string]string) *Module {
	t.Helper()
	m := &Module{Path: "example.org/m"}
	dirs := map[string]*Package{}
	for _, name := range slices.Sorted(maps.Keys(files)) {
		f, err := parseFile(name, []byte(files[name]))
		if err != nil {
			t.Fatal(err)
		}
		dir := path.Dir(name)
		if dirs[dir] == nil {
			dirs[dir] = &Package{Dir: dir}
		}
		dirs[dir].Files = append(dirs[dir].Files, f)
	}
	for _, dir := range slices.Sorted(maps.Keys(dirs)) {
		m.Packages = append(m.Packages, *dirs[dir])
	}
	return m
}

// rulecase is a module of one or two files and the finding that a rule must
// make, or "" where it must find nothing.
type rulecase struct {
	rule, file, source, want string
}

func (c rulecase) run(t *testing.T) {
	t.Helper()
	found := fixture(t, map[string]string{c.file: c.source}).Check(c.rule)
	switch {
	case c.want == "" && len(found) > 0:
		t.Errorf("%s %s: %.80q\nfound %v, want nothing", c.rule, c.file, c.source, found)
	case c.want != "" && (len(found) != 1 || !strings.Contains(found[0].String(), c.want)):
		t.Errorf("%s %s: %.80q\nfound %v, want one about %q", c.rule, c.file, c.source, found, c.want)
	}
}

func importing(paths ...string) string {
	text := "package p\n"
	for _, p := range paths {
		text += "import _ \"example.org/m/" + p + "\"\n"
	}
	return text
}

func TestImports(t *testing.T) {
	for _, c := range []rulecase{
		{"imports", "fault/a.go", importing("search"), "fault must not import search"},
		{"imports", "fault/a.go", importing("internal/x"), "fault must not import internal/x"},
		{"imports", "balance/a.go", importing("search"), "balance must not import search"},
		{"imports", "balance/a.go", importing("fault", "internal/x"), ""},
		{"imports", "router/a.go", importing("search", "balance", "shardmap", "merge", "embed", "llm", "rerank", "fault"), ""},
		{"imports", "router/a.go", importing("embed/static"), "router must not import embed/static"},
		{"imports", "router/a.go", importing("llm/openai"), "router must not import llm/openai"},
		{"imports", "router/a.go", importing("search/wire"), "router must not import search/wire"},
		{"imports", "router/a.go", importing("adapters/local"), "router must not import adapters/local"},
		{"imports", "router/a.go", importing("httpapi"), "router must not import httpapi"},
		{"imports", "router/a_test.go", importing("adapters/local"), ""},
		{"imports", "adapters/qdrant/a.go", importing("search", "search/wire", "fault"), ""},
		{"imports", "adapters/qdrant/a.go", importing("adapters/milvus"), "adapters/qdrant must not import adapters/milvus"},
		{"imports", "embed/openai/a.go", importing("embed", "fault", "internal/sse"), ""},
		{"imports", "embed/openai/a.go", importing("embed/static"), "must not import embed/static"},
		{"imports", "httpapi/a.go", importing("adapters/remote"), "httpapi must not import adapters/remote"},
		{"imports", "config/a.go", importing("adapters/qdrant", "embed/tei", "llm/openai", "httpapi", "router"), ""},
		{"imports", "config/a.go", importing("cmd/lanewise/demo"), "config must not import cmd"},
		{"imports", "cmd/lanewise/a.go", importing("cmd/lanewise/demo", "config", "adapters/local"), ""},
		{"imports", "examples/rag/a.go", importing("router", "adapters/local"), ""},
		{"imports", "internal/x/a.go", importing("router"), "internal/x must not import router"},
		{"imports", "surprise/a.go", importing(), "not in the table"},
		{"root", "./a.go", "package m", "holds no Go code"},
	} {
		c.run(t)
	}
}

func TestNames(t *testing.T) {
	const doc = "// Package p is a fixture.\npackage p\n"
	for _, c := range []rulecase{
		{"docs", "p/a.go", "package p", "no comment"},
		{"docs", "p/a.go", doc + "type T int", "T has no comment"},
		{"docs", "p/a.go", doc + "type t int\nfunc (t) M() {}", ""},
		{"docs", "p/a.go", doc + "// T is.\ntype T int\nfunc (*T) M() {}", "M has no comment"},
		{"docs", "p/a.go", doc + "// T is.\ntype T[A any] struct{ f A }\nfunc (*T[A]) M() {}", "M has no comment"},
		{"docs", "p/a.go", doc + "func F() {}", "F has no comment"},
		{"docs", "p/a.go", doc + "const C = 1", "C has no comment"},
		{"docs", "p/a.go", doc + "// The constants.\nconst (\nC = 1\nD = 2)", ""},
		{"docs", "p/a.go", doc + "const C = 1 // once", ""},
		{"docs", "p/a_test.go", "package p\nfunc F() {}", ""},
		{"words", "p/a.go", "package p\ntype NodeList int", `"node"`},
		{"words", "p/a.go", "package p\nfunc ParseHosts() {}", `"host"`},
		{"words", "p/a.go", "package p\ntype T struct { HTTPHelper int }", `"helper"`},
		{"words", "p/a.go", "package p\ntype T interface { Worker2() }", `"worker"`},
		{"words", "p/a.go", "package util", `"util"`},
		{"words", "p/a.go", "package p\ntype nodeList int\nfunc Denoted() {}\ntype Ghost int", ""},
		{"exported", "p/a.go", "package p" + strings.Repeat("\nfunc F() {}", 41), "41 exported names"},
		{"exported", "p/a.go", "package p\ntype T int\nconst (\nA T = iota" + strings.Repeat("\nB", 60) + ")", ""},
		{"exported", "p/a.go", "package p\nconst (\nA = iota" + strings.Repeat("\nB", 60) + ")", "61 exported names"},
		{"examples", "p/a.go", "package p", "no runnable example"},
		{"examples", "p/a.go", "package main", ""},
		{"examples", "internal/p/a.go", "package p", ""},
		{"examples", "p/a.go", "package p\nimport \"testing\"\nfunc Run(t *testing.T) {}", ""},
	} {
		c.run(t)
	}
	for _, example := range []string{"func Example() {\n// Output: 1\n}", "func ExampleT_m() {\n// Unordered output:\n// 1\n}"} {
		m := fixture(t, map[string]string{"p/a.go": "package p", "p/a_test.go": "package p_test\n" + example})
		if found := m.Check("examples"); len(found) != 0 {
			t.Errorf("%s: %v", example, found)
		}
	}
	m := fixture(t, map[string]string{"p/a.go": "package p", "p/a_test.go": "package p_test\nfunc Example() {}"})
	if found := m.Check("examples"); len(found) != 1 {
		t.Errorf("an example without output passes for runnable: %v", found)
	}
}

func TestSizes(t *testing.T) {
	body := func(n int) string { return "package p\nfunc f() {" + strings.Repeat("\n", n-1) + "}" }
	for _, c := range []rulecase{
		{"functions", "p/a.go", body(70), ""},
		{"functions", "p/a.go", body(71), "71 lines"},
		{"functions", "p/a_test.go", body(300), ""},
		{"files", "p/a.go", "package p" + strings.Repeat("\n", 400), ""},
		{"files", "p/a.go", "package p" + strings.Repeat("\n", 401), "401 lines"},
		{"files", "p/a_test.go", "package p" + strings.Repeat("\n", 700), ""},
		{"files", "p/a.go", "// Code generated by x. DO NOT EDIT.\n\npackage p" + strings.Repeat("\n", 900), ""},
		{"parameters", "p/a.go", "package p\nfunc f(a, b, c, d int) {}", ""},
		{"parameters", "p/a.go", "package p\nfunc f(a, b, c, d int, e string) {}", "f takes 5"},
		{"parameters", "p/a.go", "package p\ntype T interface { M(int, int, int, int, int) }", "M takes 5"},
		{"parameters", "p/a.go", "package p\ntype T interface { error; M(int) }", ""},
		{"sleep", "p/a_test.go", "package p\nimport \"time\"\nfunc f() { time.Sleep(1) }", "do not sleep"},
		{"sleep", "p/a.go", "package p\nimport \"time\"\nfunc f() { time.Sleep(1) }", ""},
	} {
		c.run(t)
	}
}

func TestState(t *testing.T) {
	for source, want := range map[string]string{
		"func init() {}":                  "no init functions",
		"type T int\nfunc (T) init() {}":  "",
		"var x int":                       "x is package-level state",
		"var x sync.Mutex":                "x is package-level state",
		"var x = sync.Mutex{}":            "x is package-level state",
		"var x = &T{}":                    "x is package-level state",
		"var x = make(map[string]int)":    "x is package-level state",
		"var x = flag.String(``, ``, ``)": "x is package-level state",
		"var x = 3":                       "x is package-level state",
		"var errX = errors.New(`x`)":      "",
		"var errX = fault.New(`x`)":       "",
		"var _ I = (*T)(nil)":             "",
		"//go:embed x.txt\nvar x string":  "",
		"var x = [...]int{1, 2}":          "",
		"var x = []byte(`abc`)":           "",
		"var x = map[string]int{`a`: 1}\nfunc f() int { return x[`a`] }":   "",
		"var x = map[string]int{`a`: 1}\nfunc f() { x[`a`] = 2 }":          "x is package-level and must not change",
		"var x = [...]int{1, 2}\nfunc f() { x[0]++ }":                      "x is package-level and must not change",
		"var x = [...]T{{}}\nfunc f() { x[0].a.b = 1 }":                    "x is package-level and must not change",
		"var x = [...]int{1, 2}\nfunc f() { use(&x) }":                     "x is package-level and must not change",
		"var x = [...]int{1, 2}\nfunc f() { x := []int{1}; x[0] = 2 }":     "",
		"var x = [...]int{1, 2}\nfunc f(x []int) { x[0] = 2 }":             "",
		"var x = table()\nfunc table() [256]byte { return [256]byte{} }":   "",
		"var x = build()\nfunc build() *T { return nil }":                  "x is package-level state",
		"var x = sync.OnceValue(func() []float32 { return []float32{1} })": "",
	} {
		rule := "state"
		if strings.Contains(source, "init()") {
			rule = "init"
		}
		rulecase{rule, "p/a.go", "package p\n" + source, want}.run(t)
	}
}

func TestSplit(t *testing.T) {
	for name, want := range map[string]string{
		"NodeList": "node list", "HTTPNodes": "http nodes", "Worker2": "worker 2", "parseURL": "parse url",
		"MAX_HOSTS": "max hosts", "Ghost": "ghost", "A": "a", "ByID": "by id",
	} {
		if got := strings.Join(slices.DeleteFunc(split(name), func(s string) bool { return s == "" }), " "); got != want {
			t.Errorf("split(%s) = %q, want %q", name, got, want)
		}
	}
}
