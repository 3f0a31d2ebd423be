package config

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/lanewise/lanewise/llm"
)

const twoUpstreams = shard + `llm:
  upstreams:
    - {name: a, kind: openai, url: "http://a/v1", model: m}
    - {name: b, kind: openai, url: "http://b/v1", model: n}
`

func TestModels_areChecked(t *testing.T) {
	const both = "upstreams: [{name: a}, {name: b}]"
	for _, c := range []struct {
		name, models string
		want         []string // beginnings of the problems behind "f.yaml:"
	}{
		{"fine", "models: [{name: x, " + both + "}, {name: y, aliases: [z], upstreams: [{name: a}], fallbacks: [{model: x}]}]", nil},
		{"no name", "models: [{" + both + "}]", []string{"9:13: llm.models[0].name: missing"}},
		{"no upstreams", "models: [{name: x}, {name: y, " + both + "}]", []string{"9:13: llm.models[0].upstreams: missing"}},
		{"unknown upstream", "models: [{name: x, upstreams: [{name: a}, {name: b}, {name: bb}]}]", []string{`9:57: llm.models[0].upstreams[2].name: there is no upstream "bb"; did you mean b?`}},
		{"unnamed upstream", "models: [{name: x, upstreams: [{name: a}, {name: b}, {tier: 1}]}]", []string{"9:57: llm.models[0].upstreams[2].name: missing"}},
		{"upstream twice", "models: [{name: x, upstreams: [{name: a}, {name: b}, {name: a}]}]", []string{`9:57: llm.models[0].upstreams[2].name: "a" is used by llm.models[0].upstreams[0].name already`}},
		{"upstream without a model", "models: [{name: x, upstreams: [{name: a}]}]", []string{`8:8: llm.upstreams[1]: no model of llm.models has the upstream "b"`}},
		{"name twice", "models: [{name: x, " + both + "}, {name: x, " + both + "}]", []string{`9:59: llm.models[1].name: "x" is used by llm.models[0].name already`}},
		{"alias twice", "models: [{name: x, aliases: [w], " + both + "}, {name: y, aliases: [w], " + both + "}]", []string{`9:92: llm.models[1].aliases[0]: "w" is used by llm.models[0].aliases[0] already`}},
		{"alias of itself", "models: [{name: x, aliases: [x], " + both + "}]", []string{`9:32: llm.models[0].aliases[0]: "x" is used`}},
		{"empty alias", "models: [{name: x, aliases: [''], " + both + "}]", []string{"9:32: llm.models[0].aliases[0]: is empty"}},
		{"auto", "models: [{name: auto, " + both + "}]", []string{"9:13: llm.models[0].name: auto is what chooses"}},
		{"unknown key", "models: [{name: x, alias: [y], " + both + "}]", []string{"9:22: llm.models[0].alias: unknown key; did you mean aliases?"}},
		{"unknown default", "models: [{name: xy, " + both + "}]\n  default: xz", []string{`10:3: llm.default: there is no model "xz"; did you mean xy?`}},
		{"default without models", "default: x", []string{`9:3: llm.default: there is no model "x": llm.models is empty`}},
		{"default alias", "models: [{name: x, aliases: [y], " + both + "}]\n  default: y", nil},
		{"unknown fallback", "models: [{name: xy, fallbacks: [{model: xz}], " + both + "}]", []string{`9:36: llm.models[0].fallbacks[0].model: there is no model "xz"; did you mean xy?`}},
		{"nameless fallback", "models: [{name: x, fallbacks: [{on: [rate]}], " + both + "}]", []string{"9:35: llm.models[0].fallbacks[0].model: missing"}},
		{"unknown cause", "models: [{name: x, " + both + "}, {name: y, " + both + ", fallbacks: [{model: x, on: [rate, contxt]}]}]", []string{`9:137: llm.models[1].fallbacks[0].on[1]: unknown cause "contxt"; did you mean context?`}},
		{"no causes", "models: [{name: x, " + both + "}, {name: y, " + both + ", fallbacks: [{model: x, on: []}]}]", []string{"9:126: llm.models[1].fallbacks[0].on: is empty"}},
		{"itself", "models: [{name: x, " + both + ", fallbacks: [{model: x}]}]", []string{"9:57: llm.models[0].fallbacks: lead back to the model: x → x"}},
		{"a circle by alias", "models: [{name: x, " + both + ", fallbacks: [{model: z}]}, {name: y, aliases: [z], " + both + ", fallbacks: [{model: x}]}]",
			[]string{"9:57: llm.models[0].fallbacks: lead back to the model: x → y → x"}},
		{"not larger", "models: [{name: x, context: 100, " + both + ", fallbacks: [{model: y, on: [context]}]}, {name: y, context: 100, " + both + "}]",
			[]string{`9:94: llm.models[0].fallbacks[0].on: names context, but the window of "y" (100) is not larger than that of "x" (100)`}},
		{"larger", "models: [{name: x, context: 100, " + both + ", fallbacks: [{model: y, on: [context]}]}, {name: y, context: 101, " + both + "}]", nil},
		{"windows", "models: [{name: x, context: -5, max_output: 0, " + both + "}]", []string{"9:22: llm.models[0].context: must not be negative", "9:35: llm.models[0].max_output: is zero"}},
		{"no room", "models: [{name: x, context: 500, max_output: 500, " + both + "}]", []string{"9:36: llm.models[0].max_output: leaves no room"}},
		{"prices", "models: [{name: x, cost: {prompt: -1, completion: 0}, " + both + "}]", []string{"9:29: llm.models[0].cost.prompt: must not be negative"}},
		{"weights", "models: [{name: x, upstreams: [{name: a, weight: -1}, {name: b, tier: -1}]}]", []string{"9:44: llm.models[0].upstreams[0].weight: must not", "9:67: llm.models[0].upstreams[1].tier: must not"}},
		{"routes", "routes: [{name: x, examples: [hi], model: n}, {name: y, examples: [ho], threshold: 0.3, model: a, collection: c}, {name: z, examples: [he], collection: c}]", nil},
		{"a route without all", "routes: [{threshold: 2}]", []string{
			"9:13: llm.routes[0].name: missing", "9:13: llm.routes[0].examples: missing", "9:13: llm.routes[0].threshold: must be above 0", "9:13: llm.routes[0]: missing: model, collection or prompt"}},
		{"a route to nowhere", "models: [{name: x, " + both + "}]\n  routes: [{name: r, examples: [a], model: xx}]", []string{`10:37: llm.routes[0].model: there is no model "xx"; did you mean x?`}},
		{"a route to an alias", "models: [{name: x, aliases: [y], " + both + "}]\n  routes: [{name: r, examples: [a], model: y}]", nil},
		{"a route to an unknown upstream", "routes: [{name: r, examples: [a], model: zz}]", []string{`9:37: llm.routes[0].model: there is no model "zz"; known here: a, b, m, n`}},
		{"a route to auto", "routes: [{name: r, examples: [a], model: auto}]", []string{"9:37: llm.routes[0].model: is auto"}},
		{"a route twice", "routes: [{name: r, examples: [a], model: a}, {name: r, examples: [a], model: b}]", []string{`9:49: llm.routes[1].name: "r" is used by llm.routes[0].name already`}},
		{"a route to an unknown prompt", "prompts: [{name: p}]\n  routes: [{name: r, examples: [a], prompt: p}, {name: s, examples: [a], prompt: q}]", []string{`10:74: llm.routes[1].prompt: there is no prompt "q" in llm.prompts`}},
		{"an empty example", "routes: [{name: r, examples: [a, ''], model: a}]", []string{"9:36: llm.routes[0].examples[1]: is empty"}},
		{"no threshold", "routes: [{name: r, examples: [a], threshold: 0, model: a}]", []string{"9:37: llm.routes[0].threshold: is zero"}},
		{"tenants", "tenants: {tokens_per_minute: 5, most: 9, own: [{tenant: x, requests_per_minute: 1}]}", nil},
		{"nothing for tenants", "tenants: {most: 5}", []string{"9:3: llm.tenants: missing: requests_per_minute, tokens_per_minute, or both"}},
		{"zero for tenants", "tenants: {tokens_per_minute: 0, requests_per_minute: -1}", []string{"9:13: llm.tenants.tokens_per_minute: is zero", "9:35: llm.tenants.requests_per_minute: must not be negative"}},
		{"tenant twice", "tenants: {own: [{tenant: x, tokens_per_minute: 1}, {tenant: x, tokens_per_minute: 1}]}", []string{`9:55: llm.tenants.own[1].tenant: "x" is used`}},
		{"nobody", "tenants: {own: [{tokens_per_minute: 1}]}", []string{"9:20: llm.tenants.own[0].tenant: missing"}},
		{"nothing for one", "tenants: {own: [{tenant: x}]}", []string{"9:20: llm.tenants.own[0]: missing: requests_per_minute"}},
	} {
		got := lines(t, twoUpstreams+"  "+c.models+"\n", noEnv)
		same := len(got) == len(c.want)
		for i := range min(len(got), len(c.want)) {
			same = same && strings.HasPrefix(got[i], "f.yaml:"+c.want[i])
		}
		if !same {
			t.Errorf("%s:\n got %s\nwant %s", c.name, strings.Join(got, "\n     "), strings.Join(c.want, "\n     "))
		}
	}
}

// A list of upstreams alone offers what it always did, and each of them by its names.
func TestModels_ofUpstreamsAlone(t *testing.T) {
	ai := func(name, model string) LLMUpstream { return LLMUpstream{Name: name, Kind: kindOpenAI, Model: model} }
	for _, c := range []struct {
		name      string
		upstreams []LLMUpstream
		want      []string // model (aliases): upstreams
	}{
		{"nothing", nil, []string{"extract (extract-0): extract-0"}},
		{"one", []LLMUpstream{ai("vllm", "m")}, []string{"m (vllm): vllm"}},
		{"one name", []LLMUpstream{ai("m", "m")}, []string{"m (): m"}},
		{"interchangeable", []LLMUpstream{ai("a", "m"), ai("b", "m")}, []string{"m (): a b", "a (): a", "b (): b"}},
		{"different", []LLMUpstream{ai("a", "m"), ai("b", "m"), ai("c", "n")}, []string{"default (): a b c", "m (): a b", "a (): a", "b (): b", "n (): c", "c (): c"}},
		{"named default", []LLMUpstream{ai("default", "m"), ai("n", "n")}, []string{"default- (): default n", "m (): default", "default (): default", "n (): n"}},
	} {
		r := (&Config{LLM: LLM{Upstreams: c.upstreams}}).Resolved()
		var got []string
		for _, m := range r.LLM.public() {
			var pool []string
			for _, u := range m.Upstreams {
				pool = append(pool, u.Name)
			}
			got = append(got, fmt.Sprintf("%s (%s): %s", m.Name, strings.Join(m.Aliases, " "), strings.Join(pool, " ")))
		}
		if diff := cmp.Diff(c.want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", c.name, diff)
		}
	}
}

func TestRoutes_toTheBuiltInModel(t *testing.T) {
	if got := lines(t, shard+"llm: {routes: [{name: r, examples: [a], model: extract}]}\n", noEnv); got != nil {
		t.Errorf("%q", got)
	}
}

func TestModel_pool(t *testing.T) {
	upstreams := map[string]llm.Upstream{"a": {Name: "a", Model: "m", Weight: 2, Tier: 1, Slots: 7}, "b": {Name: "b", Model: "n", Weight: 1}}
	c, err := parse("f.yaml", []byte(twoUpstreams+"  models: [{name: x, upstreams: [{name: b, model: o, weight: 3, tier: 2}, {name: a}]}]\n"), noEnv)
	if err != nil {
		t.Fatal(err)
	}
	got := c.LLM.Models[0].pool(upstreams)
	want := []llm.Upstream{{Name: "b", Model: "o", Weight: 3, Tier: 2}, upstreams["a"]}
	if !slices.Equal(got, want) {
		t.Errorf("%+v, want %+v", got, want)
	}
}

func TestTenants_open(t *testing.T) {
	if none, err := (Tenants{}).open(1); none != nil || err != nil {
		t.Errorf("%v, %v; want none", none, err)
	}
	c, err := parse("f.yaml", []byte(shard+"llm: {tenants: {tokens_per_minute: 6000, own: [{tenant: acme, requests_per_minute: 240}]}}\n"), noEnv)
	if err != nil {
		t.Fatal(err)
	}
	some, err := c.LLM.Tenants.open(2)
	if err != nil {
		t.Fatal(err)
	}
	if all, acme := some.Left("x").Tokens, some.Left("acme").Requests; all != 500 || acme != 20 { // ten seconds' worth of half
		t.Errorf("%v tokens and %v requests, want 500 and 20", all, acme)
	}
}
