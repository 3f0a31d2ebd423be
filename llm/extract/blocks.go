package extract

import (
	"regexp"
	"strings"
	"unicode"
	"unicode/utf8"
)

// kind is what a block of a text is.
type kind int

const (
	prose kind = iota
	item       // of a list
	code       // also a table, a declaration
	title
)

// block is a paragraph, an item of a list, a heading or a piece of code. Prose
// and items are on one line.
type block struct {
	kind kind
	text string
}

var (
	bullet      = regexp.MustCompile(`^\s*(?:[-*•]|\d{1,3}[.)])\s+`)
	declaration = regexp.MustCompile(`^(?:func|type|var|const|package|import|class|def|interface|struct)\b`)
)

// parser collects lines into blocks.
type parser struct {
	blocks []block
	open   *block // the block that the next line may continue; nil: none
	fence  string // that a code block is within; empty: none
}

// blocks divides a text as Markdown and Go's doc comments do: by blank lines,
// list markers, headings, indentation and fences.
func blocks(text string) []block {
	var p parser
	for line := range strings.Lines(text) {
		p.line(strings.TrimRight(line, " \t\r\n"))
	}
	for i := range p.blocks {
		b := &p.blocks[i]
		switch {
		case b.kind == prose && i == 0 && len(p.blocks) > 1 && !ends(b.text) && len(b.text) < 200:
			b.kind = title
		case b.kind == prose && looksLikeCode(b.text):
			b.kind = code
		}
	}
	return p.blocks
}

// line adds a line, which has no white space at its end.
func (p *parser) line(line string) {
	bare := strings.TrimLeft(line, " \t")
	indented := strings.HasPrefix(line, "\t") || strings.HasPrefix(line, "    ")
	switch {
	case p.fence != "":
		p.continueFence(bare)
	case strings.HasPrefix(bare, "```") || strings.HasPrefix(bare, "~~~"):
		p.fence = bare[:3]
		p.begin(code, "")
	case bare == "":
		p.open = nil
	case strings.HasPrefix(bare, "|"):
		p.add(code, bare)
	case bullet.MatchString(line):
		p.begin(item, strings.TrimSpace(bullet.ReplaceAllString(line, "")))
	case indented && (p.open == nil || p.open.kind == code):
		p.add(code, bare)
	case strings.HasPrefix(bare, "#"):
		p.begin(title, strings.TrimSpace(strings.Trim(bare, "#")))
		p.open = nil
	default:
		p.add(prose, strings.TrimSpace(strings.TrimLeft(bare, ">")))
	}
}

func (p *parser) continueFence(bare string) {
	if strings.HasPrefix(bare, p.fence) {
		p.fence, p.open = "", nil
		return
	}
	p.add(code, bare)
}

// add continues the open block, or begins one. Prose continues a list's item too.
func (p *parser) add(k kind, line string) {
	continues := p.open != nil && (p.open.kind == k || k == prose && p.open.kind == item)
	if !continues {
		p.begin(k, line)
		return
	}
	p.open.text = strings.TrimSpace(p.open.text + " " + strings.Join(strings.Fields(line), " "))
}

func (p *parser) begin(k kind, line string) {
	p.blocks = append(p.blocks, block{k, strings.Join(strings.Fields(line), " ")})
	p.open = &p.blocks[len(p.blocks)-1]
}

// ends reports whether text ends as a sentence does, closing marks aside.
func ends(text string) bool {
	text = strings.TrimRightFunc(text, closing)
	r, _ := utf8.DecodeLastRuneInString(text)
	return terminal(r) || r == ':'
}

// looksLikeCode reports whether a paragraph is a declaration, or has more signs
// than prose has.
func looksLikeCode(text string) bool {
	if declaration.MatchString(text) && strings.ContainsAny(text, "({=") {
		return true
	}
	if ends(text) {
		return false
	}
	signs := 0
	for _, r := range text {
		if strings.ContainsRune("(){}[]<>=;|&*\\_$^", r) {
			signs++
		}
	}
	return declaration.MatchString(text) || signs*8 > len(text)
}

// terminal reports whether a sentence may end with r.
func terminal(r rune) bool { return r == '.' || r == '!' || r == '?' || r == '…' || wide(r) }

// wide reports whether r ends a sentence even without a space behind it.
func wide(r rune) bool { return r == '。' || r == '！' || r == '？' || r == '｡' }

// closing reports whether r may stand between the end of a sentence and the space.
func closing(r rune) bool {
	return strings.ContainsRune("\"'`)]}*_»”’", r) || unicode.Is(unicode.Pe, r)
}
