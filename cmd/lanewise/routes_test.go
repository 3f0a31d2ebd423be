package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const routesConfig = `shards: [{name: s0, replicas: [{path: data}]}]
llm:
  routes:
    - name: cooking
      examples: ["How long do I boil an egg?", "a recipe for tomato soup", "bake bread in the oven"]
      threshold: 0.45
      collection: recipes
    - name: go
      examples: ["How do I read a file line by line in Go?", "sort a slice of structs", "what does the compiler say"]
      threshold: 0.45
      model: extract
`

const routesQuestions = `{"text": "how long does an egg take to boil", "route": "cooking"}
{"text": "tomato sauce for pasta", "route": "cooking"}
{"text": "read lines of a file", "route": "go"}
{"text": "goroutine leak", "route": "go"}

{"text": "train to Paris", "route": ""}
`

// written puts files into a folder and returns their paths.
func written(t *testing.T, texts ...string) []string {
	t.Helper()
	dir := t.TempDir()
	paths := make([]string, len(texts))
	for i, text := range texts {
		paths[i] = filepath.Join(dir, string(rune('a'+i)))
		if err := os.WriteFile(paths[i], []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return paths
}

func TestRoutesTest_prints(t *testing.T) {
	at := written(t, routesConfig, routesQuestions)
	got := world{}.run(t, "routes", "test", at[1], "-c", at[0], "--min", "0.8")
	if got.code != exitOK || got.errOut != "" {
		t.Fatalf("%+v", got)
	}
	lines := strings.Join(strings.Fields(got.out), " ")
	for _, want := range []string{
		"4 of 5 questions sorted right: 80.0 %",
		"cooking 2 2 0 0 0.450", "go 2 1 1 0 0.450", "(none) 1 1 0 1",
		"should take cooking go (none) cooking 2 0 0 go 0 1 1 (none) 0 0 1",
		"line 4 should take go, takes (none): goroutine leak",
	} {
		if !strings.Contains(lines, want) {
			t.Errorf("does not print %q:\n%s", want, got.out)
		}
	}
	if _, err := os.Stat(filepath.Join(filepath.Dir(at[0]), "data")); err == nil {
		t.Error("a store was opened")
	}
}

func TestRoutesTest_figures(t *testing.T) {
	at := written(t, routesConfig, routesQuestions)
	got := world{}.run(t, "routes", "test", at[1], "-c", at[0], "--json")
	var f trialFigures
	if err := json.Unmarshal([]byte(got.out), &f); err != nil || got.code != exitOK {
		t.Fatalf("%v, %+v", err, got)
	}
	if f.Questions != 5 || f.Right != 4 || f.Accuracy != 0.8 || f.BestAccuracy < f.Accuracy || len(f.Routes) != 3 || f.Routes[1].Taken[""] != 1 {
		t.Errorf("%+v", f)
	}
}

func TestRoutesTest_fails(t *testing.T) {
	at := written(t, routesConfig, routesQuestions, `{"text": "x", "route": "cookin"}`, "shards: [{name: s0, replicas: [{path: data}]}]\n")
	for name, c := range map[string]struct {
		args []string
		code int
		want string
	}{
		"too few right": {[]string{at[1], "-c", at[0], "--min", "0.9"}, exitFailure, "80.0 % of the questions are sorted right, at least 90.0 % must be"},
		"unknown route": {[]string{at[2], "-c", at[0]}, exitFailure, `line 1: names the route "cookin"`},
		"no routes":     {[]string{at[1], "-c", at[3]}, exitFailure, "there are no semantic routes"},
		"no file":       {[]string{at[1] + "x", "-c", at[0]}, exitFailure, "no such file"},
		"no questions":  {[]string{"-c", at[0]}, exitUsage, "a file of questions"},
		"no config":     {[]string{at[1]}, exitUsage, "name one file of questions and a configuration"},
		"a wrong share": {[]string{at[1], "-c", at[0], "--min", "95"}, exitUsage, "between 0 and 1"},
	} {
		got := world{}.run(t, append([]string{"routes", "test"}, c.args...)...)
		if got.code != c.code || !strings.Contains(got.errOut, c.want) {
			t.Errorf("%s: %+v, want code %d and %q", name, got, c.code, c.want)
		}
	}
}
