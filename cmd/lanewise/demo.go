package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/lanewise/lanewise/cmd/lanewise/internal/demo"
	"github.com/lanewise/lanewise/config"
)

func newDemo(a *app) *cobra.Command {
	var once bool
	var listen string
	cmd := &cobra.Command{
		Use:   "demo",
		Short: "Show everything at work on the Go documentation",
		Long: `Demo stores the doc comments of the Go standard library on this machine on four
shards with three replicas each: twelve HTTP servers on loopback ports, in this
process, with their files in a temporary folder. It asks questions, compares the
ranking with that of one store, stops one replica and slows another down while
queries run, and shows what that did. Then it serves, until Ctrl-C, which removes
the files.`,
		Example: `  lanewise demo
  lanewise demo --once`,
		Args: nothing,
		RunE: func(cmd *cobra.Command, _ []string) error {
			err := runDemo(cmd.Context(), a, once, listen)
			if !once && errors.Is(err, errInterrupted) {
				return nil // Ctrl-C is how the demo ends
			}
			return err
		},
	}
	cmd.Flags().BoolVar(&once, "once", false, "show it once and exit, with 1 if a hit differed")
	cmd.Flags().StringVar(&listen, "listen", config.DefaultListen, "address to serve on; any free port if it is taken")
	return cmd
}

func runDemo(ctx context.Context, a *app, once bool, listen string) (err error) {
	var m *meter
	d, err := demo.Run(ctx, demo.Config{
		Out: a.printer(), Start: time.Now(),
		Progress: func(what string, n int) {
			if m == nil {
				m = newMeter(a, what)
			}
			m.set(n)
		},
		Finished: func() {
			if m != nil {
				m.end()
			}
			m = nil
		},
	})
	defer func() { err = errors.Join(err, d.Close()) }()
	if err != nil || once {
		return err
	}
	l, err := net.Listen("tcp", listen)
	if errors.Is(err, syscall.EADDRINUSE) {
		l, err = net.Listen("tcp", "127.0.0.1:0")
	}
	if err != nil {
		return fmt.Errorf("serve the demo: %w", err)
	}
	printTry(a, "http://"+l.Addr().String())
	return d.Router().Serve(ctx, l)
}

// printTry shows what to do with the running demo.
func printTry(a *app, url string) {
	p := a.printer()
	p.Line("")
	p.Line("%s (Ctrl-C ends it). %s shows the lanes at work; the API is described at %s/docs. Try:", p.Bold("serving on "+url), p.Bold(url+"/ui/"), url)
	p.Line("")
	for _, call := range tries() {
		p.Line("  curl -s %s%s -H 'content-type: application/json' \\\n    -d '%s'", url, call.path, call.body)
	}
	flag := ""
	if url != defaultURL {
		flag = " --url " + url
	}
	program := os.Args[0]
	if strings.Contains(program, "go-build") {
		program = "go run ./cmd/lanewise" // which has put the binary there
	}
	p.Line(`  %s ask%s --collection go "How do I sort a slice?"`, program, flag)
}

// try is a call worth making by hand.
type try struct{ path, body string }

func tries() []try {
	return []try{
		{"/v1/search", `{"collection": "go", "text": "sort a slice", "k": 3}`},
		{"/v1/search", `{"collection": "go", "text": "sort a slice", "filter": {"kind": "func", "package": "slices"}}`},
		{"/v1/answer", `{"collection": "go", "question": "How do I sort a slice?"}`},
	}
}
