package extract

import (
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
)

func TestSentences(t *testing.T) {
	for _, c := range []struct {
		name, text string
		want       []string
	}{
		{"nothing", "", nil},
		{"one", "Scanner reads lines of text.", []string{"Scanner reads lines of text."}},
		{"without an end", "Scanner reads lines of text", []string{"Scanner reads lines of text"}},
		{"wrapped", "Scanner reads\nlines of text.  It stops\nat the end.", []string{"Scanner reads lines of text.", "It stops at the end."}},
		{"ends", "Is this the end of it? It is not the end! Perhaps it is one… We will see it later.",
			[]string{"Is this the end of it?", "It is not the end!", "Perhaps it is one…", "We will see it later."}},
		{"abbreviations", "Use a buffer, e.g. One of yours, i.e. Not mine, vs. Theirs there. Ask Dr. Smith or J. Doe now.",
			[]string{"Use a buffer, e.g. One of yours, i.e. Not mine, vs. Theirs there.", "Ask Dr. Smith or J. Doe now."}},
		{"numbers", "It costs 3.14 units in v1.2.3 of it. See no. 7 and fig. 12 of the book.",
			[]string{"It costs 3.14 units in v1.2.3 of it.", "See no. 7 and fig. 12 of the book."}},
		{"names", "It returns io.EOF at the end. Call os.Open. then read it all.", []string{"It returns io.EOF at the end.", "Call os.Open. then read it all."}},
		{"closing marks", "He said “stop it now.” Then he left (at once.) Nobody saw him go.",
			[]string{"He said “stop it now.”", "Then he left (at once.)", "Nobody saw him go."}},
		{"dots", "It goes on and on... Then it ends there.", []string{"It goes on and on...", "Then it ends there."}},
		{"other scripts", "ファイルを一行ずつ読む方法です。次の行に進む方法です。", []string{"ファイルを一行ずつ読む方法です。", "次の行に進む方法です。"}},
		{"too short", "Yes. No way. See also: x. This one is long enough.", []string{"This one is long enough."}},
		{"Go symbol", "package bufio, func NewScanner\n\nfunc NewScanner(r io.Reader) *Scanner\n\nNewScanner returns a new Scanner to read from r. The split\nfunction defaults to ScanLines.",
			[]string{"NewScanner returns a new Scanner to read from r.", "The split function defaults to ScanLines."}},
		{"Go constants", "package x, const A\n\nconst (\n\tA = 1 // the first one.\n\n\t// B is another one that is here.\n\tB = 2\n)\n\nThese are the flags of a file.",
			[]string{"These are the flags of a file."}},
		{"code in a comment", "Use it like this:\n\n\tfor s.Scan() {\n\t\tfmt.Println(s.Text()) // a line of text.\n\t}\n\nThen check the scanner's error.",
			[]string{"Use it like this:", "Then check the scanner's error."}},
		{"fences", "Before the code it says this.\n```go\nx := 1. Then this is no prose.\n```\nAfter the code it says that.",
			[]string{"Before the code it says this.", "After the code it says that."}},
		{"lists", "There are two ways:\n  - read it all at once\n    into the memory\n  - read it line by line. It takes longer.\n\n 1. number them as well",
			[]string{"There are two ways:", "read it all at once into the memory", "read it line by line.", "It takes longer.", "number them as well"}},
		{"headings", "# Reading files line by line\n\nUse a scanner for that.\n\n## More about the scanner\nIt has a buffer of 64 KiB.",
			[]string{"Use a scanner for that.", "It has a buffer of 64 KiB."}},
		{"title", "Reading > Files by line\n\nUse a scanner for that.", []string{"Use a scanner for that."}},
		{"tables", "| a | b and c and d |\n|---|---|\n| 1 | 2 and 3 and 4 |\n\nThe table shows the numbers.", []string{"The table shows the numbers."}},
		{"quotes", "> He who reads this is well\n> advised to go on.", []string{"He who reads this is well advised to go on."}},
		{"only code", "\tx := scanner.Text() + more\n", []string{"x := scanner.Text() + more"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			if diff := cmp.Diff(c.want, sentences(c.text)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestSentences_cutsLongOnes(t *testing.T) {
	got := sentences(strings.Repeat("word and ", 200) + "end.")
	if len(got) != 1 || utf8.RuneCountInString(got[0]) > longest || !strings.HasSuffix(got[0], "word and …") {
		t.Errorf("%q", got)
	}
}

func TestWords(t *testing.T) {
	got := words("Reads lines with bufio.NewScanner, parsing 10 Dates; its IDs are used")
	want := []string{"read", "lin", "with", "bufio", "new", "scanner", "pars", "10", "dat", "its", "ids", "are", "used"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestCover(t *testing.T) {
	got := cover("read a file, a file", []string{"a book", "Reading a File", "a file of a file", "a cat"})
	// "a" is in all four, "file" in two, "read" in one.
	if got[1] != 1 || got[2] <= got[0] || got[2] >= got[1] || got[0] != got[3] || got[0] <= 0 || got[0] > 0.1 {
		t.Errorf("shares %v", got)
	}
	for _, share := range cover("unheard of", []string{"a cat"}) {
		if share != 0 {
			t.Errorf("share %v of words that nobody uses", share)
		}
	}
}

// FuzzSentences holds that sentences are made of the text's own words, in order,
// on one line each and within their bounds.
func FuzzSentences(f *testing.F) {
	for _, s := range []string{"A b. C d! E", "# x\n- a\n\tcode\n```\nfence", "日本。語", "| t |\n> q\n1. i", "e.g. x (a.) B"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		rest := strings.Join(strings.Fields(text), " ")
		for _, s := range sentences(text) {
			if s == "" || strings.ContainsAny(s, "\n\t") || s != strings.TrimSpace(s) || utf8.RuneCountInString(s) > longest {
				t.Fatalf("sentence %q", s)
			}
			for w := range strings.FieldsSeq(strings.TrimSuffix(s, " …")) {
				at := strings.Index(rest, strings.TrimRight(w, ",;:…"))
				if at < 0 && utf8.ValidString(text) {
					t.Fatalf("%q of %q is not in the text, or not there", w, s)
				}
				rest = rest[max(at, 0):]
			}
		}
		if !slices.Equal(sentences(text), sentences(text)) {
			t.Fatal("not always the same")
		}
	})
}
