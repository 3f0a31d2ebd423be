package embed

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"slices"
	"sync"
	"time"

	"github.com/lanewise/lanewise/balance"
	"github.com/lanewise/lanewise/fault"
)

// canaryText is embedded to see whether an upstream still has the lane's space. It
// must never change: its vectors are kept.
const canaryText = "The canary sings in lane seven while the toll booth counts 1,234 cars."

// sameSpace is the least cosine of two vectors of the canary: number formats and
// kernels differ by less, models and revisions by far more.
const sameSpace = 0.999

// guard holds what the canary's vector should be.
type guard struct {
	mu    sync.Mutex
	want  []float32 // nil: that of the first upstream that is asked; never written to
	times int       // that want was set

	adopted func(want []float32) // is told each vector that is kept
}

// compare returns the cosine of a vector with the one that is kept, and which of
// those that were ever kept it is. The first vector is kept.
func (g *guard) compare(v []float32) (cos float64, which int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.want == nil {
		g.keep(v)
	}
	return cosine(g.want, v), g.times
}

// keep sets the vector. The caller holds mu.
func (g *guard) keep(v []float32) {
	g.want, g.times = slices.Clone(v), g.times+1
	g.adopted(g.want)
}

// kept returns the vector that is kept, and which it is; 0: none yet.
func (g *guard) kept() (want []float32, which int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.want, g.times
}

func cosine(a, b []float32) float64 {
	var ab, aa, bb float64
	for i := range a {
		x, y := float64(a[i]), float64(b[i])
		ab, aa, bb = ab+x*y, aa+x*x, bb+y*y
	}
	return ab / max(math.Sqrt(aa*bb), math.SmallestNonzeroFloat64)
}

// Canary returns the vector that upstreams are held to. Where nobody was asked for
// one yet, an upstream is asked now; its error is returned. Without [Config.Watch]
// it is nil. Where it is kept and given to [Embedder.Hold] again, a model that
// changes between two runs is noticed, too.
func (e *Embedder) Canary(ctx context.Context) ([]float32, error) {
	want, which := e.guard.kept()
	if which == 0 && e.config.Watch > 0 {
		_, err := balance.Do(ctx, e.pool, balance.Call{Class: class(1), NoHedge: true}, func(ctx context.Context, m *member) (struct{}, error) {
			return struct{}{}, m.trusted(ctx)
		})
		if err != nil {
			return nil, fmt.Errorf("embed the canary: %w", err)
		}
		want, _ = e.guard.kept()
	}
	return slices.Clone(want), nil
}

// Hold has the upstreams held to a vector that [Embedder.Canary] returned in
// another run. Those that were trusted already are asked again before their next
// call. Other dims than the space's are fault.Invalid.
func (e *Embedder) Hold(canary []float32) error {
	if len(canary) != e.space.Dims {
		return fault.New(fault.Invalid, "the canary has %d dims, not %d", len(canary), e.space.Dims)
	}
	e.guard.mu.Lock()
	defer e.guard.mu.Unlock()
	e.guard.keep(canary)
	return nil
}

// watch has every upstream asked for the canary now and then.
func (e *Embedder) watch(every time.Duration) error {
	if every <= 0 {
		return nil
	}
	return e.pool.Probe(every, func(ctx context.Context, m *member) error { return m.look(ctx) })
}

// verify asks the upstream for the canary's vector, and returns what that has cost
// in tokens. One that differs takes the upstream out of use until it is right again.
func (m *member) verify(ctx context.Context) (tokens int, err error) {
	ctx, cancel := context.WithTimeout(ctx, m.timeout)
	defer cancel()
	v, err := m.Embed(ctx, canaryBatch())
	if err != nil {
		return 0, err
	}
	if err := m.space.check(v, 1); err != nil {
		return v.Tokens, err
	}
	if zeroRow(v) >= 0 {
		return v.Tokens, fault.New(fault.Unavailable, "the canary's vector is all zeros")
	}
	return v.Tokens, m.judge(v.Row(0))
}

func canaryBatch() Batch { return Batch{Texts: []string{canaryText}, Task: DocumentTask} }

// judge compares the canary's vector with the one that is kept.
func (m *member) judge(vector []float32) error {
	like, which := m.guard.compare(vector)
	m.mu.Lock()
	defer m.mu.Unlock()
	m.verified, m.astray = which, nil
	if like < sameSpace {
		m.astray = fault.New(fault.Unavailable, "upstream %q embeds into another space than %q: its vector of the canary has a cosine of %.4f, not 1",
			m.name, m.space.ID(), like)
	}
	return m.astray
}

// verdict returns what the last look at the upstream has shown, if it was compared
// with the vector that is kept now.
func (m *member) verdict() (known bool, err error) {
	_, which := m.guard.kept()
	m.mu.Lock()
	defer m.mu.Unlock()
	return which > 0 && m.verified == which, m.astray
}

// look verifies the upstream between calls, out of its quota. Where that is used
// up the last verdict stays: it is no fault of the upstream.
func (m *member) look(ctx context.Context) error {
	estimate := int64(canaryBatch().total(0).Tokens)
	settle := func(int64) {}
	if m.quota != nil {
		r, err := m.quota.Reserve(estimate)
		if err != nil {
			_, err = m.verdict()
			return err
		}
		settle = r.Settle
	}
	tokens, err := m.verify(ctx)
	settle(cmp.Or(int64(tokens), estimate))
	return err
}

// trusted returns nil if the upstream may be used. One that was never compared with
// the vector that is kept is asked for the canary first, by one call for all: it
// goes on the quota of the attempt that waits for it, or two calls would be needed
// where one is allowed.
func (m *member) trusted(ctx context.Context) error {
	if m.guard == nil {
		return nil
	}
	if known, err := m.verdict(); known {
		return err
	}
	select {
	case m.asking <- struct{}{}:
		defer func() { <-m.asking }()
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	if known, err := m.verdict(); known {
		return err
	}
	_, err := m.verify(ctx)
	return err
}
