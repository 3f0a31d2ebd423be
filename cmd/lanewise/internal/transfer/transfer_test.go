package transfer_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"

	"go.uber.org/goleak"

	"github.com/lanewise/lanewise/cmd/lanewise/internal/transfer"
	"github.com/lanewise/lanewise/fault"
	"github.com/lanewise/lanewise/internal/corpus"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// numbers is a source of n documents.
func numbers(n int) transfer.Read {
	return func(_ context.Context, after string, limit int) (page []corpus.Document, next string, err error) {
		from := 0
		if after != "" {
			if from, err = strconv.Atoi(after); err != nil {
				return nil, "", err
			}
		}
		for i := from; i < min(n, from+limit); i++ {
			page = append(page, corpus.Document{ID: fmt.Sprint(i), Vector: []float32{float32(i), 1}})
		}
		if from+limit < n {
			next = strconv.Itoa(from + limit)
		}
		return page, next, nil
	}
}

// shelf is a target that fails the writes that fail names.
type shelf struct {
	mu     sync.Mutex
	held   map[string]int // writes of each id
	writes int
	fail   func(write int) error
}

func (s *shelf) write(_ context.Context, _ string, docs []corpus.Document) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.writes++
	if s.fail != nil {
		if err := s.fail(s.writes); err != nil {
			return err
		}
	}
	for _, d := range docs {
		s.held[d.ID]++
	}
	return nil
}

func config(t *testing.T) transfer.Config {
	t.Helper()
	return transfer.Config{From: "a", To: "b", State: filepath.Join(t.TempDir(), "state"), Page: 7, Sample: 10}
}

func TestRun_copiesEverythingOnce(t *testing.T) {
	to, last := &shelf{held: map[string]int{}}, 0
	c := config(t)
	c.Progress = func(n int) { last = n }
	sum, err := transfer.Run(t.Context(), numbers(100), to.write, c)
	if err != nil || sum.Copied != 100 || sum.Now != 100 || sum.Resumed || len(to.held) != 100 || last != 100 || len(sum.Sample) != 10 {
		t.Fatalf("%+v, %v, %d held, progress %d", sum, err, len(to.held), last)
	}
	again, err := transfer.Run(t.Context(), numbers(100), to.write, c)
	if err != nil || again.Copied != 100 || again.Now != 0 || !again.Resumed || to.writes != 15 {
		t.Errorf("a copy that is over: %+v, %v, %d writes", again, err, to.writes)
	}
	if err := transfer.Forget(c.State); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(c.State); err == nil {
		t.Error("the state is still there")
	}
	if err := transfer.Forget(c.State); err != nil {
		t.Error(err)
	}
}

// However often it is ended, and wherever, the copy is whole in the end, and counts
// every document once.
func TestRun_goesOnWhereItEnded(t *testing.T) {
	to := &shelf{held: map[string]int{}}
	c := config(t)
	broken := errors.New("disk full")
	for end := 3; ; end++ {
		from := to.writes
		to.fail = func(write int) error {
			if write == from+end {
				return broken
			}
			return nil
		}
		sum, err := transfer.Run(t.Context(), numbers(200), to.write, c)
		if err == nil {
			if sum.Copied != 200 || len(to.held) != 200 {
				t.Errorf("copied %d, held %d", sum.Copied, len(to.held))
			}
			break
		}
		if !errors.Is(err, broken) {
			t.Fatal(err)
		}
		if sum.Copied > len(to.held) {
			t.Fatalf("%d are said to be copied, %d are there", sum.Copied, len(to.held))
		}
	}
	if to.writes < 35 {
		t.Errorf("only %d writes: it was never ended", to.writes)
	}
}

func TestRun_triesAgainWhereAMomentMayHelp(t *testing.T) {
	to := &shelf{held: map[string]int{}, fail: func(write int) error {
		if write == 2 {
			return fault.New(fault.Overloaded, "busy")
		}
		return nil
	}}
	if sum, err := transfer.Run(t.Context(), numbers(20), to.write, config(t)); err != nil || sum.Copied != 20 || len(to.held) != 20 {
		t.Errorf("%+v, %v", sum, err)
	}
}

func TestRun_cancelled(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	to := &shelf{held: map[string]int{}, fail: func(write int) error {
		if write == 4 {
			cancel()
		}
		return nil
	}}
	c := config(t)
	c.Parallel = 1
	sum, err := transfer.Run(ctx, numbers(1000), to.write, c)
	if !errors.Is(err, context.Canceled) || sum.Copied == 0 || sum.Copied >= 1000 {
		t.Fatalf("%+v, %v", sum, err)
	}
	if sum, err = transfer.Run(t.Context(), numbers(1000), to.write, c); err != nil || sum.Copied != 1000 || len(to.held) != 1000 || !sum.Resumed {
		t.Errorf("after it: %+v, %v", sum, err)
	}
}

func TestRun_refusesTheFileOfAnotherCopy(t *testing.T) {
	c := config(t)
	to := &shelf{held: map[string]int{}}
	if _, err := transfer.Run(t.Context(), numbers(1), to.write, c); err != nil {
		t.Fatal(err)
	}
	c.From = "elsewhere"
	if _, err := transfer.Run(t.Context(), numbers(1), to.write, c); err == nil || !strings.Contains(err.Error(), "from a to b") {
		t.Errorf("got %v", err)
	}
	if err := os.WriteFile(c.State, []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := transfer.Run(t.Context(), numbers(1), to.write, c); err == nil || !strings.Contains(err.Error(), c.State) {
		t.Errorf("a broken file: %v", err)
	}
	c.State = ""
	if _, err := transfer.Run(t.Context(), numbers(1), to.write, c); err == nil {
		t.Error("no file: no error")
	}
}

func TestCompare(t *testing.T) {
	base := corpus.Document{ID: "a", Text: "t", Vector: []float32{3, 4}, Meta: []byte(`{"a": 1, "b": [1.0]}`)}
	for name, c := range map[string]struct {
		change func(*corpus.Document)
		same   bool
	}{
		"itself":      {func(*corpus.Document) {}, true},
		"length 1":    {func(d *corpus.Document) { d.Vector = []float32{0.6, 0.8} }, true},
		"rounding":    {func(d *corpus.Document) { d.Vector = []float32{0.6000001, 0.8} }, true},
		"order":       {func(d *corpus.Document) { d.Meta = []byte(`{"b":[1],"a":1}`) }, true},
		"direction":   {func(d *corpus.Document) { d.Vector = []float32{0.61, 0.8} }, false},
		"opposite":    {func(d *corpus.Document) { d.Vector = []float32{-3, -4} }, false},
		"zero":        {func(d *corpus.Document) { d.Vector = []float32{0, 0} }, false},
		"dims":        {func(d *corpus.Document) { d.Vector = []float32{1} }, false},
		"text":        {func(d *corpus.Document) { d.Text = "u" }, false},
		"metadata":    {func(d *corpus.Document) { d.Meta = []byte(`{"a": 2}`) }, false},
		"no metadata": {func(d *corpus.Document) { d.Meta = nil }, false},
	} {
		copied := base
		c.change(&copied)
		if err := transfer.Compare(base, copied); (err == nil) != c.same {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := transfer.Compare(corpus.Document{ID: "a"}, corpus.Document{ID: "a", Meta: []byte(`{}`)}); err != nil {
		t.Error(err)
	}
}

func Example() {
	dir, err := os.MkdirTemp("", "")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(dir) //nolint:errcheck // a temporary folder
	to := &shelf{held: map[string]int{}}
	sum, err := transfer.Run(context.Background(), numbers(1200), to.write, transfer.Config{State: filepath.Join(dir, "state")})
	fmt.Println(sum.Copied, to.writes, err)
	// Output: 1200 3 <nil>
}
