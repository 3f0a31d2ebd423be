package httpapi

import (
	"encoding/json"
	"errors"
	"net/http"
	"path/filepath"
	"strings"
	"testing"

	"github.com/lanewise/lanewise/fault"
	"github.com/lanewise/lanewise/router"
	"github.com/lanewise/lanewise/search"
)

// lists is another configuration, under the name "new".
type lists struct{ shards []router.Shard }

func (l lists) List(file string) ([]router.Shard, error) {
	if file != "new" {
		return nil, fault.New(fault.Invalid, "no such file")
	}
	return l.shards, nil
}

func (l lists) Open(file string, except map[string]bool) ([]router.Shard, error) {
	if !except["s0"] {
		return nil, errors.New("s0 is open already")
	}
	return l.List(file)
}

// admin sends a request from this machine.
func admin(t *testing.T, s *server, path, body string) (status int, answer map[string]any) {
	t.Helper()
	method := "POST"
	if body == "" {
		method = "GET"
	}
	r := newRequest(method, "/v1/admin/"+path, body)
	r.RemoteAddr = "127.0.0.1:4000"
	w := do(s, r)
	if err := json.Unmarshal(w.Body.Bytes(), &answer); err != nil {
		t.Fatalf("%s: %v: %s", path, err, w.Body)
	}
	return w.Code, answer
}

func TestAdmin_planApplyRepair(t *testing.T) {
	shard := func(name string) router.Shard {
		return router.Shard{Name: name, Replicas: []router.Replica{{Name: "r0", Store: newStore(t)}}}
	}
	s0, s1 := shard("s0"), shard("s1")
	r, err := router.New(router.Config{MapPath: filepath.Join(t.TempDir(), "map"), Shards: []router.Shard{s0}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	})
	if _, err := r.CreateCollection(t.Context(), search.Collection{Name: "fresh", Dims: 1}); err != nil {
		t.Fatal(err)
	}
	s := mustServer(t, Config{Router: r, Shards: lists{[]router.Shard{s0, s1}}})
	if status, _ := admin(t, s, "plan", `{"config": "other"}`); status != http.StatusBadRequest {
		t.Errorf("plan of no file: %d", status)
	}
	status, plan := admin(t, s, "plan", `{"config": "new"}`)
	if status != http.StatusOK || plan["partitions"].(float64) < 1000 {
		t.Fatalf("plan: %d %v", status, plan)
	}
	order, err := json.Marshal(map[string]any{"config": "new", "plan": plan})
	if err != nil {
		t.Fatal(err)
	}
	if status, moved := admin(t, s, "apply", string(order)); status != http.StatusOK || moved["epoch"] != plan["epoch"].(float64)+1 {
		t.Errorf("apply: %d %v", status, moved)
	}
	if status, told := admin(t, s, "replicas", ""); status != http.StatusOK || len(told["replicas"].([]any)) != 2 {
		t.Errorf("replicas: %d %v", status, told)
	}
	if status, done := admin(t, s, "repair", `{"collections": ["fresh"], "dry_run": true, "per_second": 10}`); status != http.StatusOK || done["copied"] != 0.0 {
		t.Errorf("repair: %d %v", status, done)
	}
	for path, body := range map[string]string{
		"repair": `{"colections": ["fresh"]}`, "plan": `{"config": 3}`, "apply": `[]`,
	} {
		if status, problem := admin(t, s, path, body); status != http.StatusBadRequest {
			t.Errorf("%s %s: %d %v", path, body, status, problem)
		}
	}
}

// A proxy on this machine asks for clients who may be anywhere.
func TestAdmin_notThroughAProxy(t *testing.T) {
	s := mustServer(t, Config{Router: newRouter(t, nil)})
	for _, header := range []string{"X-Forwarded-For", "Forwarded", "Via", "X-Real-IP"} {
		r := newRequest("POST", "/v1/admin/repair", `{}`)
		r.RemoteAddr = "[::1]:4000"
		r.Header.Set(header, "10.0.0.7")
		if w := do(s, r); w.Code != http.StatusForbidden || !strings.Contains(w.Body.String(), "proxy") {
			t.Errorf("%s: %d %s", header, w.Code, w.Body)
		}
	}
	if status, _ := admin(t, s, "apply", `{}`); status != http.StatusNotFound {
		t.Errorf("apply without a source of shards: %d", status)
	}
}
