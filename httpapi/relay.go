package httpapi

import (
	"cmp"
	"net/http"
	"slices"
	"strconv"

	"github.com/lanewise/lanewise/access"
	"github.com/lanewise/lanewise/fault"
	"github.com/lanewise/lanewise/llm/relay"
)

// Models answers calls of OpenAI's API that are passed on to a model as they came.
type Models interface {
	relay.Relayer
	// Names lists what a call may name as its model.
	Names() []string
}

// Headers of requests that are passed on, and of their answers.
const (
	headerSession  = "X-Lanewise-Session"
	headerTenant   = "X-Lanewise-Tenant"
	headerResume   = "X-Lanewise-Resume"
	headerUpstream = "X-Lanewise-Upstream"
	headerModel    = "X-Lanewise-Model"
	headerWhy      = "X-Lanewise-Why"
	headerAttempts = "X-Lanewise-Attempts"
	headerQueued   = "X-Lanewise-Queued-Ms"
	headerFirst    = "X-Lanewise-First-Ms"
	headerCached   = "X-Lanewise-Cached-Tokens"
	headerPredict  = "X-Lanewise-Predicted-Tokens"
	headerCost     = "X-Lanewise-Cost"
	headerRoute    = "X-Lanewise-Route"
	headerScore    = "X-Lanewise-Route-Score"
	headerUnused   = "X-Lanewise-Route-Unused"
)

const relayDetail = "The body is passed on byte for byte, but for the model's name and the option that has the upstream report its usage, and so is the answer; " +
	"with \"stream\": true it comes as server-sent events. An upstream that fails before its first content is left for another; after that an error is an event. " +
	"Calls of one " + headerSession + ", or of the same prompt_cache_key, go to the same upstream if they can, and those whose prompts begin alike. " +
	headerTenant + " says whose allowance pays. " +
	"With " + headerResume + ": true a stream that breaks off is continued by another upstream that is able to, and says so. " +
	"The answer's headers X-Lanewise-Upstream, -Model, -Why, -Attempts, -Queued-Ms, -First-Ms, -Predicted-Tokens (of the prompt, likely in the upstream's cache), -Cached-Tokens (as it reports) and -Cost tell how it came about, and of the model \"auto\" -Route, -Route-Score and -Route-Unused. Errors have OpenAI's form."

// relayRoutes are the endpoints of the models.
func (s *server) relayRoutes() []route {
	return []route{
		{
			method: "POST", path: "/v1/chat/completions", id: "chat", scope: access.Answer, reach: reachesHeader, tag: tagModels, openAI: true, in: typeOf[opaque](), out: typeOf[opaque](),
			example: `{"model": "default", "messages": [{"role": "user", "content": "Which lane is free?"}]}`,
			summary: "Ask a model", detail: relayDetail,
			handle: func(w *recorder, r *http.Request) error { return s.relay(w, r, relay.Chat) },
		},
		{
			method: "POST", path: "/v1/completions", id: "completions", scope: access.Answer, reach: reachesHeader, tag: tagModels, openAI: true, in: typeOf[opaque](), out: typeOf[opaque](),
			example: `{"model": "default", "prompt": "The free lane is"}`,
			summary: "Have a model continue a text", detail: relayDetail,
			handle: func(w *recorder, r *http.Request) error { return s.relay(w, r, relay.Text) },
		},
	}
}

// modelRoutes list what may be asked.
func (s *server) modelRoutes() []route {
	return []route{
		{
			method: "GET", path: "/v1/models", id: "models", scope: access.Answer | access.Embed, reach: reachesNone, tag: tagModels, openAI: true, out: typeOf[modelList](), handle: s.listModels,
			summary: "List the models", detail: "Those that generate, with their aliases, and those that embed.",
		},
		{
			method: "GET", path: "/v1/models/{model}", id: "model", scope: access.Answer | access.Embed, reach: reachesNone, tag: tagModels, openAI: true, out: typeOf[model](), handle: s.getModel,
			summary: "Describe a model",
		},
	}
}

// modelList is what GET /v1/models answers, in OpenAI's form.
type modelList struct {
	Object string  `json:"object"`
	Data   []model `json:"data"`
}

type model struct {
	ID      string `json:"id"`
	Object  string `json:"object"`
	Created int64  `json:"created"`
	OwnedBy string `json:"owned_by"`
}

func (s *server) modelNames() []string {
	var names []string
	if s.models != nil {
		names = append(names, s.models.Names()...)
	}
	for _, e := range s.embedders {
		names = append(names, e.Space().Model)
	}
	slices.Sort(names)
	return slices.Compact(names)
}

func newModel(name string) model { return model{ID: name, Object: "model", OwnedBy: "lanewise"} }

func (s *server) listModels(w *recorder, _ *http.Request) error {
	out := modelList{Object: "list", Data: []model{}}
	for _, name := range s.modelNames() {
		out.Data = append(out.Data, newModel(name))
	}
	return s.reply(w, out)
}

func (s *server) getModel(w *recorder, r *http.Request) error {
	name := r.PathValue("model")
	if !slices.Contains(s.modelNames(), name) {
		return &fault.Error{Class: fault.NotFound, Field: "/model", Message: "there is no model " + strconv.Quote(name)}
	}
	return s.reply(w, newModel(name))
}

// relay passes a call on.
func (s *server) relay(w *recorder, r *http.Request, at relay.Endpoint) error {
	body, err := s.body(w, r)
	if err != nil {
		return err
	}
	call, err := relay.Parse(at, body)
	if err != nil {
		return err
	}
	call.Session = cmp.Or(r.Header.Get(headerSession), r.Header.Get("X-Session-Id"), r.Header.Get("X-Smg-Routing-Key"), call.Session)
	call.Tenant = r.Header.Get(headerTenant)
	call.Resume = r.Header.Get(headerResume) == "true"
	w.event.Model, w.event.Tenant = call.Model, call.Tenant
	if err := s.charge(w, r, []string{call.Tenant}, estimateCall(call)); err != nil {
		return err
	}
	if call.Stream {
		release, err := s.stream()
		if err != nil {
			return err
		}
		defer release()
	}
	reply, err := s.models.Relay(r.Context(), call)
	if err != nil {
		return err
	}
	w.event.routed(&reply.Route, reply.Usage)
	setRoute(w.Header(), reply)
	if reply.Stream == nil {
		s.send(w, answer{}, relay.WithCost(reply.Body, reply.Usage))
		return nil
	}
	defer reply.Stream.Close() //nolint:errcheck // settles the lease; the answer is out already
	if !call.Resume {
		call.Release()
	}
	s.pass(w, r, reply.Stream)
	return nil
}

// setRoute tells how an answer came about. The header's values share one piece of
// memory, since every call has them.
func setRoute(h http.Header, reply *relay.Reply) {
	values := make([]string, 0, 11)
	set := func(name, value string) {
		values = append(values, value)
		h[name] = values[len(values)-1 : len(values) : len(values)]
	}
	route := &reply.Route
	set(headerUpstream, route.Upstream)
	if name := cmp.Or(route.Chosen, route.Model); name != "" {
		set(headerModel, name)
	}
	if route.Score != 0 {
		set(headerRoute, cmp.Or(route.Subject, "default"))
		set(headerScore, strconv.FormatFloat(route.Score, 'f', 3, 64))
		if route.Unused != "" {
			set(headerUnused, route.Unused)
		}
	}
	set(headerWhy, route.Why)
	set(headerAttempts, strconv.Itoa(route.Attempts))
	set(headerQueued, decimal(milliseconds(route.Queued)))
	set(headerFirst, decimal(milliseconds(route.First)))
	if route.Cached > 0 {
		set(headerPredict, strconv.Itoa(route.Cached))
	}
	if u := reply.Usage; u != nil && u.CachedTokens > 0 {
		set(headerCached, strconv.Itoa(u.CachedTokens))
	}
	if u := reply.Usage; u != nil && u.Cost > 0 {
		set(headerCost, decimal(u.Cost))
	}
}

func decimal(n float64) string { return strconv.FormatFloat(n, 'f', -1, 64) }
