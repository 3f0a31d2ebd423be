package router

import (
	"context"
	"time"

	"github.com/lanewise/lanewise/search"
)

// stream reads the keys and versions of a collection in the order of the keys.
type stream struct {
	store search.Store
	scan  search.Scan
	page  search.Page
	at    int
	ended bool
}

// newStream starts at the first key. A collection that is not there is an empty stream.
func newStream(store search.Store, collection string, there bool) *stream {
	return &stream{store: store, ended: !there, page: search.Page{More: true}, scan: search.Scan{Collection: collection, AllTenants: true, Limit: 2 * repairBatch}}
}

// head returns the next point without passing it, or nil at the end.
func (s *stream) head(ctx context.Context) (*search.Point, error) {
	for !s.ended && s.at == len(s.page.Points) {
		if !s.page.More {
			s.ended = true
			break
		}
		if n := len(s.page.Points); n > 0 {
			s.scan.After = s.page.Points[n-1].Key
		}
		page, err := guarded(func() (search.Page, error) { return s.store.Scroll(ctx, s.scan) })
		if err != nil {
			return nil, err
		}
		page.More = page.More && len(page.Points) > 0
		s.page, s.at = page, 0
	}
	if s.ended {
		return nil, nil //nolint:nilnil // the end is no error
	}
	return &s.page.Points[s.at], nil
}

// nextKey passes the lowest key of all streams, and reports whether all of them have it at the same
// version. The zero key is the end.
func nextKey(ctx context.Context, streams []*stream) (key search.Key, same bool, err error) {
	heads := make([]*search.Point, len(streams))
	for i, s := range streams {
		if heads[i], err = s.head(ctx); err != nil {
			return key, false, err
		}
		if h := heads[i]; h != nil && (key == search.Key{} || h.Compare(key) < 0) {
			key = h.Key
		}
	}
	same = true
	version := search.Version(0)
	for i, h := range heads {
		if h == nil || h.Key != key {
			same = false
			continue
		}
		streams[i].at++
		same = same && (version == 0 || version == h.Version)
		version = h.Version
	}
	return key, same, nil
}

// pace keeps a background job to a number of points a second.
type pace struct {
	perSecond int
	start     time.Time
	n         int
}

func newPace(perSecond int) *pace { return &pace{perSecond: perSecond, start: time.Now()} }

// wait returns when n more points are due.
func (p *pace) wait(ctx context.Context, n int) error {
	p.n += n
	if p.perSecond <= 0 {
		return context.Cause(ctx)
	}
	due := p.start.Add(time.Duration(float64(p.n) / float64(p.perSecond) * float64(time.Second)))
	if err := pause(ctx, time.Until(due)); err != nil {
		return err
	}
	return context.Cause(ctx) // it may have ended at the same moment
}
