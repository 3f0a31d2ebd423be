package ingest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/lanewise/lanewise/fault"
	"github.com/lanewise/lanewise/internal/corpus"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// store is a collection in memory.
type store struct {
	mu     sync.Mutex
	texts  map[string]string // by tenant/id
	writes int
	refuse func(write int, docs []corpus.Document) error
}

func (s *store) write(_ context.Context, tenant string, docs []corpus.Document) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.writes++
	if s.refuse != nil {
		if err := s.refuse(s.writes, docs); err != nil {
			return err
		}
	}
	if s.texts == nil {
		s.texts = map[string]string{}
	}
	for _, d := range docs {
		s.texts[tenant+"/"+d.ID] = d.Text
	}
	return nil
}

// docs yields documents with these ids; "!" yields a bad line, "-" a skipped
// file and "x" an error that ends the input.
func docs(ids ...string) corpus.Documents {
	return func(yield func(corpus.Document, error) bool) {
		for i, id := range ids {
			d, err := corpus.Document{ID: id, Text: fmt.Sprint(i), Path: "in", Line: i + 1}, error(nil)
			switch id {
			case "!":
				err = &corpus.BadLine{Path: "in", Line: i + 1, Err: errors.New("bad")}
			case "-":
				err = &corpus.Skipped{Path: "in", Reason: "hidden"}
			case "x":
				err = errors.New("disk gone")
			}
			if !yield(d, err) {
				return
			}
		}
	}
}

func numbers(n int) (ids []string) {
	for i := range n {
		ids = append(ids, fmt.Sprint("d", i))
	}
	return ids
}

func TestRun_storesEverythingInBatches(t *testing.T) {
	s := &store{}
	var last int
	got, err := Run(t.Context(), docs(numbers(25)...), s.write, Config{Batch: 10, Progress: func(n int) { last = n }})
	if err != nil || got.Stored != 25 || len(s.texts) != 25 || s.writes != 3 || last != 25 {
		t.Fatalf("stored %d (%d in the store, %d reported) in %d writes: %v", got.Stored, len(s.texts), last, s.writes, err)
	}
	if _, err := Run(t.Context(), docs(numbers(25)...), s.write, Config{}); err != nil || len(s.texts) != 25 {
		t.Fatalf("again: %d in the store, %v", len(s.texts), err)
	}
}

func TestRun_splitsBySizeAndTenant(t *testing.T) {
	s := &store{}
	in := func(yield func(corpus.Document, error) bool) {
		for i, tenant := range []string{"a", "a", "b", "b"} {
			if !yield(corpus.Document{ID: fmt.Sprint(i), Tenant: tenant, Text: strings.Repeat("x", 100)}, nil) {
				return
			}
		}
	}
	if _, err := Run(t.Context(), in, s.write, Config{Bytes: 50}); err != nil || s.writes != 4 {
		t.Fatalf("%d writes (%v), want one for each document", s.writes, err)
	}
	if s.texts["b/3"] == "" || s.texts["a/0"] == "" {
		t.Fatalf("tenants are lost: %v", s.texts)
	}
}

func TestRun_laterDocumentWins(t *testing.T) {
	s := &store{}
	got, err := Run(t.Context(), docs("a", "b", "a", "c", "a"), s.write, Config{Batch: 2})
	if err != nil || s.texts["/a"] != "4" {
		t.Fatalf("a is %q (%+v, %v), want its last text 4", s.texts["/a"], got, err)
	}
}

func TestRun_passesOverBadDocuments(t *testing.T) {
	s := &store{refuse: func(_ int, docs []corpus.Document) error {
		if i := slices.IndexFunc(docs, func(d corpus.Document) bool { return d.ID == "c" }); i >= 0 {
			return fault.BadField(fmt.Sprintf("/points/%d/vector", i), "has 3 numbers, the collection 256")
		}
		return nil
	}}
	var problems []string
	got, err := Run(t.Context(), docs("a", "!", "-", "b", "c", "d"), s.write, Config{
		Problem: func(err error) { problems = append(problems, err.Error()) },
	})
	if err != nil || got.Stored != 3 || got.Bad != 2 || got.Skipped != 1 {
		t.Fatalf("%+v, %v", got, err)
	}
	want := []string{
		"in:2: bad", "in: skipped: hidden",
		`in:5: document "c": /points/2/vector: has 3 numbers, the collection 256`,
	}
	if diff := cmp.Diff(want, problems); diff != "" {
		t.Fatalf("problems (-want +got):\n%s", diff)
	}
}

func TestRun_strictStopsAtTheFirst(t *testing.T) {
	s := &store{}
	got, err := Run(t.Context(), docs("a", "!", "b"), s.write, Config{Strict: true})
	if _, ok := errors.AsType[*corpus.BadLine](err); !ok || got.Stored != 0 {
		t.Fatalf("%+v, %v", got, err)
	}
	s.refuse = func(int, []corpus.Document) error { return fault.BadField("/points/0/id", "too long") }
	_, err = Run(t.Context(), docs("a", "b"), s.write, Config{Strict: true})
	if bad, ok := errors.AsType[*corpus.BadLine](err); !ok || bad.Line != 1 {
		t.Fatalf("got %v, want line 1", err)
	}
}

func TestRun_endsOnOtherErrors(t *testing.T) {
	s := &store{}
	if _, err := Run(t.Context(), docs("a", "x", "b"), s.write, Config{}); err == nil || err.Error() != "disk gone" {
		t.Errorf("reader: %v", err)
	}
	s.refuse = func(int, []corpus.Document) error { return fault.New(fault.NotFound, "no collection") }
	if _, err := Run(t.Context(), docs(numbers(5000)...), s.write, Config{Batch: 1}); !errors.Is(err, fault.NotFound) {
		t.Errorf("writer: %v", err)
	}
	if s.writes > 100 {
		t.Errorf("%d writes after the first failure", s.writes)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Run(ctx, docs("a"), s.write, Config{}); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
}

func TestRun_triesAgainWhenAskedTo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &store{refuse: func(write int, _ []corpus.Document) error {
			switch write {
			case 1:
				return fault.New(fault.Unavailable, "starting")
			case 2:
				return fault.Busy(3*time.Second, "full")
			}
			return nil
		}}
		got, err := Run(t.Context(), docs("a"), s.write, Config{})
		if err != nil || got.Took != 3100*time.Millisecond {
			t.Fatalf("took %v (%v), want 100 ms and 3 s of waiting", got.Took, err)
		}
		s.refuse = func(int, []corpus.Document) error { return fault.New(fault.Unavailable, "down") }
		if _, err := Run(t.Context(), docs("a"), s.write, Config{Attempts: 2}); !errors.Is(err, fault.Unavailable) || s.writes != 5 {
			t.Fatalf("%d writes, %v", s.writes, err)
		}
	})
}

func ExampleRun() {
	write := func(_ context.Context, _ string, docs []corpus.Document) error {
		fmt.Println("write", len(docs))
		return nil
	}
	in := corpus.JSONL("in", strings.NewReader(`{"id": "a", "text": "one"}`))
	sum, err := Run(context.Background(), in, write, Config{})
	fmt.Println(sum.Stored, sum.Bad, err)
	// Output:
	// write 1
	// 1 0 <nil>
}
