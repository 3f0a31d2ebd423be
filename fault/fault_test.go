package fault_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/lanewise/lanewise/fault"
)

func TestOf_readsThroughWrappingAndJoins(t *testing.T) {
	invalid := fault.BadField("/k", "must be at least 1")
	down := fault.Wrap(fault.Unavailable, "dial s0", errors.New("connection refused"))
	for name, c := range map[string]struct {
		err  error
		want fault.Class
	}{
		"nil":                       {nil, ""},
		"unclassified":              {errors.New("odd"), ""},
		"class itself":              {fault.NotFound, fault.NotFound},
		"wrapped":                   {fmt.Errorf("plan: %w", invalid), fault.Invalid},
		"joined, bad query wins":    {errors.Join(down, invalid), fault.Invalid},
		"partial wins over shards":  {&fault.Error{Class: fault.Partial, Err: errors.Join(down, invalid)}, fault.Partial},
		"deadline has no class":     {context.DeadlineExceeded, ""},
		"joined, all of one class":  {errors.Join(down, down), fault.Unavailable},
		"refused below unavailable": {errors.Join(fault.New(fault.Refused, "key"), down), fault.Refused},
	} {
		if got := fault.Of(c.err); got != c.want {
			t.Errorf("%s: class %q, want %q", name, got, c.want)
		}
	}
}

func TestElsewhere_followsTheTable(t *testing.T) {
	for class, want := range map[fault.Class]bool{
		fault.Invalid: false, fault.Unauthorized: false, fault.Forbidden: false, fault.NotFound: false,
		fault.Conflict: false, fault.Partial: false,
		fault.Overloaded: true, fault.Refused: true, fault.Unavailable: true,
	} {
		if got := fault.Elsewhere(fault.New(class, "x")); got != want {
			t.Errorf("Elsewhere(%s) = %v, want %v", class, got, want)
		}
	}
	for _, err := range []error{nil, context.Canceled, fault.Wrap(fault.Unavailable, "search", context.DeadlineExceeded)} {
		if fault.Elsewhere(err) {
			t.Errorf("Elsewhere(%v) = true, want false", err)
		}
	}
	if !fault.Elsewhere(errors.New("a defect of one member")) {
		t.Error("an unclassified error is not tried elsewhere")
	}
}

func TestRetryAfter_isTheLongestInTheTree(t *testing.T) {
	err := errors.Join(fault.Busy(time.Second, "a"), fmt.Errorf("lane: %w", fault.Busy(3*time.Second, "b")))
	if got := fault.RetryAfter(err); got != 3*time.Second {
		t.Errorf("RetryAfter = %v, want 3s", got)
	}
	if got := fault.RetryAfter(errors.New("x")); got != 0 {
		t.Errorf("RetryAfter = %v, want 0", got)
	}
}

func TestField_isTheOutermost(t *testing.T) {
	err := fmt.Errorf("plan: %w", &fault.Error{Class: fault.Invalid, Field: "/legs/0", Err: fault.BadField("/k", "x")})
	if got := fault.Field(err); got != "/legs/0" {
		t.Errorf("Field = %q, want /legs/0", got)
	}
}

func TestWrap_keepsNil(t *testing.T) {
	if err := fault.Wrap(fault.Unavailable, "dial", nil); err != nil {
		t.Errorf("Wrap(nil) = %v", err)
	}
}

func Example() {
	err := fmt.Errorf("search: %w", fault.BadField("/k", "must be between 1 and 10000, is %d", 0))
	fmt.Println(err)
	fmt.Println(errors.Is(err, fault.Invalid), fault.Field(err), fault.Elsewhere(err))
	// Output:
	// search: /k: must be between 1 and 10000, is 0
	// true /k false
}

func TestWindowError_isInvalidEverywhere(t *testing.T) {
	err := fmt.Errorf("generate: %w", &fault.WindowError{Limit: 8192, Message: "too long"})
	if fault.Of(err) != fault.Invalid || fault.Elsewhere(err) || err.Error() != "generate: too long" {
		t.Errorf("class %q: %v", fault.Of(err), err)
	}
}
