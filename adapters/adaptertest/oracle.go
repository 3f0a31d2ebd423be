package adaptertest

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"math"
	"math/big"
	"math/rand/v2"
	"slices"

	"github.com/lanewise/lanewise/search"
)

// score is the canonical score of two vectors in float64, every sum taken from
// left to right: the definition that exact stores meet bit for bit.
func score(m search.Metric, q, x []float32) float64 {
	var dot, qq, xx, dist float64
	for i := range q {
		a, b := float64(q[i]), float64(x[i])
		dot += a * b
		qq += a * a
		xx += b * b
		d := a - b
		dist += float64(d * d)
	}
	switch {
	case m == search.Dot:
		return dot
	case m == search.Euclidean:
		return -math.Sqrt(dist)
	case qq*xx == 0:
		return 0
	default:
		return dot / math.Sqrt(qq*xx)
	}
}

// ranked is a point with its score.
type ranked struct {
	id    string
	score float64
}

// brute ranks the points of a tenant that pass the filter.
func brute(m search.Metric, points []search.Point, q search.Query, leg search.Leg) []ranked {
	var all []ranked
	for _, p := range points {
		if p.Tenant != q.Tenant || len(p.Dense) == 0 || !q.Filter.Match(p.Meta) {
			continue
		}
		if leg.Only != nil && !slices.Contains(leg.Only, p.Key) {
			continue
		}
		all = append(all, ranked{p.ID, score(m, leg.Dense, p.Dense)})
	}
	slices.SortFunc(all, func(a, b ranked) int {
		return cmp.Or(cmp.Compare(b.score, a.score), cmp.Compare(a.id, b.id))
	})
	return all
}

// compare holds a list to the brute force.
func (b *bench) compare(m search.Metric, points []search.Point, q search.Query, leg int) {
	b.Helper()
	list := b.search(q)[leg]
	if err := b.judge(list, q.Legs[leg].K, brute(m, points, q, q.Legs[leg])); err != nil {
		b.Fatal(err)
	}
	for i, h := range list.Hits {
		if raw := rawScore(m, h.Score); math.Abs(h.Raw-raw) > b.Tolerance {
			b.Errorf("hit %d has the raw score %v, want %v", i, h.Raw, raw)
		}
	}
}

// judge says where a list of k rows differs from the ranking of all of them.
func (b *bench) judge(list search.List, k int, want []ranked) error {
	if n := min(k, len(want)); len(list.Hits) != n {
		return fmt.Errorf("got %d hits, want %d", len(list.Hits), n)
	}
	if list.Exhausted && k < len(want) {
		return fmt.Errorf("the list says that it is exhausted after %d of %d rows", k, len(want))
	}
	for i, h := range list.Hits {
		if math.Abs(h.Score-want[i].score) > b.Tolerance {
			return fmt.Errorf("hit %d has the score %v, want %v", i, h.Score, want[i].score)
		}
		if h.ID != want[i].id && !b.excused(h.ID, i, want) {
			return fmt.Errorf("hit %d is %q, want %q (score %v)", i, h.ID, want[i].id, h.Score)
		}
	}
	return nil
}

func rawScore(m search.Metric, s float64) float64 {
	if m == search.Euclidean {
		return -s
	}
	return s
}

// excused reports whether id may stand at place i: its true score is within the
// tolerance of the score that belongs there.
func (b *bench) excused(id string, i int, want []ranked) bool {
	at := slices.IndexFunc(want, func(r ranked) bool { return r.id == id })
	return b.Tolerance > 0 && at >= 0 && math.Abs(want[at].score-want[i].score) <= b.Tolerance
}

// vectors makes random points: a third of them share their vector with another
// one, and the first has the zero vector.
func vectors(seed uint64, n, dims int) []search.Point {
	rng := rand.New(rand.NewPCG(seed, 1)) //nolint:gosec // reproducible on purpose
	points := make([]search.Point, n)
	for i := range points {
		v := make([]float32, dims)
		switch {
		case i == 0:
		case i%3 == 2:
			copy(v, points[i-1].Dense)
		default:
			for j := range v {
				v[j] = float32(rng.NormFloat64())
			}
		}
		points[i] = search.Point{
			Key: search.Key{ID: fmt.Sprintf("p%04d", (i*7919)%10000)}, Version: 1, Dense: v,
			Text: fmt.Sprintf("text %d", i), Meta: json.RawMessage(fmt.Sprintf(`{"n":%d,"odd":%t}`, i, i%2 == 1)),
		}
	}
	return points
}

// query is a random vector.
func query(seed uint64, dims int) []float32 {
	return slices.Clone(vectors(seed+1000, 2, dims)[1].Dense)
}

// sameJSON reports whether two documents hold the same values; numbers compare
// exactly, whatever way they are written.
func sameJSON(a, b []byte) bool {
	x, errX := decodeJSON(a)
	y, errY := decodeJSON(b)
	return errX == nil && errY == nil && fmt.Sprintf("%#v", x) == fmt.Sprintf("%#v", y)
}

func decodeJSON(data []byte) (any, error) {
	d := json.NewDecoder(bytes.NewReader(data))
	d.UseNumber()
	var v any
	err := d.Decode(&v)
	return canonical(v), err
}

// canonical writes numbers as fractions in lowest terms.
func canonical(v any) any {
	switch v := v.(type) {
	case json.Number:
		if r, ok := new(big.Rat).SetString(v.String()); ok {
			return "number " + r.String()
		}
		return v
	case []any:
		for i := range v {
			v[i] = canonical(v[i])
		}
	case map[string]any:
		for k := range v {
			v[k] = canonical(v[k])
		}
	}
	return v
}
