package main

import (
	"context"
	"net"
	"path/filepath"
	"strings"
	"testing"
)

// runUntil runs a command line until its output holds a text, then interrupts it.
func runUntil(t *testing.T, text string, args ...string) outcome {
	t.Helper()
	ctx, interrupt := context.WithCancelCause(t.Context())
	defer interrupt(nil)
	out := &watched{text: text, seen: func() { interrupt(errInterrupted) }}
	var errOut strings.Builder
	a := &app{in: strings.NewReader(""), out: out, err: &errOut, env: func(string) string { return "" }}
	code := run(ctx, a, args)
	return outcome{code, out.all.String(), errOut.String()}
}

// watched calls seen when what is written to it holds a text.
type watched struct {
	all  strings.Builder
	text string
	seen func()
}

func (w *watched) Write(p []byte) (int, error) {
	n, err := w.all.Write(p)
	if strings.Contains(w.all.String(), w.text) {
		w.seen()
	}
	return n, err
}

func TestServe_warnsAboutOpenAddresses(t *testing.T) {
	dir := folder(t, map[string]string{
		"open.yaml":   "store: a\nlisten: '0.0.0.0:0'\nopen: true\n",
		"keys.yaml":   "store: b\nlisten: '0.0.0.0:0'\nkeys: [k]\n",
		"nearby.yaml": "store: c\nlisten: '127.0.0.1:0'\n",
	})
	const warning = "everybody who reaches this address"
	runUntil(t, "lanewise replica on", "serve", "-c", dir+"/open.yaml").want(t, exitOK, warning)
	for _, file := range []string{"keys.yaml", "nearby.yaml"} {
		got := runUntil(t, "lanewise replica on", "serve", "-c", filepath.Join(dir, file))
		got.want(t, exitOK)
		if strings.Contains(got.errOut, warning) {
			t.Errorf("%s: warned without need", file)
		}
	}
}

func TestServe_addressInUse(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // a test's listener
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close() //nolint:errcheck // a test's listener
	world{}.run(t, "serve", "--data", t.TempDir(), "--listen", l.Addr().String()).want(t, exitFailure,
		"address already in use", "choose another address with --listen")
}

func TestServe_wrongConfiguration(t *testing.T) {
	dir := folder(t, map[string]string{"c.yaml": "store: a\nkey: [x]\n"})
	world{}.run(t, "serve", "-c", dir+"/c.yaml").want(t, exitFailure, "c.yaml:2:1: key: unknown key; did you mean keys?")
}
