// Package fault names the ways in which a call can fail, and who should try again.
//
// A [Class] is itself an error, so that errors.Is(err, fault.Unavailable) asks
// for the class of anything that wraps it. Adapters and providers classify,
// because only they see the wire; everything above them reads classes and never
// status codes.
package fault

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// Class is a kind of failure. The zero Class stands for an error that nobody
// classified; it is treated as a defect of this program (HTTP 500).
type Class string

// The classes, and what follows from each. "Elsewhere" means that another
// member of the same pool may succeed where this one did not.
const (
	// Invalid is a request that is wrong everywhere: it is returned as it is.
	Invalid Class = "invalid"
	// Unauthorized is a client without a valid key.
	Unauthorized Class = "unauthorized"
	// Forbidden is a client whose key does not reach that far.
	Forbidden Class = "forbidden"
	// NotFound is a collection, an alias, a point or a model that is not there.
	NotFound Class = "not_found"
	// Conflict is an epoch, a version or an embedding space that does not fit.
	Conflict Class = "conflict"
	// Overloaded is an upstream, or a tenant's allowance, that is full for now;
	// [RetryAfter] tells for how long. It may be retried elsewhere, in budget.
	Overloaded Class = "overloaded"
	// Refused is an upstream that refused our own credentials. Retried elsewhere.
	Refused Class = "refused"
	// Unavailable is an upstream that is down, unreachable or broken. Retried elsewhere.
	Unavailable Class = "unavailable"
	// Partial is an answer in which shards are missing and that the query did
	// not allow to be partial. It wraps the errors of those shards.
	Partial Class = "partial"
)

// Error returns the name of the class.
func (c Class) Error() string { return string(c) }

// Error is a failure with its class and, where they are known, the field of the
// request that caused it and the time after which a new attempt makes sense.
type Error struct {
	Class      Class
	Field      string        // JSON pointer into the request, such as "/legs/0/k"; empty if no field is to blame
	Message    string        // what is wrong and what to do about it
	RetryAfter time.Duration // 0: not known
	Code       string        // an upstream's word for the reason, such as "invalid_value"; empty: none
	Err        error         // the cause, or nil
}

// Error returns the message, with the field before it and the cause behind it.
func (e *Error) Error() string {
	text := e.Message
	if text == "" {
		text = e.Class.Error()
	}
	if e.Field != "" {
		text = e.Field + ": " + text
	}
	if e.Err != nil {
		text += ": " + e.Err.Error()
	}
	return text
}

// Is reports whether target is the error's class.
func (e *Error) Is(target error) bool { return target == e.Class }

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// New returns an error of class c.
func New(c Class, format string, args ...any) error {
	return &Error{Class: c, Message: fmt.Sprintf(format, args...)}
}

// BadField returns an [Invalid] error about one field of a request, named by
// its JSON pointer.
func BadField(pointer, format string, args ...any) error {
	return &Error{Class: Invalid, Field: pointer, Message: fmt.Sprintf(format, args...)}
}

// Wrap gives err a class and says what was being done. A nil err stays nil.
func Wrap(c Class, doing string, err error) error {
	if err == nil {
		return nil
	}
	return &Error{Class: c, Message: doing, Err: err}
}

// Busy returns an [Overloaded] error that may be retried after wait.
func Busy(wait time.Duration, format string, args ...any) error {
	return &Error{Class: Overloaded, RetryAfter: wait, Message: fmt.Sprintf(format, args...)}
}

// precedence lists the classes in the order in which a mixed error (a join, a
// partial answer) is read: Partial first, because it wraps all the others.
var precedence = [...]Class{
	Partial, Invalid, Unauthorized, Forbidden, NotFound, Conflict, Overloaded, Refused, Unavailable,
}

// Of returns the class of err: the first of Partial, Invalid, Unauthorized,
// Forbidden, NotFound, Conflict, Overloaded, Refused and Unavailable that err
// matches, else the zero Class.
func Of(err error) Class {
	for _, c := range precedence {
		if errors.Is(err, c) {
			return c
		}
	}
	return ""
}

// Elsewhere reports whether another member may succeed where one failed with
// err. A context's end is never retried: the time is up for everybody. An error
// without a class may be one member's defect, so it is tried elsewhere.
func Elsewhere(err error) bool {
	if err == nil || errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return false
	}
	switch Of(err) {
	case Partial, Invalid, Unauthorized, Forbidden, NotFound, Conflict:
		return false
	default: // Overloaded, Refused, Unavailable, unclassified
		return true
	}
}

// RetryAfter returns the longest wait that err or anything it wraps asks for,
// or 0 where none does.
func RetryAfter(err error) time.Duration {
	var longest time.Duration
	walk(err, func(e *Error) { longest = max(longest, e.RetryAfter) })
	return longest
}

// Field returns the JSON pointer of the first field that err blames, or "".
func Field(err error) string {
	var field string
	walk(err, func(e *Error) {
		if field == "" {
			field = e.Field
		}
	})
	return field
}

// Code returns the first code that err or anything it wraps has, or "".
func Code(err error) string {
	var code string
	walk(err, func(e *Error) {
		if code == "" {
			code = e.Code
		}
	})
	return code
}

// walk visits every *Error in the tree of err, outermost first.
func walk(err error, visit func(*Error)) {
	if e, ok := err.(*Error); ok { //nolint:errorlint // the tree is walked by hand
		visit(e)
	}
	switch u := err.(type) { //nolint:errorlint // see above
	case interface{ Unwrap() error }:
		if next := u.Unwrap(); next != nil {
			walk(next, visit)
		}
	case interface{ Unwrap() []error }:
		for _, next := range u.Unwrap() {
			walk(next, visit)
		}
	}
}
