package adapter_test

import (
	"encoding/json"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"

	"github.com/lanewise/lanewise/search"
)

// engine stands for the server of a third party.
type engine struct {
	key         string // that callers must show; empty: none
	mu          sync.Mutex
	collections map[string]*shelf
}

type shelf struct {
	about json.RawMessage
	rows  map[search.Key]json.RawMessage
}

// start runs an engine until its Close.
func start(key string) *httptest.Server {
	e := &engine{key: key, collections: map[string]*shelf{}}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", e.list)
	mux.HandleFunc("GET /{name}", e.get)
	mux.HandleFunc("PUT /{name}", e.create)
	mux.HandleFunc("DELETE /{name}", e.drop)
	mux.HandleFunc("POST /{name}", e.change)
	return httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if e.key != "" && r.Header.Get("Key") != e.key {
			http.Error(w, "wrong key", http.StatusUnauthorized)
			return
		}
		e.mu.Lock()
		defer e.mu.Unlock()
		mux.ServeHTTP(w, r)
	}))
}

func answer(w http.ResponseWriter, body any) { _ = json.NewEncoder(w).Encode(body) }

// find answers 404 itself where there is no such collection.
func (e *engine) find(w http.ResponseWriter, r *http.Request) *shelf {
	c := e.collections[r.PathValue("name")]
	if c == nil {
		http.Error(w, "no such collection", http.StatusNotFound)
	}
	return c
}

func (e *engine) list(w http.ResponseWriter, _ *http.Request) {
	answer(w, slices.AppendSeq([]string{}, slices.Values(slices.Sorted(maps.Keys(e.collections)))))
}

func (e *engine) get(w http.ResponseWriter, r *http.Request) {
	if c := e.find(w, r); c != nil {
		answer(w, map[string]any{"About": c.about, "Rows": slices.AppendSeq([]json.RawMessage{}, maps.Values(c.rows))})
	}
}

func (e *engine) create(w http.ResponseWriter, r *http.Request) {
	var about json.RawMessage
	if json.NewDecoder(r.Body).Decode(&about) != nil {
		http.Error(w, "no JSON", http.StatusBadRequest)
		return
	}
	name := r.PathValue("name")
	if e.collections[name] == nil {
		e.collections[name] = &shelf{rows: map[search.Key]json.RawMessage{}}
	}
	e.collections[name].about = about
}

func (e *engine) drop(w http.ResponseWriter, r *http.Request) {
	if e.find(w, r) != nil {
		delete(e.collections, r.PathValue("name"))
	}
}

func (e *engine) change(w http.ResponseWriter, r *http.Request) {
	c := e.find(w, r)
	var body struct {
		Put    []json.RawMessage
		Remove []search.Key
	}
	if c == nil || json.NewDecoder(r.Body).Decode(&body) != nil {
		return
	}
	for _, row := range body.Put {
		var k search.Key
		if json.Unmarshal(row, &k) == nil {
			c.rows[k] = row
		}
	}
	for _, k := range body.Remove {
		delete(c.rows, k)
	}
}
