package qdrant

import (
	"errors"
	"fmt"
	"unicode/utf8"

	"github.com/lanewise/lanewise/fault"
	"github.com/lanewise/lanewise/internal/wellformed"
	"github.com/lanewise/lanewise/search"
)

const mostDims = 65536 // Qdrant's own

func checkCollection(c *search.Collection) error {
	switch {
	case c.Name == "":
		return fault.BadField("/create/name", "is empty")
	case !utf8.ValidString(c.Name):
		return fault.BadField("/create/name", "is not valid UTF-8")
	case c.Dims < 1 || c.Dims > mostDims:
		return fault.BadField("/create/dims", "is %d, it must be 1 to %d", c.Dims, mostDims)
	case c.Metric != search.Cosine && c.Metric != search.Dot && c.Metric != search.Euclidean:
		return fault.BadField("/create/metric", "is %q, it must be cosine, dot or euclidean", c.Metric)
	case c.Placement.By == search.ByExternal:
		return fault.BadField("/create/placement/by", "a collection of somebody else's cannot be created")
	}
	if c.Placement.By == "" {
		c.Placement.By = search.ByID
	}
	return nil
}

// checkBatch validates points and tombstones before any of them is sent.
func checkBatch(c *collection, b *search.Batch) error {
	for i := range b.Upserts {
		if err := checkPoint(c, &b.Upserts[i]); err != nil {
			return within(fmt.Sprintf("/upserts/%d", i), err)
		}
	}
	for i := range b.Deletes {
		if err := checkKey(b.Deletes[i].Key); err != nil {
			return within(fmt.Sprintf("/deletes/%d", i), err)
		}
	}
	return nil
}

// within puts the place of a point before the field that err blames.
func within(at string, err error) error {
	if e, ok := errors.AsType[*fault.Error](err); ok && e.Class == fault.Invalid {
		e.Field = at + e.Field // err was made for this call alone
	}
	return err
}

func checkKey(k search.Key) error {
	if k.ID == "" {
		return fault.BadField("/id", "is empty")
	}
	if err := checkText("/id", k.ID); err != nil {
		return err
	}
	return checkText("/tenant", k.Tenant)
}

// checkText refuses what gRPC cannot carry.
func checkText(at, s string) error {
	if !utf8.ValidString(s) {
		return fault.BadField(at, "is not valid UTF-8")
	}
	return nil
}

func checkPoint(c *collection, p *search.Point) error {
	if err := checkKey(p.Key); err != nil {
		return err
	}
	if err := checkText("/text", p.Text); err != nil {
		return err
	}
	if len(p.Dense) > 0 {
		if err := wellformed.Dense("/dense", c.Dims, p.Dense); err != nil {
			return err
		}
	}
	if len(p.Meta) > 0 && !wellformed.Object(p.Meta) {
		return fault.BadField("/meta", "is not a JSON object")
	}
	return wellformed.Sparse("/sparse", p.Sparse)
}

// checkLeg validates a leg on its collection.
func checkLeg(c *collection, leg *search.Leg) error {
	switch {
	case leg.K < 1:
		return fault.BadField("/k", "is %d, it must be at least 1", leg.K)
	case len(leg.Dense) > 0 && len(leg.Sparse.Index) > 0:
		return fault.BadField("/sparse", "stands beside a dense vector: a leg is one ranking")
	case len(leg.Sparse.Index) > 0:
		if err := checkWords(c, leg.Vector); err != nil {
			return err
		}
		return wellformed.Sparse("/sparse", leg.Sparse)
	case leg.Vector != "" && leg.Vector != c.dense:
		return fault.BadField("/vector", "no vector is called %q, there is %q", leg.Vector, c.dense)
	}
	return wellformed.Dense("/dense", c.Dims, leg.Dense)
}

func errNoLegs() error {
	return fault.BadField("/legs", "is empty: a query asks for at least one ranking")
}

func errAnswers(asked, got int) error {
	return fault.New(fault.Unavailable, "search: Qdrant gave %d answers to %d queries", got, asked)
}
