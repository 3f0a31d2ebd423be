// Package peer runs the programs of others that lanewise is measured beside, as processes of their own on loopback.
package peer

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"os/exec"
	"strings"
	"time"

	"github.com/lanewise/lanewise/fault"
)

// startup is how long a program may take until it answers: some load for a minute.
const startup = 3 * time.Minute

// Find returns the path of a program, or fault.NotFound.
func Find(program string) (string, error) {
	path, err := exec.LookPath(program)
	if err != nil {
		return "", fault.New(fault.NotFound, "%s is not installed", program)
	}
	return path, nil
}

// FreeAddress returns an address on loopback that nothing listens on.
func FreeAddress(ctx context.Context) (string, error) {
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	return l.Addr().String(), l.Close()
}

// Version is the first line that a command prints, such as "nginx -v"; "" where it fails.
func Version(ctx context.Context, command ...string) string {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	c := exec.CommandContext(ctx, command[0], command[1:]...) //nolint:gosec // one that is known to print its version
	c.Env = alone()
	said, err := c.CombinedOutput()
	if err != nil {
		return ""
	}
	line, _, _ := strings.Cut(strings.TrimSpace(string(said)), "\n")
	return line
}

// Process is a program that runs.
type Process struct {
	command *exec.Cmd
	said    *bytes.Buffer
	ended   chan struct{} // closed when the program has ended
}

// Start runs a command and returns when ready returns nil, which is tried every 100 ms for some minutes. A program that ends
// before that, or is not ready by then, is fault.Unavailable with what it said last. On Linux it ends with this process.
func Start(ctx context.Context, command *exec.Cmd, ready func(ctx context.Context) error) (*Process, error) {
	p := &Process{command: command, said: &bytes.Buffer{}, ended: make(chan struct{})}
	command.Stdout, command.Stderr = nil, p.said
	command.WaitDelay = time.Second // for what it has started and left
	own(command)
	if err := command.Start(); err != nil {
		return nil, fmt.Errorf("start %s: %w", command.Path, err)
	}
	go func() {
		defer close(p.ended)
		_ = command.Wait() // ProcessState has it
	}()
	if err := p.wait(ctx, ready); err != nil {
		p.Stop()
		said := strings.TrimSpace(p.said.String())
		return nil, fmt.Errorf("%w: %s", err, said[max(0, len(said)-500):])
	}
	return p, nil
}

func (p *Process) wait(ctx context.Context, ready func(ctx context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, startup)
	defer cancel()
	for {
		err := ready(ctx)
		if err == nil {
			return nil
		}
		select {
		case <-time.After(100 * time.Millisecond):
		case <-p.ended:
			return fault.New(fault.Unavailable, "it has ended: %v", p.command.ProcessState)
		case <-ctx.Done():
			return fault.Wrap(fault.Unavailable, "it does not answer", err)
		}
	}
}

// Pid is the process's number.
func (p *Process) Pid() int { return p.command.Process.Pid }

// Stop ends the program, on Linux with everything that it has started, and waits for its end.
func (p *Process) Stop() {
	end(p.command)
	<-p.ended
}
