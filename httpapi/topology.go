package httpapi

import (
	"net/http"
	"time"

	"github.com/lanewise/lanewise/access"
	"github.com/lanewise/lanewise/balance"
)

// watchRoutes are for those who look after the server.
func (s *server) watchRoutes() []route {
	var routes []route
	if s.metrics != nil {
		routes = append(routes, route{
			method: "GET", path: "/metrics", id: "metrics", tag: tagServer, scope: access.Admin, media: "text/plain", handle: s.showMetrics,
			summary: "Metrics in the text format of Prometheus", detail: "Where keys are configured, this takes one of the scope admin. OpenMetrics, with exemplars, where the client asks for it.",
		})
	}
	if s.pools != nil {
		routes = append(routes, route{
			method: "GET", path: "/v1/topology", id: "topology", tag: tagServer, scope: access.Admin, out: typeOf[topology](), handle: s.topology,
			summary: "All lanes and what they are doing",
			detail:  "Every lane, the pools in it and their members as they are at this moment: load, health, latency. Pools come in the order of their road: shards, embedders, reranker, models.",
		}, route{
			method: "GET", path: "/v1/requests", id: "requests", tag: tagServer, scope: access.Admin, out: typeOf[requestList](), handle: s.requests,
			summary: "The last requests as they went",
			detail: "Up to 256 requests that called upstreams, with their stages and attempts, those under way among them, in the order in which they last changed; of a busy server a sample. " +
				"Nothing that a request said is kept: no texts, vectors, filters or ids; tenants are named as in the log. The page at /ui/ draws them.",
			query: []parameter{{"after", "Only what has changed since: next of the answer before."}, {"limit", "How many at most, the latest ones. Default 100."}},
		})
	}
	return routes
}

// showPage makes a handler of pages.
func showPage(h http.Handler) handlerFunc {
	return func(w *recorder, r *http.Request) error {
		h.ServeHTTP(w, r)
		return nil
	}
}

func (s *server) showMetrics(w *recorder, r *http.Request) error {
	s.metrics.ServeHTTP(w, r)
	return nil
}

// topology is what GET /v1/topology answers.
type topology struct {
	Epoch       uint64           `json:"epoch"`
	Collections []topoCollection `json:"collections"`
	Admission   topoAdmission    `json:"admission"`
	Pools       []topoPool       `json:"pools"`
	Discovery   []topoFound      `json:"discovery,omitempty"`
}

type topoCollection struct {
	Name   string  `json:"name"`
	Points float64 `json:"points"`
}

type topoAdmission struct {
	Limit  int    `json:"limit"`
	Busy   int    `json:"busy"`
	Queued int    `json:"queued"`
	Shed   uint64 `json:"shed"`
}

type topoPool struct {
	Lane       string             `json:"lane"`
	Pool       string             `json:"pool"`
	Calls      uint64             `json:"calls"`
	Hedges     uint64             `json:"hedges"`
	Failovers  uint64             `json:"failovers"`
	Running    int64              `json:"running"`
	Waiting    int                `json:"waiting"`
	HedgeDelay map[string]float64 `json:"hedge_delay_ms"`
	Members    []topoMember       `json:"members"`
}

type topoMember struct {
	Name     string             `json:"name"`
	State    string             `json:"state"`
	UntilMS  float64            `json:"until_ms,omitzero"`
	Tier     int                `json:"tier"`
	Slots    int                `json:"slots,omitzero"`
	Weight   float64            `json:"weight"`
	InFlight int64              `json:"in_flight"`
	Limit    int64              `json:"limit,omitzero"`
	Load     int64              `json:"load"`
	Aborts   bool               `json:"aborts"`
	Latency  map[string]float64 `json:"latency_ms"`
	Speed    float64            `json:"speed,omitzero"`
	Good     uint64             `json:"good"`
	Unknown  uint64             `json:"unknown"`
	Slow     uint64             `json:"slow"`
	Bad      uint64             `json:"bad"`
	Busy     uint64             `json:"busy"`
	Ejected  uint64             `json:"ejected"`
}

func (s *server) topology(w *recorder, _ *http.Request) error {
	out := topology{Collections: []topoCollection{}, Pools: []topoPool{}}
	if s.router != nil {
		state := s.router.State()
		a := state.Admission
		out.Epoch, out.Admission = state.Epoch, topoAdmission{Limit: a.Limit, Busy: a.Busy, Queued: a.Queued, Shed: a.Shed}
		for _, c := range s.router.Collections() {
			out.Collections = append(out.Collections, topoCollection{c.Name, state.Points[c.Name]})
		}
	}
	now := time.Now()
	out.Discovery = s.found(now)
	for _, p := range s.pools() {
		out.Pools = append(out.Pools, publicPool(&p, now))
	}
	return s.reply(w, out)
}

func publicPool(p *balance.Snapshot, now time.Time) topoPool {
	out := topoPool{
		Lane: p.Lane, Pool: p.Pool, Calls: p.Calls, Hedges: p.Hedges, Failovers: p.Failovers, Running: p.Running, Waiting: p.Waiting,
		HedgeDelay: inMilliseconds(p.HedgeDelay), Members: make([]topoMember, len(p.Members)),
	}
	for i := range p.Members {
		out.Members[i] = publicMember(&p.Members[i], now)
	}
	return out
}

func publicMember(m *balance.MemberState, now time.Time) topoMember {
	out := topoMember{
		Name: m.Name, State: string(m.State), Tier: m.Tier, Slots: m.Slots, Weight: m.Weight, InFlight: m.Inflight, Limit: m.Limit, Load: m.Load,
		Aborts: m.Aborts, Latency: inMilliseconds(m.Latency), Speed: m.Speed, Good: m.Good, Unknown: m.Unknown, Slow: m.Slow, Bad: m.Bad, Busy: m.Busy, Ejected: m.Ejected,
	}
	if !m.Until.IsZero() {
		out.UntilMS = max(0, milliseconds(m.Until.Sub(now)))
	}
	return out
}

func inMilliseconds(durations map[string]time.Duration) map[string]float64 {
	out := make(map[string]float64, len(durations))
	for name, d := range durations {
		out[name] = milliseconds(d)
	}
	return out
}
