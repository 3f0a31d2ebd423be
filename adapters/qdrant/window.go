package qdrant

import (
	"context"
	"encoding/json"
	"slices"
	"sync"
	"time"

	"github.com/qdrant/go-client/qdrant"

	"github.com/lanewise/lanewise/search"
)

const (
	windowKeys  = 1 << 16          // keys that one pass remembers, at least
	passRows    = 4096             // rows of one call of a pass
	mostWindows = 8                // scans remembered at one time
	windowAge   = 30 * time.Second // after which keys are read again
)

// window is a stretch of the keys of a scan, in order. It is not changed once it
// is made.
type window struct {
	keys []search.Key
	more bool // there are keys behind the last one
	read time.Time
}

// windowID names the page that a window starts with.
type windowID struct {
	collection, tenant, filter string
	all                        bool
	after                      search.Key
}

func windowOf(scan search.Scan) windowID {
	text, err := json.Marshal(scan.Filter)
	if err != nil { // a filter that was put together by hand; it matches nothing
		text = nil
	}
	return windowID{scan.Collection, scan.Tenant, string(text), scan.AllTenants, scan.After}
}

// windows remembers the keys of scans under way.
type windows struct {
	mu   sync.Mutex
	open map[windowID]window
}

// take removes and returns the window of a page.
func (w *windows) take(id windowID) (window, bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	found, ok := w.open[id]
	delete(w.open, id)
	return found, ok && time.Since(found.read) < windowAge
}

func (w *windows) put(id windowID, next window) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.open == nil || len(w.open) >= mostWindows {
		w.open = map[windowID]window{} // scans that were given up
	}
	if len(next.keys) > 0 {
		w.open[id] = next
	}
}

// close forgets the windows of a collection.
func (w *windows) close(collection string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for id := range w.open {
		if id.collection == collection {
			delete(w.open, id)
		}
	}
}

// window returns the keys behind scan.After, remembered or read.
func (s *Store) window(ctx context.Context, c *collection, scan search.Scan) (window, error) {
	if w, ok := s.windows.take(windowOf(scan)); ok {
		return w, nil
	}
	return s.pass(ctx, c, scan)
}

// pass walks through the points in Qdrant's order and keeps the lowest keys.
func (s *Store) pass(ctx context.Context, c *collection, scan search.Scan) (window, error) {
	tenant := &scan.Tenant
	if scan.AllTenants {
		tenant = nil
	}
	filter, err := c.filter(tenant, scan.Filter)
	if err != nil {
		return window{}, err
	}
	out := window{read: time.Now()}
	most := max(windowKeys, scan.Limit)
	req := &qdrant.ScrollPoints{
		CollectionName: c.engine, Filter: filter, Limit: new(uint32(passRows)), WithPayload: c.wanted(search.Fields{}),
		WithVectors: qdrant.NewWithVectors(false), ReadConsistency: s.consistency, ShardKeySelector: s.shard,
	}
	for {
		req.Timeout = seconds(ctx)
		resp, err := s.points().Scroll(ctx, req)
		if err != nil {
			return window{}, s.classify(ctx, "scroll in "+c.engine, err)
		}
		for _, p := range resp.GetResult() {
			if k := c.keyOf(p); scan.After == (search.Key{}) || k.Compare(scan.After) > 0 {
				out.keys = append(out.keys, k)
			}
		}
		if len(out.keys) > 2*most {
			out.cut(most)
		}
		if req.Offset = resp.GetNextPageOffset(); req.GetOffset() == nil {
			out.cut(most)
			return out, nil
		}
	}
}

// cut keeps the lowest keys, each once.
func (w *window) cut(most int) {
	slices.SortFunc(w.keys, search.Key.Compare)
	w.keys = slices.Compact(w.keys)
	if len(w.keys) > most {
		w.keys, w.more = slices.Clip(w.keys[:most]), true
	}
}
