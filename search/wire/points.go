package wire

import (
	"encoding/json"
	"strconv"

	"github.com/lanewise/lanewise/fault"
	"github.com/lanewise/lanewise/search"
)

const (
	maxID     = 512    // bytes of an id or a tenant
	maxScroll = 10_000 // points a page
)

// UpsertRequest is the body of PUT /v1/collections/{name}/points.
type UpsertRequest struct {
	Tenant string  `json:"tenant,omitzero"`
	Space  string  `json:"space,omitzero"` // of the vectors in the request
	Points []Point `json:"points"`         // at least one; no id twice
}

// Point is a stored document or passage. On the way in it has a text, a vector
// or both.
type Point struct {
	ID       string          `json:"id"`
	Tenant   string          `json:"tenant,omitzero"`         // in answers only
	Version  search.Version  `json:"version,omitzero,string"` // in answers only
	Text     string          `json:"text,omitzero"`
	Vector   Vector          `json:"vector,omitzero"`
	Sparse   *Sparse         `json:"sparse,omitzero"`
	Metadata json.RawMessage `json:"metadata,omitzero"` // a JSON object
}

func (r *UpsertRequest) check() error {
	if len(r.Points) == 0 {
		return fault.BadField("/points", "must hold at least one point")
	}
	if err := checkID("/tenant", r.Tenant, true); err != nil {
		return err
	}
	first := make(map[string]struct{}, len(r.Points))
	for i := range r.Points {
		at := "/points/" + strconv.Itoa(i)
		if err := r.Points[i].check(at); err != nil {
			return err
		}
		if _, twice := first[r.Points[i].ID]; twice {
			return fault.BadField(at+"/id", "%q is there twice", r.Points[i].ID)
		}
		first[r.Points[i].ID] = struct{}{}
	}
	return nil
}

func (p *Point) check(at string) error {
	switch {
	case p.Tenant != "":
		return fault.BadField(at+"/tenant", "belongs on the request, not on a point")
	case p.Version != 0:
		return fault.BadField(at+"/version", "is given by the server")
	case p.Text == "" && p.Vector == nil:
		return fault.BadField(at, "give a text, a vector or both")
	}
	return firstOf(
		checkID(at+"/id", p.ID, false),
		checkVector(at+"/vector", p.Vector),
		p.Sparse.check(at+"/sparse"),
		checkMetadata(at+"/metadata", &p.Metadata),
	)
}

// checkMetadata checks valid JSON. null is absence, as in every other field.
func checkMetadata(at string, meta *json.RawMessage) error {
	if string(*meta) == "null" {
		*meta = nil
	}
	if len(*meta) > 0 && (*meta)[0] != '{' {
		return fault.BadField(at, "must be an object")
	}
	return nil
}

func checkID(at, id string, optional bool) error {
	if id == "" && !optional {
		return fault.BadField(at, "must not be empty")
	}
	if len(id) > maxID {
		return fault.BadField(at, "has %d bytes, more than %d", len(id), maxID)
	}
	return nil
}

// WriteResponse acknowledges an upsert or a deletion.
type WriteResponse struct {
	Written int            `json:"written"`
	Deleted int            `json:"deleted"`
	Version search.Version `json:"version,string"` // newest that the write stamped
	LagMS   int64          `json:"lag_ms"`         // until the write is sure to be found by a search
}

// DeleteRequest is the body of DELETE /v1/collections/{name}/points. Exactly one
// of IDs and Filter is given.
type DeleteRequest struct {
	Tenant string        `json:"tenant,omitzero"`
	IDs    []string      `json:"ids,omitzero"`
	Filter search.Filter `json:"filter,omitzero"` // {} does not delete everything: it is refused
}

func (r *DeleteRequest) check() error {
	switch {
	case r.IDs != nil && !r.Filter.IsZero():
		return fault.BadField("", "give ids or a filter, not both")
	case len(r.IDs) == 0 && r.Filter.IsZero():
		return fault.BadField("", "give ids, or a filter that is not empty")
	}
	for i, id := range r.IDs {
		if err := checkID("/ids/"+strconv.Itoa(i), id, false); err != nil {
			return err
		}
	}
	return checkID("/tenant", r.Tenant, true)
}

// ScrollRequest is the body of POST /v1/collections/{name}/points/scroll. An
// absent limit is 100.
type ScrollRequest struct {
	Tenant  string        `json:"tenant,omitzero"`
	Filter  search.Filter `json:"filter,omitzero"`
	Limit   int           `json:"limit,omitzero"`   // 1 to 10,000
	Cursor  string        `json:"cursor,omitzero"`  // next_cursor of the page before
	Include []string      `json:"include,omitzero"` // as in a search
}

func (r *ScrollRequest) setDefaults() { r.Limit = 100 }

func (r *ScrollRequest) check() error {
	return firstOf(
		checkRange("/limit", r.Limit, 1, maxScroll),
		checkID("/tenant", r.Tenant, true),
		checkInclude(r.Include),
	)
}

// ScrollResponse is a page of points in the order of their ids.
type ScrollResponse struct {
	Points     []Point `json:"points"`
	NextCursor string  `json:"next_cursor,omitzero"` // absent on the last page
}

// CountRequest is the body of POST /v1/collections/{name}/points/count.
type CountRequest struct {
	Tenant string        `json:"tenant,omitzero"`
	Filter search.Filter `json:"filter,omitzero"`
}

func (r *CountRequest) check() error { return checkID("/tenant", r.Tenant, true) }

// CountResponse is the exact number of points.
type CountResponse struct {
	Count int `json:"count"`
}
