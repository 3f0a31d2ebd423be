package weaviate

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"

	sdkfault "github.com/weaviate/weaviate-go-client/v5/weaviate/fault"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/lanewise/lanewise/fault"
)

// judge turns the outcome of a gRPC call into an error of a class, or nil. Its text is
// kept and not the error: a status that says DeadlineExceeded is not the end of the
// caller's time.
func (s *Store) judge(ctx context.Context, op string, err error) error {
	if err == nil {
		return nil
	}
	if ended := ctx.Err(); ended != nil {
		return s.ended(op, ended)
	}
	code, text := status.Code(err), status.Convert(err).Message()
	return fault.New(classOf(code, text), "%s on %s: %s", op, s.cfg.GRPC, text)
}

func classOf(code codes.Code, text string) fault.Class {
	switch code {
	case codes.Unauthenticated, codes.PermissionDenied:
		return fault.Refused
	case codes.InvalidArgument, codes.OutOfRange:
		return fault.Invalid
	case codes.NotFound:
		return fault.NotFound
	case codes.ResourceExhausted:
		if messageIsTooLarge(text) { // no server is busy
			return fault.Invalid
		}
		return fault.Overloaded
	case codes.Unknown: // whatever the server has no code for
		return classOfText(strings.ToLower(text))
	default:
		return fault.Unavailable
	}
}

// classOfText reads what the server says of an error.
func classOfText(text string) fault.Class {
	for _, sign := range []struct {
		class fault.Class
		parts []string
	}{
		{fault.Refused, []string{"unauthorized", "forbidden", "anonymous access not enabled", "oidc auth is not configured", "invalid api key"}},
		{fault.NotFound, []string{"could not find class", "class not found", "not present in schema"}},
		{fault.Overloaded, []string{"too many requests", "not enough memory", "memory pressure"}},
		{fault.Invalid, []string{
			"no such prop", "query maximum results exceeded", "vector lengths don't match", "wrong size", "parse params", "invalid pagination", "only stopwords",
		}},
	} {
		for _, part := range sign.parts {
			if strings.Contains(text, part) {
				return sign.class
			}
		}
	}
	return fault.Unavailable
}

// judgeRest is judge for the official client, whose errors do not unwrap.
func (s *Store) judgeRest(ctx context.Context, op string, err error) error {
	if err == nil {
		return nil
	}
	if ended := ctx.Err(); ended != nil {
		return s.ended(op, ended)
	}
	class, text := fault.Unavailable, err.Error()
	if told, ok := errors.AsType[*sdkfault.WeaviateClientError](err); ok {
		switch {
		case told.DerivedFromError != nil:
			text = told.DerivedFromError.Error()
		case told.IsUnexpectedStatusCode:
			class, text = classOfStatus(told.StatusCode, told.Msg), fmt.Sprintf("status %d %s", told.StatusCode, told.Msg)
		}
	}
	return fault.New(class, "%s on %s: %s", op, s.cfg.Address, strings.TrimSpace(text))
}

func classOfStatus(code int, text string) fault.Class {
	switch code {
	case http.StatusUnauthorized, http.StatusForbidden:
		return fault.Refused
	case http.StatusNotFound:
		return fault.NotFound
	case http.StatusTooManyRequests:
		return fault.Overloaded
	case http.StatusBadRequest:
		if strings.Contains(text, "HTTPS server") { // plain text to a server that speaks TLS
			return fault.Unavailable
		}
		return fault.Invalid
	case http.StatusUnprocessableEntity:
		if strings.Contains(text, "already") {
			return fault.Conflict
		}
		return fault.Invalid
	default:
		return fault.Unavailable
	}
}

func (s *Store) unavailable(op, why string) error {
	return fault.New(fault.Unavailable, "%s on %s: %s", op, s.cfg.GRPC, why)
}

// ended is the end of the caller's context.
func (s *Store) ended(op string, err error) error {
	return fmt.Errorf("%s on %s: %w", op, s.cfg.GRPC, err)
}

// messageIsTooLarge tells what gRPC says of a message that is over a limit.
func messageIsTooLarge(text string) bool { return strings.Contains(text, "larger than max") }
