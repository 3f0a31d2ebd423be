package main

import (
	"fmt"
	"strconv"
	"time"

	"github.com/spf13/pflag"
)

// bounded is a flag that refuses numbers out of a range: before anything is dialled or measured, and by its name.
type bounded struct {
	pflag.Value
	least, most float64 // durations in seconds
}

// within bounds flags that are defined already; a most of 0 is none. Bounds of durations are seconds.
func within(f *pflag.FlagSet, least, most float64, names ...string) {
	for _, name := range names {
		flag := f.Lookup(name)
		flag.Value = bounded{flag.Value, least, most}
		if flag.DefValue == "0s" {
			flag.DefValue = "0" // the help leaves it out, as of an unbounded duration
		}
	}
}

// Set implements pflag.Value.
func (b bounded) Set(text string) error {
	if err := b.Value.Set(text); err != nil {
		return err
	}
	n, err := b.number()
	switch {
	case err != nil:
		return err
	case n >= b.least && (b.most == 0 || n <= b.most):
		return nil
	case b.most == 0:
		return fmt.Errorf("must be at least %s", b.show(b.least))
	default: // which NaN is, too
		return fmt.Errorf("must be %s to %s", b.show(b.least), b.show(b.most))
	}
}

// number is the value that was set.
func (b bounded) number() (float64, error) {
	if b.Type() != "duration" {
		return strconv.ParseFloat(b.String(), 64)
	}
	d, err := time.ParseDuration(b.String())
	return d.Seconds(), err
}

// show writes a bound as the flag's values are.
func (b bounded) show(bound float64) string {
	if b.Type() == "duration" {
		return time.Duration(bound * float64(time.Second)).String()
	}
	return strconv.FormatFloat(bound, 'f', -1, 64)
}
