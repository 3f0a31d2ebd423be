package tei_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"github.com/lanewise/lanewise/embed"
	"github.com/lanewise/lanewise/embed/tei"
	"github.com/lanewise/lanewise/fault"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const about = `{"model_id": "BAAI/bge-small-en-v1.5", "max_client_batch_size": 16, "max_input_length": 512, "max_batch_tokens": 16384}`

// server answers /info with about, and /embed as TEI does unless answer says
// otherwise; it keeps the bodies of its calls.
type server struct {
	about  string
	status int
	answer string
	bodies []string
	infos  int
}

func (s *server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path == "/info" && r.Method == http.MethodGet {
		s.infos++
		if s.about == "" {
			w.WriteHeader(http.StatusNotFound)
		}
		_, _ = io.WriteString(w, s.about)
		return
	}
	body, _ := io.ReadAll(r.Body)
	s.bodies = append(s.bodies, r.URL.Path+" "+string(body))
	if s.status != 0 || s.answer != "" {
		w.WriteHeader(max(s.status, http.StatusOK))
		_, _ = io.WriteString(w, s.answer)
		return
	}
	var call struct{ Inputs []string }
	_ = json.Unmarshal(body, &call)
	rows := make([][]float32, len(call.Inputs))
	for i, text := range call.Inputs {
		rows[i] = []float32{float32(len(text)), -0.5}
	}
	_ = json.NewEncoder(w).Encode(rows)
}

func provider(t *testing.T, s *server, c tei.Config) (*tei.Provider, error) {
	t.Helper()
	web := httptest.NewServer(s)
	t.Cleanup(web.Close)
	c.URL = web.URL
	p, err := tei.New(t.Context(), c)
	if err == nil {
		t.Cleanup(func() { _ = p.Close() })
	}
	return p, err
}

func TestNew_asksTheServer(t *testing.T) {
	s := &server{about: about}
	p, err := provider(t, s, tei.Config{Revision: "r1"})
	if err != nil {
		t.Fatal(err)
	}
	if got, want := p.Space(), (embed.Space{Model: "BAAI/bge-small-en-v1.5", Revision: "r1", Dims: 2, Normalized: true}); got != want {
		t.Errorf("space %+v, want %+v", got, want)
	}
	if got, want := p.Limits(), (embed.Limits{Inputs: 16, Bytes: 1_800_000, Window: 512}); got != want {
		t.Errorf("limits %+v, want %+v", got, want)
	}
}

// TestNew_asksLater holds that a lane can be built while its server is down, and
// that the limits are asked for with the first texts, once.
func TestNew_asksLater(t *testing.T) {
	s := &server{about: about}
	p, err := provider(t, s, tei.Config{Model: "m", Dims: 2})
	if err != nil || s.infos != 0 || p.Limits().Inputs != 32 {
		t.Fatalf("%v, asked %d times, limits %+v", err, s.infos, p.Limits())
	}
	for range 3 {
		if _, err := p.Embed(t.Context(), embed.Batch{Texts: []string{"a"}}); err != nil {
			t.Fatal(err)
		}
	}
	if s.infos != 1 || p.Limits().Inputs != 16 {
		t.Errorf("asked %d times, limits %+v", s.infos, p.Limits())
	}
}

// TestNew_silentServer holds that a server which says nothing of itself is used
// with the preset, and is not asked again with every call.
func TestNew_silentServer(t *testing.T) {
	s := &server{}
	p, err := provider(t, s, tei.Config{Model: "m", Dims: 2})
	if err != nil {
		t.Fatal(err)
	}
	for range 3 {
		if _, err := p.Embed(t.Context(), embed.Batch{Texts: []string{"a"}}); err != nil {
			t.Fatal(err)
		}
	}
	if s.infos != 1 || p.Limits() != (embed.Limits{Inputs: 32, Bytes: 1_800_000}) {
		t.Errorf("asked %d times, limits %+v", s.infos, p.Limits())
	}
}

func TestNew_refuses(t *testing.T) {
	for field, c := range map[string]tei.Config{
		"/url":  {Model: "m", Dims: 1},
		"/dims": {URL: "http://a", Dims: -1},
	} {
		if _, err := tei.New(t.Context(), c); !errors.Is(err, fault.Invalid) || fault.Field(err) != field {
			t.Errorf("%s: %v", field, err)
		}
	}
	if _, err := provider(t, &server{about: `{}`}, tei.Config{}); fault.Field(err) != "/model" {
		t.Errorf("no model anywhere: %v", err)
	}
	if _, err := provider(t, &server{}, tei.Config{}); !errors.Is(err, fault.Unavailable) {
		t.Errorf("a server that says nothing: %v", err)
	}
}

func TestEmbed_sends(t *testing.T) {
	s := &server{about: about}
	p, err := provider(t, s, tei.Config{Model: "m", Dims: 2, Raw: true, QueryPrefix: "q: "})
	if err != nil {
		t.Fatal(err)
	}
	v, err := p.Embed(t.Context(), embed.Batch{Texts: []string{"a", "bb"}, Task: embed.QueryTask})
	if err != nil || !slices.Equal(v.Data, []float32{4, -0.5, 5, -0.5}) {
		t.Errorf("%+v, %v", v, err)
	}
	if want := `/embed {"inputs":["q: a","q: bb"],"normalize":false,"truncate":false}`; s.bodies[0] != want {
		t.Errorf("sent %s, want %s", s.bodies[0], want)
	}
	if v, err := p.Embed(t.Context(), embed.Batch{}); err != nil || v.Dims != 2 || len(s.bodies) != 1 {
		t.Errorf("nothing: %+v, %v", v, err)
	}
}

func TestEmbed_tokenIDs(t *testing.T) {
	s := &server{answer: `[[1, 2], [3, 4]]`}
	p, err := provider(t, s, tei.Config{Model: "m", Dims: 2})
	if err != nil {
		t.Fatal(err)
	}
	_, err = p.Embed(t.Context(), embed.Batch{IDs: [][]uint32{{1, 2}, {3}}})
	if want := `/embed {"inputs":[[1,2],[3]],"normalize":true,"truncate":false}`; err != nil || s.bodies[0] != want {
		t.Errorf("%v, sent %s, want %s", err, s.bodies[0], want)
	}
}

func TestEmbed_answers(t *testing.T) {
	for _, c := range []struct {
		status int
		answer string
		want   error
	}{
		{413, `{"error": "Input validation error: inputs must have less than 512 tokens", "error_type": "Validation"}`, fault.Invalid},
		{422, `{"error": "batch size 64 > maximum allowed batch size 32", "error_type": "Validation"}`, fault.Invalid},
		{422, `{"message": "batch size 64 > 32", "code": 422, "type": "Validation"}`, fault.Invalid},
		{424, `{"error": "Inference failed", "error_type": "Backend"}`, fault.Unavailable},
		{429, `{"error": "Model is overloaded", "error_type": "Overloaded"}`, fault.Overloaded},
		{401, `{}`, fault.Refused},
		{200, `[[1, 2]]`, fault.Unavailable},
		{200, `[[1, 2], [3]]`, fault.Unavailable},
		{200, `[[1, 2, 3], [4, 5, 6]]`, fault.Unavailable},
		{200, `[[1, null], [3, 4]]`, fault.Unavailable},
		{200, `[[1, 2], [3, `, fault.Unavailable},
		{200, `{"error": "loading"}`, fault.Unavailable},
		{200, `[[1, 2], [3, 4]]`, nil},
	} {
		p, err := provider(t, &server{status: c.status, answer: c.answer}, tei.Config{Model: "m", Dims: 2})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := p.Embed(t.Context(), embed.Batch{Texts: []string{"a", "b"}}); !errors.Is(err, c.want) {
			t.Errorf("status %d, %s: %v, want %v", c.status, c.answer, err, c.want)
		}
	}
}

// TestLane_splits holds that a lane sends no more texts than the server says that
// it takes, though that is known only after the first call.
func TestLane_splits(t *testing.T) {
	s := &server{about: strings.Replace(about, "16,", "3,", 1)}
	p, err := provider(t, s, tei.Config{Model: "m", Dims: 2})
	if err != nil {
		t.Fatal(err)
	}
	e, err := embed.New(embed.Config{Upstreams: []embed.Upstream{{Name: "tei", Provider: p}}})
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close() //nolint:errcheck // the test has its answer
	for n, want := range []int{1, 1 + 3} {
		v, err := e.Embed(t.Context(), embed.Batch{Texts: make([]string, 7), Bulk: true})
		if err != nil || v.Rows() != 7 || len(s.bodies) != want {
			t.Errorf("round %d: %d rows, %v, %d calls, want %d", n, v.Rows(), err, len(s.bodies), want)
		}
	}
}

func Example() {
	// Stands for a container of text-embeddings-inference.
	web := httptest.NewServer(&server{about: about})
	defer web.Close()
	p, err := tei.New(context.Background(), tei.Config{URL: web.URL, Model: "bge-small", Dims: 2})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer p.Close() //nolint:errcheck // never fails
	fmt.Println(p.Space().ID(), p.Limits().Inputs)
	// Output: bge-small-2 32
}
