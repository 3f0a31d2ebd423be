package corpus

import (
	"bytes"
	"strconv"
	"strings"
	"unicode"

	"github.com/yuin/goldmark"
	"github.com/yuin/goldmark/ast"
	"github.com/yuin/goldmark/extension"
	"github.com/yuin/goldmark/text"
)

// block is a top-level block of a document: src[start:end], up to the next one.
type block struct {
	start, end int
	level      int    // of a heading, from 1; else 0
	heading    string // its text
	code       bool   // a code block, which is split as a last resort
}

// chunk is a passage of a file.
type chunk struct {
	anchor string // unique in the file, and stable while its heading stays
	title  string // the headings above it, outermost first; empty: none
	body   string
	line   int // where the body starts, from 1
}

// chunkMarkdown cuts a Markdown file into chunks: never across a heading, at
// most maxChunk bytes unless a code block is longer.
func chunkMarkdown(src []byte) []chunk {
	p := packer{src: src, slugs: map[string]int{}}
	p.section("top")
	for _, b := range markdownBlocks(src) {
		if b.level > 0 {
			p.heading(b)
			continue
		}
		p.add(b)
	}
	p.flush()
	return p.chunks
}

// markdownBlocks lists the top-level blocks behind the front matter.
func markdownBlocks(src []byte) []block {
	skip := frontMatter(src)
	parser := goldmark.New(goldmark.WithExtensions(extension.Table)).Parser()
	root := parser.Parse(text.NewReader(src[skip:]))
	var blocks []block
	for n := root.FirstChild(); n != nil; n = n.NextSibling() {
		start := n.Pos()
		if start < 0 {
			continue
		}
		start = bytes.LastIndexByte(src[:skip+start], '\n') + 1 // an indented block starts in mid-line
		b := block{start: start, end: len(src)}
		switch n := n.(type) {
		case *ast.Heading:
			b.level, b.heading = n.Level, plainText(n, src[skip:])
		case *ast.FencedCodeBlock, *ast.CodeBlock:
			b.code = true
		}
		if last := len(blocks) - 1; last >= 0 {
			blocks[last].end = start
		}
		blocks = append(blocks, b)
	}
	return blocks
}

// frontMatter returns the length of a leading block between lines of "---", or 0.
func frontMatter(src []byte) int {
	first, rest, _ := bytes.Cut(src, []byte("\n"))
	if string(bytes.TrimRight(first, "\r ")) != "---" {
		return 0
	}
	at := len(src) - len(rest)
	for len(rest) > 0 {
		line, more, _ := bytes.Cut(rest, []byte("\n"))
		at += len(rest) - len(more)
		if string(bytes.TrimRight(line, "\r ")) == "---" {
			return at
		}
		rest = more
	}
	return 0
}

// plainText returns the text of a heading without its markup.
func plainText(n ast.Node, src []byte) string {
	var b strings.Builder
	_ = ast.Walk(n, func(n ast.Node, entering bool) (ast.WalkStatus, error) {
		if entering {
			switch n := n.(type) {
			case *ast.Text:
				b.Write(n.Segment.Value(src))
			case *ast.String:
				b.Write(n.Value)
			}
		}
		return ast.WalkContinue, nil
	})
	return strings.TrimSpace(b.String())
}

// slug makes an anchor of a heading, as GitHub does.
func slug(heading string) string {
	var b strings.Builder
	for _, r := range strings.ToLower(heading) {
		switch {
		case unicode.IsLetter(r), unicode.IsDigit(r), r == '-', r == '_':
			b.WriteRune(r)
		case r == ' ':
			b.WriteByte('-')
		}
	}
	if b.Len() == 0 {
		return "section"
	}
	return b.String()
}

// chunkText cuts a plain text into chunks of whole paragraphs.
func chunkText(src []byte) []chunk {
	p := packer{src: src, byLine: true}
	at := 0
	for at < len(src) {
		end := len(src)
		if i := bytes.Index(src[at:], []byte("\n\n")); i >= 0 {
			end = at + i + 2
		}
		p.add(block{start: at, end: end})
		at = end
	}
	p.flush()
	return p.chunks
}

func lineAnchor(line int) string { return "L" + strconv.Itoa(line) }
