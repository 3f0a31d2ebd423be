package show

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/lanewise/lanewise/search/wire"
)

func TestSources_saysWhoWrote(t *testing.T) {
	for model, want := range map[string]string{
		"gpt": "model gpt, 12.0 ms",
		"":    "no model was asked, 12.0 ms",
	} {
		var out strings.Builder
		p := Printer{Out: &out, Color: true}
		p.Sources(wire.AnswerResponse{Model: model, Citations: []wire.Citation{{N: 1, ID: "a", Score: 0.5, Quote: "It is."}}, Report: wire.Report{TookMS: 12}})
		want = "\n[1] \x1b[1ma\x1b[0m  \x1b[2m0.5000\x1b[0m\n    “It is.”\n\x1b[2m" + want + "\x1b[0m\n"
		if diff := cmp.Diff(want, out.String()); diff != "" {
			t.Errorf("%q (-want +got):\n%s", model, diff)
		}
	}
}

func TestSources_saysWhatIsMissing(t *testing.T) {
	var out strings.Builder
	Printer{Out: &out}.Sources(wire.AnswerResponse{
		Model: "small", Searched: "before\nand now", Repacked: true, TurnsLeftOut: 1, UnknownCitations: []int{9},
		LeftOut: []wire.Citation{{N: 3, ID: "c"}, {N: 2, ID: "b\x1b"}}, Report: wire.Report{TookMS: 12},
		Usage: wire.Usage{PromptTokens: 1234, CompletionTokens: 5, TotalTokens: 1239, CachedTokens: 1000, Cost: 0.0012345},
		Explain: json.RawMessage(`{"stages": [], "generation": {"model": "small", "upstream": "gpu-1", "why": "failover", "attempts": 2,
			"queued_ms": 0.5, "first_ms": 120, "passed": [{"model": "large", "error": "down"}]}}`),
	})
	want := `searched for: before and now
did not fit into the window of the model that stood in: [3] c, [2] b
the oldest 1 turn of the conversation did not fit
the answer cites [9], which is none of its sources
model small, 1,234 tokens read (1,000 cached), 5 written, cost 0.001234, 12.0 ms
passed over: large: down
small on gpu-1 by failover, 2 attempts, queued 0.5 ms, first words after 120 ms
`
	if diff := cmp.Diff(want, out.String()); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

func TestSources_estimatesAreCalledSo(t *testing.T) {
	var out strings.Builder
	Printer{Out: &out}.Sources(wire.AnswerResponse{
		Model: "m", LeftOut: []wire.Citation{{N: 1, ID: "a"}}, Usage: wire.Usage{PromptTokens: 10, CompletionTokens: 2, TotalTokens: 12, Estimated: true},
		Explain: json.RawMessage(`{"stages": []}`),
	})
	want := "did not fit into the model's window: [1] a\nmodel m, about 10 tokens read, 2 written, 0.0 ms\n"
	if diff := cmp.Diff(want, out.String()); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}
