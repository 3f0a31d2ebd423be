package adapter

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"unicode/utf8"

	"github.com/lanewise/lanewise/fault"
	"github.com/lanewise/lanewise/search"
)

// change is what the engine does in one step.
type change struct {
	Put    []row
	Remove []search.Key
}

// Write applies a batch. All of it is checked before any of it is sent. The engine knows
// no versions: the last write wins, and Capabilities does not claim otherwise.
func (s *Store) Write(ctx context.Context, b search.Batch) (search.Written, error) {
	switch {
	case b.Create != nil:
		return search.Written{}, s.create(ctx, *b.Create)
	case b.Drop:
		return search.Written{}, s.call(ctx, "DELETE "+place(b.Collection), nil, nil)
	}
	c, err := s.load(ctx, b.Collection)
	if err != nil {
		return search.Written{}, err
	}
	var send change
	for i, p := range b.Upserts {
		if err := s.checkPoint(fmt.Sprintf("/upserts/%d", i), p, c.About); err != nil {
			return search.Written{}, err
		}
		send.Put = append(send.Put, row(p))
	}
	for _, d := range b.Deletes {
		send.Remove = append(send.Remove, d.Key)
	}
	if err := s.call(ctx, "POST "+place(b.Collection), send, nil); err != nil {
		return search.Written{}, err
	}
	return search.Written{Applied: len(b.Upserts) + len(b.Deletes)}, nil
}

// create makes a collection; the same one again is fine, and so is one that adds the
// lexical settings.
func (s *Store) create(ctx context.Context, c search.Collection) error {
	most := s.Capabilities().MaxDims
	switch {
	case c.Name == "" || !utf8.ValidString(c.Name):
		return fault.BadField("/create/name", "must be UTF-8 and not empty")
	case c.Dims < 1 || c.Dims > most:
		return fault.BadField("/create/dims", "is %d, it must be 1 to %d", c.Dims, most)
	case c.Metric != search.Cosine && c.Metric != search.Dot && c.Metric != search.Euclidean:
		return fault.BadField("/create/metric", "%q is none of cosine, dot, euclidean", c.Metric)
	}
	c.Placement.By = cmp.Or(c.Placement.By, search.ByID)
	have, err := s.load(ctx, c.Name)
	switch {
	case err == nil && !have.About.Accepts(c):
		return fault.New(fault.Conflict, "collection %q is there, and is another one", c.Name)
	case err != nil && fault.Of(err) != fault.NotFound:
		return err
	}
	return s.call(ctx, "PUT "+place(c.Name), c, nil)
}

// checkPoint refuses what the engine would store and nobody could use.
func (s *Store) checkPoint(at string, p search.Point, c search.Collection) error {
	var object map[string]json.RawMessage
	switch {
	case p.ID == "" || !utf8.ValidString(p.ID) || !utf8.ValidString(p.Tenant):
		return fault.BadField(at+"/id", "id and tenant must be UTF-8, and the id not empty")
	case !utf8.ValidString(p.Text):
		return fault.BadField(at+"/text", "is not UTF-8")
	case len(p.Meta) > 0 && (!utf8.Valid(p.Meta) || json.Unmarshal(p.Meta, &object) != nil || object == nil):
		return fault.BadField(at+"/meta", "is not a JSON object in UTF-8")
	case len(p.Dense) > 0 && len(p.Dense) != c.Dims || !finite(p.Dense):
		return fault.BadField(at+"/dense", "must be %d finite numbers", c.Dims)
	}
	if err := checkSparse(at+"/sparse", p.Sparse); err != nil {
		return err
	}
	if err := s.Capabilities().CheckPoint(p); err != nil {
		return fault.BadField(at+fault.Field(err), "%v", err)
	}
	return nil
}

// checkLeg refuses what cannot be ranked.
func checkLeg(at string, leg search.Leg, c search.Collection) error {
	lexical := len(leg.Sparse.Index) > 0 || len(leg.Sparse.Value) > 0
	switch {
	case leg.K < 1:
		return fault.BadField(at+"/k", "is %d, it must be at least 1", leg.K)
	case lexical && len(leg.Dense) > 0:
		return fault.BadField(at+"/sparse", "stands beside a dense vector: a leg is one ranking")
	case lexical && leg.Only == nil:
		return fault.BadField(at+"/sparse", "this engine has no index for words")
	case lexical:
		return checkSparse(at+"/sparse", leg.Sparse)
	case len(leg.Dense) != c.Dims || !finite(leg.Dense):
		return fault.BadField(at+"/dense", "must be %d finite numbers", c.Dims)
	}
	return nil
}

func checkSparse(at string, v search.Sparse) error {
	rising := slices.IsSorted(v.Index) && len(slices.Compact(slices.Clone(v.Index))) == len(v.Index)
	if len(v.Index) != len(v.Value) || !rising || !finite(v.Value) {
		return fault.BadField(at, "must be a finite value for each of its rising indices")
	}
	return nil
}

func finite(v []float32) bool {
	return !slices.ContainsFunc(v, func(x float32) bool { return math.IsNaN(float64(x)) || math.IsInf(float64(x), 0) })
}
