// Package transfer copies a collection page by page: the next pages are read while
// several are written, and a file remembers how far the copy has come, so that it goes on
// there after any end, a kill included. To write a page twice changes nothing, since
// documents keep their ids.
package transfer

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/lanewise/lanewise/cmd/lanewise/internal/ingest"
	"github.com/lanewise/lanewise/internal/corpus"
)

// Read returns a page of the source: what follows a place, and the place behind it, which
// is empty at the end. The first place is empty.
type Read func(ctx context.Context, after string, limit int) (page []corpus.Document, next string, err error)

// Config tunes [Run]. Zero values mean the defaults.
type Config struct {
	From, To string           // name the two ends: a copy between others is not resumed
	State    string           // file that remembers how far the copy has come; required
	Page     int              // documents a page; 0: 500
	Parallel int              // pages written at a time; 0: 4
	Sample   int              // documents kept for a comparison; 0: 64
	Progress func(copied int) // called with the number of documents written so far, never concurrently
}

// Summary says what a run did.
type Summary struct {
	Copied  int               // documents, those of earlier runs included
	Now     int               // of this run
	Resumed bool              // an earlier run was continued
	Sample  []corpus.Document // drawn evenly from what this run copied
	Took    time.Duration
}

// Rate returns the documents that this run copied each second.
func (s Summary) Rate() float64 { return float64(s.Now) / max(s.Took.Seconds(), 1e-9) }

// Run copies everything that read gives. It returns when every write has ended; the
// summary is valid beside an error too. Writes are tried again where a moment may help; a
// document that cannot be stored ends the copy. The state file stays when an error ends
// the run, and also at the end: [Forget] removes it.
func Run(ctx context.Context, read Read, write ingest.Write, c Config) (Summary, error) {
	c.Page, c.Parallel, c.Sample = cmp.Or(c.Page, 500), cmp.Or(c.Parallel, 4), cmp.Or(c.Sample, 64)
	start := time.Now()
	was, err := load(c.State)
	if err != nil {
		return Summary{}, err
	}
	if (was.From != "" || was.To != "") && (was.From != c.From || was.To != c.To) {
		return Summary{}, fmt.Errorf("%s is of a copy from %s to %s: name another file, or remove it", c.State, was.From, was.To)
	}
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	r := &run{
		Config: c, write: write, ctx: ctx, stop: stop, slots: make(chan struct{}, c.Parallel),
		state: state{From: c.From, To: c.To, Next: was.Next, Copied: was.Copied, Done: was.Done},
		ended: map[int]page{}, random: rand.New(rand.NewPCG(1, 2)), //nolint:gosec // a sample
	}
	if !was.Done {
		err = r.readAll(read)
	}
	r.writes.Wait()
	if ctx.Err() != nil {
		err = context.Cause(ctx) // the first failure, whichever side it came from
	}
	err = errors.Join(err, r.save(true, err == nil))
	return Summary{Copied: r.state.Copied, Now: r.now, Resumed: was.From != "", Sample: r.sample, Took: time.Since(start)}, err
}

// page is one that has been written.
type page struct {
	docs int
	next string // where the one behind it starts
}

// run is the state of one Run. What stands above mu belongs to the reader.
type run struct {
	Config
	write  ingest.Write
	ctx    context.Context // lives as long as the run
	stop   context.CancelCauseFunc
	slots  chan struct{} // room for writes
	writes sync.WaitGroup

	mu     sync.Mutex
	state  state        // all pages before state.Next are written
	oldest int          // number of the page that starts at state.Next
	ended  map[int]page // pages that were written before their turn
	now    int          // documents that were written
	sample []corpus.Document
	random *rand.Rand
	saved  time.Time
}

func (r *run) readAll(read Read) error {
	after := r.state.Next
	for number := 0; ; number++ {
		docs, next, err := read(r.ctx, after, r.Page)
		if err != nil {
			return err
		}
		select {
		case <-r.ctx.Done():
			return context.Cause(r.ctx)
		case r.slots <- struct{}{}:
		}
		r.writes.Go(func() {
			defer func() { <-r.slots }()
			if err := r.store(number, docs, next); err != nil {
				r.stop(err)
			}
		})
		if next == "" {
			return nil
		}
		after = next
	}
}

// store writes a page and notes that it is done.
func (r *run) store(number int, docs []corpus.Document, next string) error {
	if len(docs) > 0 {
		all := func(yield func(corpus.Document, error) bool) {
			for _, d := range docs {
				if !yield(d, nil) {
					return
				}
			}
		}
		const most = 16 << 20 // a page is a write, unless its tenants change or a server might find it too large
		if _, err := ingest.Run(r.ctx, all, r.write, ingest.Config{Batch: len(docs), Bytes: most, Parallel: 1, Strict: true}); err != nil {
			return err
		}
	}
	return r.done(number, docs, next)
}

// done moves the place up to which everything is written.
func (r *run) done(number int, docs []corpus.Document, next string) error {
	r.mu.Lock()
	r.ended[number] = page{len(docs), next}
	for {
		p, ok := r.ended[r.oldest]
		if !ok {
			break
		}
		delete(r.ended, r.oldest)
		r.oldest++
		r.state.Next, r.state.Copied = p.next, r.state.Copied+p.docs
	}
	for _, d := range docs {
		r.now++
		if len(r.sample) < r.Sample {
			r.sample = append(r.sample, d)
		} else if i := r.random.IntN(r.now); i < r.Sample {
			r.sample[i] = d
		}
	}
	if r.Progress != nil {
		r.Progress(r.now)
	}
	r.mu.Unlock()
	return r.save(false, false)
}

// save writes the state, at most once a second unless it must be.
func (r *run) save(must, done bool) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !must && time.Since(r.saved) < time.Second {
		return nil
	}
	r.saved = time.Now()
	r.state.Done = r.state.Done || done
	return r.state.save(r.State)
}
