package openai_test

import (
	"errors"
	"io"
	"net/http"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/lanewise/lanewise/balance"
	"github.com/lanewise/lanewise/fault"
	"github.com/lanewise/lanewise/llm"
	"github.com/lanewise/lanewise/llm/openai"
)

// over returns a lane over two providers, the first of them preferred.
func over(t *testing.T, first, second llm.Provider) *llm.Generator {
	t.Helper()
	g, err := llm.New(llm.Config{Upstreams: []llm.Upstream{
		{Name: "first", Provider: first}, {Name: "second", Provider: second, Tier: 1},
	}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = g.Close() })
	return g
}

func collect(t *testing.T, g *llm.Generator) ([]llm.Chunk, error) {
	t.Helper()
	s, err := g.Generate(t.Context(), question)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close() //nolint:errcheck // never fails
	var chunks []llm.Chunk
	for {
		c, err := s.Next()
		if err != nil {
			return chunks, err
		}
		chunks = append(chunks, c)
	}
}

// TestLane_failsOver holds that whatever a server does before its first words,
// another one answers, and that after them its error is the answer's.
func TestLane_failsOver(t *testing.T) {
	whole := []llm.Chunk{{Content: "Hello"}, last}
	for name, c := range map[string]struct {
		broken http.HandlerFunc
		want   []llm.Chunk
		end    error
	}{
		"429":                {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusTooManyRequests) }, whole, io.EOF},
		"hangs up":           {func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, whole, io.EOF},
		"ends after a role":  {events(role), whole, io.EOF},
		"fails after 200":    {events(role + `data: {"error":{"message":"out of memory"}}` + "\n\n"), whole, io.EOF},
		"malformed":          {events("data: {\n\n"), whole, io.EOF},
		"breaks off later":   {events(role + world), []llm.Chunk{{Content: " wörld"}}, fault.Unavailable},
		"an error later":     {events(world + "event: error\ndata: gone\n\n"), []llm.Chunk{{Content: " wörld"}}, fault.Unavailable},
		"answers by itself":  {events(world + stop + usage + done), []llm.Chunk{{Content: " wörld"}, last}, io.EOF},
		"a page, no stream":  {func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "<html>") }, whole, io.EOF},
		"another JSON reply": {func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("Content-Type", "application/json") }, whole, io.EOF},
	} {
		t.Run(name, func(t *testing.T) {
			first := serve(t, openai.Config{}, c.broken)
			second := serve(t, openai.Config{}, events(role+hello+stop+usage+done))
			got, err := collect(t, over(t, first, second))
			if diff := cmp.Diff(c.want, got); diff != "" || !errors.Is(err, c.end) {
				t.Errorf("ended with %v, want %v\n%s", err, c.end, diff)
			}
		})
	}
}

// TestLane_hedges holds that a server which hangs before its first words is
// covered by another, and is told that nobody waits for it.
func TestLane_hedges(t *testing.T) {
	reached, left := make(chan struct{}), make(chan struct{})
	hangs := serve(t, openai.Config{}, func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.ReadAll(r.Body)
		_, _ = io.WriteString(w, role)
		_ = http.NewResponseController(w).Flush()
		close(reached)
		<-r.Context().Done()
		close(left)
	})
	answers := serve(t, openai.Config{}, func(w http.ResponseWriter, r *http.Request) {
		<-reached // so that both run, whichever is asked first
		events(hello+stop+usage+done)(w, r)
	})
	lane, err := balance.NewLane(balance.LaneConfig{Name: "llm", HedgeDelay: time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	g, err := llm.New(llm.Config{Lane: lane, Hedge: true, Upstreams: []llm.Upstream{
		{Name: "hangs", Provider: hangs}, {Name: "answers", Provider: answers},
	}})
	if err != nil {
		t.Fatal(err)
	}
	defer g.Close() //nolint:errcheck // the test has its answer
	got, err := collect(t, g)
	if len(got) != 2 || got[0].Content != "Hello" || !errors.Is(err, io.EOF) {
		t.Errorf("%+v, %v", got, err)
	}
	<-left
}
