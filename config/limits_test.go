package config

import (
	"io"
	"net/http"
	"path/filepath"
	"strings"
	"testing"

	"github.com/lanewise/lanewise/access"
	"github.com/lanewise/lanewise/access/meter"
	"github.com/lanewise/lanewise/fault"
)

func TestLimits_areChecked(t *testing.T) {
	for src, want := range map[string]string{
		"keys: [{key: a, limits: {tokens_per_day: -1}}]\n":                                 "keys[0].limits.tokens_per_day: must not be negative",
		"keys: [{key: a, limits: {requests_per_minute: 0}}]\n":                             "is zero: nothing would ever pass",
		"keys: [{key: a, limits: {tokens_per_day: 5}}]\n":                                  "usage_file: missing",
		"keys: [{key: a, limits: {tokens_per_day: 5}}]\nusage_file: u\n":                   "",
		"keys: [{key: a, limits: {tokens_per_minute: 5}}]\n":                               "",
		"map: m\ntenants: {limits: {cost_per_month: 2.5}, most: 10}\n":                     "",
		"tenants: {own: [{tenant: a, limits: {tokens_per_minute: 1}}, {tenant: a}]}\n":     "tenants.own[1].tenant",
		"tenants: {limits: {token_per_day: 1}}\n":                                          "did you mean tokens_per_day?",
		"tenants: {most: -1}\n":                                                            "tenants.most: must not be negative",
		"tenants: {limits: {requests_per_minute: 5}}\nquota: {routers: 2}\n":               "",
		"keys: [{key: a, limits: {tokens_per_day: 5}}]\nquota: {redis: \"redis://a:1\"}\n": "",
		"jwt: {limits: {tokens_per_minute: -5}}\n":                                         "jwt.limits.tokens_per_minute: must not be negative",
	} {
		_, err := parse("f.yaml", []byte(shard+src), noEnv)
		if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want %q", src, err, want)
		}
	}
	c := Local("data")
	c.Keys = []ClientKey{{Key: "a", Limits: access.Limits{CostPerDay: 1}}}
	if got := c.Resolved().UsageFile; got != filepath.Join("data", "usage.db") {
		t.Errorf("budgets are kept in %q", got)
	}
}

// A budget that was used up before a restart is used up after it.
func TestBuild_budgetsSurviveARestart(t *testing.T) {
	c := Local(t.TempDir())
	c.Keys = []ClientKey{{Key: "a", Limits: access.Limits{TokensPerDay: 40}}, {Key: "free"}}
	embed := func(s *System, key, text string) (int, string) {
		t.Helper()
		r, err := http.NewRequestWithContext(t.Context(), "POST", host(t, s)+"/v1/embeddings", strings.NewReader(`{"model": "static-256", "input": "`+text+`"}`))
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Content-Type", "application/json")
		r.Header.Set("Authorization", "Bearer "+key)
		resp, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		body, _ := io.ReadAll(resp.Body)
		return resp.StatusCode, string(body)
	}
	long := strings.Repeat("lane ", 25)
	s, err := c.Build(t.Context(), Options{})
	if err != nil {
		t.Fatal(err)
	}
	if code, body := embed(s, "a", long); code != 200 {
		t.Fatal(code, body)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = build(t, c)
	if code, body := embed(s, "a", long); code != 429 || !strings.Contains(body, "insufficient_quota") {
		t.Errorf("%d %s", code, body)
	}
	if code, body := embed(s, "free", long); code != 200 {
		t.Errorf("%d %s", code, body)
	}
}

// Two routers on one Redis have one budget.
func TestBuild_budgetsOfTwoRouters(t *testing.T) {
	redis := redisURL(t)
	tenant := t.TempDir() // a name of this test's own
	var both [2]*System
	for i := range both {
		c := Local(t.TempDir())
		c.Tenants.Limits, c.Quotas = access.Limits{TokensPerDay: 1000}, Quotas{Redis: Secret(redis), Routers: 2}
		both[i] = build(t, c)
	}
	charge, err := both[0].meter.Reserve(meter.Request{Tenant: &tenant, Tokens: 1000})
	if err != nil {
		t.Fatal(err)
	}
	charge.Settle(meter.Use{Tokens: 1000})
	eventually(t, "the refusal of what the other router has granted", func() bool {
		charge, err := both[1].meter.Reserve(meter.Request{Tenant: &tenant, Tokens: 1})
		charge.Settle(meter.Use{})
		return fault.Code(err) == meter.CodeSpent
	})
}
