package wire_test

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/lanewise/lanewise/search"
	"github.com/lanewise/lanewise/search/wire"
)

// The oracle of the differential tests is encoding/json on plain structs that
// have no methods, with the strictness that it lacks added by walking its tokens.

type plainRequest struct {
	Collection  string        `json:"collection"`
	Text        string        `json:"text"`
	Vector      plainVector   `json:"vector"`
	K           int           `json:"k"`
	Tenant      string        `json:"tenant"`
	MinScore    *float64      `json:"min_score"`
	Mode        string        `json:"mode"`
	Rerank      int           `json:"rerank"`
	Group       *plainGroup   `json:"group"`
	Filter      search.Filter `json:"filter"`
	Include     []string      `json:"include"`
	TimeoutMS   int           `json:"timeout_ms"`
	OnPartial   string        `json:"on_partial"`
	MinCoverage float64       `json:"min_coverage"`
	Cursor      *string       `json:"cursor"`
	Explain     bool          `json:"explain"`
	Legs        []plainLeg    `json:"legs"`
	EF          int           `json:"ef"`
	Exact       bool          `json:"exact"`
	Fusion      string        `json:"fusion"`
	MMR         *plainMMR     `json:"mmr"`
	Space       string        `json:"space"`
}

type plainLeg struct {
	Collection string       `json:"collection"`
	Text       string       `json:"text"`
	Vector     plainVector  `json:"vector"`
	Sparse     *plainSparse `json:"sparse"`
	Using      string       `json:"using"`
	Weight     *float64     `json:"weight"`
}

type plainGroup struct {
	By   string `json:"by"`
	Size int    `json:"size"`
}

type plainMMR struct {
	Lambda float64 `json:"lambda"`
}

type plainSparse struct {
	Indices []uint32    `json:"indices"`
	Values  plainVector `json:"values"`
}

// plainVector decodes either form with encoding/json alone.
type plainVector []float32

func (v *plainVector) UnmarshalJSON(data []byte) error {
	var text string
	if json.Unmarshal(data, &text) != nil || bytes.Equal(data, []byte("null")) {
		return json.Unmarshal(data, (*[]float32)(v))
	}
	list, err := floatsOf(text)
	*v = list
	return err
}

func floatsOf(text string) ([]float32, error) {
	if strings.ContainsAny(text, "\r\n") {
		return nil, errors.New("line break in base64")
	}
	raw, err := base64.StdEncoding.Strict().DecodeString(text)
	if err != nil || len(raw)%4 != 0 {
		return nil, fmt.Errorf("%d bytes: %w", len(raw), errors.Join(err, errors.New("not float32")))
	}
	list := make([]float32, len(raw)/4)
	for i := range list {
		list[i] = math.Float32frombits(binary.LittleEndian.Uint32(raw[4*i:]))
		if x := float64(list[i]); math.IsNaN(x) || math.IsInf(x, 0) {
			return nil, errors.New("not finite")
		}
	}
	return list, nil
}

func base64Of(v []float32) string {
	var raw []byte
	for _, x := range v {
		raw = binary.LittleEndian.AppendUint32(raw, math.Float32bits(x))
	}
	return base64.StdEncoding.EncodeToString(raw)
}

// request returns p as the wire has it.
func (p plainRequest) request() wire.SearchRequest {
	r := wire.SearchRequest{
		Collection: p.Collection, Text: p.Text, Vector: wire.Vector(p.Vector), K: p.K, Tenant: p.Tenant, MinScore: p.MinScore,
		Mode: p.Mode, Rerank: p.Rerank, Group: (*wire.Group)(p.Group), Filter: p.Filter, Include: p.Include, TimeoutMS: p.TimeoutMS,
		OnPartial: p.OnPartial, MinCoverage: p.MinCoverage, Cursor: p.Cursor, Explain: p.Explain, EF: p.EF, Exact: p.Exact,
		Fusion: p.Fusion, MMR: (*wire.MMR)(p.MMR), Space: p.Space,
	}
	if p.Legs != nil {
		r.Legs = []wire.Leg{}
	}
	for _, l := range p.Legs {
		leg := wire.Leg{Collection: l.Collection, Text: l.Text, Vector: wire.Vector(l.Vector), Using: l.Using, Weight: l.Weight}
		if l.Sparse != nil {
			leg.Sparse = &wire.Sparse{Indices: l.Sparse.Indices, Values: wire.Vector(l.Sparse.Values)}
		}
		r.Legs = append(r.Legs, leg)
	}
	return r
}

type plainResult struct {
	Lists  []plainList `json:"lists"`
	Report struct {
		Complete       bool    `json:"complete"`
		Coverage       float64 `json:"coverage"`
		ShardsAsked    int     `json:"shards_asked"`
		ShardsAnswered int     `json:"shards_answered"`
		Missing        []struct {
			Shard  string `json:"shard"`
			Reason string `json:"reason"`
			Detail string `json:"detail"`
		} `json:"missing"`
		RowsAsked int    `json:"rows_asked"`
		RowsSaved int    `json:"rows_saved"`
		Refills   int    `json:"refills"`
		Dropped   int    `json:"dropped"`
		Vanished  int    `json:"vanished"`
		Mode      string `json:"mode"`
		Hedges    int    `json:"hedges"`
		Failovers int    `json:"failovers"`
		TookNS    int64  `json:"took_ns"`
		Epoch     uint64 `json:"epoch"`
	} `json:"report"`
}

type plainList struct {
	Hits      []plainHit `json:"hits"`
	Exhausted bool       `json:"exhausted"`
	Prefix    bool       `json:"prefix"`
	Dropped   int        `json:"dropped"`
}

type plainHit struct {
	Tenant     string          `json:"tenant"`
	ID         string          `json:"id"`
	Version    uint64          `json:"version"`
	Dense      *string         `json:"dense"`
	Index      *string         `json:"index"`
	Value      *string         `json:"value"`
	Text       string          `json:"text"`
	Meta       json.RawMessage `json:"meta"`
	Collection string          `json:"collection"`
	Score      float64         `json:"score"`
	Raw        *float64        `json:"raw"`
	Shard      string          `json:"shard"`
	Legs       []struct {
		Leg   int     `json:"leg"`
		Rank  int     `json:"rank"`
		Score float64 `json:"score"`
	} `json:"legs"`
}

// strictly decodes one JSON value into a T by encoding/json, and refuses what
// the package says that it refuses.
func strictly[T any](data []byte) (T, error) {
	var v T
	d := json.NewDecoder(bytes.NewReader(data))
	d.DisallowUnknownFields()
	if err := d.Decode(&v); err != nil {
		return v, err
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return v, errors.New("trailing data")
	}
	return v, nil
}

// wellFormed refuses bodies that encoding/json repairs silently: invalid UTF-8,
// unpaired surrogates, repeated names, and names of T in another case.
func wellFormed[T any](data []byte) error {
	if !utf8.Valid(data) {
		return errors.New("invalid UTF-8")
	}
	if loneSurrogate(data) {
		return errors.New("unpaired surrogate")
	}
	d := json.NewDecoder(bytes.NewReader(data))
	d.UseNumber()
	return walk(d, reflect.TypeFor[T]())
}

var escape = regexp.MustCompile(`\\(?:u([0-9a-fA-F]{4})|.)`)

func loneSurrogate(data []byte) bool {
	want, at := false, 0 // of a low surrogate, right at
	for _, m := range escape.FindAllSubmatchIndex(data, -1) {
		unit := uint64(0)
		if m[2] >= 0 {
			unit, _ = strconv.ParseUint(string(data[m[2]:m[3]]), 16, 16)
		}
		low := unit >= 0xdc00 && unit < 0xe000
		if want && (!low || m[0] != at) || !want && low {
			return true
		}
		want, at = unit >= 0xd800 && unit < 0xdc00, m[1]
	}
	return want
}

// walk reads one value by tokens. t is what it decodes into, or nil where
// any name is allowed.
func walk(d *json.Decoder, t reflect.Type) error {
	token, err := d.Token()
	if err != nil {
		return err
	}
	switch token {
	case json.Delim('{'):
		return walkObject(d, t)
	case json.Delim('['):
		for d.More() {
			if err := walk(d, element(t)); err != nil {
				return err
			}
		}
		_, err = d.Token()
	}
	return err
}

func walkObject(d *json.Decoder, t reflect.Type) error {
	var names []string
	for d.More() {
		token, err := d.Token()
		if err != nil {
			return err
		}
		name, _ := token.(string)
		if slices.Contains(names, name) {
			return errors.New("repeated name")
		}
		names = append(names, name)
		below, err := member(t, name)
		if err != nil {
			return err
		}
		if err := walk(d, below); err != nil {
			return err
		}
	}
	_, err := d.Token()
	return err
}

func element(t reflect.Type) reflect.Type {
	if t != nil && t.Kind() == reflect.Slice && t.Elem().Kind() != reflect.Uint8 {
		return t.Elem()
	}
	return nil
}

// member returns the type of a struct's field by its exact JSON name.
func member(t reflect.Type, name string) (reflect.Type, error) {
	for t != nil && t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	if t == nil || t.Kind() != reflect.Struct || t == reflect.TypeFor[search.Filter]() {
		return nil, nil //nolint:nilnil // any name is allowed
	}
	for f := range t.Fields() {
		if f.Tag.Get("json") == name {
			return f.Type, nil
		}
	}
	return nil, fmt.Errorf("no field %q", name)
}

// plainResultOf reads a result of the replica protocol by the oracle.
func plainResultOf(data []byte) (search.Result, error) {
	plain, err := strictly[plainResult](data)
	if err == nil {
		err = wellFormed[plainResult](data)
	}
	if err != nil {
		return search.Result{}, err
	}
	r := plain.Report
	res := search.Result{Report: search.Report{
		Complete: r.Complete, Coverage: r.Coverage, ShardsAsked: r.ShardsAsked, ShardsAnswered: r.ShardsAnswered,
		RowsAsked: r.RowsAsked, RowsSaved: r.RowsSaved, Refills: r.Refills, Dropped: r.Dropped, Vanished: r.Vanished,
		Mode: r.Mode, Hedges: r.Hedges, Failovers: r.Failovers, Took: time.Duration(r.TookNS), Epoch: r.Epoch,
	}}
	for _, m := range r.Missing {
		res.Report.Missing = append(res.Report.Missing, search.Missing{Shard: m.Shard, Reason: search.Reason(m.Reason), Detail: m.Detail})
	}
	for _, l := range plain.Lists {
		list := search.List{Exhausted: l.Exhausted, Prefix: l.Prefix, Dropped: l.Dropped}
		for _, h := range l.Hits {
			hit, err := h.hit()
			if err != nil {
				return res, err
			}
			list.Hits = append(list.Hits, hit)
		}
		res.Lists = append(res.Lists, list)
	}
	return res, nil
}

func (p plainHit) hit() (search.Hit, error) {
	h := search.Hit{Collection: p.Collection, Score: p.Score, Raw: p.Score, Shard: p.Shard}
	h.Tenant, h.ID, h.Version, h.Text = p.Tenant, p.ID, search.Version(p.Version), p.Text
	if p.Raw != nil {
		h.Raw = *p.Raw
	}
	for _, l := range p.Legs {
		h.Legs = append(h.Legs, search.LegScore(l))
	}
	if meta := p.Meta; len(meta) > 0 && string(meta) != "null" {
		if meta[0] != '{' {
			return h, errors.New("metadata that is no object")
		}
		h.Meta = meta
	}
	var err1, err2, err3 error
	h.Dense, err1 = maybeFloats(p.Dense)
	h.Sparse.Value, err2 = maybeFloats(p.Value)
	h.Sparse.Index, err3 = maybeUints(p.Index)
	if err := errors.Join(err1, err2, err3); err != nil {
		return h, err
	}
	index := h.Sparse.Index
	if len(index) != len(h.Sparse.Value) || !slices.IsSorted(index) || len(slices.Compact(slices.Clone(index))) != len(index) {
		return h, errors.New("no sparse vector")
	}
	return h, nil
}

func maybeFloats(text *string) ([]float32, error) {
	if text == nil {
		return nil, nil
	}
	return floatsOf(*text)
}

func maybeUints(text *string) ([]uint32, error) {
	if text == nil {
		return nil, nil
	}
	raw, err := base64.StdEncoding.Strict().DecodeString(*text)
	if err != nil || len(raw)%4 != 0 || strings.ContainsAny(*text, "\r\n") {
		return nil, errors.New("no base64 of uint32")
	}
	list := make([]uint32, len(raw)/4)
	for i := range list {
		list[i] = binary.LittleEndian.Uint32(raw[4*i:])
	}
	return list, nil
}
