package embed

import (
	"context"
	"math"
	"sync"
	"time"

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
	mu   sync.Mutex
	want []float32 // nil: that of the first upstream that is asked
}

// compare returns the cosine of a vector with the one that is kept. The first
// vector is kept.
func (g *guard) compare(v []float32) float64 {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.want == nil {
		g.want = append([]float32(nil), v...)
	}
	return cosine(g.want, v)
}

func cosine(a, b []float32) float64 {
	var ab, aa, bb float64
	for i := range a {
		x, y := float64(a[i]), float64(b[i])
		ab, aa, bb = ab+x*y, aa+x*x, bb+y*y
	}
	return ab / max(math.Sqrt(aa*bb), math.SmallestNonzeroFloat64)
}

// Canary returns the vector that upstreams are held to, or nil while none has been
// asked. Where it is kept and given to [Config.Canary] again, a model that changes
// between two runs is noticed, too.
func (e *Embedder) Canary() []float32 {
	e.guard.mu.Lock()
	defer e.guard.mu.Unlock()
	return append([]float32(nil), e.guard.want...)
}

// watch has every upstream asked for the canary now and then.
func (e *Embedder) watch(every time.Duration) error {
	if every <= 0 {
		return nil
	}
	return e.pool.Probe(every, func(ctx context.Context, m *member) error { return m.verify(ctx) })
}

// verify asks the upstream for the canary's vector. One that differs takes the
// upstream out of use until it is right again.
func (m *member) verify(ctx context.Context) error {
	v, err := m.Embed(ctx, Batch{Texts: []string{canaryText}, Task: DocumentTask})
	if err != nil {
		return err
	}
	if err := m.space.check(v, 1); err != nil {
		return err
	}
	like := m.guard.compare(v.Row(0))
	m.mu.Lock()
	defer m.mu.Unlock()
	m.verified, m.astray = true, nil
	if like < sameSpace {
		m.astray = fault.New(fault.Unavailable, "upstream %q embeds into another space than %q: its vector of the canary has a cosine of %.4f, not 1",
			m.name, m.space.ID(), like)
	}
	return m.astray
}

// trusted returns nil if the upstream may be used. One that was never asked for
// the canary is asked first.
func (m *member) trusted(ctx context.Context) error {
	if m.guard == nil {
		return nil
	}
	m.mu.Lock()
	verified, astray := m.verified, m.astray
	m.mu.Unlock()
	if verified {
		return astray
	}
	return m.verify(ctx)
}
