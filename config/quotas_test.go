package config

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/lanewise/lanewise/fault"
	"github.com/lanewise/lanewise/router"
	"github.com/lanewise/lanewise/search"
)

func TestQuotas_mistakesAreNamed(t *testing.T) {
	for text, want := range map[string]string{
		"requests_per_minute: 0":         "quota.requests_per_minute: is zero",
		"requests_per_minute: -5":        "quota.requests_per_minute: must not be negative",
		"tokens_per_minute: 0":           "quota.tokens_per_minute: is zero",
		"account: shared":                "quota: missing: requests_per_minute, tokens_per_minute or both",
		"requests_per_minute: 5, x: 1":   "quota.x: unknown key",
		"requests_per_minute: a dozen":   "quota.requests_per_minute: \"a dozen\" is not a whole number",
		"requests_per_minute: 1.5":       "quota.requests_per_minute: \"1.5\" is not a whole number",
		"tokens_per_minute: 1000000000x": "is not a whole number",
	} {
		refuses(t, fmt.Sprintf(`
shards: [{name: s0, replicas: [{path: s0}]}]
llm: {upstreams: [{kind: openai, url: "http://a/v1", model: m, quota: {%s}}]}
`, text), want)
	}
}

func TestQuotas_contradictionsAreNamed(t *testing.T) {
	const head = "shards: [{name: s0, replicas: [{path: s0}]}]\n"
	const two = `embed: {upstreams: [{kind: openai, url: "http://a/v1", model: m, dims: 3, quota: {account: x, requests_per_minute: 5}}]}
llm: {upstreams: [{kind: openai, url: "http://a/v1", model: m, quota: {account: x, requests_per_minute: %d}}]}
`
	for text, want := range map[string]string{
		fmt.Sprintf(two, 6):               `llm.upstreams[0].quota: contradicts embed.upstreams[0].quota`,
		"quota: {routers: 2}":             "quota.routers: has nothing to share",
		"quota: {routers: 0}":             "quota.routers: is zero",
		"quota: {routers: -1}":            "quota.routers: must be at least 1",
		"quota: {redis: \"redis://a:1\"}": "quota.redis: has nothing to share",
		fmt.Sprintf(two, 5) + "quota: {redis: \"http://:secret@a:1\"}":         "quota.redis: is not a URL of a Redis",
		"llm: {upstreams: [{kind: extract, quota: {requests_per_minute: 5}}]}": "llm.upstreams[0].quota: has no meaning",
	} {
		refuses(t, head+text, want)
	}
	accepts(t, head+fmt.Sprintf(two, 5)+"quota: {routers: 3, redis: \"redis://:secret@a:1/2\"}")
}

func TestLimits_thatAreZeroOrContradictAreNamed(t *testing.T) {
	const head = "shards: [{name: s0, replicas: [{path: s0}]}]\n"
	for text, want := range map[string]string{
		"limits: {searches: 0}":                                                  "limits.searches: is zero",
		"limits: {searches: -1}":                                                 "limits.searches: must not be negative",
		"limits: {replica: 0}":                                                   "limits.replica: is zero: write -1 for no limit",
		"limits: {extra_attempts: 0}":                                            "limits.extra_attempts: is zero: write -1 for none",
		"limits: {body: 0B}":                                                     "limits.body: is zero",
		"timeouts: {silence: 0s}":                                                "timeouts.silence: is zero",
		"timeouts: {search: 0s}":                                                 "timeouts.search: is zero",
		"timeouts: {search: 5s, answer: 2s}":                                     "timeouts.search: is longer than timeouts.answer",
		"hedge: {off: true, share: 0.1}":                                         "hedge.share: contradicts hedge.off",
		"hedge: {share: 0}":                                                      "hedge.share: is zero: write off: true",
		"llm: {upstreams: [{kind: extract, slots: 0}]}":                          "llm.upstreams[0].slots: is zero",
		"llm: {upstreams: [{kind: extract, weight: 0}]}":                         "llm.upstreams[0].weight: is zero",
		"llm: {upstreams: [{kind: extract, weight: -1}]}":                        "llm.upstreams[0].weight: must not be negative",
		"llm: {upstreams: [{kind: extract, name: a}, {kind: extract, name: a}]}": `llm.upstreams[1].name: "a" is used by llm.upstreams[0].name already`,
	} {
		refuses(t, head+text, want)
	}
}

// refuses wants a file to be refused with a text that holds want.
func refuses(t *testing.T, text, want string) {
	t.Helper()
	_, err := parse("file.yaml", []byte(text), os.LookupEnv)
	if err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("%s\ngives %v\nwant %s", text, err, want)
	}
	if err != nil && strings.Contains(err.Error(), "secret") {
		t.Errorf("%v quotes a password", err)
	}
}

func accepts(t *testing.T, text string) *Config {
	t.Helper()
	c, err := parse("file.yaml", []byte(text), os.LookupEnv)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// contract is an upstream for embeddings that says what is left of its limits.
type contract struct {
	*httptest.Server
	calls atomic.Int64
	left  atomic.Int64 // said to be left; below 0: not said
}

func newContract(t *testing.T) *contract {
	t.Helper()
	c := &contract{}
	c.left.Store(-1)
	c.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		c.calls.Add(1)
		if left := c.left.Load(); left >= 0 {
			w.Header().Set("x-ratelimit-remaining-requests", strconv.FormatInt(left, 10))
		}
		_, _ = io.WriteString(w, `{"data": [{"index": 0, "embedding": [1, 0, 0]}], "usage": {"prompt_tokens": 5}}`)
	}))
	t.Cleanup(c.Close)
	return c
}

// file describes one embedding upstream with a quota of 240 requests a minute,
// which is 40 at once, under an account of its own.
func (c *contract) file(t *testing.T, more string) string {
	t.Helper()
	return fmt.Sprintf(`
shards: [{name: s0, replicas: [{path: DIR}]}]
embed: {upstreams: [{name: paid, kind: openai, url: "%s/v1", model: m, dims: 3, quota: {requests_per_minute: 240, account: "%s-%d"}}]}
%s`, c.URL, t.Name(), time.Now().UnixNano(), more)
}

// buildFile builds what a file describes, with a store and a collection of its own.
func buildFile(t *testing.T, file string, log io.Writer) *System {
	t.Helper()
	config := accepts(t, strings.ReplaceAll(file, "DIR", strconv.Quote(filepath.Join(t.TempDir(), "s0"))))
	s, err := config.Build(t.Context(), Options{Log: slog.New(slog.NewTextHandler(log, nil))})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Router.CreateCollection(t.Context(), search.Collection{Name: "docs", Dims: 3, Metric: search.Dot, Space: "m-3-raw"}); err != nil {
		t.Fatal(err)
	}
	return s
}

func (c *contract) system(t *testing.T, log io.Writer, more string) *System {
	t.Helper()
	return buildFile(t, c.file(t, more), log)
}

// ask makes up to n searches that have no time to wait for quota, and returns how
// many were answered before one was refused.
func ask(t *testing.T, s *System, n int) (answered int) {
	t.Helper()
	for i := range n {
		_, err := s.Router.Retrieve(t.Context(), router.Request{
			Collection: "docs", Text: fmt.Sprintf("text %d of %d", i, time.Now().UnixNano()), Timeout: 200 * time.Millisecond, Mode: router.Dense,
		})
		switch {
		case err == nil:
			answered++
		case errors.Is(err, fault.Overloaded) && fault.RetryAfter(err) > 0, errors.Is(err, context.DeadlineExceeded):
			return answered // the call that waits for quota is shared, and may outlive its caller
		default:
			t.Fatalf("%v: want an answer, or the time at which there is quota", err)
		}
	}
	return answered
}

// locked is a buffer that several goroutines write to.
type locked struct {
	mu sync.Mutex
	bytes.Buffer
}

func (l *locked) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.Buffer.Write(p)
}

func (l *locked) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.Buffer.String()
}

// eventually waits for something that happens in the background.
func eventually(t *testing.T, what string, happened func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for !happened() {
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatalf("%s does not happen", what)
		}
	}
}

func shut(t *testing.T, s *System) {
	t.Helper()
	if err := s.Close(); err != nil {
		t.Errorf("close: %v", err)
	}
}

func TestQuotas_aRouterAloneHasAllAndOneOfFourAQuarter(t *testing.T) {
	for more, share := range map[string]float64{"": 1, "quota: {routers: 4}": 0.25} {
		c := newContract(t)
		begun := time.Now()
		s := c.system(t, io.Discard, more)
		eventually(t, "the use of all that there is at once", func() bool {
			ask(t, s, 200)
			return float64(c.calls.Load()) >= 40*share
		})
		// One call more is the canary's.
		n, most := float64(c.calls.Load()), allowed(begun, share)+1
		if less := allowed(begun, share/4) + 1; n > most || n <= less {
			t.Errorf("%q: %v calls, want at most the %v that it may make by now, and more than %v", more, n, most, less)
		}
		shut(t, s)
	}
}

// allowed is what a share of a contract's quota may have been used for since it was full: more on a slow machine.
func allowed(begun time.Time, share float64) float64 {
	return share*(40+4*time.Since(begun).Seconds()) + 1
}

func TestQuotas_theUpstreamsOwnWordCountsWhereItIsLess(t *testing.T) {
	c := newContract(t)
	s := c.system(t, io.Discard, "")
	c.left.Store(0)
	begun, n := time.Now(), 0
	eventually(t, "an answer", func() bool { n += ask(t, s, 200); return n > 0 })
	if most := 3 + 4*time.Since(begun).Seconds(); float64(n) > most {
		t.Errorf("%d searches were answered, and the upstream said after the first that nothing is left: want at most %v", n, most)
	}
	shut(t, s)
}

func TestQuotas_withoutRedisEachRouterTakesItsPartAndSaysSo(t *testing.T) {
	c := newContract(t)
	var log locked
	begun := time.Now()
	s := c.system(t, &log, `quota: {routers: 4, redis: "redis://127.0.0.1:1"}`) // nobody listens there
	eventually(t, "the word that redis is away", func() bool { return strings.Contains(log.String(), "its own share") })
	if text := log.String(); !strings.Contains(text, "level=WARN") || !strings.Contains(text, "routers=4") {
		t.Errorf("the log says %q", text)
	}
	if seen := s.observed(); !seen.Shared || !seen.Alone {
		t.Error("the metrics do not tell that redis is away")
	}
	if n, most := float64(ask(t, s, 200)), allowed(begun, 0.25); n > most {
		t.Errorf("%v searches were answered of the %v that this router may make by now", n, most)
	}
	eventually(t, "a refill of this router's own", func() bool { return ask(t, s, 1) == 1 })
	shut(t, s)
}

// redisURL is that of a real server.
func redisURL(t *testing.T) string {
	t.Helper()
	address := os.Getenv("LANEWISE_TEST_REDIS")
	if address == "" {
		t.Skip("LANEWISE_TEST_REDIS is not set: host:port of a Redis server to test on, or its socket")
	}
	if strings.HasPrefix(address, "/") {
		return "unix://" + address
	}
	return "redis://" + address
}

func TestQuotas_twoRoutersOnOneRedis(t *testing.T) {
	c := newContract(t)
	more := fmt.Sprintf("quota: {routers: 2, redis: %q}", redisURL(t))
	file := c.file(t, more)
	begun := time.Now()
	var log locked
	first, second := buildFile(t, file, &log), buildFile(t, file, &log)
	eventually(t, "the use of all that there is at once", func() bool {
		ask(t, first, 1)
		ask(t, second, 1)
		return c.calls.Load() >= 40
	})
	if n, most := float64(c.calls.Load()), allowed(begun, 1); n > most {
		t.Errorf("%v calls by both, and the quota has allowed %v by now", n, most)
	}
	if text := log.String(); strings.Contains(text, "share") {
		t.Errorf("the log says %q", text)
	}
	if seen := first.observed(); !seen.Shared || seen.Alone {
		t.Error("the metrics tell that redis is away")
	}
	shut(t, first)
	shut(t, second)
}
