package wire_test

import (
	"encoding/json"
	"errors"
	"math"
	"math/rand/v2"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/lanewise/lanewise/fault"
	"github.com/lanewise/lanewise/search"
	"github.com/lanewise/lanewise/search/wire"
)

// body is what the generics of the package take.
type body interface {
	search.Query | search.Result | search.Batch | search.Written | wire.Keys | []search.Point |
		search.Scan | search.Page | int | []search.Stats | search.TermQuery | search.TermStats
}

// there sends v over the wire and compares what arrives. Floats are compared by
// their bits.
func there[T body](t *testing.T, v T) []byte {
	t.Helper()
	data, err := wire.MarshalReplica(v)
	if err != nil {
		t.Fatalf("marshal %+v: %v", v, err)
	}
	if !json.Valid(data) {
		t.Fatalf("not JSON: %s", data)
	}
	got, err := wire.UnmarshalReplica[T](data)
	if err != nil {
		t.Fatalf("unmarshal %s: %v", data, err)
	}
	if diff := cmp.Diff(v, got, cmpopts.EquateEmpty(), cmp.Comparer(sameBits), cmp.Comparer(sameBits32)); diff != "" {
		t.Fatalf("%s\n(-sent +arrived)\n%s", data, diff)
	}
	return data
}

func sameBits(a, b float64) bool   { return math.Float64bits(a) == math.Float64bits(b) }
func sameBits32(a, b float32) bool { return math.Float32bits(a) == math.Float32bits(b) }

// full has every field set, so that one that the codec forgets is seen.
func fullPoint() search.Point {
	return search.Point{
		Key: search.Key{Tenant: "acme", ID: "a/b \"quoted\" é😀\n"}, Version: math.MaxUint64,
		Dense: []float32{1, -0.5, math.SmallestNonzeroFloat32, math.MaxFloat32}, Sparse: search.Sparse{Index: []uint32{0, 7, math.MaxUint32}, Value: []float32{1, 2, -3}},
		Text: "some text \u2028 \x00 </script>", Meta: json.RawMessage(`{"year": 2024, "tags": ["a", null], "deep": {"x": 1e400}}`),
	}
}

func fullReport() search.Report {
	return search.Report{
		Complete: true, Coverage: 0.75, ShardsAsked: 4, ShardsAnswered: 3,
		Missing:   []search.Missing{{Shard: "s2", Reason: search.TimedOut, Detail: "no answer"}, {}},
		RowsAsked: 40, RowsSaved: 120, Refills: 1, Dropped: 2, Vanished: 3, Mode: "hybrid", Hedges: 4, Failovers: 5,
		Took: 3_141_592 * time.Nanosecond, Epoch: 1<<63 + 1,
	}
}

func fullCollection() search.Collection {
	return search.Collection{
		Name: "docs", Dims: 256, Metric: search.Euclidean, Space: "static-256", StrictSpace: true,
		Placement: search.Placement{By: search.ByTenant, Spread: 3}, Language: "en", Lexical: true, AvgLen: 80,
	}
}

func TestReplica_carriesEveryField(t *testing.T) {
	filter, err := search.ParseFilter([]byte(`{"year":{"$gte":2020},"$or":[{"lang":"go"},{"lang":{"$in":["c",null,1.5]}}]}`))
	if err != nil {
		t.Fatal(err)
	}
	fields := search.Fields{Text: true, Meta: true, Vector: true}
	keys := []search.Key{{Tenant: "t", ID: "a"}, {ID: "b"}, {}}
	p := fullPoint()

	there(t, search.Query{
		Collection: "docs", Tenant: "acme", Filter: filter, Fields: fields, Epoch: math.MaxUint64,
		Legs: []search.Leg{
			{Collection: "other", Vector: "title", Dense: p.Dense, Sparse: p.Sparse, K: 10, EF: 128, Exact: true, Only: keys},
			{K: -1},
		},
	})
	hit := search.Hit{Point: p, Collection: "docs", Score: 0.1, Raw: 0.3, Shard: "s0", Legs: []search.LegScore{{Leg: 1, Rank: 2, Score: 0.5}, {}}}
	there(t, search.Result{
		Lists:  []search.List{{Hits: []search.Hit{hit, {}, hit}, Exhausted: true, Prefix: true, Dropped: 9}, {}},
		Report: fullReport(),
	})
	c := fullCollection()
	there(t, search.Batch{Collection: "docs", Epoch: 7, Create: &c})
	there(t, search.Batch{Create: &search.Collection{}})
	there(t, search.Batch{Collection: "docs", Drop: true})
	there(t, search.Batch{
		Collection: "docs", Epoch: 7, Upserts: []search.Point{p, {Key: search.Key{ID: "x"}}},
		Deletes: []search.Tombstone{{Key: keys[0], Version: 1 << 63}, {}},
	})
	there(t, search.Written{Applied: 500, Newer: math.MaxUint64, Lag: 1500 * time.Millisecond})
	there(t, wire.Keys{Collection: "docs", Keys: keys, Fields: fields})
	there(t, []search.Point{p, {}})
	there(t, search.Scan{Collection: "docs", Tenant: "t", AllTenants: true, Filter: filter, After: keys[0], Limit: 100, Fields: fields})
	there(t, search.Page{Points: []search.Point{p, {}}, More: true})
	there(t, 123_456)
	there(t, search.TermQuery{Collection: "docs", Tenant: "acme", Vector: "words", Terms: []uint32{7, 0, math.MaxUint32, 7}})
	there(t, search.TermStats{Docs: math.MaxUint64, Counts: []uint64{0, 1 << 63, 3}})
	there(t, []search.Stats{{Collection: c, Points: 7, Bytes: 1 << 40, Newest: math.MaxUint64, Digest: math.MaxUint64 - 1}, {Digest: 3, DigestBits: 24, Collection: search.Collection{Dims: 1, Metric: search.Dot}}})
}

func TestReplica_carriesNothing(t *testing.T) {
	there(t, search.Query{})
	there(t, search.Result{})
	there(t, search.Batch{})
	there(t, search.Written{})
	there(t, wire.Keys{})
	there(t, []search.Point{})
	there(t, search.Scan{})
	there(t, search.Page{})
	there(t, 0)
	there(t, []search.Stats{})
	there(t, search.TermQuery{})
	there(t, search.TermStats{})
}

// Only tells "these and no others" from "everything": none of them is not all.
func TestReplica_emptyOnlyIsNotAbsent(t *testing.T) {
	for _, only := range [][]search.Key{nil, {}, {{ID: "a"}}} {
		data, err := wire.MarshalReplica(search.Query{Legs: []search.Leg{{Only: only}}})
		if err != nil {
			t.Fatal(err)
		}
		q, err := wire.UnmarshalReplica[search.Query](data)
		if err != nil {
			t.Fatal(err)
		}
		if got := q.Legs[0].Only; (got == nil) != (only == nil) || len(got) != len(only) {
			t.Errorf("Only %#v arrives as %#v", only, got)
		}
	}
}

func TestReplica_scoresAreBitExact(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	scores := []float64{0, math.Copysign(0, -1), math.SmallestNonzeroFloat64, -math.MaxFloat64, 0.1, 1.0 / 3, 1 << 53, 1e21, 1e-7}
	for range 1_000 {
		if x := math.Float64frombits(r.Uint64()); !math.IsNaN(x) && !math.IsInf(x, 0) {
			scores = append(scores, x)
		}
	}
	var list search.List
	for i, s := range scores {
		list.Hits = append(list.Hits, search.Hit{Score: s, Raw: scores[len(scores)-1-i], Legs: []search.LegScore{{Score: s}}})
	}
	there(t, search.Result{Lists: []search.List{list}})
}

func TestReplica_vectorsOfAnyLength(t *testing.T) {
	for _, n := range []int{1, 2, 3, 4, 191, 192, 193, 255, 256, 257, 1536, 4096} {
		v := randomVector(n)
		index := make([]uint32, n)
		for i := range index {
			index[i] = uint32(3 * i)
		}
		there(t, search.Query{Legs: []search.Leg{{Dense: v, Sparse: search.Sparse{Index: index, Value: v}}}})
	}
}

func TestReplica_dropsAndCountsScoresThatAreNotFinite(t *testing.T) {
	hits := []search.Hit{{Score: 1}, {Score: math.NaN()}, {Score: 2, Raw: math.Inf(1)}, {Score: math.Inf(-1)}, {Score: 0.5}}
	data, err := wire.MarshalReplica(search.Result{Lists: []search.List{{Hits: hits, Dropped: 2}}})
	if err != nil {
		t.Fatal(err)
	}
	res, err := wire.UnmarshalReplica[search.Result](data)
	if err != nil {
		t.Fatal(err)
	}
	if l := res.Lists[0]; len(l.Hits) != 2 || l.Hits[1].Score != 0.5 || l.Dropped != 5 {
		t.Errorf("arrived: %d hits, %d dropped; want 2 and 5", len(l.Hits), l.Dropped)
	}
}

func TestMarshalReplica_refuses(t *testing.T) {
	nan := float32(math.NaN())
	refused := func(name string, err error) {
		t.Helper()
		if !errors.Is(err, fault.Invalid) {
			t.Errorf("%s: %v, want Invalid", name, err)
		}
	}
	_, err := wire.MarshalReplica(search.Query{Legs: []search.Leg{{Dense: []float32{1, nan}}}})
	refused("NaN in a query", err)
	_, err = wire.MarshalReplica(search.Batch{Upserts: []search.Point{{Dense: []float32{float32(math.Inf(1))}}}})
	refused("infinity in a point", err)
	_, err = wire.MarshalReplica(search.Query{Legs: []search.Leg{{Sparse: search.Sparse{Index: []uint32{1}}}}})
	refused("half a sparse vector", err)
	_, err = wire.MarshalReplica(search.Query{Tenant: "\xff"})
	refused("invalid UTF-8", err)
	_, err = wire.MarshalReplica(search.Batch{Upserts: []search.Point{{Meta: json.RawMessage(`{"a":}`)}}})
	refused("broken metadata in a batch", err)
	_, err = wire.MarshalReplica([]search.Point{{Meta: json.RawMessage(`[1]`)}})
	refused("metadata that is no object", err)
	_, err = wire.MarshalReplica(search.Query{Filter: search.Filter{Op: search.Eq}})
	refused("broken filter", err)
	_, err = wire.MarshalReplica(search.Result{Report: search.Report{Coverage: math.NaN()}})
	refused("NaN coverage", err)
}

func TestUnmarshalReplica_refuses(t *testing.T) {
	for _, c := range []struct{ body, field, says string }{
		{``, "", "ends too early"},
		{`{`, "", "ends too early"},
		{`{"tenant":"a"`, "", "ends too early"},
		{`{"tenant"`, "", "ends too early"},
		{`{"tenant":`, "/tenant", "ends too early"},
		{`{"tenant":"a`, "/tenant", "ends too early"},
		{`{"tenant":"a"}}`, "", "data follows"},
		{`{"tenant":"a"} 1`, "", "data follows"},
		{"{}\x00", "", "not valid JSON at byte 2"},
		{`{"tenant":"a",}`, "", "not valid JSON at byte 14"},
		{`{tenant:1}`, "", "not valid JSON at byte 1"},
		{`{"tenant" "a"}`, "", "not valid JSON"},
		{`{"tenant":"a" "epoch":1}`, "", "not valid JSON"},
		{`{"tenant":nul}`, "/tenant", "must be a string"},
		{"{\"tenant\":\"\xff\"}", "", "UTF-8"},
		{"{\"tenant\":\"a\nb\"}", "/tenant", "not valid JSON"},
		{`{"tenant":"\x"}`, "/tenant", "not valid JSON"},
		{`{"tenant":"\u12g4"}`, "/tenant", "not valid JSON"},
		{`{"tenant":"\`, "/tenant", "ends too early"},
		{`{"tenant":"\ud800"}`, "/tenant", "not a valid string"},
		{`[]`, "", "must be an object"},
		{`{"tenant":1}`, "/tenant", "must be a string"},
		{`{"tenant":{"tenant":1}}`, "/tenant", "must be a string"},
		{`{"Tenant":"a"}`, "/Tenant", "unknown field"},
		{`{"a/b":1}`, "/a~1b", "unknown field"},
		{`{"tenant":"a","tenant":"a"}`, "/tenant", "twice"},
		{`{"tenant":"a","t\u0065nant":"a"}`, "/tenant", "twice"},
		{`{"epoch":-1}`, "/epoch", "non-negative integer"},
		{`{"epoch":1.0}`, "/epoch", "non-negative integer"},
		{`{"epoch":18446744073709551616}`, "/epoch", "non-negative integer"},
		{`{"epoch":"1"}`, "/epoch", "must be a number"},
		{`{"epoch":01}`, "", "not valid JSON"},
		{`{"epoch":1e}`, "/epoch", "not valid JSON"},
		{`{"epoch":-}`, "/epoch", "not valid JSON"},
		{`{"legs":{}}`, "/legs", "must be a list"},
		{`{"legs":[{},{"k":1.5}]}`, "/legs/1/k", "must be an integer"},
		{`{"legs":[{"exact":1}]}`, "/legs/0/exact", "true or false"},
		{`{"legs":[{"exact":tru}]}`, "/legs/0/exact", "true or false"},
		{`{"legs":[{"dense":[1,2]}]}`, "/legs/0/dense", "base64"},
		{`{"legs":[{"dense":"AAAA"}]}`, "/legs/0/dense", "4-byte numbers"},
		{`{"legs":[{"dense":"AACAPw="}]}`, "/legs/0/dense", "4-byte numbers"},
		{`{"legs":[{"dense":"AACA\nPw=="}]}`, "/legs/0/dense", "4-byte numbers"},
		{`{"legs":[{"dense":"AADAfw=="}]}`, "/legs/0/dense", "number 0 is not finite"},
		{`{"legs":[{"index":"AQAAAA=="}]}`, "/legs/0", "1 indices and 0 values"},
		{`{"legs":[{"index":"AgAAAAEAAAA=","value":"AACAPwAAgD8="}]}`, "/legs/0", "increase strictly"},
		{`{"legs":[{"only":[{"id":"a"},{"name":"b"}]}]}`, "/legs/0/only/1/name", "unknown field"},
		{`{"legs":[{} {}]}`, "/legs", "not valid JSON"},
		{`{"legs":[`, "/legs/0", "ends too early"},
		{`{"filter":{"a":{"$x":1}}}`, "/filter/a/$x", "unknown operation"},
		{`{"filter":{"a":}}`, "/filter", "not valid JSON"},
		{`{"filter":{"a" 1}}`, "/filter", "not valid JSON"},
		{`{"fields":{"text":true,"vectors":true}}`, "/fields/vectors", "unknown field"},
	} {
		_, err := wire.UnmarshalReplica[search.Query]([]byte(c.body))
		if !errors.Is(err, fault.Invalid) || fault.Field(err) != c.field || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v; want field %q and %q", c.body, err, c.field, c.says)
		}
	}
}

func TestUnmarshalReplica_refusesInResultsAndBatches(t *testing.T) {
	_, err := wire.UnmarshalReplica[search.Result]([]byte(`{"lists":[{"hits":[{"id":"a"},{"score":1e999}]}]}`))
	if fault.Field(err) != "/lists/0/hits/1/score" {
		t.Errorf("score out of range: %v", err)
	}
	_, err = wire.UnmarshalReplica[search.Result]([]byte(`{"lists":[{"hits":[{"meta":[1]}]}]}`))
	if fault.Field(err) != "/lists/0/hits/0/meta" {
		t.Errorf("metadata that is no object: %v", err)
	}
	_, err = wire.UnmarshalReplica[search.Batch]([]byte(`{"create":{"name":"docs","dims":"2"}}`))
	if fault.Field(err) != "/create/dims" {
		t.Errorf("dims that are no number: %v", err)
	}
	_, err = wire.UnmarshalReplica[search.TermStats]([]byte(`{"docs":3,"counts":[1,-1]}`))
	if fault.Field(err) != "/counts/1" {
		t.Errorf("a negative count: %v", err)
	}
	deep := `{"upserts":[{"meta":{"a":` + strings.Repeat("[", 20_000) + strings.Repeat("]", 20_000) + `}}]}`
	_, err = wire.UnmarshalReplica[search.Batch]([]byte(deep))
	if !strings.HasPrefix(fault.Field(err), "/upserts/0/meta") || !strings.Contains(err.Error(), "nested deeper") {
		t.Errorf("deep metadata: %.100v", err)
	}
}

// A store that keeps an id must not keep the request that brought it, which may
// have 32 MiB.
func TestUnmarshalReplica_idDoesNotHoldTheBatch(t *testing.T) {
	data, err := wire.MarshalReplica(search.Batch{Upserts: []search.Point{{Key: search.Key{ID: "a"}, Dense: make([]float32, 3<<20)}}})
	if err != nil {
		t.Fatal(err)
	}
	before := heap()
	b, err := wire.UnmarshalReplica[search.Batch](data)
	if err != nil {
		t.Fatal(err)
	}
	id := b.Upserts[0].ID
	b = search.Batch{}
	if grown := int64(heap()) - int64(before); grown > 8<<20 {
		t.Errorf("the id %q holds on to %d MiB of a request of %d", id, grown>>20, len(data)>>20)
	}
	runtime.KeepAlive(data)
	runtime.KeepAlive(b)
}

func heap() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// FuzzReplicaResult holds the reader against encoding/json: it accepts what the
// strict oracle accepts, refuses the rest, and reads the same values.
func FuzzReplicaResult(f *testing.F) {
	data, err := wire.MarshalReplica(search.Result{
		Lists:  []search.List{{Hits: []search.Hit{{Point: fullPoint(), Score: 1e-7, Raw: 3}, {}}, Prefix: true}, {}},
		Report: fullReport(),
	})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(data)
	for _, seed := range []string{
		`{}`, `null`, ` { "lists" : [ null , { "hits" : null } ] } `, `{"lists":[{"hits":[{"score":-0.0e-5,"version":0}]}]}`,
		`{"lists":[{"hits":[{"id":"\ud83d\ude00\/\"","meta":{"a":[true,false,null,{}],"b":"\u0000"}}]}]}`, `{"lists":[{"hits":[{"score":01}]}]}`,
		`{"report":{"took_ns":9223372036854775808}}`, `{"report":{"missing":[{"shard":"s"}],"missing":[]}}`, `{"lists":[]}{}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		got, err := wire.UnmarshalReplica[search.Result](data)
		want, wantErr := plainResultOf(data)
		if (err == nil) != (wantErr == nil) {
			t.Fatalf("%q: %v, the oracle says %v", data, err, wantErr)
		}
		if err != nil {
			return
		}
		if diff := cmp.Diff(want, got, cmpopts.EquateEmpty(), cmp.Comparer(sameBits), cmp.Comparer(sameBits32)); diff != "" {
			t.Fatalf("%q: (-oracle +got)\n%s", data, diff)
		}
		there(t, got)
	})
}
