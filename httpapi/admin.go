package httpapi

import (
	"bytes"
	"encoding/json"
	"net/http"

	"github.com/lanewise/lanewise/access"
	"github.com/lanewise/lanewise/fault"
	"github.com/lanewise/lanewise/router"
)

// Shards knows the shards of configurations other than the one that is served.
type Shards interface {
	// List returns the shards that the configuration in a file describes, without their stores.
	List(file string) ([]router.Shard, error)
	// Open returns those of them that are not named, with their stores open. It keeps them open, and a
	// second call for the same shard returns the same stores.
	Open(file string, except map[string]bool) ([]router.Shard, error)
}

// adminRoutes are for the operator's commands, on this machine.
func (s *server) adminRoutes() []route {
	admin := func(method, name, summary string, handle handlerFunc) route {
		rt := route{
			method: method, path: "/v1/admin/" + name, id: "admin-" + name, tag: tagServer, local: true, scope: access.Admin, handle: handle, summary: summary,
			detail: "For lanewise " + name + ": only clients on this machine may ask for it.", out: typeOf[opaque](),
		}
		if method == "POST" {
			rt.in, rt.example = typeOf[opaque](), `{}`
		}
		return rt
	}
	routes := []route{
		admin("GET", "replicas", "Tell which replicas are in step", s.replicas),
		admin("POST", "repair", "Bring replicas back in step", adminHandler(s, s.repair)),
	}
	reindex := admin("POST", "reindex", "Give words to points that lack them, a step at a time", adminHandler(s, s.reindex))
	reindex.example = `{"collection": "docs", "language": "en"}`
	reembed := admin("POST", "reembed", "Move a collection to another embedding model, a step at a time", adminHandler(s, s.reembed))
	reembed.example = `{"collection": "docs", "space": "static-256"}`
	routes = append(routes, reindex, reembed)
	if s.shards != nil {
		routes = append(routes,
			admin("POST", "plan", "Count what another list of shards would move", adminHandler(s, s.planMove)),
			admin("POST", "apply", "Carry out a plan", adminHandler(s, s.applyPlan)))
	}
	return routes
}

// adminHandler reads a body strictly and answers with what f returns, however long it takes.
func adminHandler[In, Out any](s *server, f func(*http.Request, In) (Out, error)) handlerFunc {
	return func(w *recorder, r *http.Request) error {
		data, err := s.body(w, r)
		if err != nil {
			return err
		}
		var in In
		d := json.NewDecoder(bytes.NewReader(data))
		d.DisallowUnknownFields()
		if err := d.Decode(&in); err != nil {
			return fault.Wrap(fault.Invalid, "read the body", err)
		}
		out, err := f(r, in)
		if err != nil {
			return err
		}
		if data, err = json.Marshal(out); err != nil {
			return err //nolint:wrapcheck // a defect
		}
		s.send(w, answer{}, data)
		return nil
	}
}

func (s *server) replicas(w *recorder, _ *http.Request) error {
	data, err := json.Marshal(struct {
		Replicas []router.ReplicaState `json:"replicas"`
	}{s.router.Replicas()})
	if err != nil {
		return err //nolint:wrapcheck // a defect
	}
	s.send(w, answer{}, data)
	return nil
}

// repairOrder is the body of /v1/admin/repair.
type repairOrder struct {
	Collections []string `json:"collections"`
	DryRun      bool     `json:"dry_run"`
	PerSecond   int      `json:"per_second"`
}

func (s *server) repair(r *http.Request, o repairOrder) (router.Repaired, error) {
	return s.router.Repair(r.Context(), router.Repair{Collections: o.Collections, DryRun: o.DryRun, PerSecond: o.PerSecond})
}

// checkStep refuses more points than one step of a long order may take.
func checkStep(limit int) error {
	if limit < 0 || limit > router.MaxK {
		return fault.BadField("/limit", "must be between 0 and %d, is %d", router.MaxK, limit)
	}
	return nil
}

// reindexOrder is the body of /v1/admin/reindex.
type reindexOrder struct {
	Collection string `json:"collection"`
	Language   string `json:"language"`
	AvgLen     int    `json:"avg_len"`
	Cursor     string `json:"cursor"` // of the step before
	Limit      int    `json:"limit"`
}

// reindexed is the answer: the next cursor is empty once all is done.
type reindexed struct {
	Seen   int    `json:"seen"`
	Given  int    `json:"given"`
	Cursor string `json:"cursor"`
}

func (s *server) reindex(r *http.Request, o reindexOrder) (reindexed, error) {
	if err := checkStep(o.Limit); err != nil {
		return reindexed{}, err
	}
	done, err := s.router.Reindex(r.Context(), router.Reindex(o))
	return reindexed(done), err
}

// reembedOrder is the body of /v1/admin/reembed.
type reembedOrder struct {
	Collection string `json:"collection"` // or an alias
	Space      string `json:"space"`
	Cursor     string `json:"cursor"` // of the step before
	Limit      int    `json:"limit"`
	Swap       bool   `json:"swap"`
	Replace    bool   `json:"replace"`
}

// reembedded is the answer: the next cursor is empty once the new collection has caught up.
type reembedded struct {
	From     string `json:"from"`
	Into     string `json:"into"`
	Seen     int    `json:"seen"`
	Embedded int    `json:"embedded"`
	Deleted  int    `json:"deleted"`
	Cursor   string `json:"cursor"`
	Swapped  bool   `json:"swapped"`
}

func (s *server) reembed(r *http.Request, o reembedOrder) (reembedded, error) {
	if err := checkStep(o.Limit); err != nil {
		return reembedded{}, err
	}
	done, err := s.router.Reembed(r.Context(), router.Reembed(o))
	return reembedded(done), err
}

// planOrder is the body of /v1/admin/plan.
type planOrder struct {
	Config string `json:"config"` // file with the new list of shards
}

func (s *server) planMove(r *http.Request, o planOrder) (any, error) {
	shards, err := s.shards.List(o.Config)
	if err != nil {
		return nil, err
	}
	return s.router.PlanMove(r.Context(), shards)
}

// applyOrder is the body of /v1/admin/apply.
type applyOrder struct {
	Config    string          `json:"config"` // file with the new list of shards
	Plan      json.RawMessage `json:"plan"`
	PerSecond int             `json:"per_second"`
}

func (s *server) applyPlan(r *http.Request, o applyOrder) (router.Moved, error) {
	known := map[string]bool{}
	for _, replica := range s.router.Replicas() {
		known[replica.Shard] = true
	}
	shards, err := s.shards.Open(o.Config, known)
	if err != nil {
		return router.Moved{}, err
	}
	return s.router.Apply(r.Context(), router.Move{Plan: o.Plan, Shards: shards, PerSecond: o.PerSecond})
}
