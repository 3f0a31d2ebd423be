package corpus

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// write creates files below a new folder.
func write(t *testing.T, files map[string]string) string {
	t.Helper()
	root := t.TempDir()
	for name, content := range files {
		path := filepath.Join(root, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(path), 0o750); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return root
}

func TestDir_yieldsPassagesWithPlace(t *testing.T) {
	root := write(t, map[string]string{
		"guide/setup.md": "# Setup\r\n\r\nRead this.\r\n\r\n## Install\r\n\r\nRun it.\r\n",
		"notes.txt":      "\ufeff\r\n\r\nfirst\r\n\r\n" + strings.Repeat("x", maxChunk) + "\r\n",
	})
	got, _, _ := collect(t, Dir(root))
	want := []Document{
		{ID: "guide/setup.md#setup", Text: "Setup\n\nRead this.", Meta: []byte(`{"path":"guide/setup.md","line":3,"title":"Setup"}`), Path: "guide/setup.md", Line: 3},
		{ID: "guide/setup.md#install", Text: "Setup > Install\n\nRun it.", Meta: []byte(`{"path":"guide/setup.md","line":7,"title":"Setup > Install"}`), Path: "guide/setup.md", Line: 7},
		{ID: "notes.txt#L3", Text: "first", Meta: []byte(`{"path":"notes.txt","line":3,"title":"notes.txt"}`), Path: "notes.txt", Line: 3},
		{ID: "notes.txt#L5", Text: strings.Repeat("x", maxChunk), Meta: []byte(`{"path":"notes.txt","line":5,"title":"notes.txt"}`), Path: "notes.txt", Line: 5},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Fatalf("(-want +got):\n%s", diff)
	}
	stopsEarly(t, Dir(root))
}

func TestDir_skipsVisibly(t *testing.T) {
	root := write(t, map[string]string{
		"a.md":           "text",
		"b.md":           "bin\x00ary",
		"c.md":           "\xff\xfe",
		"d.txt":          strings.Repeat("x", maxFile+1),
		"e.go":           "package e",
		".git/config.md": "hidden",
	})
	outside := write(t, map[string]string{"secret.md": "secret"})
	for link, target := range map[string]string{
		"f": root, "g.md": filepath.Join(outside, "secret.md"), "h.md": "nowhere", "i.md": "a.md",
	} {
		if err := os.Symlink(target, filepath.Join(root, link)); err != nil {
			t.Skipf("no symbolic links here: %v", err)
		}
	}
	docs, _, skipped := collect(t, Dir(root))
	if len(docs) != 1 || docs[0].ID != "a.md#top" {
		t.Errorf("documents %v, want a.md#top alone", docs)
	}
	var got []string
	for _, s := range skipped {
		got = append(got, s.Error())
	}
	want := []string{
		".git: skipped: hidden",
		"b.md: skipped: binary, or not UTF-8",
		"c.md: skipped: binary, or not UTF-8",
		"d.txt: skipped: larger than 10 MiB",
		"e.go: skipped: not Markdown or text",
		"f: skipped: a link to what has been read",
		"g.md: skipped: a link that leads outside",
		"h.md: skipped: a link that leads nowhere",
		"i.md: skipped: a link to what has been read",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Fatalf("(-want +got):\n%s", diff)
	}
}

func TestDir_missing(t *testing.T) {
	for _, err := range Dir(filepath.Join(t.TempDir(), "none")) {
		if !os.IsNotExist(err) {
			t.Fatalf("got %v, want not exist", err)
		}
	}
}
