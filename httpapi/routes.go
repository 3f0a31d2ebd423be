package httpapi

import (
	"net/http"
	"reflect"
	"strings"

	"github.com/lanewise/lanewise/access"
	"github.com/lanewise/lanewise/search/wire"
)

// route is one endpoint: what the mux needs to know, and what the contract says.
type route struct {
	method, path string // path as in OpenAPI: /v1/aliases/{alias}
	id           string // operation id
	tag          string
	summary      string
	detail       string
	query        []parameter
	in, out      reflect.Type  // bodies; nil: none
	example      string        // a body that works once the collection exists
	media        string        // of the answer, if it is not JSON
	open         bool          // needs no key
	scope        access.Scopes // that a caller needs, one of them
	reach        reach
	openAI       bool // errors have the form that clients of OpenAI's API read
	local        bool // only for clients on this machine
	handle       handlerFunc
}

// parameter is one of the query string.
type parameter struct{ Name, Doc string }

// pattern returns the path as the mux wants it. A point's id may hold slashes, and so may
// a model's name.
func (rt route) pattern() string {
	return strings.NewReplacer("/{id}", "/{id...}", "/{model}", "/{model...}").Replace(rt.path)
}

// The tags of the contract, in the order of the page.
const (
	tagSearch      = "Search"
	tagAnswer      = "Answer"
	tagPoints      = "Points"
	tagCollections = "Collections"
	tagEmbeddings  = "Embeddings"
	tagModels      = "Models"
	tagReplica     = "Replica protocol"
	tagServer      = "Server"
)

func typeOf[T any]() reflect.Type { return reflect.TypeFor[T]() }

// routes lists every endpoint that this server has.
func (s *server) routes() []route {
	routes := s.serverRoutes()
	if s.router != nil || s.retrieve != nil {
		routes = append(routes, s.searchRoutes()...)
		routes = append(routes, s.pointRoutes()...)
		routes = append(routes, s.collectionRoutes()...)
	}
	if len(s.embedders) > 0 {
		routes = append(routes, s.embeddingRoutes()...)
	}
	if s.models != nil {
		routes = append(routes, s.relayRoutes()...)
	}
	if s.models != nil || len(s.embedders) > 0 {
		routes = append(routes, s.modelRoutes()...)
	}
	if s.store != nil {
		routes = append(routes, s.replicaRoutes()...)
	}
	if s.router != nil {
		routes = append(routes, s.rerankRoutes()...)
		routes = append(routes, s.adminRoutes()...)
	}
	routes = append(routes, s.watchRoutes()...)
	routes = append(routes, s.usageRoutes()...)
	routes = append(routes, s.laneRoutes()...)
	if len(s.backups) > 0 {
		routes = append(routes, s.backupRoutes()...)
	}
	return routes
}

func (s *server) searchRoutes() []route {
	return []route{
		{
			method: "POST", path: "/v1/search", id: "search", scope: access.Search, reach: reachesBody, tag: tagSearch, handle: s.search,
			example: `{"collection": "docs", "text": "read a file line by line", "k": 3, "filter": {"year": {"$gte": 2020}}}`,
			summary: "Find points by words and meaning", in: typeOf[wire.SearchRequest](), out: typeOf[wire.SearchResponse](),
			detail: "Finds the points that fit a text or a vector best, over all shards of the collection. A text is compared by its meaning (the nearest vectors), " +
				"by its words (BM25, weighed by all shards together), or by both, fused into one order: mode is \"dense\", \"lexical\", \"hybrid\" or, by default, " +
				"the most that the collection and all its shards can do; the report names it. rerank has a model read the best and put them into its own order, where one is configured. " +
				"The report says whether all of them answered; where one is missing the answer is an error, unless on_partial is \"return\".",
		},
		{
			method: "POST", path: "/v1/search/batch", id: "search-batch", scope: access.Search, reach: reachesBody, tag: tagSearch, handle: s.searchBatch,
			example: `{"queries": [{"collection": "docs", "text": "open a file"}, {"collection": "docs", "text": "sort a slice", "k": 3}]}`,
			summary: "Several searches in one request", in: typeOf[wire.BatchRequest](), out: typeOf[wire.BatchResponse](),
			detail: "Runs the searches side by side and answers in their order. A search that fails has an error in its place; the status stays 200.",
		},
		{
			method: "POST", path: "/v1/answer", id: "answer", scope: access.Answer, reach: reachesBody, tag: tagAnswer, handle: s.answer,
			example: `{"collection": "docs", "question": "How do I read a file line by line?", "k": 4}`,
			summary: "Answer a question, with citations", in: typeOf[wire.AnswerRequest](), out: typeOf[wire.AnswerResponse](),
			detail: "Searches for the passages that bear on the question and has an answer written from them. With \"stream\": true the answer comes as " +
				"server-sent events: one \"sources\" (the hits and their report), then \"delta\" for each piece of text, and \"done\" with the whole answer, " +
				"or \"error\" with a problem.",
		},
	}
}

func (s *server) pointRoutes() []route {
	const points = "/v1/collections/{collection}/points"
	return []route{
		{
			method: "PUT", path: points, id: "put-points", scope: access.Write, reach: reachesBody, tag: tagPoints, handle: s.putPoints,
			example: `{"points": [{"id": "a", "text": "Scanner reads a file line by line.", "metadata": {"year": 2024}}]}`,
			summary: "Store points", in: typeOf[wire.UpsertRequest](), out: typeOf[wire.WriteResponse](),
			detail: "Stores points, replacing those of the same id; a point without a vector is embedded from its text. 200 means that every replica has " +
				"them durably. A 503 names, for each point, the replicas that have it; repeating the request is safe.",
		},
		{
			method: "DELETE", path: points, id: "delete-points", scope: access.Write, reach: reachesBody, tag: tagPoints, handle: s.deletePoints,
			example: `{"ids": ["a"]}`,
			summary: "Delete points by id or by filter", in: typeOf[wire.DeleteRequest](), out: typeOf[wire.WriteResponse](),
		},
		{
			method: "GET", path: points + "/{id}", id: "get-point", scope: access.Search, reach: reachesQuery, tag: tagPoints, handle: s.getPoint,
			summary: "Read one point", out: typeOf[wire.Point](), query: []parameter{{"tenant", "Tenant of the point."}},
		},
		{
			method: "POST", path: points + "/scroll", id: "scroll-points", scope: access.Search, reach: reachesBody, tag: tagPoints, handle: s.scrollPoints,
			example: `{"limit": 50, "include": ["text"]}`,
			summary: "Walk through a collection", in: typeOf[wire.ScrollRequest](), out: typeOf[wire.ScrollResponse](),
			detail: "Pages through the points of a tenant in the order of their ids; next_cursor is the cursor of the next page.",
		},
		{
			method: "POST", path: points + "/count", id: "count-points", scope: access.Search, reach: reachesBody, tag: tagPoints, handle: s.countPoints,
			example: `{"filter": {"year": {"$gte": 2020}}}`,
			summary: "Count points exactly", in: typeOf[wire.CountRequest](), out: typeOf[wire.CountResponse](),
		},
	}
}

func (s *server) collectionRoutes() []route {
	const collection = "/v1/collections/{collection}"
	return []route{
		{
			method: "PUT", path: collection, id: "put-collection", scope: access.Write, tag: tagCollections, handle: s.putCollection,
			example: `{"dims": 256, "metric": "cosine", "space": "static-256"}`,
			summary: "Create a collection", in: typeOf[wire.Collection](), out: typeOf[wire.Collection](),
			detail: "Creates a collection on every shard. The same request again is fine; other settings under the same name are a conflict.",
		},
		{
			method: "GET", path: "/v1/collections", id: "list-collections", scope: access.Search | access.Write, tag: tagCollections, handle: s.listCollections,
			summary: "List the collections and aliases", out: typeOf[wire.Collections](),
		},
		{
			method: "GET", path: collection, id: "get-collection", scope: access.Search | access.Write, tag: tagCollections, handle: s.getCollection,
			summary: "Describe a collection", out: typeOf[wire.Collection](), detail: "The answer counts its points, over all tenants.",
		},
		{
			method: "DELETE", path: collection, id: "delete-collection", scope: access.Write, tag: tagCollections, handle: s.deleteCollection,
			summary: "Delete a collection with all its points",
		},
		{
			method: "PUT", path: "/v1/aliases/{alias}", id: "put-alias", scope: access.Write, tag: tagCollections, handle: s.putAlias,
			example: `{"collection": "docs"}`,
			summary: "Let a name stand for a collection", in: typeOf[wire.Alias](), out: typeOf[wire.Alias](),
			detail: "From now on the alias can be used in place of the collection's name. Pointing it elsewhere takes effect at once.",
		},
	}
}

func (s *server) serverRoutes() []route {
	return []route{
		{
			method: "GET", path: "/healthz", id: "healthz", tag: tagServer, open: true, handle: s.healthz,
			summary: "Is the process alive?", media: "text/plain",
		},
		{
			method: "GET", path: "/readyz", id: "readyz", tag: tagServer, open: true, handle: s.readyz,
			summary: "May it get traffic?", media: "text/plain", detail: "Stays 200 while single shards are down: answers say what is missing. 503 while the server ends. With ?verbose the answer tells of the configuration, too.",
		},
		{
			method: "GET", path: "/openapi.json", id: "openapi", tag: tagServer, open: true, handle: s.openAPI,
			summary: "This contract", media: "application/json",
		},
		{
			method: "GET", path: "/docs", id: "docs", tag: tagServer, open: true, handle: s.docs,
			summary: "This contract, to read", media: "text/html",
		},
	}
}

// unknown answers where no route matches: 405 where another method would, else 404.
func (s *server) unknown(w *recorder, r *http.Request) error {
	var allowed []string
	for _, method := range [...]string{"GET", "POST", "PUT", "DELETE"} {
		probe := r.Clone(r.Context())
		probe.Method = method
		if _, pattern := s.mux.Handler(probe); pattern != "/" && pattern != "" {
			allowed = append(allowed, method)
		}
	}
	if len(allowed) == 0 {
		if needs := missing(r.URL.Path); needs != "" {
			w.openAI = true
			return refuse(http.StatusNotFound, "there is no %s here: the configuration has no %s", r.URL.Path, needs)
		}
		return refuse(http.StatusNotFound, "there is no %s here; /docs lists the endpoints", r.URL.Path)
	}
	err := refuse(http.StatusMethodNotAllowed, "%s does not go with %s: use %s", r.Method, r.URL.Path, strings.Join(allowed, " or "))
	err.header = http.Header{"Allow": {strings.Join(allowed, ", ")}}
	return err
}

// missing says what a configuration needs for an endpoint of OpenAI's API to be there; empty: it is none of them.
func missing(path string) string {
	switch path {
	case "/v1/chat/completions", "/v1/completions":
		return "llm upstream of kind openai"
	case "/v1/embeddings":
		return "embed upstream"
	}
	return ""
}

// welcome sends who comes without a path to the page.
func (s *server) welcome(w *recorder, _ *http.Request) error {
	w.Header().Set("Location", "ui/") // relative: a proxy may have put a prefix before it
	w.WriteHeader(http.StatusFound)
	return nil
}

func (s *server) healthz(w *recorder, _ *http.Request) error {
	s.send(w, answer{contentType: "text/plain; charset=utf-8"}, []byte("ok\n"))
	return nil
}

func (s *server) readyz(w *recorder, r *http.Request) error {
	if s.ready != nil {
		if err := s.ready(r.Context()); err != nil {
			return &httpError{status: http.StatusServiceUnavailable, err: err}
		}
	}
	if s.details != nil && r.URL.Query().Has("verbose") {
		s.send(w, answer{contentType: "text/plain; charset=utf-8"}, []byte(strings.Join(append([]string{"ok"}, s.details()...), "\n")+"\n"))
		return nil
	}
	return s.healthz(w, r)
}
