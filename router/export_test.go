package router

import "context"

// Compare compares the replicas at once instead of from time to time.
func (r *Router) Compare(ctx context.Context) { r.compare(ctx) }

// Reading reports whether a question is under way that a move waits for.
func (r *Router) Reading() bool {
	_, quiet := r.reads.quiet()
	return !quiet
}
