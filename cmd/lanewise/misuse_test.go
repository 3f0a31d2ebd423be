package main

import (
	"path/filepath"
	"strings"
	"testing"
)

func TestUsage_exitsWith2(t *testing.T) {
	for _, args := range [][]string{
		{"serch"}, {"search"}, {"search", ""}, {"search", "x", "--no-such-flag"}, {"search", "x", "--filter", "{"},
		{"ingest"}, {"ingest", "--godoc", "dir"}, {"ingest", "a", "b"}, {"ingest", "--batch", "0", "x"},
		{"search", "x", "--url", "http://x", "-c", "y"}, {"check"}, {"check", "a", "-c", "b"}, {"version", "x"},
		{"search", "x", "-k", "many"}, {"search", "x", "-k", "0"}, {"ask", "x", "--timeout", "1us"}, {"apply"}, {"backup"},
		{"lanes", "drain"}, {"lanes", "weight", "s0/r0"}, {"keys", "list"}, {"keys", "add", "x"}, {"bench", "compare", "a"}, {"serve", "-c", "x", "--data", "y"}, {"demo", "x"},
	} {
		got := world{}.run(t, args...)
		got.want(t, exitUsage, "lanewise: ", "see: lanewise")
		if got.out != "" {
			t.Errorf("%q prints to standard output: %s", args, got.out)
		}
	}
}

func TestUsage_namesTheNearestCommand(t *testing.T) {
	world{}.run(t, "serch").want(t, exitUsage, `unknown command "serch"; did you mean serve or search?`)
}

func TestIngest_takesOneTextFile(t *testing.T) {
	w := serving(t)
	dir := folder(t, map[string]string{"cats.md": "# Cats\n\nA cat sleeps.\n", "dogs.md": "A dog runs.\n"})
	w.run(t, "ingest", filepath.Join(dir, "cats.md")).want(t, exitOK, "1 document ")
	w.run(t, "search", "cats").want(t, exitOK, "cats.md#cats", "1 hit from")
}

// A file of another kind has nothing but bad lines, which are not all worth a line.
func TestIngest_namesTheFirstBadLines(t *testing.T) {
	file := filepath.Join(folder(t, map[string]string{"x.pdf": strings.Repeat("%PDF\n", 50)}), "x.pdf")
	got := world{}.run(t, "ingest", file)
	got.want(t, exitFailure, "x.pdf:20: ", "bad: 50 documents", "the first 20 of them; --verbose names all")
	if strings.Contains(got.errOut, "x.pdf:21") {
		t.Errorf("the 21st bad line is named, too:\n%s", got.errOut)
	}
	world{}.run(t, "ingest", "-v", file).want(t, exitFailure, "x.pdf:50: ")
}

func TestApply_refusesWhatIsNoPlan(t *testing.T) {
	file := filepath.Join(folder(t, map[string]string{"plan.md": "# Plan\n"}), "plan.md")
	world{}.run(t, "apply", file, "-c", "new.yaml").want(t, exitFailure, "plan.md is no plan: make one with lanewise plan -o")
}

// What is missing is not always a collection.
func TestAdvise_isAboutCollectionsOnly(t *testing.T) {
	got := serving(t).run(t, "lanes", "drain", "s9/r9")
	got.want(t, exitFailure, "there is no lane of that name")
	if strings.Contains(got.errOut, "lanewise ingest") {
		t.Errorf("a lane is not created by ingest: %s", got.errOut)
	}
}
