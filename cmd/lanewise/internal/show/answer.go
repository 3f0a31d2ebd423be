package show

import (
	"cmp"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"

	"github.com/lanewise/lanewise/search/wire"
)

// Sources prints what an answer cites, what its model has not read, who wrote it
// and what that took.
func (p Printer) Sources(a wire.AnswerResponse) {
	if len(a.Citations) > 0 {
		p.Line("")
	}
	for _, c := range a.Citations {
		p.Line("[%d] %s  %s", c.N, p.Bold(Printable(c.ID)), p.Dim(fmt.Sprintf("%.4f", c.Score)))
		if quote := Snippet(c.Quote, cmp.Or(p.Width, 100)-6); quote != "" {
			p.Line("    “%s”", quote)
		}
	}
	p.gaps(a)
	by := "model " + Printable(a.Model)
	if a.Model == "" {
		by = "no model was asked"
	}
	p.Line("%s", p.Dim(by+used(a.Usage)+", "+Millis(a.Report.TookMS)))
	p.route(a.Explain)
}

// gaps prints what an answer lacks.
func (p Printer) gaps(a wire.AnswerResponse) {
	if a.Searched != "" {
		p.Line("%s", p.Dim("searched for: "+Snippet(a.Searched, cmp.Or(p.Width, 100)-14)))
	}
	if len(a.LeftOut) > 0 {
		names := make([]string, len(a.LeftOut))
		for i, c := range a.LeftOut {
			names[i] = fmt.Sprintf("[%d] %s", c.N, Printable(c.ID))
		}
		why := "did not fit into the model's window: "
		if a.Repacked {
			why = "did not fit into the window of the model that stood in: "
		}
		p.Line("%s", why+strings.Join(names, ", "))
	}
	if a.TurnsLeftOut > 0 {
		p.Line("the oldest %s of the conversation did not fit", Plural(a.TurnsLeftOut, "turn"))
	}
	for _, n := range a.UnknownCitations {
		p.Line("the answer cites [%d], which is none of its sources", n)
	}
}

// used says how many tokens an answer took, and what it cost.
func used(u wire.Usage) string {
	if u.TotalTokens == 0 {
		return ""
	}
	out := ", "
	if u.Estimated {
		out += "about "
	}
	out += Count(u.PromptTokens) + " tokens read"
	if u.CachedTokens > 0 {
		out += " (" + Count(u.CachedTokens) + " cached)"
	}
	out += ", " + Count(u.CompletionTokens) + " written"
	if u.Cost > 0 {
		out += ", cost " + strconv.FormatFloat(u.Cost, 'g', 4, 64)
	}
	return out
}

// route prints how the model was reached, where the answer explains it.
func (p Printer) route(explain json.RawMessage) {
	var e struct {
		Generation *struct {
			Model    string `json:"model"`
			Upstream string `json:"upstream"`
			Why      string `json:"why"`
			Attempts int    `json:"attempts"`
			Passed   []struct {
				Model string `json:"model"`
				Error string `json:"error"`
			} `json:"passed"`
			QueuedMS float64 `json:"queued_ms"`
			FirstMS  float64 `json:"first_ms"`
		} `json:"generation"`
	}
	if len(explain) == 0 || json.Unmarshal(explain, &e) != nil || e.Generation == nil {
		return
	}
	g := e.Generation
	for _, passed := range g.Passed {
		p.Line("%s", p.Dim("passed over: "+Printable(passed.Model)+": "+Printable(passed.Error)))
	}
	p.Line("%s", p.Dim(fmt.Sprintf("%s on %s by %s, %s, queued %s, first words after %s",
		Printable(g.Model), Printable(g.Upstream), Printable(g.Why), Plural(g.Attempts, "attempt"), Millis(g.QueuedMS), Millis(g.FirstMS))))
}
