package corpus

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
	"unicode/utf8"
)

// maxFile is the largest text file that is read, in bytes.
const maxFile = 10 << 20

// errStop ends a walk because the consumer of the sequence has had enough.
var errStop = errors.New("stop")

// IsText says whether [Dir] reads files of this name.
func IsText(name string) bool { return chunker(name) != nil }

// Dir reads the Markdown and text files under a folder (.md, .markdown, .mdx,
// .txt, .text, .rst, .adoc), or one such file, in lexical order, cut into passages of at most
// about 1,200 bytes: a Markdown file by its headings and paragraphs, code blocks
// kept whole; a text file by its paragraphs. The id is the path below the folder
// and an anchor ("guide/setup.md#install", "notes.txt#L12"); the metadata holds
// path, line (from 1) and title (the headings above the passage).
//
// A passage's text starts with its title. Links are followed inside the folder.
// What is hidden, binary, larger than 10 MiB, a link that leads outside or back,
// or another kind of file is yielded as [Skipped].
func Dir(root string) Documents {
	return func(yield func(Document, error) bool) {
		w := walker{yield: yield, seen: map[string]bool{}}
		err := w.begin(root)
		if err != nil && !errors.Is(err, errStop) {
			yield(Document{}, err)
		}
	}
}

// walker goes through a folder. Its root is free of links.
type walker struct {
	yield func(Document, error) bool
	root  string
	seen  map[string]bool // folders and files by their real path
}

func (w *walker) begin(root string) (err error) {
	if w.root, err = filepath.EvalSymlinks(root); err != nil {
		return err
	}
	if w.root, err = filepath.Abs(w.root); err != nil {
		return err
	}
	w.seen[w.root] = true
	if info, err := os.Stat(w.root); err == nil && !info.IsDir() {
		return w.file(w.root, filepath.Base(root))
	}
	return w.dir(w.root, "")
}

// dir reads the folder at the real path dir, which is called rel in ids.
func (w *walker) dir(dir, rel string) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return w.skip(rel, plainPath(err))
	}
	for _, e := range entries {
		if err := w.entry(dir, path.Join(rel, e.Name()), e); err != nil {
			return err
		}
	}
	return nil
}

func (w *walker) entry(dir, rel string, e fs.DirEntry) error {
	if strings.HasPrefix(e.Name(), ".") {
		return w.skip(rel, "hidden")
	}
	full, mode := filepath.Join(dir, e.Name()), e.Type()
	if mode&fs.ModeSymlink != 0 {
		var reason string
		if full, mode, reason = w.follow(full); reason != "" {
			return w.skip(rel, reason)
		}
	}
	if !mode.IsDir() && !mode.IsRegular() {
		return w.skip(rel, "not a file")
	}
	if w.seen[full] {
		return w.skip(rel, "a link to what has been read")
	}
	w.seen[full] = true
	if mode.IsDir() {
		return w.dir(full, rel)
	}
	return w.file(full, rel)
}

// follow resolves a link, or says why not.
func (w *walker) follow(link string) (full string, mode fs.FileMode, reason string) {
	full, err := filepath.EvalSymlinks(link)
	if err != nil {
		return "", 0, "a link that leads nowhere"
	}
	rel, err := filepath.Rel(w.root, full)
	if err != nil || !filepath.IsLocal(rel) {
		return "", 0, "a link that leads outside"
	}
	info, err := os.Stat(full)
	if err != nil {
		return "", 0, plainPath(err)
	}
	return full, info.Mode().Type(), ""
}

// file yields the passages of one file.
func (w *walker) file(full, rel string) error {
	cut := chunker(rel)
	if cut == nil {
		return w.skip(rel, "not Markdown or text")
	}
	src, reason := readText(full)
	if reason != "" {
		return w.skip(rel, reason)
	}
	for _, c := range cut(src) {
		if !w.yield(c.document(rel), nil) {
			return errStop
		}
	}
	return nil
}

func (w *walker) skip(rel, reason string) error {
	if !w.yield(Document{}, &Skipped{Path: rel, Reason: reason}) {
		return errStop
	}
	return nil
}

// chunker returns the function that cuts a file of this name, or nil.
func chunker(name string) func([]byte) []chunk {
	switch strings.ToLower(path.Ext(name)) {
	case ".md", ".markdown", ".mdx":
		return chunkMarkdown
	case ".txt", ".text", ".rst", ".adoc":
		return chunkText
	}
	return nil
}

// readText returns a file's text, or the reason why it is none.
func readText(full string) (src []byte, reason string) {
	info, err := os.Stat(full)
	if err != nil {
		return nil, plainPath(err)
	}
	if info.Size() > maxFile {
		return nil, fmt.Sprintf("larger than %d MiB", maxFile>>20)
	}
	src, err = os.ReadFile(full) //nolint:gosec // below the folder that the user names
	if err != nil {
		return nil, plainPath(err)
	}
	if bytes.IndexByte(src, 0) >= 0 || !utf8.Valid(src) {
		return nil, "binary, or not UTF-8"
	}
	src = bytes.TrimPrefix(src, []byte("\ufeff"))
	return bytes.ReplaceAll(src, []byte("\r\n"), []byte("\n")), ""
}

// plainPath returns what is wrong with a file, without its path.
func plainPath(err error) string {
	if p, ok := errors.AsType[*fs.PathError](err); ok {
		return p.Err.Error()
	}
	return err.Error()
}

// document makes the document of a passage of the file at rel.
func (c chunk) document(rel string) Document {
	text := c.body
	if c.title != "" {
		text = c.title + "\n\n" + c.body
	}
	title := c.title
	if title == "" {
		title = path.Base(rel)
	}
	meta := metadata(struct {
		Path  string `json:"path"`
		Line  int    `json:"line"`
		Title string `json:"title"`
	}{rel, c.line, title})
	return Document{ID: rel + "#" + c.anchor, Text: text, Meta: meta, Path: rel, Line: c.line}
}
