package httpapi

import (
	"encoding/json"
	"net/http"
	"slices"
	"strconv"

	"github.com/lanewise/lanewise/access"
	"github.com/lanewise/lanewise/access/meter"
	"github.com/lanewise/lanewise/embed"
	"github.com/lanewise/lanewise/internal/tokens"
	"github.com/lanewise/lanewise/llm/relay"
	"github.com/lanewise/lanewise/search/wire"
)

// charge takes a request from what its caller and its tenants may use, once for each request. A batch of searches
// counts as one request for each of its tenants, with the estimates of that tenant's own.
func (s *server) charge(w *recorder, r *http.Request, tenants []string, estimates ...int) error {
	if s.meter == nil || w.charged {
		return nil
	}
	w.charged = true
	ask := meter.Request{Caller: access.From(r.Context())}
	of := map[string]int64{}
	for i, n := range estimates {
		ask.Tokens += int64(n)
		if i < len(tenants) {
			of[tenants[i]] += int64(n)
		}
	}
	tenants = slices.Compact(slices.Sorted(slices.Values(tenants)))
	if len(tenants) == 1 {
		ask.Tenant = &tenants[0]
	}
	if err := s.chargeOne(w, ask); err != nil || len(tenants) < 2 {
		return err
	}
	for _, tenant := range tenants {
		if err := s.chargeOne(w, meter.Request{Tenant: &tenant, Tokens: of[tenant]}); err != nil {
			return err
		}
	}
	return nil
}

// chargeAhead charges requests of which nothing has to be read to know whom they are for. Handlers of the others charge them.
func (s *server) chargeAhead(w *recorder, rt route, r *http.Request) error {
	switch {
	case rt.open:
		w.charged = true // they cost nobody anything
		return nil
	case rt.reach == reachesBody, rt.reach == reachesHeader:
		return nil
	case rt.reach == reachesQuery:
		return s.charge(w, r, []string{r.URL.Query().Get("tenant")})
	}
	return s.charge(w, r, nil)
}

func (s *server) chargeOne(w *recorder, ask meter.Request) error {
	paid, err := s.meter.Reserve(ask)
	if err != nil {
		return err
	}
	w.charges = append(w.charges, paid)
	return nil
}

// settle tells the meter what a request has used. A model that does not say, as where the client leaves in the middle of
// a stream, is taken to have used what was estimated.
func (s *server) settle(w *recorder, r *http.Request) {
	if !w.charged { // its body could not be read; it was a request all the same
		_ = s.charge(w, r, nil)
	}
	if len(w.charges) == 0 {
		return
	}
	u, whole := &w.event.Usage, w.charges[0]
	used := meter.Use{Tokens: int64(u.PromptTokens) + int64(u.CompletionTokens), Cost: u.Cost}
	if used == (meter.Use{}) && w.event.Upstream != "" {
		used.Tokens = whole.Estimate()
	}
	used.Tokens += w.embedded.Total()
	whole.Settle(used)
	for _, part := range w.charges[1:] { // tenants of a batch share what was used as it was estimated
		part.Settle(meter.Use{Tokens: used.Tokens * part.Estimate() / max(whole.Estimate(), 1)})
	}
}

// What an answer is taken to need before it is known.
const (
	passageTokens = 200     // of each source
	answerTokens  = 256     // where nobody sets a limit
	mostTokens    = 1 << 17 // that a limit counts for
	usualSources  = 10
)

func answerRoom(limit int) int {
	if limit <= 0 {
		return answerTokens
	}
	return min(limit, mostTokens)
}

// estimatesOf is about how many tokens of models a body will use: one figure, or those of the searches of a batch.
func estimatesOf(body any) []int {
	switch b := body.(type) {
	case *wire.AnswerRequest:
		return []int{estimateAnswer(b)}
	case *wire.SearchRequest:
		return []int{estimateSearch(b)}
	case *wire.BatchRequest:
		out := make([]int, len(b.Queries))
		for i := range b.Queries {
			out[i] = estimateSearch(&b.Queries[i])
		}
		return out
	case *wire.UpsertRequest:
		n := 0
		for i := range b.Points {
			if b.Points[i].Vector == nil {
				n += tokens.Estimate(b.Points[i].Text)
			}
		}
		return []int{n}
	}
	return nil
}

func estimateSearch(b *wire.SearchRequest) int {
	n := tokens.Estimate(b.Text)
	for _, leg := range b.Legs {
		n += tokens.Estimate(leg.Text)
	}
	return n
}

func estimateAnswer(b *wire.AnswerRequest) int {
	n := tokens.Estimate(b.Question) + answerRoom(b.MaxTokens)
	for _, t := range b.Turns {
		n += tokens.Estimate(t.Content)
	}
	k := usualSources
	if b.K > 0 {
		k = b.K
	}
	return n + k*passageTokens
}

// estimateCall is that of a call which is passed on.
func estimateCall(c *relay.Call) int {
	return c.PromptTokens + max(c.Answers, 1)*answerRoom(c.MaxTokens)
}

// estimateBatch is that of texts which are embedded.
func estimateBatch(b embed.Batch) int {
	n := tokens.Sum(b.Texts)
	for _, ids := range b.IDs {
		n += len(ids)
	}
	return n
}

// usageRoutes tells the operator who has used how much.
func (s *server) usageRoutes() []route {
	if s.meter == nil {
		return nil
	}
	return []route{{
		method: "GET", path: "/v1/admin/usage", id: "admin-usage", tag: tagServer, local: true, scope: access.Admin, handle: s.usage,
		summary: "Tell what keys and tenants have used", out: typeOf[opaque](),
		detail: "For lanewise keys list: only clients on this machine may ask for it. Those that used most in this month, at most " +
			strconv.Itoa(mostStandings) + " keys and as many tenants, with their limits and what they have used in this day and month of UTC.",
	}}
}

// usage answers GET /v1/admin/usage.
func (s *server) usage(w *recorder, _ *http.Request) error {
	type use struct {
		Tokens int64   `json:"tokens"`
		Cost   float64 `json:"cost"`
	}
	type standing struct {
		Name    string        `json:"name"`
		Limits  access.Limits `json:"limits"`
		Day     use           `json:"day"`
		Month   use           `json:"month"`
		Running int           `json:"running"`
	}
	list := func(of meter.Kind) []standing {
		out := []standing{}
		for _, a := range s.meter.Standings(of, mostStandings) {
			out = append(out, standing{a.Name, a.Limits, use(a.Day), use(a.Month), a.Running})
		}
		return out
	}
	data, err := json.Marshal(struct {
		Keys    []standing `json:"keys"`
		Tenants []standing `json:"tenants"`
	}{list(meter.Key), list(meter.Tenant)})
	if err != nil {
		return err //nolint:wrapcheck // a defect
	}
	s.send(w, answer{}, data)
	return nil
}

// mostStandings is how many keys, and how many tenants, are listed: those that used most.
const mostStandings = 1000
