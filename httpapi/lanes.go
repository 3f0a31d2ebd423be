package httpapi

import (
	"net/http"
	"time"

	"github.com/lanewise/lanewise/access"
	"github.com/lanewise/lanewise/balance"
	"github.com/lanewise/lanewise/discovery"
	"github.com/lanewise/lanewise/fault"
)

// Lanes are the members of all pools as an operator steers them.
type Lanes interface {
	// Lanes lists them, in the order of their road.
	Lanes() []Lane
	// Found tells what is known of those who tell the members of pools.
	Found() []discovery.Status
}

// Lane is one member of a pool.
type Lane struct {
	Name    string // SHARD/REPLICA, embed/NAME, rerank/NAME or llm/MODEL/NAME
	State   balance.MemberState
	Steer   func(to balance.State) error
	Reweigh func(weight float64) error
}

// What may be done to a lane.
const (
	drainLane   = "drain"
	undrainLane = "undrain"
	weighLane   = "weight"
	ejectLane   = "eject"
)

// laneRoutes show and change lanes.
func (s *server) laneRoutes() []route {
	if s.lanes == nil {
		return nil
	}
	return []route{
		{
			method: "GET", path: "/v1/admin/lanes", id: "list-lanes", tag: tagServer, scope: access.Admin, out: typeOf[lanesList](), handle: s.listLanes,
			summary: "All lanes, by the names under which they are changed",
		},
		{
			method: "POST", path: "/v1/admin/lanes", id: "change-lane", tag: tagServer, scope: access.Admin, in: typeOf[laneOrder](), out: typeOf[laneChange](), handle: adminHandler(s, s.changeLane),
			example: `{"lane": "embed/tei", "action": "drain"}`, summary: "Drain, weigh or eject a lane, or bring it back",
			detail: "drain: it gets no further calls, and those under way end; undrain ends that, and an ejection, too. weight: its share of the load, until the " +
				"server ends or 0 brings the configured one back. eject: as if it had failed too often. The last lane of a pool in use cannot be taken out (409). " +
				"Replicas are concerned as far as they are read: writes go to all of them. Each change is logged with who made it.",
		},
	}
}

type lanesList struct {
	Lanes []laneState `json:"lanes"`
}

type laneState struct {
	Name     string  `json:"name"`
	State    string  `json:"state"`
	Weight   float64 `json:"weight"`
	InFlight int64   `json:"in_flight"`
	Good     uint64  `json:"good"`
	Bad      uint64  `json:"bad"`
}

// laneOrder is the body of POST /v1/admin/lanes.
type laneOrder struct {
	Lane   string   `json:"lane"`
	Action string   `json:"action"`
	Weight *float64 `json:"weight,omitempty"` // for weight
}

type laneChange struct {
	Before laneState `json:"before"`
	After  laneState `json:"after"`
}

func publicLane(l Lane) laneState {
	m := l.State
	return laneState{Name: l.Name, State: string(m.State), Weight: m.Weight, InFlight: m.Inflight, Good: m.Good, Bad: m.Bad}
}

func (s *server) listLanes(w *recorder, _ *http.Request) error {
	out := lanesList{Lanes: []laneState{}}
	for _, l := range s.lanes.Lanes() {
		out.Lanes = append(out.Lanes, publicLane(l))
	}
	return s.reply(w, out)
}

// laneNamed returns a lane as it is now.
func (s *server) laneNamed(name string) (Lane, error) {
	for _, l := range s.lanes.Lanes() {
		if l.Name == name {
			return l, nil
		}
	}
	return Lane{}, &fault.Error{Class: fault.NotFound, Field: "/lane", Message: "there is no lane of that name; GET /v1/admin/lanes lists them"}
}

func (s *server) changeLane(r *http.Request, o laneOrder) (laneChange, error) {
	lane, err := s.laneNamed(o.Lane)
	if err != nil {
		return laneChange{}, err
	}
	if err := o.carry(lane); err != nil {
		return laneChange{}, err
	}
	caller := access.From(r.Context())
	out := laneChange{Before: publicLane(lane), After: publicLane(lane)}
	if now, err := s.laneNamed(o.Lane); err == nil {
		out.After = publicLane(now)
	}
	s.log.WarnContext(r.Context(), "a lane was changed", "by", caller.Name, "from", r.RemoteAddr, "lane", o.Lane, "action", o.Action,
		"before", out.Before.State, "after", out.After.State, "weight_before", out.Before.Weight, "weight_after", out.After.Weight)
	return out, nil
}

// carry carries the order out.
func (o laneOrder) carry(lane Lane) error {
	if (o.Action == weighLane) != (o.Weight != nil) {
		return fault.BadField("/weight", "goes with the action %q, and only with that", weighLane)
	}
	switch o.Action {
	case drainLane:
		return lane.Steer(balance.Draining)
	case undrainLane:
		return lane.Steer(balance.Healthy)
	case ejectLane:
		return lane.Steer(balance.Ejected)
	case weighLane:
		return lane.Reweigh(*o.Weight)
	}
	return fault.BadField("/action", "must be drain, undrain, weight or eject, is %q", o.Action)
}

// topoFound is what a source has told of a pool's members.
type topoFound struct {
	Pool    string   `json:"pool"`
	Members []string `json:"members"`
	AgeMS   float64  `json:"age_ms"`            // of the last good answer; -1: there was none
	Trouble string   `json:"trouble,omitempty"` // with the answers since
}

// found tells what the sources of all pools have told.
func (s *server) found(now time.Time) []topoFound {
	if s.lanes == nil {
		return nil
	}
	var out []topoFound
	for _, f := range s.lanes.Found() {
		one := topoFound{Pool: f.Pool, Members: []string{}, AgeMS: -1, Trouble: f.Trouble}
		for _, m := range f.Members {
			one.Members = append(one.Members, m.Name)
		}
		if !f.At.IsZero() {
			one.AgeMS = milliseconds(now.Sub(f.At))
		}
		out = append(out, one)
	}
	return out
}
