package main

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"time"

	"github.com/schollz/progressbar/v3"

	"github.com/lanewise/lanewise/cmd/lanewise/internal/show"
)

// meter shows how far a long piece of work has come: a bar on a terminal, a
// plain line every other second elsewhere. It is not safe for concurrent use.
type meter struct {
	to      io.Writer
	what    string
	bar     *progressbar.ProgressBar // nil: plain lines
	started time.Time
	printed time.Time
}

func newMeter(a *app, what string) *meter {
	m := &meter{to: a.err, what: what, started: time.Now(), printed: time.Now()}
	if a.progress {
		m.bar = progressbar.NewOptions(-1, progressbar.OptionSetWriter(a.err), progressbar.OptionSetDescription(what),
			progressbar.OptionShowCount(), progressbar.OptionShowIts(), progressbar.OptionSetItsString(what),
			progressbar.OptionThrottle(100*time.Millisecond), progressbar.OptionClearOnFinish())
	}
	return m
}

// set states how much is done.
func (m *meter) set(n int) {
	if m.bar != nil {
		_ = m.bar.Set(n) // a bar that cannot be drawn is no failure of the work
		return
	}
	if now := time.Now(); now.Sub(m.printed) >= 2*time.Second {
		m.printed = now
		_, _ = fmt.Fprintf(m.to, "%s %s, %s a second\n", show.Count(n), m.what, show.Count(int(float64(n)/now.Sub(m.started).Seconds())))
	}
}

// note prints a line above the bar.
func (m *meter) note(line string) {
	if m.bar != nil {
		_ = m.bar.Clear()
	}
	_, _ = fmt.Fprintln(m.to, show.Printable(line))
}

func (m *meter) end() {
	if m.bar != nil {
		_ = m.bar.Finish()
	}
}

func writeJSON(w io.Writer, v any) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return fmt.Errorf("encode JSON: %w", err)
	}
	return nil
}

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
