package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/lanewise/lanewise/cmd/lanewise/internal/show"
)

// The exit codes.
const (
	exitOK      = 0
	exitFailure = 1
	exitUsage   = 2
)

// app is what the commands see of the world.
type app struct {
	in       io.Reader
	out, err io.Writer
	env      func(string) string
	terminal bool // out is one
	progress bool // err is a terminal
	width    int  // columns of the terminal; 0: not known
}

// system is the world of a process.
func system() *app {
	a := &app{in: os.Stdin, out: os.Stdout, err: os.Stderr, env: os.Getenv}
	a.terminal = term.IsTerminal(int(os.Stdout.Fd()))
	a.progress = term.IsTerminal(int(os.Stderr.Fd()))
	if a.terminal {
		a.width, _, _ = term.GetSize(int(os.Stdout.Fd()))
	}
	return a
}

// printer writes what people read.
func (a *app) printer() show.Printer {
	return show.Printer{Out: a.out, Color: a.terminal && a.env("NO_COLOR") == "", Width: a.width}
}

// usageError is a mistake on the command line.
type usageError struct{ error }

func (e usageError) Unwrap() error { return e.error }

func misuse(format string, args ...any) error { return usageError{fmt.Errorf(format, args...)} }

// run executes one command line and returns the exit code.
func run(ctx context.Context, a *app, args []string) int {
	root, began := newRoot(a), false //nolint:contextcheck // cobra hands the context to the commands
	root.PersistentPreRun = func(*cobra.Command, []string) { began = true }
	root.SetArgs(args)
	root.SetIn(a.in)
	root.SetOut(a.out)
	root.SetErr(a.err)
	cmd, err := root.ExecuteContextC(ctx)
	switch {
	case err == nil:
		return exitOK
	case errors.As(err, new(usageError)) || !began:
		_, _ = fmt.Fprintf(a.err, "lanewise: %v\nsee: %s --help\n", err, cmd.CommandPath())
		return exitUsage
	case ctx.Err() != nil:
		err = errInterrupted
	}
	_, _ = fmt.Fprintln(a.err, "lanewise: "+strings.ReplaceAll(err.Error(), "\n", "\nlanewise: "))
	return exitFailure
}

func newRoot(a *app) *cobra.Command {
	root := &cobra.Command{
		Use:   "lanewise",
		Short: "Search and answer over many shards and replicas",
		Long: `lanewise carries a question from text to a cited answer over many shards and
replicas, and always takes the fastest healthy lane.

Start here:

  lanewise demo                       see all of it at work on the Go documentation
  lanewise serve                      a server with a store of its own
  lanewise ingest ./docs              store a folder of Markdown and text files
  lanewise search "how to install"    the passages that fit best
  lanewise ask "How do I install it?" an answer that cites them`,
		SilenceUsage:  true,
		SilenceErrors: true,
		Args:          known,
		RunE:          func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	root.SuggestionsMinimumDistance = 2
	root.AddCommand(
		newDemo(a), newServe(a), newIngest(a), newSearch(a), newAsk(a), newCheck(a), newImport(a),
		newEval(a), newReindex(a), newReembed(a), newBackup(a), newRestore(a), newPlan(a), newApply(a), newRepair(a), newLanes(a), newHealth(a), newKeys(a), newRoutes(a), newBench(a), newVersion(a),
	)
	return root
}

// needs refuses a command line without what a command works on.
func needs(what string) cobra.PositionalArgs {
	return func(_ *cobra.Command, args []string) error {
		if len(args) == 0 {
			return errors.New("give " + what)
		}
		return nil
	}
}

// exactly refuses a command line without the n things that a command works on.
func exactly(n int, what string) cobra.PositionalArgs {
	return func(_ *cobra.Command, args []string) error {
		if len(args) != n {
			return errors.New("give " + what)
		}
		return nil
	}
}

// nothing refuses arguments of a command that has none.
func nothing(cmd *cobra.Command, args []string) error {
	if len(args) > 0 {
		return fmt.Errorf("%s takes flags only, not %q", cmd.CommandPath(), args[0])
	}
	return nil
}

// known refuses arguments that are no command, and names the one that is meant.
func known(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	text := fmt.Sprintf("unknown command %q", args[0])
	if near := cmd.SuggestionsFor(args[0]); len(near) > 0 {
		text += "; did you mean " + strings.Join(near[:min(2, len(near))], " or ") + "?"
	}
	return errors.New(text)
}
