package config

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"github.com/lanewise/lanewise/balance/limit"
	"github.com/lanewise/lanewise/fault"
	"github.com/lanewise/lanewise/router"
	"github.com/lanewise/lanewise/search"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// build wires a configuration and closes it with the test.
func build(t *testing.T, c *Config) *System {
	t.Helper()
	s, err := c.Build(t.Context(), Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// host serves a system on a loopback port.
func host(t *testing.T, s *System) (url string) {
	t.Helper()
	server := httptest.NewServer(s.Handler)
	t.Cleanup(server.Close)
	return server.URL
}

// remember stores two texts and returns the id that fits a question best.
func remember(tb testing.TB, r *router.Router) string {
	tb.Helper()
	if _, err := r.CreateCollection(tb.Context(), search.Collection{Name: "c"}); err != nil {
		tb.Fatal(err)
	}
	_, err := r.Upsert(tb.Context(), router.Upsert{Collection: "c", Points: []search.Point{
		{Key: search.Key{ID: "cat"}, Text: "A cat sleeps on the sofa."},
		{Key: search.Key{ID: "tax"}, Text: "The tax return is due in May."},
	}})
	if err != nil {
		tb.Fatal(err)
	}
	return best(tb, r)
}

func best(tb testing.TB, r *router.Router) string {
	tb.Helper()
	found, err := r.Retrieve(tb.Context(), router.Request{Collection: "c", Text: "kitten on a couch", K: 1})
	if err != nil || len(found.Hits) != 1 {
		tb.Fatalf("%d hits, %v", len(found.Hits), err)
	}
	return found.Hits[0].ID
}

func TestBuild_localStoreKeepsItsData(t *testing.T) {
	c := Local(t.TempDir())
	s, err := c.Build(t.Context(), Options{})
	if err != nil {
		t.Fatal(err)
	}
	if got := remember(t, s.Router); got != "cat" {
		t.Errorf("best is %s", got)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if got := best(t, build(t, c).Router); got != "cat" {
		t.Errorf("after a restart best is %s", got)
	}
}

// A router over bare replicas, and a router above that one.
func TestBuild_treeOfServers(t *testing.T) {
	dir := t.TempDir()
	lower := &Config{Keys: []ClientKey{{Key: "k1"}, {Key: "k2"}}, AsShard: true, Map: filepath.Join(dir, "deep", "map")}
	for _, name := range []string{"s0", "s1"} {
		url := host(t, build(t, &Config{Store: filepath.Join(dir, name), Keys: []ClientKey{{Key: "replica"}}}))
		lower.Shards = append(lower.Shards, Shard{Name: name, Replicas: []Replica{{URL: url, Key: "replica"}}})
	}
	below := build(t, lower)
	if got := remember(t, below.Router); got != "cat" {
		t.Fatalf("best is %s", got)
	}
	upper := &Config{Shards: []Shard{{Name: "all", Replicas: []Replica{{URL: host(t, below), Key: "k2"}}}}}
	if got := best(t, build(t, upper).Router); got != "cat" {
		t.Fatalf("from above best is %s", got)
	}
}

func TestBuild_bareReplicaHasNoRouter(t *testing.T) {
	s := build(t, &Config{Store: t.TempDir()})
	url := host(t, s)
	for path, want := range map[string]int{"/v1/collections": http.StatusNotFound, "/healthz": http.StatusOK} {
		resp, err := http.Get(url + path) //nolint:gosec,noctx // a test's own server
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
		if resp.StatusCode != want || s.Router != nil {
			t.Errorf("%s: status %d, want %d", path, resp.StatusCode, want)
		}
	}
}

func TestBuild_groupsUpstreamsBySpace(t *testing.T) {
	c := Local(t.TempDir())
	c.Embed.Upstreams = []EmbedUpstream{
		{Kind: kindOpenAI, URL: "http://127.0.0.1:1", Model: "m", Dims: 4},
		{Kind: kindStatic},
		{Kind: kindOpenAI, URL: "http://127.0.0.1:2", Model: "m", Dims: 4},
	}
	c.LLM.Upstreams = []LLMUpstream{{Kind: kindOpenAI, URL: "http://127.0.0.1:1", Model: "m"}, {Kind: kindExtract}}
	s := newSystem(&Config{}, Options{})
	defer func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}()
	lanes, err := s.openEmbedders(t.Context(), c.Resolved().Embed)
	if err != nil || len(lanes) != 2 || lanes[0].Space().Model != "m" || lanes[1].Space().Model != "static" {
		t.Fatalf("%d lanes, %v", len(lanes), err)
	}
	if _, err := s.openGenerator(c.Resolved().LLM, lanes[1]); err != nil {
		t.Fatal(err)
	}
}

func TestBuild_closesWhatItOpenedOnError(t *testing.T) {
	dir := t.TempDir()
	shared := filepath.Join(dir, "s0")
	holder := build(t, &Config{Store: shared})
	c := &Config{Shards: []Shard{{Name: "s0", Replicas: []Replica{{Path: filepath.Join(dir, "free")}, {Path: shared}}}}}
	_, err := c.Build(t.Context(), Options{})
	if !errors.Is(err, fault.Unavailable) || !strings.Contains(err.Error(), "shards[0].replicas[1]") {
		t.Fatalf("got %v, want the second replica's lock", err)
	}
	if err := holder.Close(); err != nil {
		t.Fatal(err)
	}
	build(t, c) // the first replica's lock is free again
}

func TestClose_endsInReverseOrder(t *testing.T) {
	var order []int
	s := newSystem(&Config{}, Options{})
	for i := range 3 {
		s.opened(func() error { order = append(order, i); return fmt.Errorf("end of %d", i) })
	}
	if err := s.Close(); err == nil || err.Error() != "end of 2\nend of 1\nend of 0" {
		t.Errorf("got %v", err)
	}
	if err := s.Close(); err != nil || !slices.Equal(order, []int{2, 1, 0}) {
		t.Errorf("closed in the order %v; again: %v", order, err)
	}
}

func TestBuild_validates(t *testing.T) {
	if _, err := (&Config{}).Build(t.Context(), Options{}); !errors.Is(err, fault.Invalid) {
		t.Fatalf("got %v", err)
	}
}

func TestServe_endsRequestsBeforeItReturns(t *testing.T) {
	s := build(t, &Config{Store: t.TempDir()})
	entered, release := make(chan struct{}), make(chan struct{})
	s.Handler = http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		close(entered)
		<-release
		_, _ = io.WriteString(w, "whole")
	})
	l, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // a test's listener
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	served := make(chan error, 1)
	go func() { served <- s.Serve(ctx, l) }()
	body := make(chan string, 1)
	go func() {
		client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
		resp, err := client.Get("http://" + l.Addr().String()) //nolint:noctx // as above
		if err != nil {
			body <- err.Error()
			return
		}
		defer resp.Body.Close() //nolint:errcheck // only read
		data, _ := io.ReadAll(resp.Body)
		body <- string(data)
	}()
	<-entered
	stop()
	close(release)
	if got := <-body; got != "whole" {
		t.Errorf("the request under way got %q", got)
	}
	if err := <-served; err != nil {
		t.Error(err)
	}
}

// Bounds of a replica's limit are valid, whatever the operator asks for.
func TestLimits_ofAReplica(t *testing.T) {
	for asked, want := range map[int]limit.Config{
		0:  {Least: 4, Start: 64, Most: 4096, Tolerance: 2},
		-1: {Off: true, Least: 1, Start: 1, Most: 1, Tolerance: 2},
		1:  {Least: 1, Start: 1, Most: 1, Tolerance: 2},
		20: {Least: 4, Start: 20, Most: 20, Tolerance: 2},
	} {
		got := Limits{Replica: asked}.replica().WithDefaults()
		if err := got.Validate(); got != want || err != nil {
			t.Errorf("replica: %d: %+v, %v; want %+v", asked, got, err, want)
		}
	}
}
