package adaptertest

import (
	"context"
	"errors"
	"io"
	"testing"

	"go.uber.org/goleak"

	"github.com/lanewise/lanewise/fault"
	"github.com/lanewise/lanewise/search"
)

var lifeChecks = []check{ //nolint:gochecknoglobals // a constant table
	{name: "no goroutine is left", alone: true, bare: true, run: lifeGoroutines},
	{name: "close under load", run: lifeClose},
}

// close closes the store, if it can be.
func (b *bench) close() {
	b.Helper()
	c, ok := b.store.(io.Closer)
	if !ok {
		return
	}
	if err := c.Close(); err != nil {
		b.Errorf("close: %v", err)
	}
}

// lifeGoroutines uses a store in the ways that start goroutines, and closes it.
func lifeGoroutines(b *bench) {
	before := goleak.IgnoreCurrent()
	b.T.Run("used and closed", func(t *testing.T) {
		b := &bench{T: t, Suite: b.Suite, store: b.Open(t)}
		b.create(docs, 4, search.Cosine)
		answers := b.keepAsking(8, func() error {
			res, err := b.store.Search(b.Context(), search.Query{Collection: docs, Legs: []search.Leg{{Dense: query(1, 4), K: 3}}})
			if err == nil && len(res.Lists) != 1 {
				return errors.New("not one list")
			}
			return err
		})
		for range 50 {
			if err := await(t, answers, "a search"); err != nil {
				t.Errorf("search: %v", err)
			}
		}
		ctx, cancel := context.WithCancel(b.Context())
		cancel()
		for call, err := range b.calls(ctx, docs) {
			if !errors.Is(err, context.Canceled) {
				t.Errorf("%s: got %v, want context.Canceled", call, err)
			}
		}
	}) // what Open and keepAsking clean up is gone now
	goleak.VerifyNone(b.T, before)
}

// lifeClose closes a store while callers are at work. Each call gets an answer or is
// told that the store is closed.
func lifeClose(b *bench) {
	store, ok := b.store.(io.Closer)
	if !ok {
		b.Skip("not applicable: this store is not an io.Closer")
	}
	b.create(docs, 4, search.Cosine)
	b.put(docs, vectors(14, 20, 4)...)
	answers := b.keepAsking(16, func() error {
		res, err := b.store.Search(b.Context(), search.Query{Collection: docs, Legs: []search.Leg{{Dense: query(1, 4), K: 3}}})
		if err == nil && len(res.Lists[0].Hits) != 3 {
			return errors.New("not three hits")
		}
		return err
	})
	for range 64 {
		if err := await(b.T, answers, "a search"); err != nil {
			b.Fatalf("before the store is closed: %v", err)
		}
	}
	closed := make(chan error, 1)
	go func() { closed <- store.Close() }()
	for n := 0; n < 64; {
		err := await(b.T, answers, "a search")
		if err != nil && !errors.Is(err, fault.Unavailable) {
			b.Fatalf("while the store is closed: got %v, want an answer or unavailable", err)
		}
		if err != nil {
			n++
		}
	}
	if err := await(b.T, closed, "Close to return"); err != nil {
		b.Errorf("close: %v", err)
	}
	for call, err := range b.calls(b.Context(), docs) {
		if !errors.Is(err, fault.Unavailable) {
			b.Errorf("%s on a closed store: got %v, want unavailable", call, err)
		}
	}
	b.close() // twice is fine
}
