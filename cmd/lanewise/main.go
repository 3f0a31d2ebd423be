// Command lanewise answers questions from documents over many shards and
// replicas: it serves, ingests, searches and checks configurations, and shows
// itself with one command: lanewise demo.
package main

import (
	"context"
	"errors"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	ctx, stop := interruptible(context.Background())
	code := run(ctx, system(), os.Args[1:])
	stop()
	os.Exit(code)
}

var errInterrupted = errors.New("interrupted")

// interruptible returns a context that ends with the first SIGINT or SIGTERM.
// The second one ends the process.
func interruptible(parent context.Context) (context.Context, func()) {
	ctx, cancel := context.WithCancelCause(parent)
	signals, done := make(chan os.Signal, 2), make(chan struct{})
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	go func() {
		for range 2 {
			select {
			case <-done:
				return
			case <-signals:
			}
			if ctx.Err() != nil {
				os.Exit(exitFailure)
			}
			cancel(errInterrupted)
		}
	}()
	return ctx, func() {
		signal.Stop(signals)
		close(done)
		cancel(nil)
	}
}
