package observe

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http/httptest"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/lanewise/lanewise/access/meter"
	"github.com/lanewise/lanewise/balance"
	"github.com/lanewise/lanewise/balance/admit"
	"github.com/lanewise/lanewise/balance/quota"
	"github.com/lanewise/lanewise/discovery"
	"github.com/lanewise/lanewise/embed"
	"github.com/lanewise/lanewise/fault"
	"github.com/lanewise/lanewise/httpapi"
	"github.com/lanewise/lanewise/llm"
	"github.com/lanewise/lanewise/router"
)

// busy is a state in which every metric has something to say.
func busy() State {
	return State{
		Certificates: map[string]time.Time{"kubernetes.metrics.cert": time.Now()},
		Found:        []discovery.Status{{Pool: "embed/tei", Members: []discovery.Member{{Name: "a"}}, At: time.Now()}, {Pool: "s0/r0"}},
		Router:       router.State{Epoch: 7, Points: map[string]float64{"docs": 12}, Admission: admit.State{Limit: 9, Busy: 2, Queued: 1, QueuedBytes: 30, Shed: 4}},
		Pools: []balance.Snapshot{{
			Lane: "shards", Pool: "s0", Calls: 5, Hedges: 2, Failovers: 1, Running: 3, Waiting: 6,
			Members: []balance.MemberState{
				{Name: "r0", State: balance.Healthy, Inflight: 2, Weight: 1},
				{Name: "r1", State: balance.Ejected, Weight: 2, Ejected: 3},
			},
		}},
		Traces: &Traces{courier: &courier{}},
		Caches: map[string]embed.Stats{"static-256": {Hits: 1, Kept: 2, Shared: 3, Misses: 4, Bytes: 5}},
		Quotas: map[string]quota.Amount{"acme": {Requests: 10, Tokens: 100}},
		Shared: true, Alone: true,
		Meter: &meter.Stats{Accounts: 3, Refused: map[meter.Refusal]uint64{{Of: meter.Tenant, By: meter.DayBudget}: 2}},
	}
}

func newMetrics(t *testing.T, state func() State) *Metrics {
	t.Helper()
	m, err := New("1.2.3", state)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// scraped returns what a scrape shows; accept is the header that chooses the form.
func scraped(t *testing.T, m *Metrics, accept string) string {
	t.Helper()
	r := httptest.NewRequest("GET", "/metrics", nil)
	r.Header.Set("Accept", accept)
	w := httptest.NewRecorder()
	m.Handler().ServeHTTP(w, r)
	if w.Code != 200 {
		t.Fatalf("%d %s", w.Code, w.Body)
	}
	return w.Body.String()
}

// answered is a request with something for every metric.
func answered() *httpapi.Event {
	return &httpapi.Event{
		Took: 30 * time.Millisecond, Method: "POST", Route: "/v1/answer", Status: 200, Class: "ok", Trace: "4bf92f3577b34da6a3ce929d0e0e4736",
		Searches: 1, Partial: 1, Coverage: 0.5, Refills: 2, Stages: []router.Stage{{Name: "embed", Took: time.Millisecond}},
		Model: "large", Upstream: "u0", First: time.Millisecond, Usage: llm.Usage{PromptTokens: 40, CompletionTokens: 8, CachedTokens: 16, Cost: 0.25},
	}
}

func TestMetrics_showWhatHappened(t *testing.T) {
	m := newMetrics(t, busy)
	ctx, trace := m.Begin(t.Context(), nil)
	if trace != "" || !strings.Contains(scraped(t, m, ""), "lanewise_requests_in_flight 1\n") {
		t.Errorf("trace %q, or nothing is in flight", trace)
	}
	m.End(ctx, answered())
	m.Trace().Ended(balance.Attempt{Lane: "shards", Pool: "s0", Member: "r0", Reason: balance.Hedge, Took: time.Millisecond, Won: true})
	got := scraped(t, m, "")
	for _, want := range []string{
		`lanewise_requests_total{class="ok",method="POST",route="/v1/answer",status="200"} 1`,
		`lanewise_requests_in_flight 0`,
		`lanewise_request_duration_seconds_bucket{method="POST",route="/v1/answer",le="0.025"} 0`,
		`lanewise_request_duration_seconds_bucket{method="POST",route="/v1/answer",le="0.05"} 1`,
		`lanewise_stage_duration_seconds_count{stage="embed"} 1`,
		`lanewise_attempts_total{lane="shards",member="r0",outcome="won",pool="s0",reason="hedge"} 1`,
		`lanewise_partial_searches_total 1`, `lanewise_refills_total 2`, `lanewise_search_coverage_sum 0.5`,
		`gen_ai_client_token_usage_sum{gen_ai_request_model="large",gen_ai_token_type="input"} 40`,
		`gen_ai_client_token_usage_sum{gen_ai_request_model="large",gen_ai_token_type="output"} 8`,
		`gen_ai_client_operation_duration_seconds_count{error_type="",gen_ai_operation_name="chat",gen_ai_request_model="large"} 1`,
		`lanewise_cost_total{model="large"} 0.25`,
		`lanewise_epoch 7`, `lanewise_collection_points{collection="docs"} 12`, `lanewise_searches_queued 1`, `lanewise_searches_shed_total 4`,
		`lanewise_hedges_total{lane="shards",pool="s0"} 2`, `lanewise_failovers_total{lane="shards",pool="s0"} 1`,
		`lanewise_member_up{lane="shards",member="r0",pool="s0"} 1`, `lanewise_member_up{lane="shards",member="r1",pool="s0"} 0`,
		`lanewise_member_ejections_total{lane="shards",member="r1",pool="s0"} 3`,
		`lanewise_embed_cache_texts_total{from="memory",space="static-256"} 1`, `lanewise_quota_tokens_left{account="acme"} 100`,
		`lanewise_quota_redis_away 1`, `lanewise_build_info{go="go1.`, `go_goroutines `,
	} {
		if !strings.Contains(got, want) {
			t.Errorf("there is no %s", want)
		}
	}
	if open := scraped(t, m, "application/openmetrics-text"); !strings.Contains(open, `# {trace_id="4bf92f3577b34da6a3ce929d0e0e4736"} 0.03`) {
		t.Error("the duration has no exemplar")
	}
}

// Of requests that are alike the first one in a second is the exemplar; one of another duration is not like them.
func TestMetrics_showAnExampleASecond(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMetrics(t, busy)
		examples := func(trace string, took time.Duration) string {
			e := answered()
			e.Trace, e.Took = trace, took
			m.End(t.Context(), e)
			shown := regexp.MustCompile(`request_duration_seconds_bucket.*trace_id="(\w+)"`).FindAllStringSubmatch(scraped(t, m, "application/openmetrics-text"), -1)
			all := ""
			for _, one := range shown {
				all += one[1]
			}
			return all
		}
		got := []string{examples("a", 30*time.Millisecond), examples("b", 31*time.Millisecond), examples("c", time.Hour)}
		time.Sleep(time.Second)
		got = append(got, examples("d", 30*time.Millisecond))
		if want := []string{"a", "a", "ac", "dc"}; !slices.Equal(got, want) {
			t.Errorf("%v, want %v", got, want)
		}
	})
}

// TestMetrics_areThoseOfTheDocument compares both ways.
func TestMetrics_areThoseOfTheDocument(t *testing.T) {
	m := newMetrics(t, busy)
	m.End(t.Context(), answered())
	m.Trace().Ended(balance.Attempt{Lane: "shards"})
	shown := map[string]bool{}
	for _, found := range regexp.MustCompile(`(?m)^# TYPE (\S+) `).FindAllStringSubmatch(scraped(t, m, ""), -1) {
		if !strings.HasPrefix(found[1], "go_") && !strings.HasPrefix(found[1], "process_") {
			shown[found[1]] = true
		}
	}
	text, err := os.ReadFile("../docs/metrics.md")
	if err != nil {
		t.Fatal(err)
	}
	named := map[string]bool{}
	for _, found := range regexp.MustCompile("(?m)^\\| `(\\w+)` \\|").FindAllStringSubmatch(string(text), -1) {
		named[found[1]] = true
	}
	for name := range shown {
		if !named[name] {
			t.Errorf("docs/metrics.md has no row of %s", name)
		}
	}
	for name := range named {
		if !shown[name] {
			t.Errorf("docs/metrics.md has a row of %s, which there is not", name)
		}
	}
	if len(shown) < 30 {
		t.Errorf("only %v", slices.Sorted(maps.Keys(shown)))
	}
}

// What is scraped is what Prometheus' own tool takes for good: names, units and help.
func TestMetrics_areGoodForPrometheus(t *testing.T) {
	path, err := exec.LookPath("promtool")
	if err != nil {
		t.Skip("promtool is not installed: apt-get install prometheus")
	}
	m := newMetrics(t, busy)
	m.End(t.Context(), answered())
	m.Trace().Ended(balance.Attempt{Lane: "shards"})
	check := exec.CommandContext(t.Context(), path, "check", "metrics")
	check.Stdin = strings.NewReader(scraped(t, m, ""))
	if out, err := check.CombinedOutput(); err != nil {
		t.Errorf("%v: %s", err, out)
	}
}

// TestMetrics_areBounded: clients make up models, many goroutines at a time, and names
// that are no text.
func TestMetrics_areBounded(t *testing.T) {
	m := newMetrics(t, func() State {
		s := State{Router: router.State{Points: map[string]float64{"bad\xff": 1}}, Pools: make([]balance.Snapshot, 3)}
		for i := range 5000 {
			s.Router.Points[fmt.Sprint("c", i)] = 1
		}
		for i := range s.Pools {
			s.Pools[i] = balance.Snapshot{Lane: "l", Pool: fmt.Sprint(i), Members: make([]balance.MemberState, mostMembers/2)}
			for j := range s.Pools[i].Members {
				s.Pools[i].Members[j].Name = fmt.Sprint("m", j)
			}
		}
		return s
	})
	var wg sync.WaitGroup
	for g := range 8 {
		wg.Go(func() {
			for i := range 2000 {
				e := answered()
				e.Model = fmt.Sprint("m\xff", g, "-", i)
				m.End(context.Background(), e)
			}
		})
	}
	wg.Wait()
	got := scraped(t, m, "")
	if n := strings.Count(got, "\nlanewise_cost_total{"); n < mostModels || n > mostModels+16 {
		t.Errorf("%d models", n)
	}
	if n := strings.Count(got, "\nlanewise_collection_points{"); n > mostModels {
		t.Errorf("%d collections", n)
	}
	if n := strings.Count(got, "\nlanewise_member_up{"); n > mostMembers {
		t.Errorf("%d members", n)
	}
	if !strings.Contains(got, `lanewise_cost_total{model="other"}`) {
		t.Error("nothing is other")
	}
}

func TestOutcome_tellsClassesApart(t *testing.T) {
	for want, c := range map[string]struct {
		won bool
		err error
	}{
		"won": {true, nil}, "lost": {false, nil},
		"timeout":     {false, fault.Wrap(fault.Unavailable, "ask", context.DeadlineExceeded)},
		"cancelled":   {false, context.Canceled},
		"unavailable": {false, fault.New(fault.Unavailable, "down")},
		"overloaded":  {false, fault.Busy(time.Second, "full")},
		"error":       {false, errors.New("odd")},
	} {
		if got := outcome(c.won, c.err); got != want {
			t.Errorf("%v, %v: %s, want %s", c.won, c.err, got, want)
		}
	}
}
