package adapter

import (
	"cmp"
	"context"
	"encoding/json"
	"math"
	"net/url"
	"slices"
	"strconv"

	"github.com/lanewise/lanewise/fault"
	"github.com/lanewise/lanewise/search"
)

// row is a point as the engine keeps it.
type row struct {
	search.Key
	Version search.Version
	Dense   []float32
	Sparse  search.Sparse
	Text    string
	Meta    json.RawMessage `json:",omitempty"` // none is not null
}

// rows is a collection, in the order of the keys.
type rows struct {
	About search.Collection
	Rows  []search.Point
}

func place(collection string) string { return "/" + url.PathEscape(collection) }

// load fetches a collection.
func (s *Store) load(ctx context.Context, collection string) (rows, error) {
	var kept struct {
		About search.Collection
		Rows  []row
	}
	if err := s.call(ctx, "GET "+place(collection), nil, &kept); err != nil {
		return rows{}, err
	}
	c := rows{About: kept.About, Rows: make([]search.Point, len(kept.Rows))}
	for i, r := range kept.Rows {
		c.Rows[i] = search.Point(r)
	}
	slices.SortFunc(c.Rows, func(a, b search.Point) int { return a.Compare(b.Key) })
	return c, nil
}

// Search ranks each leg's collection.
func (s *Store) Search(ctx context.Context, q search.Query) (search.Result, error) {
	var res search.Result
	if len(q.Legs) == 0 {
		return res, fault.BadField("/legs", "at least one leg is needed")
	}
	for i, leg := range q.Legs {
		leg.Collection = cmp.Or(leg.Collection, q.Collection)
		c, err := s.load(ctx, leg.Collection)
		if err != nil {
			return res, err
		}
		if err := checkLeg("/legs/"+strconv.Itoa(i), leg, c.About); err != nil {
			return res, err
		}
		res.Lists = append(res.Lists, rank(c, leg, q))
	}
	return res, nil
}

// rank scores the points that a leg asks for. The list is Exhausted where it has all of
// them, and always a Prefix of longer ones: ties are cut by the key.
func rank(c rows, leg search.Leg, q search.Query) search.List {
	list := search.List{Prefix: true}
	for _, p := range c.Rows {
		unwanted := leg.Only != nil && !slices.Contains(leg.Only, p.Key)
		if p.Tenant != q.Tenant || unwanted || !q.Filter.Match(p.Meta) {
			continue
		}
		score, ok := scoreOf(c.About.Metric, leg, p)
		if !ok {
			continue
		}
		h := search.Hit{Point: with(p, q.Fields), Collection: leg.Collection, Score: score, Raw: score}
		if c.About.Metric == search.Euclidean && len(leg.Dense) > 0 {
			h.Raw = -score // what an engine calls the distance
		}
		list.Hits = append(list.Hits, h)
	}
	slices.SortStableFunc(list.Hits, func(a, b search.Hit) int { return cmp.Compare(b.Score, a.Score) })
	list.Exhausted = len(list.Hits) <= leg.K
	list.Hits = list.Hits[:min(len(list.Hits), leg.K)]
	return list
}

// scoreOf is the canonical score, larger being better; false where the point has no such vector.
func scoreOf(m search.Metric, leg search.Leg, p search.Point) (float64, bool) {
	if len(leg.Sparse.Index) > 0 {
		score, shared := 0.0, false
		for i, x := range p.Sparse.Index {
			if at, ok := slices.BinarySearch(leg.Sparse.Index, x); ok {
				score += float64(p.Sparse.Value[i]) * float64(leg.Sparse.Value[at])
				shared = true
			}
		}
		return score, shared
	}
	if len(p.Dense) == 0 {
		return 0, false
	}
	var dot, qq, xx, square float64
	for i, x := range p.Dense {
		a, b := float64(leg.Dense[i]), float64(x)
		dot, qq, xx, square = dot+a*b, qq+a*a, xx+b*b, square+(a-b)*(a-b)
	}
	switch {
	case m == search.Dot:
		return dot, true
	case m == search.Euclidean:
		return -math.Sqrt(square), true
	case qq*xx == 0:
		return 0, true
	default:
		return dot / math.Sqrt(qq*xx), true
	}
}

// with leaves out the fields that were not asked for.
func with(p search.Point, f search.Fields) search.Point {
	if !f.Text {
		p.Text = ""
	}
	if !f.Meta {
		p.Meta = nil
	}
	if !f.Vector {
		p.Dense, p.Sparse = nil, search.Sparse{}
	}
	return p
}

// Get fetches points by key, in the order of the keys.
func (s *Store) Get(ctx context.Context, collection string, keys []search.Key, f search.Fields) ([]search.Point, error) {
	c, err := s.load(ctx, collection)
	points := []search.Point{}
	for _, k := range keys {
		if at, ok := slices.BinarySearchFunc(c.Rows, k, func(p search.Point, k search.Key) int { return p.Compare(k) }); ok {
			points = append(points, with(c.Rows[at], f))
		}
	}
	return points, err
}

// Scroll gives a page in the order of the keys.
func (s *Store) Scroll(ctx context.Context, scan search.Scan) (page search.Page, err error) {
	if scan.Limit < 1 {
		return page, fault.BadField("/limit", "must be at least 1")
	}
	c, err := s.load(ctx, scan.Collection)
	for _, p := range c.Rows {
		if !scan.AllTenants && p.Tenant != scan.Tenant || p.Compare(scan.After) <= 0 || !scan.Filter.Match(p.Meta) {
			continue
		}
		if page.More = len(page.Points) == scan.Limit; page.More {
			break
		}
		page.Points = append(page.Points, with(p, scan.Fields))
	}
	return page, err
}

// Count counts the points of a tenant that match.
func (s *Store) Count(ctx context.Context, collection, tenant string, f search.Filter) (n int, err error) {
	c, err := s.load(ctx, collection)
	for _, p := range c.Rows {
		if p.Tenant == tenant && f.Match(p.Meta) {
			n++
		}
	}
	return n, err
}

// Stats describes one collection, or all of them.
func (s *Store) Stats(ctx context.Context, collection string) ([]search.Stats, error) {
	names := []string{collection}
	if collection == "" {
		if err := s.call(ctx, "GET /", nil, &names); err != nil {
			return nil, err
		}
	}
	all := make([]search.Stats, len(names))
	for i, name := range names {
		c, err := s.load(ctx, name)
		if err != nil {
			return nil, err
		}
		all[i] = search.Stats{Collection: c.About, Points: len(c.Rows)}
		for _, p := range c.Rows {
			all[i].Digest += search.Digest(p.Key, p.Version)
			all[i].Newest = max(all[i].Newest, p.Version)
		}
	}
	return all, nil
}
