package embed

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/lanewise/lanewise/balance"
	"github.com/lanewise/lanewise/fault"
)

// Embedder is a [Provider] over upstreams of one space. Texts that are asked for
// again come from its cache, equal texts that are asked for at the same time are
// embedded once, texts of different callers share calls, batches beyond the
// upstreams' limits are split, and each call is balanced, hedged and failed over
// by package balance. A text that an upstream refuses fails only those who asked
// for it. Bulk batches give way to all others, and bypass cache and sharing, so
// that ingestion does not push out the vectors of queries.
// Safe for concurrent use.
type Embedder struct {
	space   Space
	long    Long
	short   bool
	config  Config
	members atomic.Pointer[[]*member]
	change  sync.Mutex // held while the upstreams are replaced
	pool    *balance.Pool[*member]
	batcher *batcher
	cache   *cache
	guard   *guard
}

var (
	_ Provider    = (*Embedder)(nil)
	_ TokenReader = (*Embedder)(nil)
)

// New returns an Embedder, which must be closed. Its errors are fault.Invalid
// with the field's pointer ("/upstreams/1/name"), or fault.Conflict if the
// upstreams are of different spaces.
func New(c Config) (*Embedder, error) {
	c = c.withDefaults()
	if err := c.validate(); err != nil {
		return nil, err
	}
	e := &Embedder{space: c.Upstreams[0].Provider.Space(), config: c, long: c.Long, short: c.Shortens}
	var err error
	if e.cache, err = newCache(e.space, c); err != nil {
		return nil, err
	}
	e.guard = &guard{adopted: e.cache.adopt}
	members := e.enlist(c.Upstreams, nil)
	e.members.Store(&members)
	loose := members[0].Limits()
	for _, m := range members[1:] {
		loose = loose.loosen(m.Limits())
	}
	if e.pool, err = c.pool(members); err != nil {
		e.cache.close()
		return nil, err
	}
	if err := e.watch(c.Watch); err != nil {
		e.cache.close()
		return nil, errors.Join(err, e.pool.Close())
	}
	e.batcher = newBatcher(c, c.Flush.tighten(loose))
	e.batcher.send, e.batcher.keep = e.send, e.cache.put
	return e, nil
}

// Shortens reports whether the first numbers of a vector are a vector by themselves.
func (e *Embedder) Shortens() bool { return e.short }

// ReadsTokens implements [TokenReader]: whether the upstreams do is seen by the answer.
func (e *Embedder) ReadsTokens() {}

// Space returns the space of all upstreams.
func (e *Embedder) Space() Space { return e.space }

// enlist makes members of upstreams; those that stay, by name and provider, keep what was learned of them.
func (e *Embedder) enlist(upstreams []Upstream, old []*member) []*member {
	out := make([]*member, len(upstreams))
	for i, u := range upstreams {
		at := slices.IndexFunc(old, func(m *member) bool { return m.name == u.Name && m.Provider == u.Provider })
		if at >= 0 {
			out[i] = old[at]
			continue
		}
		out[i] = newMember(u, e.config)
		if e.config.Watch > 0 {
			out[i].guard = e.guard
		}
	}
	return out
}

// Update replaces the upstreams, which must be of the same space. Those that stay, by name, keep their
// load and health, and with the same provider what was learned of their limits; calls on those that go are not
// disturbed. How many texts go into one call stays as it was found for the first ones. Errors
// are those of [New]; nothing has changed then.
func (e *Embedder) Update(upstreams []Upstream) error {
	e.change.Lock()
	defer e.change.Unlock()
	c := e.config
	c.Upstreams = upstreams
	if err := c.validate(); err != nil {
		return err
	}
	if s := upstreams[0].Provider.Space(); !s.Compatible(e.space) {
		return fault.New(fault.Conflict, "upstream %q embeds into space %q, but the lane into %q", upstreams[0].Name, s.ID(), e.space.ID())
	}
	members := e.enlist(upstreams, *e.members.Load())
	if err := e.pool.Update(c.places(members)); err != nil {
		return err
	}
	e.members.Store(&members)
	e.batcher.serves(len(upstreams))
	return nil
}

// Steer has an upstream drained, ejected or brought back, as balance.Pool's Steer.
func (e *Embedder) Steer(name string, to balance.State) error { return e.pool.Steer(name, to) }

// Reweigh changes an upstream's weight, as balance.Pool's Reweigh.
func (e *Embedder) Reweigh(name string, weight float64) error { return e.pool.Reweigh(name, weight) }

// Learn enters what was measured of an upstream, by name: whether a call of it that
// is cancelled stops costing it anything. An unknown upstream is fault.NotFound.
func (e *Embedder) Learn(name string, aborts bool) error { return e.pool.Learn(name, aborts) }

// Snapshot returns the load and health of the upstreams.
func (e *Embedder) Snapshot() balance.Snapshot { return e.pool.Snapshot() }

// Stats returns how the cache has done so far.
func (e *Embedder) Stats() Stats { return e.cache.stats() }

// Close ends the calls that are still under way and waits for them. The
// providers stay open: they belong to whoever made them.
func (e *Embedder) Close() error {
	e.batcher.close()
	e.cache.close()
	return e.pool.Close()
}

// Embed returns a vector for each text, in order. A Task that is not set is
// DocumentTask. Errors are those of the upstreams that were tried, by class; the
// end of ctx is returned as it is.
func (e *Embedder) Embed(ctx context.Context, b Batch) (Vectors, error) {
	b.Task = cmp.Or(b.Task, DocumentTask)
	if b.Len() == 0 {
		return Vectors{Dims: e.space.Dims}, nil
	}
	v, err := e.embed(ctx, b)
	if err != nil {
		return Vectors{}, fmt.Errorf("embed %s: %w", count(b.Len()), err)
	}
	return v, nil
}

func count(texts int) string {
	if texts == 1 {
		return "a text"
	}
	return fmt.Sprintf("%d texts", texts)
}

func (e *Embedder) embed(ctx context.Context, b Batch) (Vectors, error) {
	o := order{Batch: b}
	rows := make([]row, b.Len())
	if !b.Bulk {
		keys := e.cache.keys(b)
		if e.cache.lookup(keys, rows) == 0 {
			return e.join(rows), nil
		}
		o.keys = keys
		o.skip = func(at int) bool { return rows[at].vector != nil || e.cache.landed(keys[at], &rows[at]) }
	}
	if err := e.fit(&o); err != nil {
		return Vectors{}, err
	}
	again, err := e.fill(ctx, o, rows)
	if again {
		o.keys = nil // now by a call of its own
		_, err = e.fill(ctx, o, rows)
	}
	if err != nil {
		return Vectors{}, err
	}
	return e.join(rows), nil
}

// window is the tightest window of the upstreams, as far as it is known; 0: it is
// not. All upstreams get the same part of a text, or its vector would depend on chance.
func (e *Embedder) window() int {
	var all Limits
	for _, m := range *e.members.Load() {
		all = all.tighten(m.Limits())
	}
	return all.Window
}

// fit deals with the texts that are longer than the window, by estimate.
func (e *Embedder) fit(o *order) error {
	window := e.window()
	if window <= 0 {
		return nil
	}
	for at := range o.Len() {
		size := o.size(at, 0).Tokens
		switch {
		case size <= window:
		case e.long == Truncate:
			o.shorten(at, window)
		case size > window*sure/100:
			return fault.New(fault.Invalid, "text %d is longer than the model's window: about %d tokens, not %d", at, size, window)
		}
	}
	return nil
}

// shorten cuts the text at a position to so many tokens. The caller's own texts
// stay as they are.
func (o *order) shorten(at, size int) {
	if o.cut == nil {
		o.cut, o.Texts, o.IDs = make([]bool, o.Len()), slices.Clone(o.Texts), slices.Clone(o.IDs)
	}
	short := o.Batch.cut(at, size)
	if o.IDs != nil {
		o.IDs[at] = short.IDs[0]
	} else {
		o.Texts[at] = short.Texts[0]
	}
	o.cut[at] = true
}

// sure is how many percent of the window a text is estimated at that is refused
// without asking: estimates are off by a fifth, and the upstream knows better.
const sure = 130

// fill sets the rows that are missing. again is whether some are left that
// another caller's call did not live long enough for.
func (e *Embedder) fill(ctx context.Context, o order, rows []row) (again bool, err error) {
	items, own, err := e.batcher.join(ctx, o)
	if err != nil {
		return false, err
	}
	defer e.batcher.leave(items)
	if !o.Bulk {
		e.cache.count(items, own)
	}
	for at, i := range items {
		if i == nil {
			continue
		}
		if err := i.wait(ctx); err != nil {
			return false, err
		}
		switch {
		case i.err == nil:
			rows[at] = i.row
		case !own[at] && errors.Is(i.err, context.DeadlineExceeded): // the time of those who came before
			again = true
		default:
			return false, i.err
		}
	}
	return again, nil
}

// join copies rows into one block, which is the caller's to change.
func (e *Embedder) join(rows []row) Vectors {
	v := Vectors{Dims: e.space.Dims, Data: make([]float32, 0, len(rows)*e.space.Dims)}
	for at, r := range rows {
		v.Data = append(v.Data, r.vector...)
		v.Tokens += r.tokens
		if r.cut {
			v.Truncated = append(v.Truncated, at)
		}
	}
	return v
}
