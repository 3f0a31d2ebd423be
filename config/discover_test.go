package config

import (
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/lanewise/lanewise/discovery"
	"github.com/lanewise/lanewise/embed"
	"github.com/lanewise/lanewise/fault"
	"github.com/lanewise/lanewise/router"
	"github.com/lanewise/lanewise/search"
)

// members writes the file that names the members.
func members(t *testing.T, path string, urls ...string) {
	t.Helper()
	var text strings.Builder
	for _, url := range urls {
		text.WriteString("- address: " + strings.TrimPrefix(url, "http://") + "\n")
	}
	if err := os.WriteFile(path, []byte(text.String()), 0o600); err != nil {
		t.Fatal(err)
	}
}

// TestDiscover_embedders: the members of a file take the place of the configured URL, and calls follow them.
func TestDiscover_embedders(t *testing.T) {
	asked := make(chan string, 1000)
	serve := func(name string) string {
		web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.Copy(io.Discard, r.Body)
			asked <- name + r.URL.Path
			_, _ = io.WriteString(w, `{"data": [{"embedding": [1, 2]}], "usage": {"prompt_tokens": 5}}`)
		}))
		t.Cleanup(web.Close)
		return web.URL
	}
	a, b, file := serve("a"), serve("b"), filepath.Join(t.TempDir(), "members.yaml")
	members(t, file, a)
	c := Local(t.TempDir())
	c.Embed = Embed{Cache: 1, Upstreams: []EmbedUpstream{{Name: "m", Kind: kindOpenAI, URL: "http://127.0.0.1:1/v1", Model: "m", Dims: 2, Discover: discover{File: file}}}}
	s := build(t, c)
	lane := s.embedders[0].(*embed.Embedder)
	has := func(url string) func() bool {
		return func() bool {
			m := lane.Snapshot().Members
			return len(m) == 1 && m[0].Name == "m@"+strings.TrimPrefix(url, "http://")
		}
	}
	embeds := func(text string) string {
		if _, err := lane.Embed(t.Context(), embed.Batch{Texts: []string{text}, Bulk: true}); err != nil {
			t.Fatal(err)
		}
		last := ""
		for len(asked) > 0 {
			last = <-asked
		}
		return last
	}
	eventually(t, "the first member", has(a))
	if got := embeds("one"); got != "a/v1/embeddings" {
		t.Errorf("%s was asked, want the first member, at the configured path", got)
	}
	members(t, file, b)
	eventually(t, "the second member", has(b))
	if got := embeds("two"); got != "b/v1/embeddings" {
		t.Errorf("%s was asked, want the second member", got)
	}
	members(t, file) // nobody
	eventually(t, "trouble with the empty file", func() bool { return s.followers.status()[0].Trouble != "" })
	if got := embeds("three"); got != "b/v1/embeddings" {
		t.Errorf("%s was asked, want the last member that was there", got)
	}
}

// What is labelled with another model or shard is no member; a model's name may be written as a label can be.
func TestDiscover_membersOfAnother(t *testing.T) {
	for _, test := range []struct {
		key, want, label string
		mine             bool
	}{
		{"model", "chat", "chat", true},
		{"model", "meta-llama/Llama-3.1-8B", "meta-llama-Llama-3.1-8B", true},
		{"model", "chat", "", true},
		{"model", "", "chat", true}, // the upstream does not say
		{"model", "chat", "other", false},
		{"shard", "s0", "s1", false},
	} {
		applied := 0
		f := &found[closable, int]{
			url: "http://configured", means: map[string]string{test.key: test.want},
			open:  func(string) (closable, error) { return nil, nil }, //nolint:nilnil // nobody calls it
			place: func(discovery.Member, closable) int { return 0 },
			apply: func([]int) error { applied++; return nil },
		}
		err := f.step([]discovery.Member{{Name: "a", Address: "a:1", Labels: map[string]string{test.key: test.label}}})
		if test.mine != (err == nil) || test.mine != (applied == 1) || !test.mine && !errors.Is(err, fault.Invalid) {
			t.Errorf("%+v: %v, applied %d times", test, err, applied)
		}
	}
}

// TestDiscover_replicas: a replica that is found gets writes at once and is read once it is in step.
func TestDiscover_replicas(t *testing.T) {
	var urls []string
	for range 2 {
		urls = append(urls, host(t, build(t, &Config{Store: t.TempDir()})))
	}
	file := filepath.Join(t.TempDir(), "members.yaml")
	members(t, file, urls[0])
	c := &Config{Shards: []Shard{{Name: "s0", Replicas: []Replica{{URL: "http://127.0.0.1:1", Discover: discover{File: file}}}}}}
	r := build(t, c).Router
	if got := r.Replicas(); len(got) != 1 || !got[0].Reads || got[0].Replica != "r0@"+strings.TrimPrefix(urls[0], "http://") {
		t.Fatalf("replicas %+v", got)
	}
	remember(t, r)
	members(t, file, urls...)
	eventually(t, "two replicas", func() bool { return len(r.Replicas()) == 2 })
	reads := func() int {
		n := 0
		for _, one := range r.Replicas() {
			if one.Reads {
				n++
			}
		}
		return n
	}
	if reads() != 1 {
		t.Errorf("%+v: an empty replica is read", r.Replicas())
	}
	eventually(t, "a repair", func() bool { // not while the replicas are still being exchanged
		_, err := r.Repair(t.Context(), router.Repair{})
		return err == nil
	})
	if reads() != 2 {
		t.Fatalf("after the repair: %+v", r.Replicas())
	}
	members(t, file, urls[1])
	eventually(t, "one replica", func() bool { return len(r.Replicas()) == 1 })
	if got, err := r.Get(t.Context(), "c", []search.Key{{ID: "cat"}}, search.Fields{}); err != nil || len(got) != 1 {
		t.Errorf("the replica that stays has %v, %v", got, err)
	}
}

func TestDiscover_mistakesAreNamed(t *testing.T) {
	const shards = "shards: [{name: s0, replicas: [{path: s0}]}]\n"
	for text, want := range map[string]string{
		"shards: [{name: s0, replicas: [{path: s0, discover: {file: x}}]}]":                                                 "shards[0].replicas[0].discover: has no meaning here",
		"shards: [{name: s0, replicas: [{url: http://a:1, discover: {file: x, static: ['b:1']}}]}]":                         "discover: needs one of static, file, dns and endpoints",
		"shards: [{name: s0, replicas: [{url: http://a:1, discover: {dns: {port: 3}}}]}]":                                   "discover.dns.name: missing",
		"shards: [{name: s0, replicas: [{url: http://a:1, discover: {dns: {name: a, port: 70000}}}]}]":                      "discover.dns.port: is no port",
		"shards: [{name: s0, replicas: [{url: http://a:1, discover: {dns: {name: a, port: 1, servers: [b]}}}]}]":            "discover.dns.servers[0]",
		"shards: [{name: s0, replicas: [{url: http://a:1, discover: {static: [b]}}]}]":                                      `discover.static[0]: "b" is no address`,
		shards + "embed: {upstreams: [{kind: static, discover: {file: x}}]}":                                                "embed.upstreams[0].discover: has no meaning here",
		shards + "llm: {upstreams: [{kind: openai, url: http://a/v1, model: m, metrics: http://a/m, discover: {file: x}}]}": "llm.upstreams[0].metrics: has no meaning beside discover",
	} {
		refuses(t, text, want)
	}
	c := accepts(t, shards+"rerank: {upstreams: [{kind: tei, url: http://a:1, discover: {static: ['b:1', 'http://c/x']}}]}")
	if got := c.Rerank.Upstreams[0].Discover.Static; !slices.Equal(got, []string{"b:1", "http://c/x"}) {
		t.Errorf("static %v", got)
	}
}

func TestRelocated(t *testing.T) {
	for _, c := range []struct{ url, at, want string }{
		{"http://a/v1", "10.0.0.1:80", "http://10.0.0.1:80/v1"},
		{"https://a:1/v1", "[fd00::1]:80", "https://[fd00::1]:80/v1"},
		{"qdrant://a:6334", "10.0.0.1:6334", "qdrant://10.0.0.1:6334"},
		{"http://a/v1", "https://b/x", "https://b/x"},
		{"http://a/v1", "b", ""},
		{"http://a/v1", "://", ""},
	} {
		if got, err := relocated(c.url, c.at); got != c.want || (err != nil) != (c.want == "") {
			t.Errorf("%s at %s: got %s, %v; want %s", c.url, c.at, got, err, c.want)
		}
	}
}
