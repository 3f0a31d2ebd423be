package httpapi

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/lanewise/lanewise/balance"
	"github.com/lanewise/lanewise/fault"
	"github.com/lanewise/lanewise/llm"
	"github.com/lanewise/lanewise/router"
)

// lastRequests asks for the requests that have changed since.
func lastRequests(t *testing.T, s *server, query string) requestList {
	t.Helper()
	w := do(s, newRequest("GET", "/v1/requests"+query, ""))
	var out requestList
	if err := json.Unmarshal(w.Body.Bytes(), &out); err != nil || w.Code != http.StatusOK {
		t.Fatalf("%d %s: %v", w.Code, w.Body, err)
	}
	if err := s.contract.validate(typeOf[requestList](), w.Body.Bytes()); err != nil {
		t.Error(err)
	}
	return out
}

func TestRequests_showHowASearchWent(t *testing.T) {
	s := mustServer(t, Config{Router: newRouter(t, nil)})
	before := lastRequests(t, s, "").Next
	r := newRequest("POST", "/v1/search", `{"collection": "docs", "text": "secret words", "k": 2, "tenant": "acme"}`)
	r.Header.Set("X-Request-Id", "mine")
	do(s, r)
	do(s, newRequest("GET", "/v1/topology", "")) // calls nobody
	got := lastRequests(t, s, "?after="+strconv.FormatUint(before, 10))
	if len(got.Requests) != 1 {
		t.Fatalf("%+v", got)
	}
	q := got.Requests[0]
	if q.ID != "mine" || q.Route != "/v1/search" || q.Status != 200 || q.Class != "ok" || q.TookMS <= 0 || q.AgeMS < q.TookMS || q.Collection != "docs" || q.K != 2 ||
		q.Tenant != hashed("acme") || q.Shards != 2 || q.Answered != 2 || q.Coverage != 1 || len(q.Stages) < 2 {
		t.Errorf("%+v", q)
	}
	lanes := map[string]int{}
	for _, a := range q.Attempts {
		lanes[a.Lane]++
		if a.Reason != "first" || a.Outcome != "won" || a.TookMS < 0 || a.StartMS < 0 || a.Member == "" {
			t.Errorf("%+v", a)
		}
	}
	if lanes["shards"] < 2 {
		t.Errorf("attempts on %v", lanes)
	}
	if text, _ := json.Marshal(got); strings.Contains(string(text), "secret") || strings.Contains(string(text), "acme") {
		t.Errorf("it tells what was asked: %s", text)
	}
	if again := lastRequests(t, s, "?after="+strconv.FormatUint(got.Next, 10)); len(again.Requests) != 0 {
		t.Errorf("nothing has changed, and there is %+v", again)
	}
}

func TestRequests_refusesOddNumbers(t *testing.T) {
	s := mustServer(t, Config{Router: newRouter(t, nil)})
	for _, query := range []string{"?after=-1", "?after=x", "?limit=1e9", "?limit=" + url.QueryEscape("<b>"), "?after=99999999999999999999"} {
		if w := do(s, newRequest("GET", "/v1/requests"+query, "")); w.Code != http.StatusBadRequest {
			t.Errorf("%s: %d", query, w.Code)
		}
	}
	if got := lastRequests(t, s, "?after=9007199254740991&limit=1"); got.Next > 1000 {
		t.Errorf("next is %d", got.Next)
	}
}

// TestGolden_requests shows every field of a request that is over, and one that is under way.
func TestGolden_requests(t *testing.T) {
	now := time.Now()
	l := timeline{seq: 6, id: "mine", start: now.Add(-time.Second), attempts: []balance.Attempt{
		{Lane: "shards", Pool: "s0", Member: "r0", Reason: balance.First, Start: now.Add(-990 * time.Millisecond), Took: 40 * time.Millisecond, Err: context.Canceled},
		{Lane: "shards", Pool: "s0", Member: "r1", Reason: balance.Hedge, Start: now.Add(-970 * time.Millisecond), Took: 20 * time.Millisecond, Won: true},
		{Lane: "llm", Pool: "llm", Member: "u0", Reason: balance.Failover, Start: now.Add(-900 * time.Millisecond), Took: time.Millisecond, Err: fault.New(fault.Unavailable, "key-123")},
	}, end: &Event{
		Took: 750 * time.Millisecond, Method: "POST", Route: "/v1/answer", Status: 200, Class: "ok", Key: "app", Trace: "4bf92f3577b34da6a3ce929d0e0e4736",
		Collection: "docs", Tenant: "acme", K: 8, Mode: "hybrid", Hits: 8, Shards: 4, Answered: 3, Rows: 120, Refills: 1, Coverage: 0.75, Hedges: 1, Failovers: 1,
		Model: "large", Upstream: "u1", Usage: llm.Usage{PromptTokens: 300, CompletionTokens: 40}, First: 90 * time.Millisecond,
		Stages: []router.Stage{{Name: "search", Took: 60 * time.Millisecond}, {Name: "generate", Took: 600 * time.Millisecond}},
	}}
	s := mustServer(t, Config{Router: newRouter(t, nil)})
	under := timeline{seq: 7, id: "other", start: now, attempts: []balance.Attempt{{Lane: "shards", Pool: "s1", Member: "r0", Reason: balance.First, Start: now}}}
	s.recent.seq, s.recent.kept = 7, [keptRequests]*timeline{&l, &under}
	golden(t, "requests", do(s, newRequest("GET", "/v1/requests", "")))
}

// kept is a timeline of a request with an attempt that is under way.
func kept(t *testing.T, p *recent, id string, now time.Time) (*timeline, balance.Attempt) {
	t.Helper()
	l := p.follow(id, now)
	if l == nil {
		t.Fatalf("%s is not kept", id)
	}
	a := balance.Attempt{Pool: "s0", Member: "r0", Reason: balance.First, Start: now}
	l.started(a)
	return l, a
}

// A request is seen while it is under way, and again whenever something of it has ended, an attempt that
// lost and returns late too.
func TestRecent_tellsWhatHasChanged(t *testing.T) {
	var p recent
	now := time.Now()
	first, attempt := kept(t, &p, "first", now)
	kept(t, &p, "second", now)
	all, at := p.since(0, 10)
	if len(all) != 2 || all[0].id != "first" || all[0].end != nil || all[0].attempts[0].Took != 0 {
		t.Fatalf("%+v", all)
	}
	first.concluded(Event{Status: 200})
	all, at = p.since(at, 10)
	if len(all) != 1 || all[0].end == nil || all[0].end.Status != 200 {
		t.Fatalf("%+v", all)
	}
	attempt.Took, attempt.Err = 3*time.Second, errors.New("lost")
	first.ended(attempt)
	if all, at = p.since(at, 10); len(all) != 1 || all[0].attempts[0].Took != 3*time.Second || all[0].end == nil {
		t.Fatalf("%+v", all)
	}
	if all, _ = p.since(at, 10); len(all) != 0 {
		t.Errorf("%+v", all)
	}
	if all, _ = p.since(0, 1); len(all) != 1 || all[0].id != "first" {
		t.Errorf("the latest change is %+v", all)
	}
	if all, _ = p.since(at+100, 10); len(all) != 2 {
		t.Errorf("a reader from before the start sees %d", len(all))
	}
}

// Memory has a bound, and so has what a flood of requests costs.
func TestRecent_isBounded(t *testing.T) {
	var p recent
	now := time.Now()
	n := 0
	for range 1000 { // at once
		if p.follow("x", now) != nil {
			n++
		}
	}
	if n != 51 {
		t.Errorf("%d of 1000 requests at once are kept", n)
	}
	now = now.Add(time.Hour)
	for i := range 2 * keptRequests {
		now = now.Add(keptEvery)
		l, a := kept(t, &p, strconv.Itoa(i), now)
		for range 2 * keptAttempts {
			l.started(a)
		}
	}
	all, _ := p.since(0, 10_000)
	if len(all) != keptRequests || len(all[0].attempts) != keptAttempts || all[keptRequests-1].id != strconv.Itoa(2*keptRequests-1) {
		t.Errorf("%d kept, %d attempts", len(all), len(all[0].attempts))
	}
}
