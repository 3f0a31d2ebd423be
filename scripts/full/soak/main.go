// Soak leaves a router and four replicas running under half the load that they can
// take, while replicas are killed, stopped and slowed down and the router reads its
// configuration anew, and exits with 1 if any answer was wrong, any error
// is not explained, or the router's heap or goroutines grow.
//
//	go run ./scripts/full/soak -for 30m
package main

import (
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"time"
)

// options are what the command line says.
type options struct {
	lasts   time.Duration // of the load
	program string        // lanewise; empty: it is built
	load    float64       // share of what the system can take
	rate    float64       // searches a second, whatever it can take; 0: by load
	reload  bool          // send SIGHUP to the router now and then
	seed    uint64
}

func main() {
	var o options
	flag.DurationVar(&o.lasts, "for", 30*time.Minute, "how long")
	flag.StringVar(&o.program, "program", "", "lanewise itself (default: it is built)")
	flag.Float64Var(&o.load, "load", 0.5, "share of the searches a second that the system can take")
	flag.Float64Var(&o.rate, "rate", 0, "searches a second, on a machine that has other things to do (default: by load)")
	flag.BoolVar(&o.reload, "reload", true, "have the router read its configuration anew, if it knows how to")
	flag.Uint64Var(&o.seed, "seed", 1, "of points, questions and faults")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	err := run(ctx, o)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "soak:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, o options) (err error) {
	s, err := start(ctx, o)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.stop()) }()
	q, err := s.fill(ctx, o.seed)
	if err != nil {
		return fmt.Errorf("fill: %w", err)
	}
	most, err := q.capacity(ctx)
	if err != nil {
		return fmt.Errorf("measure: %w", err)
	}
	rate := cmp.Or(o.rate, o.load*most)
	fmt.Printf("%.0f searches a second of %.0f for %s\n", rate, most, o.lasts)
	f, err := q.soak(ctx, s, o, rate)
	if err != nil {
		return err
	}
	return f.print(os.Stdout)
}
