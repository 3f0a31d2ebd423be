package httpapi

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/lanewise/lanewise/access"
	"github.com/lanewise/lanewise/access/meter"
	"github.com/lanewise/lanewise/embed"
	"github.com/lanewise/lanewise/router"
	"github.com/lanewise/lanewise/search"
)

// gateOf returns a gate of keys whose secrets are their names.
func gateOf(t *testing.T, keys ...access.Key) *access.Gate {
	t.Helper()
	for i := range keys {
		keys[i].Digest = access.DigestOf(keys[i].Name)
	}
	g, err := access.New(access.Config{Keys: keys})
	if err != nil {
		t.Fatal(err)
	}
	return g
}

// secretly is in every text and id of the tenant whose points nobody else may see.
const secretly = "babab"

// sharedServer serves everything, over points of two tenants.
func sharedServer(t *testing.T, gate Access) *server {
	t.Helper()
	r := newRouter(t, &script{lines: []string{"one [1]"}})
	for tenant, text := range map[string]string{"acme": secretly, "evil": "aaa"} {
		_, err := r.Upsert(t.Context(), router.Upsert{Collection: "docs", Tenant: tenant, Points: []search.Point{
			{Key: search.Key{ID: "of-" + text}, Text: text, Meta: []byte(`{"is":"` + text + `"}`)},
		}})
		if err != nil {
			t.Fatal(err)
		}
	}
	return mustServer(t, Config{
		Router: r, Store: r, Embedders: []embed.Provider{letters{}}, Models: &parrot{}, Access: gate,
		Shards: noShards{}, Backups: map[string]Backuper{"s0": nothingToCopy{}}, Metrics: http.NotFoundHandler(), Meter: newMeter(t, meter.Config{}), Lanes: &oneLane{},
	})
}

type noShards struct{}

func (noShards) List(string) ([]router.Shard, error)                  { return nil, nil }
func (noShards) Open(string, map[string]bool) ([]router.Shard, error) { return nil, nil }

type nothingToCopy struct{}

func (nothingToCopy) Backup(context.Context, io.Writer) error { return nil }

// attempt is a request that tries to get at acme's points, and what becomes of it with a key of evil's.
type attempt struct {
	path, body string // path: the query string
	header     string // X-Lanewise-Tenant
	status     int
}

const foreignPoints = `"tenant": "acme"`

// attempts lists, for every operation of the contract, what a foreign key may try. An operation that is
// not here fails the test.
func attempts() map[string][]attempt {
	search := `{"collection": "docs", "text": "bab", "k": 10`
	never := []attempt{{status: 403, body: `{}`}}
	return map[string][]attempt{
		"search": {
			{body: search + `}`, status: 200}, {body: search + `, "tenant": "evil"}`, status: 200},
			{body: search + `, "tenant": "acme"}`, status: 403}, {body: search + `, "TENANT": "acme"}`, status: 400},
			{body: search + `, "tenant": "evil", "tenant": "acme"}`, status: 400}, {body: search + `, "tenant": null}`, status: 200},
			{body: `{"collection": "docs", "text": "bab", "filter": {"is": "` + secretly + `"}, "explain": true}`, status: 200},
			{body: `{"collection": "docs", "legs": [{"text": "bab", "tenant": "acme"}]}`, status: 400},
			{body: search + `}`, path: "?tenant=acme", header: "acme", status: 200},
		},
		"search-batch": {
			{body: `{"queries": [` + search + `}]}`, status: 200},
			{body: `{"queries": [` + search + `}, ` + search + `, "tenant": "acme"}]}`, status: 403},
		},
		"answer": {
			{body: `{"collection": "docs", "question": "bab?"}`, status: 200}, {body: `{"collection": "docs", "question": "bab?", "stream": true}`, status: 200},
			{body: `{"collection": "docs", "question": "bab?", ` + foreignPoints + `}`, status: 403},
		},
		"put-points": {
			{body: `{"points": [{"id": "of-` + secretly + `", "text": "a"}]}`, status: 200},
			{body: `{"points": [{"id": "of-` + secretly + `", "text": "a"}], ` + foreignPoints + `}`, status: 403},
			{body: `{"points": [{"id": "of-` + secretly + `", "text": "a", "tenant": "acme"}]}`, status: 400},
		},
		"delete-points": {
			{body: `{"ids": ["of-` + secretly + `"]}`, status: 200}, {body: `{"filter": {"is": "` + secretly + `"}}`, status: 200},
			{body: `{"ids": ["of-` + secretly + `"], ` + foreignPoints + `}`, status: 403},
		},
		"get-point": {
			{status: 404}, {path: "?tenant=acme", status: 403}, {path: "?tenant=evil&tenant=acme", status: 403},
			{path: "?tenant=", status: 404}, {path: "?tenant=evil", status: 404}, {path: "?Tenant=acme", status: 400}, {path: "?tenant=%61cme", status: 403},
			{path: "?x=%zz;tenant=acme", status: 404},
		},
		"scroll-points": {
			{body: `{"include": ["text"]}`, status: 200}, {body: `{` + foreignPoints + `}`, status: 403},
			{body: `{"cursor": "b2Y"}`, status: 200}, {body: `{"all_tenants": true}`, status: 400},
		},
		"count-points": {
			{body: `{"filter": {"is": "` + secretly + `"}}`, status: 200}, {body: `{` + foreignPoints + `}`, status: 403},
		},
		"chat": {
			{body: `{"model": "gpt", "messages": [{"role": "user", "content": "a"}]}`, status: 200}, {body: `{"model": "gpt", "messages": []}`, header: "acme", status: 403},
		},
		"completions": {
			{body: `{"model": "gpt", "prompt": "a"}`, status: 200}, {body: `{"model": "gpt", "prompt": "a"}`, header: "acme", status: 403},
		},
		"models": {{status: 200}}, "model": {{status: 200}},
		"embeddings": {{body: `{"model": "letters", "input": "a"}`, status: 200}},
		"rerank":     {{body: `{"query": "a", "documents": ["a"]}`, status: 200}},

		"healthz": {{status: 200}}, "readyz": {{status: 200}}, "openapi": {{status: 200}}, "docs": {{status: 200}},

		"put-collection": never, "list-collections": never, "get-collection": never, "delete-collection": never, "put-alias": never,
		"admin-replicas": never, "admin-repair": never, "admin-reindex": never, "admin-reembed": never, "admin-plan": never, "admin-apply": never, "admin-usage": never, "backup": never, "list-lanes": never, "change-lane": never, "topology": never, "requests": never, "metrics": never,
		"replica-search": never, "replica-write": never, "replica-get": never, "replica-scroll": never, "replica-count": never, "replica-stats": never, "replica-terms": never,
	}
}

// operations lists those of the contract, as "METHOD path" by their ids.
func operations(t *testing.T, s *server) map[string][2]string {
	t.Helper()
	var doc struct {
		Paths map[string]map[string]struct{ OperationID string }
	}
	if err := json.Unmarshal(s.contract.json, &doc); err != nil || len(doc.Paths) == 0 {
		t.Fatal(err, len(doc.Paths))
	}
	out := map[string][2]string{}
	for path, methods := range doc.Paths {
		for method, op := range methods {
			out[op.OperationID] = [2]string{strings.ToUpper(method), path}
		}
	}
	return out
}

// A key of one tenant never reads or writes a point of another, whatever it is used for: every operation of
// the contract is tried with it, and afterwards the other tenant's points are as they were.
func TestAdmit_aKeyOfOneTenantNeverReachesAnother(t *testing.T) {
	// More than the configuration would give such a key, so that scopes hide nothing.
	foreign := callers{"evil": {Name: "evil", Scopes: access.All, Tenant: "evil"}, "acme": {Name: "acme", Scopes: access.All, Tenant: "acme"}}
	s := sharedServer(t, foreign)
	fill := strings.NewReplacer("{collection}", "docs", "{id}", "of-"+secretly, "{alias}", "live", "{model}", "letters")
	known := attempts()
	for id, op := range operations(t, s) {
		if len(known[id]) == 0 {
			t.Errorf("%s %s (%s) is not tried with a foreign key: say above what becomes of it", op[0], op[1], id)
		}
		for _, a := range known[id] {
			// A point that the attempts have written is of their own tenant: it is taken away again.
			r := newRequest(op[0], fill.Replace(op[1]), a.body)
			r.URL.RawQuery, r.RemoteAddr = strings.TrimPrefix(a.path, "?"), "127.0.0.1:4000"
			r.Header.Set("Authorization", "Bearer evil")
			if a.header != "" {
				r.Header.Set(headerTenant, a.header)
			}
			w := do(s, r)
			if w.Code != a.status {
				t.Errorf("%s %s%s %s: %d, want %d: %.300s", op[0], op[1], a.path, a.body, w.Code, a.status, w.Body)
			}
			if id != "put-points" && strings.Contains(w.Body.String(), `"`+secretly) {
				t.Errorf("%s %s%s %s shows acme's point: %s", op[0], op[1], a.path, a.body, w.Body)
			}
			if id == "put-points" {
				remove := newRequest("DELETE", "/v1/collections/docs/points", `{"ids": ["of-`+secretly+`"]}`)
				remove.Header.Set("Authorization", "Bearer evil")
				do(s, remove)
			}
		}
	}
	own := newRequest("GET", "/v1/collections/docs/points/of-"+secretly, "")
	own.Header.Set("Authorization", "Bearer acme")
	if w := do(s, own); w.Code != 200 || !strings.Contains(w.Body.String(), secretly) {
		t.Errorf("acme's own point afterwards: %d %s", w.Code, w.Body)
	}
}

// callers knows a caller by the name as token.
type callers map[string]access.Caller

func (c callers) Identify(_ context.Context, token string) (access.Caller, error) {
	return c[token], nil
}

// A bound caller's tenant pays for what models generate.
func TestAdmit_theTenantPaysWithoutBeingAsked(t *testing.T) {
	s := sharedServer(t, gateOf(t, access.Key{Name: "evil", Scopes: access.Answer, Tenant: "evil"}))
	r := newRequest("POST", "/v1/chat/completions", `{"model": "gpt", "messages": [{"role": "user", "content": "a"}]}`)
	r.Header.Set("X-Api-Key", "evil")
	if w := do(s, r); w.Code != 200 {
		t.Fatal(w.Code, w.Body)
	}
	if got := s.models.(*parrot).last.Tenant; got != "evil" {
		t.Errorf("the call is for tenant %q", got)
	}
}

// Every operation asks for one of its scopes, and for nothing else.
func TestAdmit_scopes(t *testing.T) {
	var keys []access.Key
	for _, name := range access.All.Names() {
		scope, err := access.ParseScopes([]string{name})
		if err != nil {
			t.Fatal(err)
		}
		keys = append(keys, access.Key{Name: name, Scopes: scope})
	}
	s := sharedServer(t, gateOf(t, keys...))
	for _, rt := range s.routes() {
		if !rt.open && rt.scope == access.None {
			t.Errorf("%s asks for no scope", rt.id)
		}
		for _, key := range keys {
			r := newRequest(rt.method, strings.NewReplacer("{collection}", "none", "{id}", "a", "{alias}", "x", "{model}", "letters").Replace(rt.path), "")
			r.RemoteAddr = "127.0.0.1:4000"
			r.Header.Set("Authorization", "Bearer "+key.Name)
			w := do(s, r)
			may := rt.open || slices.Contains(rt.scope.Names(), key.Name)
			if (w.Code == http.StatusForbidden) == may || w.Code == http.StatusUnauthorized {
				t.Errorf("%s with a key for %s: %d %s", rt.id, key.Name, w.Code, w.Body)
			}
			if !may && !strings.Contains(w.Body.String(), "lacks the scope "+strings.Join(rt.scope.Names(), " or ")) {
				t.Errorf("%s does not name the scope: %s", rt.id, w.Body)
			}
		}
	}
}

func TestAdmit_neverRepeatsTheKey(t *testing.T) {
	s := sharedServer(t, gateOf(t, access.Key{Name: "reader", Scopes: access.Search}))
	for _, token := range []string{"sesame-9", "sesame-9 reader", strings.Repeat("sesame-9", 1000)} {
		r := newRequest("POST", "/v1/embeddings", `{}`)
		r.Header.Set("Authorization", "Bearer "+token)
		if w := do(s, r); w.Code != 401 || strings.Contains(w.Body.String(), "sesame") || strings.Contains(w.Header().Get("Www-Authenticate"), "sesame") {
			t.Errorf("%d %v %s", w.Code, w.Header(), w.Body)
		}
	}
	_, err := New(Config{Router: newRouter(t, nil), Keys: []string{"a"}, Access: callers{}})
	if err == nil || !strings.Contains(err.Error(), "cannot stand beside access") {
		t.Error(err)
	}
}
