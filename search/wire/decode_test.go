package wire_test

import (
	"encoding/json"
	"errors"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/lanewise/lanewise/fault"
	"github.com/lanewise/lanewise/search"
	"github.com/lanewise/lanewise/search/wire"
)

type refusal struct{ body, field, says string }

func refuses[T any](t *testing.T, table []refusal) {
	t.Helper()
	for _, c := range table {
		_, err := wire.Decode[T]([]byte(c.body))
		if !errors.Is(err, fault.Invalid) || fault.Field(err) != c.field || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%.200s: %v; want field %q and %q", c.body, err, c.field, c.says)
		}
	}
}

func accepts[T any](t *testing.T, body string) T {
	t.Helper()
	v, err := wire.Decode[T]([]byte(body))
	if err != nil {
		t.Fatalf("%s: %v", body, err)
	}
	return v
}

func TestDecode_isStrict(t *testing.T) {
	refuses[wire.SearchRequest](t, []refusal{
		{``, "", "ends too early"},
		{`{"collection":"docs","text":"x"`, "", "ends too early"},
		{`[]`, "", "must be an object, is a list"},
		{`"x"`, "", "must be an object, is a string"},
		{`{"collection":"docs","text":"x"} {}`, "", "not valid JSON at byte 33"},
		{`{"collection":"docs","text":"x",}`, "", "not valid JSON"},
		{`{"collection":"docs","text":"x","top_k":5}`, "/top_k", "unknown field"},
		{`{"collection":"docs","text":"x","K":5}`, "/K", "unknown field"},
		{`{"collection":"docs","text":"x","a/b":5}`, "/a~1b", "unknown field"},
		{`{"collection":"docs","legs":[{"text":"x","k":1}]}`, "/legs/0/k", "unknown field"},
		{`{"collection":"docs","text":"x","text":"x"}`, "/text", "twice"},
		{`{"collection":"docs","text":"x","t\u0065xt":"x"}`, "/text", "twice"},
		{"{\"collection\":\"docs\",\"text\":\"\xff\"}", "/text", "invalid UTF-8"},
		{`{"collection":"docs","text":"\ud800"}`, "/text", "not valid JSON"},
		{`{"collection":"docs","text":7}`, "/text", "must be a string, is a number"},
		{`{"collection":"docs","text":["x"]}`, "/text", "must be a string, is a list"},
		{`{"collection":"docs","text":"x","k":"5"}`, "/k", "must be an integer, is a string"},
		{`{"collection":"docs","text":"x","k":1.5}`, "/k", "must be an integer, is 1.5"},
		{`{"collection":"docs","text":"x","k":1e3}`, "/k", "must be an integer, is 1e3"},
		{`{"collection":"docs","text":"x","k":99999999999999999999}`, "/k", "must be an integer, is 99999999999999999999"},
		{`{"collection":"docs","text":"x","k":007}`, "", "not valid JSON"},
		{`{"collection":"docs","text":"x","exact":"yes"}`, "/exact", "must be true or false, is a string"},
		{`{"collection":"docs","text":"x","legs":{}}`, "/legs", "must be a list, is an object"},
		{`{"collection":"docs","text":"x","group":[]}`, "/group", "must be an object, is a list"},
		{`{"collection":"docs","text":"x","mmr":{"lambda":1e999}}`, "/mmr/lambda", "number in range"},
		{`{"collection":"docs","text":"x","min_score":NaN}`, "/min_score", "not valid JSON"},
		{`{"collection":"docs","text":"x","filter":{"a":{"$gx":1}}}`, "/filter/a/$gx", "there are $eq"},
		{`{"collection":"docs","text":"x","filter":[]}`, "/filter", "must be an object"},
	})
}

func TestDecode_vector(t *testing.T) {
	for text, want := range map[string]wire.Vector{
		`[1,-2.5,3e-2]`:            {1, -2.5, 0.03},
		" [ 1 ,\n\t2\r ] ":         {1, 2},
		`[-0.0]`:                   {0},
		`[0.1,1e-50,3.4028234e38]`: {0.1, 0, 3.4028234e38},
		`"AACAPwAAAMA="`:           {1, -2},
		`"\u0041ACAPw=\u003d"`:     {1},
		`"////\/w==" `:             nil,
		`null`:                     nil,
	} {
		body := `{"collection":"docs","text":"x","vector":` + text + `}`
		got, err := wire.Unmarshal[wire.SearchRequest]([]byte(body))
		if text == `"////\/w==" ` { // the escape is read, and then it is a NaN
			if err == nil || !strings.Contains(err.Error(), "number 0 is not finite") {
				t.Errorf("%s: %v", text, err)
			}
			continue
		}
		if err != nil || !cmp.Equal(got.Vector, want) {
			t.Errorf("%s: %v, %v; want %v", text, got.Vector, err, want)
		}
	}
	var refused []refusal
	for _, c := range []struct{ vector, at, says string }{
		{`[1,"2"]`, "/1", "must be a number"},
		{`[1,[2]]`, "/1", "must be a number"},
		{`[1,null]`, "/1", "must be a number"},
		{`[1,2,1e39]`, "/2", "out of the range of a float32"},
		{`[3.4028236e38]`, "/0", "out of the range of a float32"},
		{`[1,]`, "", "not valid JSON"},
		{`[1 2]`, "", "not valid JSON"},
		{`[+1]`, "", "not valid JSON"},
		{`[0x10]`, "", "not valid JSON"},
		{`[1_0]`, "", "not valid JSON"},
		{`[Infinity]`, "", "not valid JSON"},
		{`{}`, "", "must be a list of numbers or a base64 string"},
		{`7`, "", "must be a list of numbers or a base64 string"},
		{`true`, "", "must be a list of numbers or a base64 string"},
		{`[]`, "", "must not be empty"},
		{`""`, "", "must not be empty"},
		{`"AACAPw"`, "", "must be base64"},
		{`"AACA\nPw=="`, "", "must be base64"},
		{`"AACA_w=="`, "", "must be base64"},
		{`"AACAPx=="`, "", "must be base64"},
		{`"AAAA"`, "", "4 bytes for each float32, holds 3"},
		{`"AACAfw=="`, "", "number 0 is not finite"},
		{`"AACAPwAAwH8="`, "", "number 1 is not finite"},
	} {
		at := "/vector" + c.at
		if c.says == "not valid JSON" { // the library points at the element before the error
			if _, err := wire.Decode[wire.SearchRequest]([]byte(`{"collection":"docs","vector":` + c.vector + `}`)); !errors.Is(err, fault.Invalid) || !strings.HasPrefix(fault.Field(err), "/vector") {
				t.Errorf("%s: %v", c.vector, err)
			}
			continue
		}
		refused = append(refused, refusal{`{"collection":"docs","vector":` + c.vector + `}`, at, c.says})
	}
	refuses[wire.SearchRequest](t, refused)
}

func TestDecode_search(t *testing.T) {
	r := accepts[wire.SearchRequest](t, `{"collection":"docs","text":"x"}`)
	if r.K != 10 || r.Cursor != nil || r.Include != nil {
		t.Errorf("defaults: %+v", r)
	}
	r = accepts[wire.SearchRequest](t, `{"legs":[{"collection":"a","text":"x","using":"lexical","weight":2},{"collection":"b","sparse":{"indices":[1,5],"values":[0.5,2]}}],
		"k":10000,"tenant":"t","min_score":-0.5,"mode":"hybrid","rerank":50,"group":{"by":"path"},"filter":{"year":{"$gte":2020}},"include":["text","vector"],
		"timeout_ms":800,"on_partial":"return","min_coverage":0.9,"explain":true,"ef":128,"exact":true,"fusion":"rrf","mmr":{"lambda":0.7},"space":"s"}`)
	if len(r.Legs) != 2 || *r.Legs[0].Weight != 2 || r.Group.Size != 1 || *r.MinScore != -0.5 || r.Filter.Op != search.Gte || r.MMR.Lambda != 0.7 {
		t.Errorf("read: %+v", r)
	}
	if got := r.Legs[1].Sparse.Vector(); !cmp.Equal(got, search.Sparse{Index: []uint32{1, 5}, Value: []float32{0.5, 2}}) {
		t.Errorf("sparse: %v", got)
	}
	accepts[wire.SearchRequest](t, `{"cursor":"opaque"}`)
	if r = accepts[wire.SearchRequest](t, `{"collection":"docs","text":"x","cursor":"","k":1000}`); r.Cursor == nil || *r.Cursor != "" {
		t.Errorf("opening cursor: %v", r.Cursor)
	}
}

func TestDecode_searchChecks(t *testing.T) {
	manyLegs := strings.TrimSuffix(strings.Repeat(`{"text":"x"},`, 17), ",")
	refuses[wire.SearchRequest](t, []refusal{
		{`{}`, "", "one of text, vector and legs"},
		{`{"text":"x"}`, "/collection", "must be set"},
		{`{"collection":"docs"}`, "", "one of text, vector and legs"},
		{`{"collection":"docs","text":"x","vector":[1]}`, "", "not several"},
		{`{"collection":"docs","text":"x","legs":[{"text":"x"}]}`, "", "not several"},
		{`{"collection":"docs","legs":[]}`, "/legs", "at least one"},
		{`{"collection":"docs","legs":[` + manyLegs + `]}`, "/legs", "at most 16"},
		{`{"collection":"docs","legs":[{"text":"x"},{}]}`, "/legs/1", "exactly one"},
		{`{"collection":"docs","legs":[{"text":"x","vector":[1]}]}`, "/legs/0", "exactly one"},
		{`{"legs":[{"text":"x"}]}`, "/legs/0/collection", "must be set"},
		{`{"collection":"docs","legs":[{"vector":[]}]}`, "/legs/0/vector", "must not be empty"},
		{`{"collection":"docs","legs":[{"text":"x","weight":0}]}`, "/legs/0/weight", "more than 0"},
		{`{"collection":"docs","legs":[{"sparse":{"indices":[1],"values":[]}}]}`, "/legs/0/sparse", "1 indices and 0 values"},
		{`{"collection":"docs","legs":[{"sparse":{"indices":[2,2],"values":[1,1]}}]}`, "/legs/0/sparse/indices/1", "increase"},
		{`{"collection":"docs","legs":[{"sparse":{"indices":[-1],"values":[1]}}]}`, "/legs/0/sparse/indices/0", "non-negative"},
		{`{"collection":"docs","text":"x","k":0}`, "/k", "between 1 and 10000, is 0"},
		{`{"collection":"docs","text":"x","k":-1}`, "/k", "between 1 and 10000"},
		{`{"collection":"docs","text":"x","k":10001}`, "/k", "between 1 and 10000"},
		{`{"collection":"docs","text":"x","k":1001,"cursor":""}`, "/k", "at most 1000 with a cursor"},
		{`{"collection":"docs","text":"x","mode":"fuzzy"}`, "/mode", `"hybrid"`},
		{`{"collection":"docs","text":"x","on_partial":"ignore"}`, "/on_partial", `"return"`},
		{`{"collection":"docs","text":"x","fusion":"sum"}`, "/fusion", `"rrf"`},
		{`{"collection":"docs","text":"x","include":["text","meta"]}`, "/include/1", `"metadata"`},
		{`{"collection":"docs","text":"x","rerank":-1}`, "/rerank", "between"},
		{`{"collection":"docs","text":"x","ef":-1}`, "/ef", "between"},
		{`{"collection":"docs","text":"x","timeout_ms":-1}`, "/timeout_ms", "between"},
		{`{"collection":"docs","text":"x","min_coverage":1.5}`, "/min_coverage", "between 0 and 1"},
		{`{"collection":"docs","text":"x","mmr":{"lambda":-0.1}}`, "/mmr/lambda", "between 0 and 1"},
		{`{"collection":"docs","text":"x","group":{}}`, "/group/by", "metadata field"},
		{`{"collection":"docs","text":"x","group":{"by":"a","size":-1}}`, "/group/size", "between"},
	})
}

func TestDecode_batch(t *testing.T) {
	b := accepts[wire.BatchRequest](t, `{"queries":[{"collection":"docs","text":"x"},{"collection":"docs","vector":[1],"k":3}]}`)
	if len(b.Queries) != 2 || b.Queries[0].K != 10 || b.Queries[1].K != 3 {
		t.Errorf("read: %+v", b)
	}
	refuses[wire.BatchRequest](t, []refusal{
		{`{}`, "/queries", "between 1 and 1000"},
		{`{"queries":[` + strings.Repeat(`{},`, 1000) + `{}]}`, "/queries", "between 1 and 1000"},
		{`{"queries":[{"collection":"docs","text":"x"},{"collection":"docs","text":"x","k":0}]}`, "/queries/1/k", "between"},
		{`{"queries":[{"collection":"docs","text":"x","filter":{"a":{"$x":1}}}]}`, "/queries/0/filter/a/$x", "unknown operation"},
		{`{"queries":[{"collection":"docs","vector":[1,true]}]}`, "/queries/0/vector/1", "must be a number"},
		{`{"queries":[],"limit":1}`, "/limit", "unknown field"},
	})
}

func TestDecode_points(t *testing.T) {
	u := accepts[wire.UpsertRequest](t, `{"tenant":"t","points":[{"id":"a","text":"x","metadata":{"year":2024}},{"id":"b","vector":[1,2]}]}`)
	if len(u.Points) != 2 || string(u.Points[0].Metadata) != `{"year":2024}` || len(u.Points[1].Vector) != 2 {
		t.Errorf("read: %+v", u)
	}
	long := strings.Repeat("x", 513)
	refuses[wire.UpsertRequest](t, []refusal{
		{`{}`, "/points", "at least one"},
		{`{"points":[{"text":"x"}]}`, "/points/0/id", "must not be empty"},
		{`{"points":[{"id":"` + long + `","text":"x"}]}`, "/points/0/id", "513 bytes"},
		{`{"tenant":"` + long + `","points":[{"id":"a","text":"x"}]}`, "/tenant", "513 bytes"},
		{`{"points":[{"id":7,"text":"x"}]}`, "/points/0/id", "must be a string, is a number"},
		{`{"points":[{"id":"a"}]}`, "/points/0", "a text, a vector or both"},
		{`{"points":[{"id":"a","vector":[]}]}`, "/points/0/vector", "must not be empty"},
		{`{"points":[{"id":"a","text":"x"},{"id":"a","text":"y"}]}`, "/points/1/id", "twice"},
		{`{"points":[{"id":"a","text":"x","metadata":[1]}]}`, "/points/0/metadata", "must be an object"},
		{`{"points":[{"id":"a","text":"x","metadata":"{}"}]}`, "/points/0/metadata", "must be an object"},
		{`{"points":[{"id":"a","text":"x","metadata":{"a":1,"a":2}}]}`, "/points/0/metadata/a", "twice"},
		{`{"points":[{"id":"a","text":"x","tenant":"t"}]}`, "/points/0/tenant", "on the request"},
		{`{"points":[{"id":"a","text":"x","version":"7"}]}`, "/points/0/version", "by the server"},
		{`{"points":[{"id":"a","text":"x","sparse":{"indices":[3],"values":[]}}]}`, "/points/0/sparse", "1 indices"},
	})
	if u = accepts[wire.UpsertRequest](t, `{"points":[{"id":"a","text":"x","metadata":null}]}`); u.Points[0].Metadata != nil {
		t.Errorf("metadata that is null: %s", u.Points[0].Metadata)
	}
}

func TestDecode_selections(t *testing.T) {
	d := accepts[wire.DeleteRequest](t, `{"ids":["a","b"]}`)
	if len(d.IDs) != 2 {
		t.Errorf("read: %+v", d)
	}
	accepts[wire.DeleteRequest](t, `{"tenant":"t","filter":{"year":{"$lt":2000}}}`)
	refuses[wire.DeleteRequest](t, []refusal{
		{`{}`, "", "ids, or a filter that is not empty"},
		{`{"filter":{}}`, "", "ids, or a filter that is not empty"},
		{`{"ids":[]}`, "", "ids, or a filter that is not empty"},
		{`{"ids":["a"],"filter":{"a":1}}`, "", "not both"},
		{`{"ids":["a",""]}`, "/ids/1", "must not be empty"},
	})
	if s := accepts[wire.ScrollRequest](t, `{}`); s.Limit != 100 {
		t.Errorf("scroll: %+v", s)
	}
	refuses[wire.ScrollRequest](t, []refusal{
		{`{"limit":0}`, "/limit", "between 1 and 10000"},
		{`{"limit":10001}`, "/limit", "between 1 and 10000"},
		{`{"include":["all"]}`, "/include/0", "must be one of"},
	})
	if c := accepts[wire.CountRequest](t, `{"filter":{"a":1}}`); c.Filter.IsZero() {
		t.Errorf("count: %+v", c)
	}
	refuses[wire.CountRequest](t, []refusal{{`{"limit":1}`, "/limit", "unknown field"}})
}

func TestDecode_collections(t *testing.T) {
	c := accepts[wire.Collection](t, `{"dims":256,"space":"static-256","strict_space":true,"placement":{"by":"tenant","spread":3},"language":"en","lexical":true,"avg_len":80}`)
	want := search.Collection{
		Dims: 256, Metric: search.Cosine, Space: "static-256", StrictSpace: true,
		Placement: search.Placement{By: search.ByTenant, Spread: 3}, Language: "en", Lexical: true, AvgLen: 80,
	}
	if diff := cmp.Diff(want, c.Descriptor()); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(c, wire.NewCollection(want)); diff != "" {
		t.Error(diff)
	}
	refuses[wire.Collection](t, []refusal{
		{`{"dims":-1}`, "/dims", "between 0 and 65536, is -1"},
		{`{"dims":65537}`, "/dims", "between"},
		{`{"dims":8,"lexical":true,"avg_len":-1}`, "/avg_len", "between 0"},
		{`{"dims":8,"metric":"l2"}`, "/metric", `"euclidean"`},
		{`{"dims":8,"placement":{"by":"random"}}`, "/placement/by", `"tenant"`},
		{`{"dims":8,"placement":{"by":"key"}}`, "/placement/key", "metadata field"},
		{`{"dims":8,"placement":{"key":"a"}}`, "/placement/key", "only"},
		{`{"dims":8,"placement":{"spread":2}}`, "/placement/spread", "only"},
		{`{"dims":8,"placement":{"by":"tenant","spread":-2}}`, "/placement/spread", "between"},
		{`{"dims":8,"points":1}`, "/points", "by the server"},
	})
	accepts[wire.Alias](t, `{"collection":"docs"}`)
	refuses[wire.Alias](t, []refusal{{`{}`, "/collection", "must be set"}})
}

func TestDecode_answer(t *testing.T) {
	a := accepts[wire.AnswerRequest](t, `{"collection":"docs","question":"why?","turns":[{"role":"user","content":"hi"}],"model":"m","stream":true,"filter":{"a":1}}`)
	if a.K != 8 || a.Text != "" || a.Collection != "docs" || !a.Stream || a.Filter.IsZero() {
		t.Errorf("read: %+v", a)
	}
	if a = accepts[wire.AnswerRequest](t, `{"collection":"docs","question":"why?","vector":[1,2],"k":3}`); len(a.Vector) != 2 || a.K != 3 {
		t.Errorf("with a vector: %+v", a)
	}
	refuses[wire.AnswerRequest](t, []refusal{
		{`{"collection":"docs"}`, "/question", "must not be empty"},
		{`{"question":"why?"}`, "/collection", "must be set"},
		{`{"collection":"docs","question":"why?","cursor":""}`, "/cursor", "no pages"},
		{`{"collection":"docs","question":"why?","turns":[{"content":"hi"}]}`, "/turns/0/role", "must be set"},
		{`{"collection":"docs","question":"why?","turns":[{"role":"bot"}]}`, "/turns/0/role", `"assistant"`},
		{`{"collection":"docs","question":"why?","turns":[` + strings.Repeat(`{"role":"user"},`, 1000) + `{"role":"user"}]}`, "/turns", "at most 1000"},
		{`{"collection":"docs","question":"why?","k":0}`, "/k", "between"},
		{`{"collection":"docs","question":"why?","temperature":1}`, "/temperature", "unknown field"},
	})
}

// A Go client may use the bodies with encoding/json: it reads what Encode wrote.
func TestBodies_workWithEncodingJSON(t *testing.T) {
	sent := wire.UpsertRequest{Points: []wire.Point{{ID: "a", Vector: wire.Vector{1, 0.1, -3e-5}, Metadata: json.RawMessage(`{"a":1}`)}}}
	data, err := json.Marshal(sent)
	if err != nil {
		t.Fatal(err)
	}
	if got := accepts[wire.UpsertRequest](t, string(data)); !cmp.Equal(got, sent) {
		t.Errorf("%s reads back as %+v", data, got)
	}
	encoded, err := wire.Encode(sent)
	if err != nil {
		t.Fatal(err)
	}
	var got wire.UpsertRequest
	if err := json.Unmarshal(encoded, &got); err != nil || !cmp.Equal(got, sent) {
		t.Errorf("%s reads back as %+v, %v", encoded, got, err)
	}
}

// FuzzSearchBody holds Decode against encoding/json: it accepts what the strict
// oracle accepts, refuses the rest, and reads the same values.
func FuzzSearchBody(f *testing.F) {
	for _, seed := range []string{
		string(searchBody(f, []float32{1, 0.1, -3e-5})), string(searchBody(f, "AACAPwAAAMA=")),
		`{"collection":"docs","legs":[{"vector":[1 , 2],"weight":0.5},{"sparse":{"indices":[1],"values":["x"]}},null]}`,
		`{"k":null,"vector":null,"filter":null,"group":null,"legs":null,"cursor":null,"min_score":null}`,
		`{"K":1}`, `{"k":1,"k":1}`, `{"text":"\ud800\u0041"}`, `{"text":"\udc00\ud800"}`, `{"vector":[1e39]}`, `{"vector":[1e-46,1.17549435e-38]}`,
		`{"group":{"by":"a","size":9223372036854775808}}`, `{"mmr":{"lambda":1E-2}}`, ` {} `, `{}x`, `{"cursor":""}`, `{"vector":"AACAfw=="}`, `{"legs":[]}`,
		`{"filter":{"a":{"$in":[1,"x",null]}}}`, `{"include":[null,"text"]}`, `null`, `{"vector":[-]}`, `{"vector":[1.]}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		got, err := wire.Unmarshal[wire.SearchRequest](data)
		plain, wantErr := strictly[plainRequest](data)
		if wantErr == nil {
			wantErr = wellFormed[plainRequest](data)
		}
		if (err == nil) != (wantErr == nil) {
			t.Fatalf("%q: %v, the oracle says %v", data, err, wantErr)
		}
		if err == nil {
			if diff := cmp.Diff(plain.request(), got, cmp.Comparer(sameBits), cmp.Comparer(sameBits32)); diff != "" {
				t.Fatalf("%q: (-oracle +got)\n%s", data, diff)
			}
		} else if !errors.Is(err, fault.Invalid) {
			t.Fatalf("%q: %v is not Invalid", data, err)
		}
	})
}

func TestDecodeSearch_allocates(t *testing.T) {
	body := searchBody(t, randomVector(256))
	n := testing.AllocsPerRun(50, func() {
		if _, err := wire.Decode[wire.SearchRequest](body); err != nil {
			t.Error(err)
		}
	})
	if n > 40 {
		t.Error("allocations for 256 numbers: " + strconv.FormatFloat(n, 'g', -1, 64) + ", more than 40")
	}
}
