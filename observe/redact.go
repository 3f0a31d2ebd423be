package observe

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strings"
)

// leastSecret is the length from which on a secret can be found in a text: a shorter
// one would blot out half of what is written.
const leastSecret = 6

// Redact returns a handler that blots secrets out of all that h is told: messages,
// names, texts, errors, groups. What an upstream says of a key that it refuses ends up
// in an error, and an error in the log.
func Redact(h slog.Handler, secrets []string) slog.Handler {
	if blot := Blot(secrets); blot != nil {
		return &redacting{Handler: h, blot: blot}
	}
	return h
}

// Blot returns what blots secrets out of a text; nil: there is none that can be found.
func Blot(secrets []string) *strings.Replacer {
	secrets = slices.Compact(slices.SortedFunc(slices.Values(secrets), func(a, b string) int {
		if len(a) != len(b) {
			return len(b) - len(a) // of two that begin alike the longer one counts
		}
		return strings.Compare(a, b)
	}))
	var pairs []string
	for _, s := range secrets {
		if len(s) >= leastSecret {
			pairs = append(pairs, s, "[secret]")
		}
	}
	if len(pairs) == 0 {
		return nil
	}
	return strings.NewReplacer(pairs...)
}

type redacting struct {
	slog.Handler
	blot *strings.Replacer
}

// Handle writes the record without secrets.
func (r *redacting) Handle(ctx context.Context, in slog.Record) error {
	out := slog.NewRecord(in.Time, in.Level, r.blot.Replace(in.Message), in.PC)
	in.Attrs(func(a slog.Attr) bool {
		out.AddAttrs(r.clean(a))
		return true
	})
	return r.Handler.Handle(ctx, out) //nolint:wrapcheck // this is the handler
}

// WithAttrs cleans the attributes at once.
func (r *redacting) WithAttrs(attrs []slog.Attr) slog.Handler {
	return &redacting{Handler: r.Handler.WithAttrs(r.cleaned(attrs)), blot: r.blot}
}

// WithGroup opens a group.
func (r *redacting) WithGroup(name string) slog.Handler {
	return &redacting{Handler: r.Handler.WithGroup(name), blot: r.blot}
}

func (r *redacting) cleaned(attrs []slog.Attr) []slog.Attr {
	out := make([]slog.Attr, len(attrs))
	for i, a := range attrs {
		out[i] = r.clean(a)
	}
	return out
}

func (r *redacting) clean(a slog.Attr) slog.Attr {
	v := a.Value.Resolve()
	switch v.Kind() {
	case slog.KindString:
		v = slog.StringValue(r.blot.Replace(v.String()))
	case slog.KindGroup:
		v = slog.GroupValue(r.cleaned(v.Group())...)
	case slog.KindAny:
		text := fmt.Sprint(v.Any())
		if clean := r.blot.Replace(text); clean != text { // else it keeps its own form
			v = slog.StringValue(clean)
		}
	default: // numbers and times hold none
	}
	return slog.Attr{Key: a.Key, Value: v}
}
