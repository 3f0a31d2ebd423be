package httpapi

import (
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/lanewise/lanewise/access"
	"github.com/lanewise/lanewise/balance"
	"github.com/lanewise/lanewise/discovery"
)

// oneLane is a plaza with one lane.
type oneLane struct{ state balance.MemberState }

func (p *oneLane) Lanes() []Lane {
	return []Lane{{
		Name: "embed/tei", State: p.state,
		Steer:   func(to balance.State) error { p.state.State = to; return nil },
		Reweigh: func(weight float64) error { p.state.Weight = weight; return nil },
	}}
}

func (*oneLane) Found() []discovery.Status {
	return []discovery.Status{{Pool: "embed/tei", Members: []discovery.Member{{Name: "a"}}, At: time.Now().Add(-time.Hour), Trouble: "gone"}, {Pool: "s0/r0"}}
}

// TestLanes_areChangedAndAudited: each action does its work, answers with before and after, and is logged with who did it.
func TestLanes_areChangedAndAudited(t *testing.T) {
	var log strings.Builder
	plaza := &oneLane{balance.MemberState{State: balance.Healthy, Weight: 1}}
	s := mustServer(t, Config{
		Router: newRouter(t, nil), Lanes: plaza, Log: slog.New(slog.NewTextHandler(&log, nil)),
		Access: callers{"olga": {Name: "olga", Scopes: access.All}},
	})
	for _, c := range []struct {
		body   string
		status int
		want   string
	}{
		{`{"lane": "embed/tei", "action": "drain"}`, 200, `"after":{"name":"embed/tei","state":"draining"`},
		{`{"lane": "embed/tei", "action": "eject"}`, 200, `"after":{"name":"embed/tei","state":"ejected"`},
		{`{"lane": "embed/tei", "action": "undrain"}`, 200, `"before":{"name":"embed/tei","state":"ejected"`},
		{`{"lane": "embed/tei", "action": "weight", "weight": 2.5}`, 200, `"weight":2.5`},
		{`{"lane": "embed/tei", "action": "weight"}`, 400, `"/weight"`},
		{`{"lane": "embed/tei", "action": "drain", "weight": 1}`, 400, `"/weight"`},
		{`{"lane": "embed/tei", "action": "paint"}`, 400, `action`},
		{`{"lane": "embed/tie", "action": "drain"}`, 404, `"/lane"`},
		{`{"lane": "embed/tei", "do": "drain"}`, 400, `do`},
	} {
		r := newRequest("POST", "/v1/admin/lanes", c.body)
		r.Header.Set("Authorization", "Bearer olga")
		if w := do(s, r); w.Code != c.status || !strings.Contains(w.Body.String(), c.want) {
			t.Errorf("%s: %d %s, want %d with %s", c.body, w.Code, w.Body, c.status, c.want)
		}
	}
	for _, want := range []string{"by=olga", "lane=embed/tei", "action=drain", "before=healthy", "after=draining", "weight_after=2.5"} {
		if !strings.Contains(log.String(), want) {
			t.Errorf("the log has no %s: %s", want, &log)
		}
	}
	for path, want := range map[string]string{
		"/v1/admin/lanes": `{"lanes":[{"name":"embed/tei","state":"healthy","weight":2.5`,
		"/v1/topology":    `"discovery":[{"pool":"embed/tei","members":["a"],"age_ms":3`,
	} {
		r := newRequest("GET", path, "")
		r.Header.Set("Authorization", "Bearer olga")
		if w := do(s, r); w.Code != 200 || !strings.Contains(w.Body.String(), want) {
			t.Errorf("%s: %d %s", path, w.Code, w.Body)
		}
	}
}

func TestReadyz_tellsMoreWhereItIsAsked(t *testing.T) {
	s := mustServer(t, Config{Router: newRouter(t, nil), Details: func() []string { return []string{"configuration: fine"} }})
	for path, want := range map[string]string{"/readyz": "ok\n", "/readyz?verbose": "ok\nconfiguration: fine\n"} {
		if w := do(s, newRequest("GET", path, "")); w.Code != 200 || w.Body.String() != want {
			t.Errorf("%s: %d %q", path, w.Code, w.Body)
		}
	}
}
