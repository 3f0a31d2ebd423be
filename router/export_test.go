package router

import "context"

// Compare compares the replicas at once instead of from time to time.
func (r *Router) Compare(ctx context.Context) { r.compare(ctx) }
