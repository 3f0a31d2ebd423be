package wire_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/lanewise/lanewise/fault"
	"github.com/lanewise/lanewise/search"
	"github.com/lanewise/lanewise/search/wire"
)

// TestEncode pins the public answers: their names and forms are a contract.
func TestEncode(t *testing.T) {
	report := wire.NewReport(fullReport())
	for _, c := range []struct {
		body any
		want string
	}{
		{wire.SearchResponse{}, `{"hits":[],"report":{"complete":false,"coverage":0,"shards_asked":0,"shards_answered":0,"rows_asked":0,"rows_saved":0,"refills":0,"dropped":0,"vanished":0,"hedges":0,"failovers":0,"took_ms":0,"epoch":0}}`},
		{
			wire.SearchResponse{
				Hits: []wire.Hit{{
					ID: "a", Tenant: "t", Collection: "c", Score: 0.83, RawScore: -0.17, Shard: "s0", Text: "x", Metadata: json.RawMessage(`{"year":2024}`),
					Vector: wire.Vector{1, 0.1}, Legs: map[string]wire.LegScore{"dense": {Rank: 1, Score: 0.83}},
				}},
				Report: report, NextCursor: "n", Explain: json.RawMessage(`{"plan":1}`),
			},
			`{"hits":[{"id":"a","tenant":"t","collection":"c","score":0.83,"raw_score":-0.17,"shard":"s0","text":"x","metadata":{"year":2024},"vector":[1,0.1],"legs":{"dense":{"rank":1,"score":0.83}}}],` +
				`"report":{"complete":true,"coverage":0.75,"shards_asked":4,"shards_answered":3,"missing":[{"shard":"s2","reason":"timeout","detail":"no answer"},{"shard":"","reason":""}],` +
				`"rows_asked":40,"rows_saved":120,"refills":1,"dropped":2,"vanished":3,"mode":"hybrid","hedges":4,"failovers":5,"took_ms":3.141,"epoch":9223372036854775809},"next_cursor":"n","explain":{"plan":1}}`,
		},
		{wire.WriteResponse{Written: 500, Version: math.MaxUint64}, `{"written":500,"deleted":0,"version":"18446744073709551615","lag_ms":0}`},
		{
			wire.ScrollResponse{Points: []wire.Point{{ID: "a", Version: 7, Text: "x", Sparse: &wire.Sparse{Indices: []uint32{1}, Values: wire.Vector{2}}}}, NextCursor: "n"},
			`{"points":[{"id":"a","version":"7","text":"x","sparse":{"indices":[1],"values":[2]}}],"next_cursor":"n"}`,
		},
		{wire.CountResponse{Count: 3}, `{"count":3}`},
		{
			wire.Collections{Collections: []wire.Collection{{Name: "docs", Dims: 256, Metric: search.Cosine, Points: new(0)}}, Aliases: map[string]string{"live": "docs"}},
			`{"collections":[{"name":"docs","dims":256,"metric":"cosine","points":0}],"aliases":{"live":"docs"}}`,
		},
		{
			wire.NewCollection(fullCollection()),
			`{"name":"docs","dims":256,"metric":"euclidean","space":"static-256","strict_space":true,"placement":{"by":"tenant","spread":3},"language":"en","lexical":true,"avg_len":80}`,
		},
		{
			wire.AnswerResponse{
				Answer: "It is so [1].", Citations: []wire.Citation{{N: 1, ID: "a", Score: 0.5, Quote: "so"}}, Model: "extract",
				Usage: wire.Usage{PromptTokens: 3, CompletionTokens: 4, TotalTokens: 7, Estimated: true},
			},
			`{"answer":"It is so [1].","citations":[{"n":1,"id":"a","score":0.5,"quote":"so"}],"model":"extract","usage":{"prompt_tokens":3,"completion_tokens":4,"total_tokens":7,"estimated":true},` +
				`"report":{"complete":false,"coverage":0,"shards_asked":0,"shards_answered":0,"rows_asked":0,"rows_saved":0,"refills":0,"dropped":0,"vanished":0,"hedges":0,"failovers":0,"took_ms":0,"epoch":0}}`,
		},
		{
			wire.BatchResponse{Results: []wire.SearchResponse{{Error: new(wire.NewProblem(fault.BadField("/k", "must be positive"), 400))}}},
			`{"results":[{"hits":[],"report":{"complete":false,"coverage":0,"shards_asked":0,"shards_answered":0,"rows_asked":0,"rows_saved":0,"refills":0,"dropped":0,"vanished":0,"hedges":0,"failovers":0,"took_ms":0,"epoch":0},` +
				`"error":{"type":"about:blank","title":"Bad Request","status":400,"detail":"/k: must be positive","class":"invalid","field":"/k"}}]}`,
		},
	} {
		got, err := wire.Encode(c.body)
		if err != nil || string(got) != c.want {
			t.Errorf("%T: %v\n got %s\nwant %s", c.body, err, got, c.want)
		}
	}
	for name, body := range map[string]any{
		"NaN score":        wire.Hit{Score: math.NaN()},
		"infinite vector":  wire.Hit{Vector: wire.Vector{float32(math.Inf(1))}},
		"broken metadata":  wire.Hit{Metadata: json.RawMessage(`{"a":}`)},
		"invalid UTF-8 id": wire.Hit{ID: "\xff"},
	} {
		if data, err := wire.Encode(body); err == nil {
			t.Errorf("%s: %s", name, data)
		}
	}
}

func TestProblem_keepsTheClass(t *testing.T) {
	for _, class := range []fault.Class{
		fault.Invalid, fault.Unauthorized, fault.Forbidden, fault.NotFound, fault.Conflict,
		fault.Overloaded, fault.Refused, fault.Unavailable, fault.Partial,
	} {
		sent := fmt.Errorf("plan: %w", &fault.Error{Class: class, Field: "/legs/0/k", Message: "what is wrong", RetryAfter: 1500 * time.Microsecond})
		data, err := wire.Encode(wire.NewProblem(sent, 400))
		if err != nil {
			t.Fatal(err)
		}
		p, err := wire.Decode[wire.Problem](data)
		if err != nil {
			t.Fatalf("%s: %v", data, err)
		}
		got := p.Err()
		if fault.Of(got) != class || fault.Field(got) != "/legs/0/k" || got.Error() != "/legs/0/k: plan: what is wrong" {
			t.Errorf("%s arrives as %v, class %q", data, got, fault.Of(got))
		}
		if wait := fault.RetryAfter(got); wait != 2*time.Millisecond { // rounded up: nobody comes back too early
			t.Errorf("%s: wait %v", class, wait)
		}
	}
}

func TestProblem_waitIsBounded(t *testing.T) {
	for ms, want := range map[int64]time.Duration{math.MaxInt64: 24 * time.Hour, math.MinInt64: 0, 1500: 1500 * time.Millisecond} {
		if got := fault.RetryAfter(wire.Problem{Class: "overloaded", RetryAfterMS: ms}.Err()); got != want {
			t.Errorf("retry_after_ms %d is %v, want %v", ms, got, want)
		}
	}
}

func TestProblem_withoutAClass(t *testing.T) {
	p := wire.NewProblem(errors.New("open /secret/path: denied"), 500)
	if strings.Contains(p.Detail, "secret") || p.Class != "" || p.Title != "Internal Server Error" {
		t.Errorf("an unclassified error shows: %+v", p)
	}
	p = wire.NewProblem(fmt.Errorf("search: %w", context.DeadlineExceeded), http.StatusGatewayTimeout)
	if p.Class != "timeout" || fault.Of(p.Err()) != "" || p.Err().Error() != "search: context deadline exceeded" {
		t.Errorf("the end of time: %+v, %v", p, p.Err())
	}
	if err := (wire.Problem{Class: "novel", Title: "Odd"}).Err(); fault.Of(err) != "" || err.Error() != "Odd" {
		t.Errorf("an unknown class: %v", err)
	}
}

func TestDecode_problem(t *testing.T) {
	full := wire.Problem{
		Type: "about:blank", Title: "Service Unavailable", Status: 503, Detail: "s2 is missing", Instance: "/v1/search", Class: "partial",
		RetryAfterMS: 1, Report: new(wire.NewReport(fullReport())), Replicas: map[string][]string{"a": {"r0"}},
	}
	data, err := wire.Encode(full)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := wire.Decode[wire.Problem](data); err != nil || !cmp.Equal(got, full) {
		t.Errorf("%s reads as %+v", data, got)
	}
	if got, err := wire.Decode[wire.Problem]([]byte(`{"class":"invalid","errors":[1],"detail":"x"}`)); err != nil || got.Detail != "x" {
		t.Errorf("with a foreign member: %+v, %v", got, err)
	}
	for _, body := range []string{``, `<html>`, `"x"`, `null`, `{}`, `{"error":{"message":"x"}}`, `{"class":7}`, `{"class":"invalid"`} {
		if got, err := wire.Decode[wire.Problem]([]byte(body)); err == nil {
			t.Errorf("%s reads as %+v", body, got)
		}
	}
}
