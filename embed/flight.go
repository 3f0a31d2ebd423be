package embed

import (
	"context"
	"crypto/sha256"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/maypok86/otter/v2"

	"github.com/lanewise/lanewise/fault"
	"github.com/lanewise/lanewise/internal/tokens"
)

// Stats counts texts, not calls.
type Stats struct {
	Hits   uint64 // found in the cache
	Shared uint64 // embedded by the call of another caller at the same time
	Misses uint64 // embedded
	Bytes  uint64 // that the cache holds now, about
}

// key is a hash of a space, a task and a text. Half of a SHA-256 is enough that
// nobody can make two texts share a vector.
type key [16]byte

// cached is one vector. Its row is never written again.
type cached struct {
	row    []float32
	tokens int
}

// overhead is about what the cache needs for an entry beside its numbers, in bytes.
const overhead = 160

// group shares work between callers: it looks texts up in the cache, joins calls
// that others have under way for the same text, and embeds the rest in one call.
// A call belongs to all who wait for it: it ends early only when the last one leaves.
type group struct {
	space   string
	dims    int
	timeout time.Duration
	call    func(context.Context, Batch) (Vectors, error)
	cache   *otter.Cache[key, cached] // nil: none

	mu      sync.Mutex
	flights map[key]place // under way, by text
	closed  bool
	running sync.WaitGroup
	ctx     context.Context //nolint:containedctx // ends at close, and every flight with it
	stop    context.CancelCauseFunc

	hits, joins, misses atomic.Uint64
}

// flight is one call upstream for the texts of one caller.
type flight struct {
	keys    []key
	cancel  context.CancelFunc
	waiting int           // callers; guarded by group.mu
	done    chan struct{} // closed when rows and err are set
	rows    []cached
	err     error
}

// place is a row of a flight.
type place struct {
	*flight
	row int
}

var errClosed = fault.New(fault.Unavailable, "the embedder is closed")

func newGroup(space Space, c Config, call func(context.Context, Batch) (Vectors, error)) (*group, error) {
	g := &group{space: space.ID(), dims: space.Dims, timeout: c.Timeout, call: call, flights: map[key]place{}}
	g.ctx, g.stop = context.WithCancelCause(context.Background())
	if c.CacheBytes < 0 {
		return g, nil
	}
	weight := uint32(4*space.Dims + overhead) //nolint:gosec // dims are far below 2^30
	cache, err := otter.New(&otter.Options[key, cached]{
		MaximumWeight: uint64(c.CacheBytes),
		Weigher:       func(key, cached) uint32 { return weight },
	})
	if err != nil {
		return nil, fault.Wrap(fault.Invalid, "make the cache", err)
	}
	g.cache = cache
	return g, nil
}

// keyOf hashes a text as it was given, before any prefix.
func (g *group) keyOf(task Task, text string) key {
	buf := make([]byte, 0, 512)
	buf = append(buf, g.space...)
	buf = append(buf, 0)
	buf = append(buf, task...)
	buf = append(buf, 0)
	sum := sha256.Sum256(append(buf, text...))
	return key(sum[:16])
}

func (g *group) lookup(k key) (cached, bool) {
	if g.cache == nil {
		return cached{}, false
	}
	return g.cache.GetIfPresent(k)
}

// embed answers a batch from the cache, from other callers' calls and from one
// call of its own.
func (g *group) embed(ctx context.Context, b Batch) (Vectors, error) {
	keys := make([]key, len(b.Texts))
	rows := make([]cached, len(b.Texts))
	missing := 0
	for i, text := range b.Texts {
		keys[i] = g.keyOf(b.Task, text)
		found, ok := g.lookup(keys[i])
		if rows[i] = found; !ok {
			missing++
		}
	}
	g.hits.Add(uint64(len(keys) - missing)) //nolint:gosec // not negative
	if missing > 0 {
		if err := g.fill(ctx, b, keys, rows); err != nil {
			return Vectors{}, err
		}
	}
	return g.join(rows), nil
}

// join copies rows into one block, which is the caller's to change.
func (g *group) join(rows []cached) Vectors {
	v := Vectors{Dims: g.dims, Data: make([]float32, 0, len(rows)*g.dims)}
	for _, r := range rows {
		v.Data = append(v.Data, r.row...)
		v.Tokens += r.tokens
	}
	return v
}

// fill sets the rows that are missing.
func (g *group) fill(ctx context.Context, b Batch, keys []key, rows []cached) error {
	places, own, err := g.board(ctx, b, keys, rows)
	if err != nil {
		return err
	}
	defer g.leave(places)
	var again []int // rows of other callers' calls that failed
	for i, p := range places {
		if p.flight == nil {
			continue
		}
		if err := p.wait(ctx); err != nil {
			return err
		}
		switch {
		case p.err == nil:
			rows[i] = p.rows[p.row]
		case p.flight != own && len(p.keys) > 1 && errors.Is(p.err, fault.Invalid):
			again = append(again, i) // perhaps another's text was to blame
		default:
			return p.err
		}
	}
	return g.alone(ctx, b, rows, again)
}

// wait returns when the flight has ended, or with ctx's error.
func (f *flight) wait(ctx context.Context) error {
	select {
	case <-f.done:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// alone embeds the rows at the given positions without sharing the call.
func (g *group) alone(ctx context.Context, b Batch, rows []cached, at []int) error {
	if len(at) == 0 {
		return nil
	}
	mine := Batch{Task: b.Task}
	for _, i := range at {
		mine.Texts = append(mine.Texts, b.Texts[i])
	}
	v, err := g.call(ctx, mine)
	if err != nil {
		return err
	}
	for n, row := range divide(v, mine.Texts) {
		rows[at[n]] = row
	}
	return nil
}

// board finds a flight for each row that is missing: one that is under way, or
// the caller's own, which it starts (own is nil if it needs none). The caller
// must leave the flights.
func (g *group) board(ctx context.Context, b Batch, keys []key, rows []cached) (places []place, own *flight, err error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.closed {
		return nil, nil, errClosed
	}
	places = make([]place, len(keys))
	mine := Batch{Task: b.Task}
	start := &flight{done: make(chan struct{})}
	for i, k := range keys {
		if rows[i].row != nil {
			continue
		}
		if p, ok := g.flights[k]; ok {
			places[i] = p
			g.joins.Add(1)
			continue
		}
		if found, ok := g.lookup(k); ok { // its flight landed just now
			rows[i] = found
			g.hits.Add(1)
			continue
		}
		places[i] = place{start, len(start.keys)}
		g.flights[k] = places[i]
		start.keys = append(start.keys, k)
		mine.Texts = append(mine.Texts, b.Texts[i])
	}
	each(places, func(f *flight) { f.waiting++ })
	if len(start.keys) == 0 {
		return places, nil, nil
	}
	g.misses.Add(uint64(len(start.keys)))
	g.start(ctx, start, mine)
	return places, start, nil
}

// start runs a flight in a context that keeps what the first caller's knows
// (traces, allowance) but neither its end nor its deadline.
func (g *group) start(caller context.Context, f *flight, b Batch) {
	timeout := g.timeout
	if deadline, ok := caller.Deadline(); ok {
		timeout = max(timeout, time.Until(deadline))
	}
	timed, cancel := context.WithTimeout(context.WithoutCancel(caller), timeout)
	ctx, abort := context.WithCancelCause(timed)
	unhook := context.AfterFunc(g.ctx, func() { abort(errClosed) }) //nolint:contextcheck // the group's end, beside the caller's context
	f.cancel = cancel
	g.running.Go(func() {
		defer cancel()
		defer abort(nil)
		defer unhook()
		v, err := g.call(ctx, b)
		g.land(f, b.Texts, v, err)
	})
}

// land publishes what came of a flight. Vectors are cached before the flight is
// taken off the board, so that nobody finds neither.
func (g *group) land(f *flight, texts []string, v Vectors, err error) {
	if f.err = err; err == nil {
		f.rows = divide(v, texts)
		for i, k := range f.keys {
			if g.cache != nil {
				g.cache.Set(k, f.rows[i])
			}
		}
	}
	g.mu.Lock()
	g.forget(f)
	g.mu.Unlock()
	close(f.done)
}

// divide cuts vectors into rows of their own memory, so that one that stays
// cached does not hold the others. The tokens are shared out by estimate.
func divide(v Vectors, texts []string) []cached {
	rows := make([]cached, len(texts))
	left, total := v.Tokens, max(tokens.Sum(texts), 1)
	for i := range rows {
		share := v.Tokens * tokens.Estimate(texts[i]) / total
		if i == len(rows)-1 {
			share = left
		}
		left -= share
		rows[i] = cached{row: append([]float32(nil), v.Row(i)...), tokens: share}
	}
	return rows
}

// leave ends a caller's interest in its flights; one that nobody waits for any
// more is cancelled, and taken off the board at once so that nobody joins it.
func (g *group) leave(places []place) {
	g.mu.Lock()
	defer g.mu.Unlock()
	each(places, func(f *flight) {
		if f.waiting--; f.waiting == 0 {
			g.forget(f)
			f.cancel()
		}
	})
}

// forget takes a flight off the board, unless another has its place already.
func (g *group) forget(f *flight) {
	for _, k := range f.keys {
		if g.flights[k].flight == f {
			delete(g.flights, k)
		}
	}
}

// each visits every flight once.
func each(places []place, visit func(*flight)) {
	var seen map[*flight]bool
	var last *flight
	for _, p := range places {
		if p.flight == nil || p.flight == last || seen[p.flight] {
			continue
		}
		if last != nil && seen == nil {
			seen = map[*flight]bool{last: true}
		}
		if last = p.flight; seen != nil {
			seen[last] = true
		}
		visit(last)
	}
}

func (g *group) stats() Stats {
	s := Stats{Hits: g.hits.Load(), Shared: g.joins.Load(), Misses: g.misses.Load()}
	if g.cache != nil {
		g.cache.CleanUp() // what is pending would be missing
		s.Bytes = g.cache.WeightedSize()
	}
	return s
}

// close ends every flight and waits for all of them.
func (g *group) close() {
	g.mu.Lock()
	g.closed = true
	g.mu.Unlock()
	g.stop(errClosed)
	g.running.Wait()
	if g.cache != nil {
		g.cache.StopAllGoroutines()
	}
}
