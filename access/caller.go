package access

import (
	"context"
	"strings"

	"github.com/lanewise/lanewise/fault"
)

// Caller is who asks. The zero Caller may do nothing that needs a scope.
type Caller struct {
	Name   string // of the key; it is no secret
	Scopes Scopes
	Tenant string // the only one whose points it reaches; empty: all of them
	Limits Limits // of what it may use
}

// Need is fault.Forbidden where the caller has none of the scopes, and names them.
func (c Caller) Need(oneOf Scopes) error {
	if c.Scopes&oneOf != None {
		return nil
	}
	return fault.New(fault.Forbidden, "the key lacks the scope %s", strings.Join(oneOf.Names(), " or "))
}

// TenantOf returns the tenant that a request is for which names one, or none. It is fault.Forbidden,
// about the field, where the caller is bound to another.
func (c Caller) TenantOf(asked, field string) (string, error) {
	switch {
	case c.Tenant == "" || asked == c.Tenant:
		return asked, nil
	case asked == "":
		return c.Tenant, nil
	}
	return "", &fault.Error{Class: fault.Forbidden, Field: field, Message: "the key is for another tenant"}
}

// callerKey is that of a context's caller.
type callerKey struct{}

// With returns a context that knows its caller.
func With(ctx context.Context, c Caller) context.Context {
	return context.WithValue(ctx, callerKey{}, c)
}

// From returns the caller of a context, or the zero Caller.
func From(ctx context.Context) Caller {
	c, _ := ctx.Value(callerKey{}).(Caller)
	return c
}
