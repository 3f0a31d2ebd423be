package qdrant

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/qdrant/go-client/qdrant"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/lanewise/lanewise/fault"
)

// grace is how much earlier than the caller's clock the server's may say that
// the caller's time is up.
const grace = 20 * time.Millisecond

// classify gives an error of a call its class. The end of the caller's context
// comes back as context.Canceled or context.DeadlineExceeded; gRPC's own errors
// for it do not match those.
func (s *Store) classify(ctx context.Context, doing string, err error) error {
	if err == nil {
		return nil
	}
	if ended := ctx.Err(); ended != nil {
		return fmt.Errorf("%s on %s: %w", doing, s.config.Address, ended)
	}
	if busy, ok := errors.AsType[*qdrant.QdrantResourceExhaustedError](err); ok {
		wait := time.Duration(max(busy.RetryAfterS, 0)) * time.Second
		return fault.Busy(wait, "%s on %s: %s", doing, s.config.Address, busy.Reason)
	}
	code, text := status.Code(err), status.Convert(err).Message()
	if deadline, ok := ctx.Deadline(); ok && code == codes.DeadlineExceeded && time.Until(deadline) < grace {
		return fmt.Errorf("%s on %s: %w", doing, s.config.Address, context.DeadlineExceeded)
	}
	return fault.New(classOf(code, text), "%s on %s: %s", doing, s.config.Address, text)
}

// classOf reads a status. A deadline and a cancellation that are not the caller's
// are the server's own, or those of a connection that went away.
func classOf(code codes.Code, text string) fault.Class {
	switch code {
	case codes.InvalidArgument, codes.OutOfRange: // OutOfRange: the request is larger than the server takes
		return fault.Invalid
	case codes.NotFound:
		return fault.NotFound
	case codes.FailedPrecondition:
		if strings.Contains(text, "doesn't exist") || strings.Contains(text, "not found") {
			return fault.NotFound
		}
		return fault.Unavailable
	case codes.AlreadyExists:
		return fault.Conflict
	case codes.Unauthenticated, codes.PermissionDenied:
		return fault.Refused
	case codes.ResourceExhausted:
		if strings.Contains(text, "larger than max") { // said by gRPC of a message, and no server is busy
			return fault.Invalid
		}
		return fault.Overloaded
	default:
		return fault.Unavailable
	}
}

// seconds is what is left of the caller's time, rounded up, or nil.
func seconds(ctx context.Context) *uint64 {
	deadline, ok := ctx.Deadline()
	if !ok {
		return nil
	}
	left := max(time.Until(deadline), 0)
	return new(max(uint64((left+time.Second-1)/time.Second), 1))
}
