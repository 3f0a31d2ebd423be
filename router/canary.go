package router

import (
	"context"
	"time"

	"github.com/lanewise/lanewise/embed"
	"github.com/lanewise/lanewise/shardmap"
)

// canaried is an embedder that knows the vector of a canary text, by which a model
// that was changed behind its name is found out.
type canaried interface {
	Canary(ctx context.Context) ([]float32, error)
	Hold(canary []float32) error
}

var _ canaried = (*embed.Embedder)(nil)

// holdEmbedders holds every embedder to the canary that is stored with the
// collections of its space: they may have been made in an earlier run.
func (r *Router) holdEmbedders() error {
	m := r.topo.Load().m
	for _, e := range r.cfg.Embedders {
		held, ok := e.(canaried)
		kept := m.Canary(e.Space().ID())
		if !ok || kept == nil {
			continue
		}
		if err := held.Hold(kept); err != nil {
			return err
		}
	}
	return nil
}

const (
	canaryPatience = 2 * time.Second // with an upstream that is asked for its canary
	canaryAgain    = time.Minute     // after which it is tried again to store one
)

// keepCanary stores the canary of an embedder with the collections of its space, if
// there is none yet and a map file to keep it. That it cannot be had or stored now
// is no reason to refuse what is asked of the collection: a later text tries again.
func (r *Router) keepCanary(ctx context.Context, space string) {
	if e := r.lacksCanary(space); e != nil {
		r.storeCanary(ctx, space, e)
	}
}

// keepCanaryLater is [Router.keepCanary] for who does not wait for it.
func (r *Router) keepCanaryLater(ctx context.Context, space string) {
	if e := r.lacksCanary(space); e != nil {
		r.writes.Go(func() { r.storeCanary(context.WithoutCancel(ctx), space, e) })
	}
}

// lacksCanary returns the embedder whose canary should be stored now, or nil.
func (r *Router) lacksCanary(space string) canaried {
	t := r.topo.Load()
	if r.keep == nil || t.move != nil || t.m.Canary(space) != nil {
		return nil
	}
	for _, e := range r.cfg.Embedders {
		held, ok := e.(canaried)
		if !ok || e.Space().ID() != space {
			continue
		}
		if now, last := time.Now().UnixNano(), r.canary.Load(); now-last > int64(canaryAgain) && r.canary.CompareAndSwap(last, now) {
			return held
		}
	}
	return nil
}

func (r *Router) storeCanary(ctx context.Context, space string, e canaried) {
	ctx, cancel := context.WithTimeout(ctx, canaryPatience)
	defer cancel()
	kept, err := e.Canary(ctx)
	if err == nil && kept != nil {
		err = r.edit(func(m *shardmap.Map) (*shardmap.Map, error) { return m.WithCanary(space, kept) })
	}
	if err != nil {
		r.cfg.Log.WarnContext(ctx, "the canary of a space is not stored yet", "space", space, "err", err)
		return
	}
	r.canary.Store(0)
}
