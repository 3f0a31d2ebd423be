package httpapi

import (
	"encoding/base64"
	"net/http"

	"github.com/lanewise/lanewise/fault"
	"github.com/lanewise/lanewise/router"
	"github.com/lanewise/lanewise/search"
	"github.com/lanewise/lanewise/search/wire"
)

func (s *server) putPoints(w *recorder, r *http.Request) error {
	body, err := decode[wire.UpsertRequest](s, w, r)
	if err != nil {
		return err
	}
	c, err := s.router.Collection(r.PathValue("collection"))
	if err != nil {
		return err
	}
	if err := checkSpace(c, body); err != nil {
		return err
	}
	u := router.Upsert{Collection: c.Name, Tenant: body.Tenant, Points: make([]search.Point, len(body.Points))}
	for i, p := range body.Points {
		u.Points[i] = search.Point{
			Key:   search.Key{Tenant: body.Tenant, ID: p.ID},
			Dense: p.Vector, Sparse: p.Sparse.Vector(), Text: p.Text, Meta: p.Metadata,
		}
	}
	ack, err := s.router.Upsert(r.Context(), u)
	if err != nil {
		return err
	}
	return s.reply(w, wire.WriteResponse{Written: ack.Written, Version: ack.Version, LagMS: ack.Lag.Milliseconds()})
}

// checkSpace holds the vectors of a write to the collection's space, where the
// request names one or the collection insists.
func checkSpace(c search.Collection, body wire.UpsertRequest) error {
	switch {
	case body.Space == "" && !c.StrictSpace, body.Space == c.Space:
		return nil
	case body.Space != "" && c.Space != "":
		return &fault.Error{Class: fault.Conflict, Field: "/space",
			Message: "the vectors are of space " + body.Space + ", the collection of " + c.Space}
	case body.Space != "":
		return nil
	}
	for _, p := range body.Points {
		if p.Vector != nil {
			return fault.BadField("/space", "collection %q wants raw vectors to name their space: it is %q", c.Name, c.Space)
		}
	}
	return nil
}

func (s *server) deletePoints(w *recorder, r *http.Request) error {
	body, err := decodeValid[wire.DeleteRequest](s, w, r)
	if err != nil {
		return err
	}
	ack, err := s.router.Delete(r.Context(), router.Delete{
		Collection: r.PathValue("collection"), Tenant: body.Tenant, IDs: body.IDs, Filter: body.Filter,
	})
	if err != nil {
		return err
	}
	return s.reply(w, wire.WriteResponse{Deleted: ack.Written, Version: ack.Version, LagMS: ack.Lag.Milliseconds()})
}

func (s *server) getPoint(w *recorder, r *http.Request) error {
	query := r.URL.Query()
	for name := range query {
		if name != "tenant" {
			return fault.New(fault.Invalid, "query parameter %q: unknown", name)
		}
	}
	key := search.Key{Tenant: query.Get("tenant"), ID: r.PathValue("id")}
	points, err := s.router.Get(r.Context(), r.PathValue("collection"), []search.Key{key}, search.Fields{Text: true, Meta: true, Vector: true})
	if err != nil {
		return err
	}
	if len(points) == 0 {
		return fault.New(fault.NotFound, "there is no point %q", key.ID)
	}
	return s.reply(w, publicPoint(points[0]))
}

func publicPoint(p search.Point) wire.Point {
	out := wire.Point{ID: p.ID, Tenant: p.Tenant, Version: p.Version, Text: p.Text, Vector: p.Dense, Metadata: p.Meta}
	if len(p.Sparse.Index) > 0 {
		out.Sparse = &wire.Sparse{Indices: p.Sparse.Index, Values: p.Sparse.Value}
	}
	return out
}

// scrollPoints pages by key: a cursor is the last id of the page before, in
// base64 so that nobody builds on it.
func (s *server) scrollPoints(w *recorder, r *http.Request) error {
	body, err := decodeValid[wire.ScrollRequest](s, w, r)
	if err != nil {
		return err
	}
	scan := search.Scan{
		Collection: r.PathValue("collection"), Tenant: body.Tenant, Filter: body.Filter,
		Limit: body.Limit, Fields: fields(body.Include),
	}
	if body.Cursor != "" {
		id, err := base64.RawURLEncoding.Strict().DecodeString(body.Cursor)
		if err != nil {
			return fault.BadField("/cursor", "is not a cursor that a page has given")
		}
		scan.After = search.Key{Tenant: body.Tenant, ID: string(id)}
	}
	page, err := s.router.Scroll(r.Context(), scan)
	if err != nil {
		return err
	}
	out := wire.ScrollResponse{Points: make([]wire.Point, len(page.Points))}
	for i, p := range page.Points {
		out.Points[i] = publicPoint(p)
	}
	if n := len(page.Points); page.More && n > 0 {
		out.NextCursor = base64.RawURLEncoding.EncodeToString([]byte(page.Points[n-1].ID))
	}
	return s.reply(w, out)
}

func (s *server) countPoints(w *recorder, r *http.Request) error {
	body, err := decodeValid[wire.CountRequest](s, w, r)
	if err != nil {
		return err
	}
	n, err := s.router.Count(r.Context(), r.PathValue("collection"), body.Tenant, body.Filter)
	if err != nil {
		return err
	}
	return s.reply(w, wire.CountResponse{Count: n})
}
