package show

import (
	"encoding/json"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/lanewise/lanewise/search"
	"github.com/lanewise/lanewise/search/wire"
)

func TestHits_areReadable(t *testing.T) {
	var out strings.Builder
	p := Printer{Out: &out, Width: 40}
	p.Hits([]wire.Hit{
		{ID: "a.md#x", Score: 0.83214, Text: "Guide > X\n\nIt is a\nlong text that does not fit on the line.", Metadata: json.RawMessage(`{"title":"Guide > X"}`)},
		{ID: "b\x1b[2J", Score: -1, Metadata: json.RawMessage(`{"title":7}`)},
	})
	p.Report(2, wire.Report{ShardsAnswered: 3, ShardsAsked: 4, TookMS: 3.14, Hedges: 1, Failovers: 2, Missing: []wire.Missing{{Shard: "s2", Reason: search.TimedOut, Detail: "late"}}})
	want := ` 1. 0.8321  a.md#x  Guide > X
            It is a long text that…
 2. -1.0000  b[2J
2 hits from 3 of 4 shards in 3.1 ms, 1 hedge, 2 failovers
missing: shard s2 (timeout) late
`
	if diff := cmp.Diff(want, out.String()); diff != "" {
		t.Fatalf("(-want +got):\n%s", diff)
	}
}

func TestFigures(t *testing.T) {
	for _, c := range [][2]string{
		{Count(0), "0"}, {Count(999), "999"}, {Count(1000), "1,000"}, {Count(-1234567), "-1,234,567"}, {Count(-100), "-100"},
		{Plural(1, "hit"), "1 hit"}, {Plural(0, "hit"), "0 hits"}, {Plural(2, "query"), "2 queries"},
		{Took(1500 * time.Millisecond), "1.50 s"}, {Took(123456 * time.Microsecond), "123 ms"}, {Took(1234 * time.Microsecond), "1.2 ms"},
		{Bytes(2), "2 bytes"}, {Bytes(1234), "1.2 kB"}, {Bytes(1_840_000), "1.8 MB"},
		{Snippet("ééé ééé", 3), "ééé ééé"}, {Snippet(strings.Repeat("a", 50), 20), strings.Repeat("a", 19) + "…"},
	} {
		if c[0] != c[1] {
			t.Errorf("got %q, want %q", c[0], c[1])
		}
	}
}

func TestWrap_breaksBetweenWords(t *testing.T) {
	var out strings.Builder
	Printer{Out: &out, Width: 12}.Wrap("> ", "one two three\n\n"+strings.Repeat("x", 15)+" y\n")
	want := "> one two\n> three\n>\n> " + strings.Repeat("x", 10) + "\n> xxxxx y\n"
	if diff := cmp.Diff(want, out.String()); diff != "" {
		t.Fatalf("(-want +got):\n%s", diff)
	}
}

func ExamplePrinter_Hits() {
	p := Printer{Out: os.Stdout}
	p.Hits([]wire.Hit{{ID: "os.ReadFile", Score: 0.61, Text: "ReadFile reads the named file."}})
	// Output:
	//  1. 0.6100  os.ReadFile
	//             ReadFile reads the named file.
}
