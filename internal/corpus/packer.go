package corpus

import (
	"bytes"
	"fmt"
	"strings"
	"unicode/utf8"
)

const (
	maxChunk = 1200         // bytes of a chunk's body
	maxCode  = 4 * maxChunk // bytes of a code block that is still kept whole
)

// packer joins the blocks of a file to chunks.
type packer struct {
	src    []byte
	byLine bool // anchors are line numbers instead of slugs

	trail  []string       // the headings above, by level
	anchor string         // of the section
	part   int            // chunks of the section so far
	slugs  map[string]int // anchors in use, with the last number tried for each

	start, end int // of the chunk being packed; empty where equal
	counted    int // lines are counted up to here
	line       int // number of line ends before counted

	chunks []chunk
}

// heading ends a section and starts the next.
func (p *packer) heading(b block) {
	p.flush()
	for len(p.trail) < b.level {
		p.trail = append(p.trail, "")
	}
	p.trail = p.trail[:b.level]
	p.trail[b.level-1] = b.heading
	p.section(slug(b.heading))
}

// section names the chunks that follow. A name that came before gets a number.
func (p *packer) section(name string) {
	p.anchor, p.part = name, 0
	n, taken := p.slugs[name]
	for taken {
		n++
		p.anchor = fmt.Sprintf("%s-%d", name, n)
		_, taken = p.slugs[p.anchor]
	}
	p.slugs[p.anchor] = 0
	p.slugs[name] = n
}

// add puts a block into the current chunk, or into the next where it does not
// fit any more.
func (p *packer) add(b block) {
	size := len(bytes.TrimSpace(p.src[b.start:b.end]))
	limit := maxChunk
	if b.code {
		limit = maxCode
	}
	if p.end > p.start && p.end-p.start+size > maxChunk {
		p.flush()
	}
	if p.start == p.end {
		p.start = b.start
	}
	p.end = b.end
	if size <= limit {
		return
	}
	for at := b.start; at < b.end; {
		p.start, p.end = at, at+cut(p.src[at:b.end], b.code)
		at = p.end
		if at < b.end {
			p.flush()
		}
	}
}

// cut returns the length of the first part of a long block: at most maxChunk
// bytes, ending with a paragraph, a sentence, a line or a word, whichever comes
// first in this order in its second half.
func cut(b []byte, code bool) int {
	if len(b) <= maxChunk {
		return len(b)
	}
	ends := []string{"\n\n", ".\n", ". ", "\n", " "}
	if code {
		ends = []string{"\n\n", "\n"}
	}
	for _, end := range ends {
		if i := bytes.LastIndex(b[:maxChunk], []byte(end)); i >= maxChunk/2 {
			return i + len(end)
		}
	}
	n := maxChunk
	for n > maxChunk-utf8.UTFMax && !utf8.RuneStart(b[n]) {
		n--
	}
	return n
}

// flush ends the current chunk.
func (p *packer) flush() {
	raw := p.src[p.start:p.end]
	lead := len(raw) - len(bytes.TrimLeft(raw, "\r\n"))
	body := strings.TrimRight(string(raw[lead:]), " \t\r\n")
	at := p.start + lead
	p.start = p.end
	if strings.TrimSpace(body) == "" {
		return
	}
	line := p.lineAt(at)
	if p.byLine && p.anchor != lineAnchor(line) {
		p.anchor, p.part = lineAnchor(line), 0
	}
	p.part++
	c := chunk{anchor: p.anchor, title: p.title(), body: body, line: line}
	if p.part > 1 {
		c.anchor = fmt.Sprintf("%s~%d", p.anchor, p.part)
	}
	p.chunks = append(p.chunks, c)
}

// title joins the headings above the chunk.
func (p *packer) title() string {
	var names []string
	for _, name := range p.trail {
		if name != "" {
			names = append(names, name)
		}
	}
	return strings.Join(names, " > ")
}

// lineAt returns the number of the line at an offset that never decreases.
func (p *packer) lineAt(offset int) int {
	p.line += bytes.Count(p.src[p.counted:offset], []byte("\n"))
	p.counted = offset
	return p.line + 1
}
