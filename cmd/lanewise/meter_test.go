package main

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/lanewise/lanewise/config"
)

func TestMeter_plainLinesEveryOtherSecond(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out strings.Builder
		m := newMeter(&app{err: &out}, "stored")
		for n := range 50 {
			m.set((n + 1) * 100)
			time.Sleep(100 * time.Millisecond)
		}
		m.note("in:7: bad\x1b[2J")
		m.end()
		want := "2,100 stored, 1,050 a second\n4,100 stored, 1,025 a second\nin:7: bad[2J\n"
		if diff := cmp.Diff(want, out.String()); diff != "" {
			t.Fatalf("(-want +got):\n%s", diff)
		}
	})
}

func TestMeter_barOnATerminal(t *testing.T) {
	var out strings.Builder
	m := newMeter(&app{err: &out, progress: true}, "stored")
	m.set(1200)
	m.note("in:7: bad")
	m.end()
	if got := out.String(); !strings.Contains(got, "stored") || !strings.Contains(got, "\r") || !strings.Contains(got, "in:7: bad\n") {
		t.Fatalf("drawn: %q", got)
	}
}

func TestLogger_followsTheConfiguration(t *testing.T) {
	var out strings.Builder
	a := &app{err: &out}
	logger(a, config.Log{Level: "warn", Format: "json"}).Info("quiet")
	logger(a, config.Log{Level: "warn", Format: "json"}).Warn("loud")
	logger(a, config.Log{Level: "debug"}).Debug("detail")
	got := out.String()
	if strings.Contains(got, "quiet") || !strings.Contains(got, `"msg":"loud"`) || !strings.Contains(got, "msg=detail") {
		t.Fatalf("logged:\n%s", got)
	}
}

func TestPrinter_colorsOnlyTerminals(t *testing.T) {
	for _, c := range []struct {
		terminal bool
		noColor  string
		want     bool
	}{{true, "", true}, {true, "1", false}, {false, "", false}} {
		a := &app{terminal: c.terminal, env: func(string) string { return c.noColor }}
		if got := a.printer().Color; got != c.want {
			t.Errorf("%+v: color %v", c, got)
		}
	}
}

func TestDataHome(t *testing.T) {
	t.Setenv("HOME", "/home/me")
	for xdg, want := range map[string]string{"": "/home/me/.local/share", "/data": "/data"} {
		got, err := dataHome(&app{env: func(string) string { return xdg }})
		if err != nil || got != want {
			t.Errorf("%q: %s (%v), want %s", xdg, got, err, want)
		}
	}
	t.Setenv("HOME", "")
	if _, err := dataHome(&app{env: func(string) string { return "" }}); err == nil || !strings.Contains(err.Error(), "--data") {
		t.Errorf("without a home: %v", err)
	}
}
