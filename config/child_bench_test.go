//go:build unix

package config

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"
)

// child is a part of a benchmark in a process of its own: the same benchmark, which a variable tells its part.
type child struct {
	cmd  *exec.Cmd
	ask  io.WriteCloser
	told *bufio.Scanner
}

// startChild starts one, and waits until it is ready.
func startChild(b *testing.B, variable, part string) *child {
	b.Helper()
	c := &child{cmd: exec.CommandContext(b.Context(), os.Args[0], "-test.run", "^$", "-test.bench", "^"+b.Name()+"$", "-test.benchtime", "1x")} //nolint:gosec // itself
	c.cmd.Env = append(os.Environ(), variable+"="+part)
	var err error
	if c.ask, err = c.cmd.StdinPipe(); err != nil {
		b.Fatal(err)
	}
	out, err := c.cmd.StdoutPipe()
	if err != nil {
		b.Fatal(err)
	}
	if err := c.cmd.Start(); err != nil {
		b.Fatal(err)
	}
	c.told = bufio.NewScanner(out)
	c.hear(b)
	return c
}

// hear waits for what the child says, which is a duration.
func (c *child) hear(b *testing.B) time.Duration {
	b.Helper()
	for c.told.Scan() {
		if word, ok := strings.CutPrefix(c.told.Text(), "took "); ok {
			took, err := time.ParseDuration(word)
			if err != nil {
				b.Fatal(err)
			}
			return took
		}
	}
	b.Fatal("the child ended")
	return 0
}

// tell has the child do its part once, and returns what it says of it.
func (c *child) tell(b *testing.B) time.Duration {
	b.Helper()
	if _, err := io.WriteString(c.ask, "\n"); err != nil {
		b.Fatal(err)
	}
	return c.hear(b)
}

// end ends the child, and returns what it says at last.
func (c *child) end(b *testing.B) time.Duration {
	b.Helper()
	_ = c.ask.Close()
	took := c.hear(b)
	for c.told.Scan() { // until it ends
	}
	if err := c.cmd.Wait(); err != nil {
		b.Fatal(err)
	}
	return took
}

// obey is the child's side: it does its part as often as it is told, until it is to end. What it says then is up to the caller.
func obey(part func() time.Duration) {
	say(0) // it is ready
	for lines := bufio.NewScanner(os.Stdin); lines.Scan(); {
		say(part())
	}
}

// say tells who started this process.
func say(took time.Duration) { _, _ = fmt.Printf("took %v\n", took) }
