package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/lanewise/lanewise/adapters/local"
	"github.com/lanewise/lanewise/config"
	"github.com/lanewise/lanewise/router"
	"github.com/lanewise/lanewise/search"
)

// site is a folder with configurations of the same stores, and what was stored in them.
type site struct {
	t      *testing.T
	dir    string
	listen string
	points map[string]float32 // by id
}

func newSite(t *testing.T) *site {
	t.Helper()
	return &site{t: t, dir: t.TempDir(), listen: "127.0.0.1:1", points: map[string]float32{}}
}

func (s *site) path(name string) string { return filepath.Join(s.dir, name) }

// config writes a configuration of shards with two replicas each.
func (s *site) config(name string, shards ...string) string {
	s.t.Helper()
	text := fmt.Sprintf("listen: %s\nmap: map\nkeys: [secret]\nshards:\n", s.listen)
	for _, shard := range shards {
		text += fmt.Sprintf("  - name: %s\n    replicas:\n      - path: %s-0\n      - path: %s-1\n", shard, shard, shard)
	}
	if err := os.WriteFile(s.path(name), []byte(text), 0o600); err != nil {
		s.t.Fatal(err)
	}
	return s.path(name)
}

func (s *site) build(file string) *config.System {
	s.t.Helper()
	cfg, err := config.Load(file)
	if err != nil {
		s.t.Fatal(err)
	}
	sys, err := cfg.Build(s.t.Context(), config.Options{})
	if err != nil {
		s.t.Fatal(err)
	}
	return sys
}

func (s *site) end(sys *config.System) {
	s.t.Helper()
	if err := sys.Close(); err != nil {
		s.t.Fatal(err)
	}
}

// fill stores n points.
func (s *site) fill(r *router.Router, n int) {
	s.t.Helper()
	if _, err := r.CreateCollection(s.t.Context(), search.Collection{Name: "docs", Dims: 1, Metric: search.Dot}); err != nil {
		s.t.Fatal(err)
	}
	rng := rand.New(rand.NewPCG(5, 5))
	var points []search.Point
	for i := range n {
		p := search.Point{Key: search.Key{ID: fmt.Sprintf("p%05d", i)}, Dense: []float32{rng.Float32()}, Text: "text"}
		s.points[p.ID] = p.Dense[0]
		points = append(points, p)
	}
	for part := range slices.Chunk(points, 1000) {
		if _, err := r.Upsert(s.t.Context(), router.Upsert{Collection: "docs", Points: part}); err != nil {
			s.t.Fatal(err)
		}
	}
}

// check compares a search for the best and a walk through everything with what was stored.
func (s *site) check(r *router.Router) {
	s.t.Helper()
	want := slices.SortedFunc(maps.Keys(s.points), func(a, b string) int {
		switch {
		case s.points[a] > s.points[b]:
			return -1
		case s.points[a] < s.points[b]:
			return 1
		}
		return strings.Compare(a, b)
	})
	res, err := r.Search(s.t.Context(), search.Query{Collection: "docs", Legs: []search.Leg{{Dense: []float32{1}, K: 200}}})
	if err != nil {
		s.t.Fatal(err)
	}
	var got []string
	for _, h := range res.Lists[0].Hits {
		got = append(got, h.ID)
	}
	if !slices.Equal(got, want[:200]) {
		s.t.Errorf("the best 200 differ from those of a scan")
	}
	if n, err := r.Count(s.t.Context(), "docs", "", search.Filter{}); n != len(want) || err != nil {
		s.t.Errorf("%d points, want %d (%v)", n, len(want), err)
	}
}

// onShards counts what the stores of some shards hold, and wants their replicas to be the same.
func (s *site) onShards(shards ...string) (n int) {
	s.t.Helper()
	for _, shard := range shards {
		var stats [2]search.Stats
		for i := range stats {
			store, err := local.Open(local.Config{Path: s.path(fmt.Sprintf("%s-%d", shard, i))})
			if err != nil {
				s.t.Fatal(err)
			}
			all, err := store.Stats(s.t.Context(), "docs")
			if err = errors.Join(err, store.Close()); err != nil {
				s.t.Fatal(err)
			}
			stats[i] = all[0]
		}
		if stats[0].Digest != stats[1].Digest || stats[0].Points != stats[1].Points {
			s.t.Errorf("the replicas of %s differ: %+v", shard, stats)
		}
		n += stats[0].Points
	}
	return n
}

func TestPlanAndApply_withoutAServer(t *testing.T) {
	s := newSite(t)
	old, now := s.config("old.yaml", "a", "b", "c"), s.config("new.yaml", "a", "c", "d")
	sys := s.build(old)
	s.fill(sys.Router, 2000)
	s.end(sys)

	world{}.run(t, "serve", "-c", now).want(t, exitFailure, `"lanewise plan"`, `"lanewise apply"`)
	plan := s.path("plan.json")
	world{}.run(t, "plan", "-c", old, "-c", now, "--no-count").want(t, exitOK, "from epoch", "leaves", "joins")
	got := world{}.run(t, "plan", "-c", old, "-c", now, "-o", plan)
	got.want(t, exitOK, "from epoch", " points", "lanewise apply "+plan)
	world{}.run(t, "plan", "-c", old, "-c", now, "--json").want(t, exitOK, `"partitions_in"`, `"points_in"`)
	world{}.run(t, "apply", plan, "-c", now).want(t, exitFailure, "shard b of the stored map", "second -c")
	world{}.run(t, "apply", plan, "-c", now, "-c", old).want(t, exitOK, "points copied", "serve with "+now)
	world{}.run(t, "apply", plan, "-c", now).want(t, exitOK, "0 points copied")

	sys = s.build(now)
	s.check(sys.Router)
	s.end(sys)
	if n := s.onShards("a", "c", "d"); n != 2000 {
		t.Errorf("%d points on the shards, want 2000", n)
	}
	world{}.run(t, "serve", "-c", old).want(t, exitFailure, `"lanewise plan"`)
}

// serve serves a system on a listener until the function that it returns is called.
func (s *site) serve(sys *config.System, l net.Listener) (stop func()) {
	ctx, cancel := context.WithCancel(s.t.Context())
	done := make(chan error, 1)
	go func() { done <- sys.Serve(ctx, l) }()
	return func() {
		cancel()
		if err := <-done; err != nil {
			s.t.Error(err)
		}
	}
}

func TestPlanApplyRepair_throughTheServer(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := newSite(t)
	s.listen = l.Addr().String()
	old, now := s.config("old.yaml", "a", "b"), s.config("new.yaml", "a", "b", "d")
	sys := s.build(old)
	s.fill(sys.Router, 1000)
	stop := s.serve(sys, l)
	plan := s.path("plan.json")
	world{}.run(t, "plan", "-c", old, "-c", now, "-o", plan).want(t, exitOK, "joins")
	world{}.run(t, "apply", plan, "-c", now, "--json").want(t, exitOK, `"copied"`)
	s.check(sys.Router)
	world{}.run(t, "repair", "-c", now).want(t, exitOK, "all replicas are in step")
	world{}.run(t, "apply", plan, "-c", s.config("bad.yaml", "a", "b", "d", "e")).want(t, exitOK, "0 points copied")
	world{}.run(t, "plan", "-c", old, "-c", s.path("missing.yaml")).want(t, exitFailure, "missing.yaml")
	stop()
	s.end(sys)
	if n := s.onShards("a", "b", "d"); n != 1000 {
		t.Errorf("%d points on the shards, want 1000", n)
	}

	// A replica that lost its files.
	if err := os.RemoveAll(s.path("d-1")); err != nil {
		t.Fatal(err)
	}
	world{}.run(t, "repair", "-c", now, "--dry-run").want(t, exitOK, "docs        d/r1", "nothing was changed")
	world{}.run(t, "repair", "-c", now, "--collection", "docs", "--json").want(t, exitOK, `"copied"`)
	if n := s.onShards("a", "b", "d"); n != 1000 {
		t.Errorf("%d points on the shards after the repair, want 1000", n)
	}
}

// Apply is killed at random moments, again and again, and nothing is lost or seen twice.
func TestApply_killed(t *testing.T) {
	s := newSite(t)
	old, now := s.config("old.yaml", "a", "b", "c"), s.config("new.yaml", "a", "b", "d")
	sys := s.build(old)
	s.fill(sys.Router, 6000)
	s.end(sys)
	plan := s.path("plan.json")
	world{}.run(t, "plan", "-c", old, "-c", now, "-o", plan).want(t, exitOK, "joins")
	rng := rand.New(rand.NewPCG(uint64(time.Now().UnixNano()), 1))
	kills, begun := 0, 0
	for round := 0; ; round++ {
		cmd := exec.CommandContext(t.Context(), os.Args[0], "apply", plan, "-c", now, "-c", old, "--rate", "2500")
		cmd.Env = append(os.Environ(), "LANEWISE_TEST_PROGRAM=1")
		out := &strings.Builder{}
		cmd.Stdout, cmd.Stderr = out, out
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		var timer *time.Timer
		if round < 10 {
			timer = time.AfterFunc(time.Duration(150+rng.IntN(500))*time.Millisecond, func() { _ = cmd.Process.Kill() })
		}
		err := cmd.Wait()
		if err == nil {
			break
		}
		if timer == nil || timer.Stop() {
			t.Fatalf("round %d ended by itself: %v\n%s", round, err, out)
		}
		kills++
		if _, err := os.Stat(s.path("map.move")); err == nil {
			begun++
		}
		s.survey(old, now)
	}
	t.Logf("killed %d times, %d of them after it had begun", kills, begun)
	sys = s.build(now)
	s.check(sys.Router)
	s.end(sys)
	if n := s.onShards("a", "b", "d"); n != len(s.points) {
		t.Errorf("%d points on the shards, want %d", n, len(s.points))
	}
	if _, err := os.Stat(s.path("map.move")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the note of the move is left: %v", err)
	}
}

// survey opens whichever configuration the map is for, and checks what it answers.
func (s *site) survey(files ...string) {
	s.t.Helper()
	for _, file := range files {
		cfg, err := config.Load(file)
		if err != nil {
			s.t.Fatal(err)
		}
		sys, err := cfg.Build(s.t.Context(), config.Options{})
		if err != nil {
			continue
		}
		s.check(sys.Router)
		s.end(sys)
		return
	}
	s.t.Fatal("neither configuration fits the map")
}
