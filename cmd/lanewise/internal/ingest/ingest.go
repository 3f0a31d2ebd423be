// Package ingest writes a sequence of documents to a collection: in batches,
// several at a time, passing over documents that cannot be stored and trying
// again where the server is busy or away for a moment.
//
// To ingest the same documents again changes nothing, since their ids stay.
package ingest

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/lanewise/lanewise/fault"
	"github.com/lanewise/lanewise/internal/corpus"
)

// Write stores documents of one tenant, no id twice, as a whole or not at all.
// An error about one document is fault.Invalid with a field below /points/N.
type Write func(ctx context.Context, tenant string, docs []corpus.Document) error

// Config tunes [Run]. Zero values mean the defaults.
type Config struct {
	Batch    int                 // documents a write; 0: 256
	Bytes    int                 // of texts and vectors a write, about; 0: 1 MiB
	Parallel int                 // writes at a time; 0: 4
	Strict   bool                // stop at the first document that cannot be stored
	Attempts int                 // for each write; 0: 5
	Progress func(stored int)    // called with the number of documents stored so far, never concurrently
	Problem  func(problem error) // called with each bad document and skipped file, never concurrently
}

// Summary says what a run did.
type Summary struct {
	Stored  int   // documents
	Bytes   int64 // of their texts
	Bad     int   // documents that could not be stored
	Skipped int   // files left out on purpose
	Took    time.Duration
}

// Rate returns the documents stored each second.
func (s Summary) Rate() float64 { return float64(s.Stored) / max(s.Took.Seconds(), 1e-9) }

// Run writes all documents. It returns when every write has ended; the summary
// is valid beside an error too. Bad documents are no error, unless c.Strict.
func Run(ctx context.Context, docs corpus.Documents, write Write, c Config) (Summary, error) {
	c.Batch, c.Bytes = cmp.Or(c.Batch, 256), cmp.Or(c.Bytes, 1<<20)
	c.Parallel, c.Attempts = cmp.Or(c.Parallel, 4), cmp.Or(c.Attempts, 5)
	start := time.Now()
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	r := &run{
		config: c, write: write, ctx: ctx, stop: stop,
		slots: make(chan struct{}, c.Parallel), pending: map[key]bool{},
	}
	err := r.readAll(docs)
	r.writes.Wait()
	if ctx.Err() != nil {
		err = context.Cause(ctx) // the first failure, whichever side it came from
	}
	r.summary.Took = time.Since(start)
	return r.summary, err
}

type key struct{ tenant, id string }

// run is the state of one Run. What stands above mu belongs to the reader.
type run struct {
	config Config
	write  Write
	ctx    context.Context // lives as long as the run
	stop   context.CancelCauseFunc
	slots  chan struct{} // room for writes
	writes sync.WaitGroup

	tenant string
	batch  []corpus.Document
	at     map[string]int // place in the batch of each id
	bytes  int

	mu      sync.Mutex
	pending map[key]bool // documents in writes under way
	summary Summary
}

func (r *run) readAll(docs corpus.Documents) error {
	for d, err := range docs {
		if r.ctx.Err() != nil {
			return context.Cause(r.ctx)
		}
		if err != nil {
			err = r.problem(err)
		} else {
			err = r.add(d)
		}
		if err != nil {
			return err
		}
	}
	return r.flush()
}

// problem counts what the reader could not use. It returns an error where that
// ends the run.
func (r *run) problem(err error) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if _, ok := errors.AsType[*corpus.Skipped](err); ok {
		r.summary.Skipped++
		r.report(err)
		return nil
	}
	if _, ok := errors.AsType[*corpus.BadLine](err); !ok || r.config.Strict {
		return err
	}
	r.summary.Bad++
	r.report(err)
	return nil
}

func (r *run) report(err error) {
	if r.config.Problem != nil {
		r.config.Problem(err)
	}
}

// add puts a document into the batch. A later one of the same id replaces an
// earlier one, as it would if each were written by itself.
func (r *run) add(d corpus.Document) error {
	if len(r.batch) > 0 && (d.Tenant != r.tenant || len(r.batch) >= r.config.Batch || r.bytes >= r.config.Bytes) {
		if err := r.flush(); err != nil {
			return err
		}
	}
	if len(r.batch) == 0 {
		r.tenant, r.at, r.bytes = d.Tenant, map[string]int{}, 0
	}
	r.bytes += len(d.Text) + len(d.Meta) + 4*len(d.Vector)
	if i, twice := r.at[d.ID]; twice {
		r.batch[i] = d
		return nil
	}
	r.at[d.ID] = len(r.batch)
	r.batch = append(r.batch, d)
	return nil
}

// flush starts the write of the batch. Where one of its documents is being
// written already, that write ends first: the later one must win.
func (r *run) flush() error {
	docs, tenant := r.batch, r.tenant
	r.batch = nil
	if len(docs) == 0 {
		return nil
	}
	if r.overlaps(tenant, docs) {
		r.writes.Wait()
	}
	select {
	case <-r.ctx.Done():
		return context.Cause(r.ctx)
	case r.slots <- struct{}{}:
	}
	r.mark(tenant, docs, true)
	r.writes.Go(func() {
		defer func() { r.mark(tenant, docs, false); <-r.slots }()
		if err := r.store(tenant, docs); err != nil {
			r.stop(err)
		}
	})
	return nil
}

func (r *run) overlaps(tenant string, docs []corpus.Document) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, d := range docs {
		if r.pending[key{tenant, d.ID}] {
			return true
		}
	}
	return false
}

func (r *run) mark(tenant string, docs []corpus.Document, busy bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, d := range docs {
		if busy {
			r.pending[key{tenant, d.ID}] = true
		} else {
			delete(r.pending, key{tenant, d.ID})
		}
	}
}

// store writes a batch. A document that the server finds wrong is taken out and
// reported, and the others are written without it.
func (r *run) store(tenant string, docs []corpus.Document) error {
	docs = append([]corpus.Document(nil), docs...)
	for len(docs) > 0 {
		err := r.insist(tenant, docs)
		i, blamed := blames(err, len(docs))
		switch {
		case err == nil:
			r.stored(docs)
			return nil
		case !blamed:
			return err
		}
		bad := refused(docs[i], err)
		if r.config.Strict {
			return bad
		}
		r.mu.Lock()
		r.summary.Bad++
		r.report(bad)
		r.mu.Unlock()
		docs = append(docs[:i], docs[i+1:]...)
	}
	return nil
}

func (r *run) stored(docs []corpus.Document) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, d := range docs {
		r.summary.Bytes += int64(len(d.Text))
	}
	r.summary.Stored += len(docs)
	if r.config.Progress != nil {
		r.config.Progress(r.summary.Stored)
	}
}

// insist writes, and tries again where a moment may help.
func (r *run) insist(tenant string, docs []corpus.Document) (err error) {
	wait := 100 * time.Millisecond
	for attempt := 1; ; attempt++ {
		err = r.write(r.ctx, tenant, docs)
		if err == nil || attempt == r.config.Attempts || !passing(err) {
			return err
		}
		pause := time.NewTimer(max(wait, fault.RetryAfter(err)))
		select {
		case <-r.ctx.Done():
			pause.Stop()
			return context.Cause(r.ctx)
		case <-pause.C:
		}
		wait *= 2
	}
}

// passing reports whether an error may go away by itself.
func passing(err error) bool {
	switch fault.Of(err) {
	case fault.Overloaded, fault.Unavailable, fault.Partial:
		return true
	default:
		return false
	}
}

// blames returns the document of the batch that an error is about.
func blames(err error, n int) (int, bool) {
	if !errors.Is(err, fault.Invalid) {
		return 0, false
	}
	rest, ok := strings.CutPrefix(fault.Field(err), "/points/")
	number, _, _ := strings.Cut(rest, "/")
	i, parseErr := strconv.Atoi(number)
	return i, ok && parseErr == nil && i >= 0 && i < n
}

// refused words the refusal of a document with its place in the input.
func refused(d corpus.Document, err error) error {
	err = fmt.Errorf("document %q: %w", d.ID, err)
	if d.Path == "" {
		return err
	}
	return &corpus.BadLine{Path: d.Path, Line: d.Line, Err: err}
}
