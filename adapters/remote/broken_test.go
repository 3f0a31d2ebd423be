package remote

import (
	"context"
	"errors"
	"net"
	"testing"

	"github.com/lanewise/lanewise/fault"
)

// dialTimeout behaves as the error of a dial that took too long: it says that
// it is context.DeadlineExceeded.
type dialTimeout struct{}

func (dialTimeout) Error() string        { return "i/o timeout" }
func (dialTimeout) Timeout() bool        { return true }
func (dialTimeout) Temporary() bool      { return true }
func (dialTimeout) Is(target error) bool { return target == context.DeadlineExceeded }

// A dial that timed out is the server's fault and not the end of the caller's
// time: the call goes on to another replica.
func TestBroken_dialTimeoutIsUnavailable(t *testing.T) {
	s, err := New(Config{URL: "http://10.0.0.5:7700"})
	if err != nil {
		t.Fatal(err)
	}
	cause := &net.OpError{Op: "dial", Net: "tcp", Err: dialTimeout{}}
	if !errors.Is(cause, context.DeadlineExceeded) {
		t.Fatal("the trap is gone")
	}
	err = s.broken(t.Context(), "search", cause)
	if !errors.Is(err, fault.Unavailable) || errors.Is(err, context.DeadlineExceeded) || !fault.Elsewhere(err) {
		t.Errorf("%v", err)
	}
	if err.Error() != "search on 10.0.0.5:7700: dial tcp: i/o timeout" {
		t.Errorf("%v", err)
	}
}
