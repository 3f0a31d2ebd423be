// Package show renders hits, answers and figures for people at a terminal.
package show

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/lanewise/lanewise/search/wire"
)

// Printer writes to a terminal or a file.
type Printer struct {
	Out   io.Writer
	Color bool // emphasise with ANSI escapes
	Width int  // columns; 0: 100
}

const (
	bold  = "\x1b[1m"
	dim   = "\x1b[2m"
	plain = "\x1b[0m"
)

func (p Printer) style(escape, text string) string {
	if !p.Color || text == "" {
		return text
	}
	return escape + text + plain
}

// Bold returns text emphasised, where the terminal can.
func (p Printer) Bold(text string) string { return p.style(bold, text) }

// Dim returns text in the background, where the terminal can.
func (p Printer) Dim(text string) string { return p.style(dim, text) }

// Line prints a formatted line.
func (p Printer) Line(format string, args ...any) { _, _ = fmt.Fprintf(p.Out, format+"\n", args...) }

// Hits prints a ranking: place, score, id, title and the start of each passage.
func (p Printer) Hits(hits []wire.Hit) {
	for i, h := range hits {
		place := fmt.Sprintf("%2d. %.4f", i+1, h.Score)
		p.Line("%s  %s", place, strings.TrimRight(p.Bold(Printable(h.ID))+"  "+p.Dim(Printable(title(h.Metadata))), " "))
		if snippet := Snippet(body(h), cmp.Or(p.Width, 100)-12); snippet != "" {
			p.Line("            %s", snippet)
		}
	}
}

// Report prints how a ranking came about, and everything that it lacks.
func (p Printer) Report(hits int, r wire.Report) {
	p.Line("%s", p.Dim(fmt.Sprintf("%s from %d of %d shards in %s%s",
		Plural(hits, "hit"), r.ShardsAnswered, r.ShardsAsked, Millis(r.TookMS), extra(r))))
	for _, m := range r.Missing {
		p.Line("missing: shard %s (%s) %s", m.Shard, m.Reason, m.Detail)
	}
}

func extra(r wire.Report) string {
	var out string
	if r.Hedges > 0 {
		out += ", " + Plural(r.Hedges, "hedge")
	}
	if r.Failovers > 0 {
		out += ", " + Plural(r.Failovers, "failover")
	}
	return out
}

// title returns the title or symbol in a point's metadata.
func title(meta json.RawMessage) string {
	var m struct {
		Title string `json:"title"`
	}
	if json.Unmarshal(meta, &m) != nil {
		return "" // a title of another type is no title
	}
	return m.Title
}

// body returns a passage without what it starts with for the sake of finding
// it: titles and declarations, which end like no sentence.
func body(h wire.Hit) string {
	rest := h.Text
	for {
		first, more, ok := strings.Cut(rest, "\n\n")
		if !ok || len(first) > 200 || strings.ContainsAny(first[max(len(first)-1, 0):], ".:!?") {
			return rest
		}
		rest = strings.TrimLeft(more, "\n")
	}
}

// Snippet returns the start of a text on one line of at most width letters, cut
// between words.
func Snippet(text string, width int) string {
	width = max(width, 20)
	text = Printable(strings.Join(strings.Fields(text), " "))
	letters := []rune(text)
	if len(letters) <= width {
		return text
	}
	cut := string(letters[:width-1])
	if i := strings.LastIndexByte(cut, ' '); i > width/2 {
		cut = cut[:i]
	}
	return cut + "…"
}

// Wrap prints a text in lines of at most the terminal's width, each behind an
// indent. The text's own line breaks stay.
func (p Printer) Wrap(indent, text string) {
	width := cmp.Or(p.Width, 100) - len(indent)
	for line := range strings.Lines(text) {
		rest := []rune(Printable(strings.TrimRight(line, "\n")))
		for len(rest) > width {
			at := width
			for at > width/2 && rest[at] != ' ' {
				at--
			}
			if rest[at] != ' ' {
				at = width // a word longer than the line
			}
			p.Line("%s%s", indent, string(rest[:at]))
			rest = []rune(strings.TrimLeft(string(rest[at:]), " "))
		}
		p.Line("%s", strings.TrimRight(indent+string(rest), " "))
	}
}

// Printable drops what could move a terminal's cursor or change its state.
func Printable(text string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return -1
		}
		return r
	}, text)
}

// Plural returns "1 hit" or "2 hits".
func Plural(n int, word string) string {
	if n == 1 {
		return "1 " + word
	}
	if stem, ok := strings.CutSuffix(word, "y"); ok {
		return Count(n) + " " + stem + "ies"
	}
	return Count(n) + " " + word + "s"
}

// Count returns a number with commas between its thousands.
func Count(n int) string {
	s := strconv.Itoa(n)
	for i := len(s) - 3; i > 0 && s[i-1] != '-'; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

// Millis returns a duration in milliseconds in a readable unit.
func Millis(ms float64) string { return Took(time.Duration(ms * float64(time.Millisecond))) }

// Took returns a duration with three digits at most behind its point.
func Took(d time.Duration) string {
	switch {
	case d >= time.Second:
		return strconv.FormatFloat(d.Seconds(), 'f', 2, 64) + " s"
	case d >= 100*time.Millisecond:
		return strconv.FormatFloat(d.Seconds()*1e3, 'f', 0, 64) + " ms"
	default:
		return strconv.FormatFloat(d.Seconds()*1e3, 'f', 1, 64) + " ms"
	}
}

// Bytes returns a size in a readable unit.
func Bytes(n int64) string {
	if n < 1000 {
		return Plural(int(n), "byte")
	}
	if n < 1e6 {
		return strconv.FormatFloat(float64(n)/1e3, 'f', 1, 64) + " kB"
	}
	return strconv.FormatFloat(float64(n)/1e6, 'f', 1, 64) + " MB"
}
