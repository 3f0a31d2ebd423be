package config

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/lanewise/lanewise/fault"
)

func noEnv(string) (string, bool) { return "", false }

// lines parses a source and returns one line for each problem.
func lines(t *testing.T, src string, env func(string) (string, bool)) []string {
	t.Helper()
	_, err := parse("f.yaml", []byte(src), env)
	if err == nil {
		return nil
	}
	if !errors.Is(err, fault.Invalid) {
		t.Errorf("class of %v is not invalid", err)
	}
	return strings.Split(err.Error(), "\n")
}

const shard = "shards:\n  - name: s0\n    replicas:\n      - path: data\n"

func TestLoad_examples(t *testing.T) {
	t.Setenv("OPENAI_API_KEY", "sk-secret")
	files, err := filepath.Glob("../examples/*.yaml")
	if err != nil || len(files) < 4 {
		t.Fatalf("%d examples (%v), want at least 4", len(files), err)
	}
	for _, file := range files {
		c, err := Load(file)
		if err != nil {
			t.Errorf("%s: %v", file, err)
			continue
		}
		text, err := c.Resolved().YAML()
		if err != nil || strings.Contains(text, "sk-secret") {
			t.Errorf("%s: resolved form shows a secret, or %v:\n%s", file, err, text)
		}
	}
}

// Relative paths start at the file, wherever the program runs.
func TestLoad_pathsStartAtTheFile(t *testing.T) {
	c, err := Load("../examples/local.yaml")
	if err != nil || c.Map != "../examples/data/map" || c.Shards[0].Replicas[0].Path != "../examples/data/s0" {
		t.Fatalf("%+v, %v", c, err)
	}
}

// What is printed as resolved is a configuration again, and the same one.
func TestResolved_roundTrips(t *testing.T) {
	t.Setenv("OPENAI_API_KEY", "sk-secret")
	for _, file := range []string{"local", "sharded", "replica", "models"} {
		c, err := Load("../examples/" + file + ".yaml")
		if err != nil {
			t.Fatal(err)
		}
		first, err := c.Resolved().YAML()
		if err != nil {
			t.Fatal(err)
		}
		again, err := parse("f.yaml", []byte(first), noEnv)
		if err != nil {
			t.Fatalf("%s: %v\n%s", file, err, first)
		}
		second, err := again.Resolved().YAML()
		if diff := cmp.Diff(first, second); diff != "" || err != nil {
			t.Errorf("%s: %v (-first +second):\n%s", file, err, diff)
		}
	}
}

func TestParse_readsEveryKindOfValue(t *testing.T) {
	env := func(name string) (string, bool) {
		v, ok := map[string]string{"KEY": "secret", "N": "7", "EMPTY": ""}[name]
		return v, ok
	}
	src := `
listen: ":${PORT:-9000}"
open: true
shards:
  - &first
    name: s0
    weight: 1.5
    replicas:
      - {name: a, url: "http://10.0.0.1:8081", key: "a${KEY}$${x}${EMPTY}"}
  - name: "007"
    replicas:
      - path: /srv/data
timeouts: {search: 1m30s, answer: "${NONE:-2m}", first_content: 5m, silence: 90s}
limits: {body: 1.5 MB, searches: "${N}", extra_attempts: -1, replica: 3}
hedge: {off: true}
`
	c, err := parse("dir/f.yaml", []byte(src), env)
	if err != nil {
		t.Fatal(err)
	}
	c.file, c.places = "", nil
	want := &Config{
		Listen: ":9000", Open: true,
		Shards: []Shard{
			{Name: "s0", Weight: 1.5, Replicas: []Replica{{Name: "a", URL: "http://10.0.0.1:8081", Key: "asecret${x}"}}},
			{Name: "007", Replicas: []Replica{{Path: "/srv/data"}}},
		},
		Timeouts: Timeouts{Search: 90 * time.Second, Answer: 2 * time.Minute, FirstContent: 5 * time.Minute, Silence: 90 * time.Second},
		Limits:   Limits{Body: 1_500_000, Searches: 7, ExtraAttempts: -1, Replica: 3},
		Hedge:    hedging{Off: true},
	}
	if diff := cmp.Diff(want, c, cmp.AllowUnexported(Config{})); diff != "" {
		t.Fatalf("(-want +got):\n%s", diff)
	}
}

func TestParse_namesPlaceAndRemedy(t *testing.T) {
	for _, c := range []struct {
		name, src string
		want      []string
	}{
		{"unknown key", "shard:\n  - name: a\n", []string{"f.yaml:1:1: shard: unknown key; did you mean shards?"}},
		{"unknown key, nothing near", shard + "telemetry: 1\n", []string{"f.yaml:5:1: telemetry: unknown key; known here: " + strings.Join(slices.Sorted(maps.Keys(keys(reflect.TypeFor[Config]()))), ", ")}},
		{"nested key", "shards:\n  - name: a\n    replicas:\n      - ulr: http://x\n", []string{"f.yaml:4:9: shards[0].replicas[0].ulr: unknown key; did you mean url?"}},
		{"number for text", shard + "listen: 8080\n", []string{"f.yaml:5:1: listen: is the number 8080, not a text: put it in quotes"}},
		{"text for list", "shards: s0\n", []string{`f.yaml:1:1: shards: is the text "s0", not a list: write its items with a dash each`}},
		{"list for mapping", shard + "hedge: [1]\n", []string{"f.yaml:5:1: hedge: is a list, not a mapping of keys"}},
		{"mapping for value", shard + "map: {a: b}\n", []string{"f.yaml:5:1: map: is a mapping, not a single value"}},
		{"nothing", shard + "map:\n", []string{"f.yaml:5:1: map: has no value: leave the key out to use its default"}},
		{"duration without unit", shard + "timeouts: {search: 2}\n", []string{"f.yaml:5:12: timeouts.search: 2 has no unit: write 2s or 2ms"}},
		{"duration", shard + "timeouts: {search: soon}\n", []string{`f.yaml:5:12: timeouts.search: "soon" is not a duration: write it as 250ms, 2s or 1m30s`}},
		{"negative duration", shard + "timeouts: {search: -1s}\n", []string{"f.yaml:5:12: timeouts.search: -1s is negative"}},
		{"size", shard + "limits: {body: 32}\n", []string{`f.yaml:5:10: limits.body: "32" is not a size: write it with a unit, such as 32MiB`}},
		{"whole number", shard + "limits: {searches: '4'}\n", []string{`f.yaml:5:10: limits.searches: "4" is not a whole number`}},
		{"number", shard + "hedge: {share: .nan}\n", []string{`f.yaml:5:9: hedge.share: ".nan" is not a number`}},
		{"boolean", shard + "hedge: {off: yes}\n", []string{`f.yaml:5:9: hedge.off: "yes" is not true or false`}},
		{"variable", shard + "listen: ${NOPE}\n", []string{"f.yaml:5:1: listen: environment variable NOPE is not set"}},
		{"open variable", shard + "listen: ${NOPE\n", []string{"f.yaml:5:1: listen: ${ is not closed by }"}},
		{"tag", shard + "listen: !x y:1\n", []string{"f.yaml:5:1: listen: tags such as !x are not used here"}},
		{"alias without anchor", shard + "listen: *x\n", []string{"f.yaml:5:1: listen: nested too deeply, or an alias without an anchor"}},
		{"syntax", "a: b: c\n", []string{"f.yaml:1:4: mapping value is not allowed in this context"}},
		{"double key", "map: a\nmap: b\n", []string{`f.yaml:2:1: mapping key "map" already defined at [1:1]`}},
		{"empty", "# nothing\n", []string{"f.yaml: the file is empty: it needs at least shards or a store"}},
		{"two documents", "store: a\n---\nstore: b\n", []string{"f.yaml: the file holds 2 YAML documents, not one"}},
	} {
		if diff := cmp.Diff(c.want, lines(t, c.src, noEnv)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", c.name, diff)
		}
	}
}

func TestParse_checksValues(t *testing.T) {
	engine := "shards:\n  - {name: a, replicas: [{url: 'qdrant://x'}]}\n"
	two := "shards:\n  - {name: a, replicas: [%s]}\n  - {name: b, replicas: [%s]}\n"
	for _, c := range []struct {
		name, src, want string
	}{
		{"no shard", "listen: localhost:1\n", "shards: missing: name at least one shard with a replica, or set store to serve a bare replica"},
		{"no replica", "shards:\n  - name: a\n", "shards[0].replicas: missing: a shard needs at least one replica"},
		{"no name", "shards:\n  - replicas: [{path: x}]\n", "shards[0].name: missing: the name decides which points the shard holds"},
		{"same shard", "shards:\n  - {name: a, replicas: [{path: x}]}\n  - {name: a, replicas: [{path: y}]}\n", `shards[1].name: "a" is used by shards[0].name already`},
		{"same replica", "shards:\n  - {name: a, replicas: [{name: r, path: x}, {name: r, path: y}]}\n", `shards[0].replicas[1].name: "r" is used by shards[0].replicas[0].name already`},
		{"same URL", fmt.Sprintf(two, "{url: 'http://X:1/'}", "{url: 'HTTP://x:1'}"), `shards[1].replicas[0].url: "http://x:1" is used by shards[0].replicas[0].url already`},
		{"same folder", fmt.Sprintf(two, "{path: x}", "{path: ./x/}"), `shards[1].replicas[0].path: "x" is used by shards[0].replicas[0].path already`},
		{"neither", "shards:\n  - {name: a, replicas: [{name: r}]}\n", "shards[0].replicas[0]: missing url or path: a replica is a server, of lanewise or of an engine, or a local folder"},
		{"both", "shards:\n  - {name: a, replicas: [{path: x, url: 'http://x'}]}\n", "shards[0].replicas[0].path: cannot stand beside url: a replica is either a server or a folder"},
		{"no URL", "shards:\n  - {name: a, replicas: [{url: x}]}\n", `shards[0].replicas[0].url: "x" is not a URL: write it as http://10.0.0.1:8080`},
		{"password", "shards:\n  - {name: a, replicas: [{url: 'http://me:pw@x'}]}\n", "shards[0].replicas[0].url: holds a password: use key instead"},
		{"query", "shards:\n  - {name: a, replicas: [{url: 'http://x?a=b'}]}\n", `shards[0].replicas[0].url: "http://x?a=b" has more than an address and a path`},
		{"weight", "shards:\n  - {name: a, weight: -1, replicas: [{path: x}]}\n", "shards[0].weight: must not be negative"},
		{"key of a folder", "shards:\n  - {name: a, replicas: [{path: x, key: k}]}\n", "shards[0].replicas[0].key: a local folder needs no key"},
		{"qdrant of a folder", "shards:\n  - {name: a, replicas: [{path: x, qdrant: {prefix: p}}]}\n", "shards[0].replicas[0].qdrant: has no meaning here: the url names no qdrant://"},
		{"qdrant by name", "shards:\n  - {name: a, replicas: [{url: 'qdrant:///docs'}]}\n", "shards[0].replicas[0].url: names no server: write it as qdrant://10.0.0.1:6334"},
		{"qdrant with a collection", "shards:\n  - {name: a, replicas: [{url: 'qdrant://x/docs'}]}\n", "shards[0].replicas[0].url: names a collection: a replica is a whole server; to read a collection that is there already, list it under collections"},
		{"qdrant reads", "shards:\n  - {name: a, replicas: [{url: 'qdrant://x', qdrant: {consistency: most}}]}\n", `shards[0].replicas[0].qdrant.consistency: "most" is none of majority, quorum, all and a number of copies`},
		{"qdrant figure", "shards:\n  - {name: a, replicas: [{url: 'qdrant://x', qdrant: {shards: -1}}]}\n", "shards[0].replicas[0].qdrant.shards: must not be negative"},
		{"ca without tls", "shards:\n  - {name: a, replicas: [{url: 'qdrant://x', ca: x.pem}]}\n", "shards[0].replicas[0].ca: has no meaning without tls"},
		{"unknown engine", "shards:\n  - {name: a, replicas: [{url: 'mongo://x'}]}\n", `shards[0].replicas[0].url: "mongo://" is no engine: there are qdrant://, milvus://, weaviate:// and postgres://, and http:// for a lanewise server`},
		{"another engine's settings", "shards:\n  - {name: a, replicas: [{url: 'milvus://x', qdrant: {prefix: p}}]}\n", "shards[0].replicas[0].qdrant: has no meaning for milvus://"},
		{"milvus reads", "shards:\n  - {name: a, replicas: [{url: 'milvus://x', milvus: {consistency: some}}]}\n", `shards[0].replicas[0].milvus.consistency: "some" is none of bounded, session, strong, eventually`},
		{"weaviate prefix", "shards:\n  - {name: a, replicas: [{url: 'weaviate://x', weaviate: {prefix: low}}]}\n", `shards[0].replicas[0].weaviate.prefix: "low" must be a capital and then at most 63 letters and digits`},
		{"weaviate user", "shards:\n  - {name: a, replicas: [{url: 'weaviate://me@x'}]}\n", "shards[0].replicas[0].url: names a user: this engine only has a key"},
		{"same weaviate", fmt.Sprintf(two, "{url: 'weaviate://x'}", "{url: 'weaviate://x:8080', weaviate: {prefix: Lanewise}}"), `shards[1].replicas[0].url: "weaviate://x:8080/Lanewise" is used by shards[0].replicas[0].url already`},
		{"milvus index", "shards:\n  - {name: a, replicas: [{url: 'milvus://x', milvus: {index: tree}}]}\n", `shards[0].replicas[0].milvus.index: "TREE" is neither FLAT nor HNSW`},
		{"postgres without a database", "shards:\n  - {name: a, replicas: [{url: 'postgres://me@x:5432'}]}\n", "shards[0].replicas[0].url: names no database: write it as postgres://user@x:5432/DATABASE"},
		{"postgres' password", "shards:\n  - {name: a, replicas: [{url: 'postgres://me:pw@x/db'}]}\n", "shards[0].replicas[0].url: holds a password: use key instead"},
		{"postgres' options", "shards:\n  - {name: a, replicas: [{url: 'postgres://me@x/db?sslmode=maybe'}]}\n", "shards[0].replicas[0].postgres.dsn: is not a PostgreSQL URL or keyword list, or names a file that cannot be read"},
		{"postgres' index", "shards:\n  - {name: a, replicas: [{url: 'postgres://me@x/db', postgres: {hnsw: true, m: 1}}]}\n", "shards[0].replicas[0].postgres.hnsw.m: is 1, it must be 2 to 100"},
		{"options", "shards:\n  - {name: a, replicas: [{url: 'qdrant://x?a=b'}]}\n", "shards[0].replicas[0].url: has options, which only PostgreSQL's may"},
		{"tls of a folder", "shards:\n  - {name: a, replicas: [{path: x, tls: true}]}\n", "shards[0].replicas[0].tls: a local folder has no connection"},
		{"tls of a lanewise server", "shards:\n  - {name: a, replicas: [{url: 'http://x', tls: true}]}\n", "shards[0].replicas[0].tls: has no meaning here: write https:// in the url"},
		{"same qdrant", fmt.Sprintf(two, "{url: 'qdrant://x', qdrant: {prefix: p}}", "{url: 'qdrant://X:6334/', qdrant: {prefix: p, connections: 9}}"), `shards[1].replicas[0].url: "qdrant://x:6334/p" is used by shards[0].replicas[0].url already`},
		{"same milvus", fmt.Sprintf(two, "{url: 'milvus://x/db'}", "{url: 'milvus://me@x:19530/db', key: k}"), `shards[1].replicas[0].url: "milvus://x:19530/db" is used by shards[0].replicas[0].url already`},
		{"external without a name", engine + "collections: [{placement: external}]\n", "collections[0].name: missing: what is the collection called?"},
		{"external twice", engine + "collections: [{name: a, placement: external}, {name: a, placement: external}]\n", `collections[1].name: "a" is used by collections[0].name already`},
		{"external placement", engine + "collections: [{name: a}]\n", "collections[0].placement: must be external: a collection of lanewise's own is made by PUT /v1/collections/NAME"},
		{"external metric", engine + "collections: [{name: a, placement: external, metric: l2}]\n", "collections[0].metric: is none of cosine, dot and euclidean"},
		{"external in a folder", shard + "collections: [{name: a, placement: external}]\n", "collections: an external collection is asked of every shard, and shards[0].replicas[0] is no engine"},
		{"listen", "store: x\nlisten: localhost\n", `listen: "localhost" is not an address: write host:port, such as 127.0.0.1:8080`},
		{"store and map", "store: x\nmap: y\n", "map: cannot stand beside store: a bare replica only keeps what a router sends"},
		{"kind", shard + "embed: {upstreams: [{kind: opnai}]}\n", `embed.upstreams[0].kind: unknown kind "opnai"; did you mean openai?`},
		{"no kind", shard + "llm: {upstreams: [{name: a}]}\n", "llm.upstreams[0].kind: missing: extract or openai or azure or anthropic"},
		{"openai dims", shard + "embed: {upstreams: [{kind: openai, url: 'http://x', model: m}]}\n", "embed.upstreams[0].dims: missing: how long are the model's vectors?"},
		{"openai model", shard + "llm: {upstreams: [{kind: openai, url: 'http://x'}]}\n", "llm.upstreams[0].model: missing: which model of that server?"},
		{"openai url", shard + "llm: {upstreams: [{kind: openai, model: m}]}\n", "llm.upstreams[0].url: missing: where is the server?"},
		{"static model", shard + "embed: {upstreams: [{kind: static, model: m}]}\n", "embed.upstreams[0].model: has no meaning for an upstream of this kind"},
		{"azure deployment", shard + "llm: {upstreams: [{kind: azure, url: 'http://x'}]}\n", "llm.upstreams[0].deployment: missing: which deployment of that resource?"},
		{"azure url", shard + "llm: {upstreams: [{kind: azure, deployment: m}]}\n", "llm.upstreams[0].url: missing: where is the server?"},
		{"anthropic model", shard + "llm: {upstreams: [{kind: anthropic}]}\n", "llm.upstreams[0].model: missing: which model of that server?"},
		{"anthropic limit", shard + "llm: {upstreams: [{kind: anthropic, model: m, max_tokens: -1}]}\n", "llm.upstreams[0].max_tokens: must not be negative"},
		{"anthropic probed", shard + "llm: {upstreams: [{kind: anthropic, model: m, metrics: 'http://x/m'}]}\n", "llm.upstreams[0].metrics: has no meaning for an upstream of this kind"},
		{"deployment elsewhere", shard + "llm: {upstreams: [{kind: openai, url: 'http://x', model: m, deployment: d}]}\n", "llm.upstreams[0].deployment: has no meaning for an upstream of this kind"},
		{"limit elsewhere", shard + "llm: {upstreams: [{kind: azure, url: 'http://x', deployment: d, max_tokens: 7}]}\n", "llm.upstreams[0].max_tokens: has no meaning for an upstream of this kind"},
		{"limit field", shard + "llm: {upstreams: [{kind: openai, url: 'http://x', model: m, limit_field: tokens}]}\n", "llm.upstreams[0].limit_field: must be max_tokens or max_completion_tokens, is \"tokens\""},
		{"extract key", shard + "llm: {upstreams: [{kind: extract, key: k}]}\n", "llm.upstreams[0].key: has no meaning for an upstream of this kind"},
		{"slots", shard + "llm: {upstreams: [{kind: extract, slots: -1}]}\n", "llm.upstreams[0].slots: must not be negative"},
		{"azure's header elsewhere", shard + "embed: {upstreams: [{kind: tei, url: 'http://x', model: m, dims: 2, key_header: api-key}]}\n",
			"embed.upstreams[0].key_header: has no meaning for an upstream of this kind"},
		{"preset", shard + "embed: {upstreams: [{kind: openai, url: 'http://x', model: m, dims: 2, preset: gpt}]}\n",
			"embed.upstreams[0].preset: is none of openai, azure, vertex, infinity, tei and cohere"},
		{"batch", shard + "embed: {upstreams: [{kind: ollama, url: 'http://x', model: m, dims: 2, batch: {inputs: -1}}]}\n",
			"embed.upstreams[0].batch: must not be negative"},
		{"window", shard + "embed: {upstreams: [{kind: ollama, url: 'http://x', model: m, dims: 2, window: -1}]}\n",
			"embed.upstreams[0].window: must not be negative"},
		{"long", shard + "embed: {long: shorten}\n", "embed.long: is neither refuse nor truncate"},
		{"tier", shard + "embed: {upstreams: [{kind: static, tier: -1}]}\n", "embed.upstreams[0].tier: must not be negative"},
		{"empty key", shard + "keys: ['']\n", "keys[0]: is empty: everybody would have it"},
		{"quantile", shard + "hedge: {quantile: 1}\n", "hedge.quantile: must lie between 0 and 1"},
		{"share", shard + "hedge: {share: 2}\n", "hedge.share: must lie between 0 and 1"},
		{"searches", shard + "limits: {searches: -1}\n", "limits.searches: must not be negative"},
		{"replica's limit", shard + "limits: {replica: -2}\n", "limits.replica: must be -1 (no limit) or more"},
		{"attempts", shard + "limits: {extra_attempts: -2}\n", "limits.extra_attempts: must be -1 (none) or more"},
		{"log", shard + "log: {level: loud}\n", "log.level: is none of debug, info, warn and error"},
	} {
		got := lines(t, c.src, noEnv)
		if len(got) != 1 || !strings.HasSuffix(got[0], ": "+c.want) {
			t.Errorf("%s: got %q\nwant one line that ends in %q", c.name, got, c.want)
		}
	}
}

// All problems come at once, in the order of the file, without those that only
// follow from others.
func TestParse_reportsEverythingAtOnce(t *testing.T) {
	src := "listen: 8080\nshards:\n  - nam: a\n    replicas:\n      - {url: 'http://x', key: '${NOPE}'}\n      - {url: 'http://x'}\nhedge: {share: 3}\n"
	want := []string{
		"f.yaml:1:1: listen: is the number 8080, not a text: put it in quotes",
		"f.yaml:3:5: shards[0].nam: unknown key; did you mean name?",
		"f.yaml:5:27: shards[0].replicas[0].key: environment variable NOPE is not set",
		`f.yaml:6:10: shards[0].replicas[1].url: "http://x" is used by shards[0].replicas[0].url already`,
		"f.yaml:7:9: hedge.share: must lie between 0 and 1",
	}
	if diff := cmp.Diff(want, lines(t, src, noEnv)); diff != "" {
		t.Fatalf("(-want +got):\n%s", diff)
	}
}

func TestParse_neverRepeatsASecret(t *testing.T) {
	for _, src := range []string{
		"shards:\n  - {name: a, replicas: [{url: 'http://x', key: 123456}]}\n",
		"shards:\n  - {name: a, replicas: [{url: 'http://me:123456@x'}]}\n",
		"shards:\n  - {name: a, replicas: [{url: 'postgres://me:123456@x/db'}]}\n",
		"shards:\n  - {name: a, replicas: [{url: 'postgres://me:123456@x:y/db'}]}\n",
	} {
		if got := strings.Join(lines(t, src, noEnv), "\n"); got == "" || strings.Contains(got, "123456") {
			t.Errorf("%q", got)
		}
	}
}

func TestSecret_isMasked(t *testing.T) {
	r := Replica{Key: "hunter2"}
	if got := fmt.Sprintf("%v %+v %#v %s %q", r, r, r, r.Key, r.Key); strings.Contains(got, "hunter2") {
		t.Errorf("printed as %s", got)
	}
	if Secret("").String() != "" {
		t.Error("an empty secret looks like a set one")
	}
}

func TestSize_roundTrips(t *testing.T) {
	for text, want := range map[string]Size{"0B": 0, "1KiB": 1024, "32MiB": 32 << 20, "3GiB": 3 << 30, "1500000B": 1_500_000} {
		got, err := parseSize(text)
		if err != nil || got != want || got.String() != text {
			t.Errorf("%s: %d %q (%v), want %d", text, got, got, err, want)
		}
	}
	for _, text := range []string{"", "1", "MiB", "-1MiB", "1e30GiB", "nanMB", "1 TB"} {
		if size, err := parseSize(text); err == nil {
			t.Errorf("%q is %d", text, size)
		}
	}
}

func TestLoad_missingFile(t *testing.T) {
	if _, err := Load("none.yaml"); !errors.Is(err, os.ErrNotExist) || !errors.Is(err, fault.Invalid) {
		t.Fatalf("got %v", err)
	}
}

// FuzzParse holds the decoder to never panic and to name the file in each error.
func FuzzParse(f *testing.F) {
	f.Add(shard)
	f.Add("a: &x [*x]\n")
	f.Add("shards: {? [a]: b}\nlisten: |\n  x\n")
	f.Fuzz(func(t *testing.T, src string) {
		if _, err := parse("f.yaml", []byte(src), noEnv); err != nil && !strings.HasPrefix(err.Error(), "f.yaml") {
			t.Fatalf("%q: %v", src, err)
		}
	})
}
