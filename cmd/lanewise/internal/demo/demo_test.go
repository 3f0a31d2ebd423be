package demo

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/lanewise/lanewise/cmd/lanewise/internal/show"
	"github.com/lanewise/lanewise/internal/corpus"
	"github.com/lanewise/lanewise/router"
	"github.com/lanewise/lanewise/search"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// small is a corpus of a few hundred documents.
func small(yield func(corpus.Document, error) bool) {
	verbs, things := strings.Fields("reads writes opens closes splits joins sorts copies"), strings.Fields("file directory string command timeout slice buffer socket line tree")
	for i, v := range verbs {
		for j, thing := range things {
			for k := range 4 {
				id := fmt.Sprintf("p%d.%s%s%d", i, v, thing, j)
				d := corpus.Document{ID: fmt.Sprint(id, "-", k), Text: fmt.Sprintf("%s\n\nIt %s one %s, as variant %d does.", id, v, thing, k), Meta: []byte(`{"kind":"func"}`)}
				if !yield(d, nil) {
					return
				}
			}
		}
	}
}

func TestRun_showsEverything(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	var out strings.Builder
	d, err := Run(t.Context(), Config{Out: show.Printer{Out: &out}, Corpus: small, Queries: 40})
	dir := d.dir
	if closeErr := d.Close(); err != nil || closeErr != nil {
		t.Fatalf("%v, %v\n%s", err, closeErr, out.String())
	}
	for _, want := range []string{
		"4 shards x 3 replicas: 12 HTTP servers on loopback",
		"320 doc comments",
		"1. read a file line by line", "6. How do I create a temporary directory?",
		"replicas: s0/", "answer:",
		"0 rankings differ",
		"one replica stops (s1/b) and one slows down by 500 ms (s2/a)",
		"before  40 queries: p50", "after   40 queries: p50",
		"0 of 80 queries failed, 0 had other hits",
		"both replicas are back",
		"first answer", "corpus built, embedded and indexed", "resident memory",
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("%q is missing in:\n%s", want, out.String())
		}
	}
	if _, err := os.Stat(dir); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("%s is still there (%v)", dir, err)
	}
}

// started returns a demo with the corpus in its cluster.
func started(t *testing.T) (*Demo, *strings.Builder) {
	t.Helper()
	t.Setenv("TMPDIR", t.TempDir())
	var out strings.Builder
	d := &Demo{cfg: Config{Out: show.Printer{Out: &out}, Corpus: small, Queries: 30, Start: time.Now()}, answers: map[string][]search.Hit{}}
	t.Cleanup(func() {
		if err := d.Close(); err != nil {
			t.Error(err)
		}
	})
	for _, step := range []func(context.Context) error{d.start, d.index} {
		if err := step(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	return d, &out
}

// The comparison must see a single point that is missing on the shards.
func TestVerify_noticesADifference(t *testing.T) {
	d, out := started(t)
	_, err := d.cluster.system.Router.Delete(t.Context(), router.Delete{Collection: collection, IDs: []string{"p0.readsline8-1"}})
	if err != nil {
		t.Fatal(err)
	}
	if err := d.verify(t.Context()); !errors.Is(err, ErrDiffers) || !strings.Contains(out.String(), "DIFFERS") {
		t.Fatalf("got %v\n%s", err, out)
	}
}

// With all replicas of a shard gone, queries fail, and the demo says so.
func TestDisturb_noticesFailures(t *testing.T) {
	d, out := started(t)
	if err := d.verify(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, i := range []int{stopped - 1, stopped + 1} {
		if err := d.cluster.servers[i].stop(); err != nil {
			t.Fatal(err)
		}
	}
	if err := d.disturb(t.Context()); err == nil {
		t.Fatalf("no error though shard s1 is gone\n%s", out)
	}
}

func TestRun_stopsWhenInterrupted(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	for _, at := range []string{"indexed", "compared", "queries"} {
		ctx, interrupt := context.WithCancelCause(t.Context())
		cause := errors.New("interrupted")
		var mu sync.Mutex
		d, err := Run(ctx, Config{Out: show.Printer{Out: &strings.Builder{}}, Corpus: small, Queries: 40, Progress: func(what string, _ int) {
			mu.Lock()
			defer mu.Unlock()
			if what == at {
				interrupt(cause)
			}
		}})
		if closeErr := d.Close(); !errors.Is(err, cause) || closeErr != nil {
			t.Errorf("at %s: %v, %v", at, err, closeErr)
		}
		interrupt(nil)
	}
	if left, err := os.ReadDir(os.Getenv("TMPDIR")); err != nil || len(left) > 0 {
		t.Errorf("files are left: %v (%v)", left, err)
	}
}

func TestDifference(t *testing.T) {
	hit := func(id string, score float64) search.Hit {
		return search.Hit{Point: search.Point{Key: search.Key{ID: id}}, Score: score}
	}
	want := []search.Hit{hit("a", 1), hit("b", 0.5)}
	for _, got := range [][]search.Hit{{hit("a", 1)}, {hit("a", 1), hit("c", 0.5)}, {hit("a", 1), hit("b", 0.4999999999999999)}} {
		if difference(want, got) == "" {
			t.Errorf("%v passes for %v", got, want)
		}
	}
	if diff := difference(want, want); diff != "" {
		t.Error(diff)
	}
}

func ExampleRun() {
	d, err := Run(context.Background(), Config{Out: show.Printer{Out: &strings.Builder{}}, Corpus: small, Queries: 10})
	fmt.Println(err, d.Close())
	// Output: <nil> <nil>
}
