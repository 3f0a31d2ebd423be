package qdrant_test

import (
	"cmp"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/qdrant/go-client/qdrant"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// document is what a condition looks at: a point, or an object inside one.
type document struct {
	point  *qdrant.PointStruct
	fields map[string]*qdrant.Value
}

// passes evaluates a filter.
func passes(f *qdrant.Filter, d document) bool {
	is := func(c *qdrant.Condition) bool { return holds(c, d) }
	for _, c := range f.GetMust() {
		if !is(c) {
			return false
		}
	}
	return !slices.ContainsFunc(f.GetMustNot(), is) && (len(f.GetShould()) == 0 || slices.ContainsFunc(f.GetShould(), is))
}

func holds(c *qdrant.Condition, d document) bool {
	switch c := c.GetConditionOneOf().(type) {
	case *qdrant.Condition_Filter:
		return passes(c.Filter, d)
	case *qdrant.Condition_Field:
		return slices.ContainsFunc(valuesAt(d.fields, c.Field.GetKey()), func(v *qdrant.Value) bool { return fits(c.Field, v) })
	case *qdrant.Condition_HasId:
		return slices.ContainsFunc(c.HasId.GetHasId(), func(id *qdrant.PointId) bool { return idText(id) == idText(d.point.GetId()) })
	case *qdrant.Condition_HasVector:
		return vectorsOf(d.point)[c.HasVector.GetHasVector()] != nil
	case *qdrant.Condition_Nested:
		return slices.ContainsFunc(valuesAt(d.fields, c.Nested.GetKey()), func(v *qdrant.Value) bool {
			return v.GetStructValue() != nil && passes(c.Nested.GetFilter(), document{d.point, v.GetStructValue().GetFields()})
		})
	default:
		panic("a condition that the adapter was not known to use")
	}
}

// valuesAt resolves a path: names joined by dots, in quotes where they are not
// plain. An array at its end stands for its elements; on the way it ends the path,
// unless the name is followed by "[]".
func valuesAt(fields map[string]*qdrant.Value, path string) []*qdrant.Value {
	for {
		name, rest := cutName(path)
		if inside, ok := strings.CutSuffix(name, "[]"); ok {
			var all []*qdrant.Value
			for _, element := range fields[inside].GetListValue().GetValues() {
				all = append(all, valuesAt(element.GetStructValue().GetFields(), rest)...)
			}
			return all
		}
		v := fields[name]
		if rest == "" {
			if list := v.GetListValue(); list != nil {
				return list.GetValues()
			}
			if v == nil {
				return nil
			}
			return []*qdrant.Value{v}
		}
		fields, path = v.GetStructValue().GetFields(), rest
	}
}

func cutName(path string) (name, rest string) {
	if strings.HasPrefix(path, `"`) {
		name, rest, _ = strings.Cut(path[1:], `"`)
		if behind, ok := strings.CutPrefix(rest, "[]"); ok {
			name, rest = name+"[]", behind
		}
		return name, strings.TrimPrefix(rest, ".")
	}
	name, rest, _ = strings.Cut(path, ".")
	return name, rest
}

// fits evaluates a condition on one value.
func fits(c *qdrant.FieldCondition, v *qdrant.Value) bool {
	if r := c.GetRange(); r != nil {
		n, ok := number(v)
		return ok && (r.Lt == nil || n < *r.Lt) && (r.Lte == nil || n <= *r.Lte) && (r.Gt == nil || n > *r.Gt) && (r.Gte == nil || n >= *r.Gte)
	}
	text, isText := v.GetKind().(*qdrant.Value_StringValue)
	switch m := c.GetMatch().GetMatchValue().(type) {
	case *qdrant.Match_Keyword:
		return isText && text.StringValue == m.Keyword
	case *qdrant.Match_Keywords:
		return isText && slices.Contains(m.Keywords.GetStrings(), text.StringValue)
	case *qdrant.Match_Integers:
		n, ok := v.GetKind().(*qdrant.Value_IntegerValue)
		return ok && slices.Contains(m.Integers.GetIntegers(), n.IntegerValue)
	case *qdrant.Match_Integer:
		n, ok := v.GetKind().(*qdrant.Value_IntegerValue)
		return ok && n.IntegerValue == m.Integer
	case *qdrant.Match_Boolean:
		b, ok := v.GetKind().(*qdrant.Value_BoolValue)
		return ok && b.BoolValue == m.Boolean
	default:
		panic("a match that the adapter was not known to use")
	}
}

func number(v *qdrant.Value) (float64, bool) {
	switch k := v.GetKind().(type) {
	case *qdrant.Value_DoubleValue:
		return k.DoubleValue, true
	case *qdrant.Value_IntegerValue:
		return float64(k.IntegerValue), true
	default:
		return 0, false
	}
}

// params returns the settings of a dense vector.
func (c *shelf) params(name string) *qdrant.VectorParams {
	if name == "" {
		return c.config.GetParams().GetVectorsConfig().GetParams()
	}
	return c.config.GetParams().GetVectorsConfig().GetParamsMap().GetMap()[name]
}

// vectorsOf are a point's vectors by name; the one without a name is "".
func vectorsOf(p *qdrant.PointStruct) map[string]*qdrant.Vector {
	if only := p.GetVectors().GetVector(); only != nil {
		return map[string]*qdrant.Vector{"": only}
	}
	return p.GetVectors().GetVectors().GetVectors()
}

// reread is a value as Qdrant has it once it has written it as JSON: it takes the
// digits of a number with a point as a whole number, rounded to a float64, and that times
// or by a power of ten, rounded again.
func reread(v *qdrant.Value) {
	switch k := v.GetKind().(type) {
	case *qdrant.Value_ListValue:
		for _, element := range k.ListValue.GetValues() {
			reread(element)
		}
	case *qdrant.Value_StructValue:
		for _, member := range k.StructValue.GetFields() {
			reread(member)
		}
	case *qdrant.Value_DoubleValue:
		k.DoubleValue = math.Copysign(rounded(math.Abs(k.DoubleValue)), k.DoubleValue)
	}
}

func rounded(x float64) float64 {
	mantissa, power, _ := strings.Cut(strconv.FormatFloat(x, 'e', -1, 64), "e")
	exponent, _ := strconv.Atoi(power)
	digits := strings.Replace(mantissa, ".", "", 1)
	if places := exponent + 2 - len(digits); x < 1e16 && places > 0 { // written as 1200.0
		digits += strings.Repeat("0", places)
	}
	whole, _ := strconv.ParseUint(digits, 10, 64)
	out, exponent := float64(whole), exponent+1-len(digits)
	for ; exponent < -308; exponent += 308 {
		out /= 1e308
	}
	power10, _ := strconv.ParseFloat("1e"+strconv.Itoa(max(exponent, -exponent)), 64)
	if exponent < 0 {
		return out / power10
	}
	return out * power10
}

// normalise checks a point's vectors, and brings those of a cosine collection to
// length 1, as Qdrant does before it stores them.
func (c *shelf) normalise(p *qdrant.PointStruct) error {
	if p.GetVectors() == nil {
		return status.Error(codes.InvalidArgument, "Expected some vectors")
	}
	for name, v := range vectorsOf(p) {
		if v.GetSparse() != nil {
			continue
		}
		data := v.GetDense().GetData()
		params := c.params(name)
		if uint64(len(data)) != params.GetSize() {
			return status.Errorf(codes.InvalidArgument, "Wrong input: Vector dimension error: expected dim: %d, got %d", params.GetSize(), len(data))
		}
		if params.GetDistance() == qdrant.Distance_Cosine {
			unit(data)
		}
	}
	return nil
}

func unit(v []float32) {
	var sum float32
	for _, x := range v {
		sum += x * x
	}
	if sum < 1.1920929e-7 || sum-1 <= 1e-6 && 1-sum <= 1e-6 { // Qdrant takes it for zero, or for normalised
		return
	}
	length := float32(math.Sqrt(float64(sum)))
	for i := range v {
		v[i] /= length
	}
}

// query ranks by brute force. Ties come in no order that anybody may rely on.
func (c *shelf) query(q *qdrant.QueryPoints, missed int) ([]*qdrant.ScoredPoint, error) {
	nearest := q.GetQuery().GetNearest()
	dense := slices.Clone(nearest.GetDense().GetData())
	params := c.params(q.GetUsing())
	if nearest.GetSparse() == nil && uint64(len(dense)) != params.GetSize() {
		return nil, status.Errorf(codes.InvalidArgument, "Wrong input: Vector dimension error: expected dim: %d, got %d", params.GetSize(), len(dense))
	}
	if params.GetDistance() == qdrant.Distance_Cosine {
		unit(dense)
	}
	var rows []*qdrant.ScoredPoint
	for _, p := range c.passing(q.GetFilter()) {
		v := vectorsOf(p)[q.GetUsing()]
		score, ok := float32(0), false
		switch {
		case v == nil:
		case v.GetSparse() != nil:
			score, ok = overlap(nearest.GetSparse(), v.GetSparse())
		default:
			score, ok = distance(params.GetDistance(), dense, v.GetDense().GetData()), true
		}
		if ok {
			r := retrieved(p, q.GetWithPayload(), q.GetWithVectors())
			rows = append(rows, &qdrant.ScoredPoint{Id: r.GetId(), Payload: r.GetPayload(), Vectors: r.GetVectors(), Score: score})
		}
	}
	better := func(a, b *qdrant.ScoredPoint) int {
		if params.GetDistance() == qdrant.Distance_Euclid {
			return cmp.Compare(a.GetScore(), b.GetScore())
		}
		return cmp.Compare(b.GetScore(), a.GetScore())
	}
	slices.SortStableFunc(rows, better)
	if !q.GetParams().GetExact() && nearest.GetSparse() == nil {
		rows = rows[:max(len(rows)-missed, 0)]
	}
	limit := min(len(rows), int(q.GetLimit()))
	first := slices.Clone(rows[:limit])
	if q.GetReadConsistency() != nil { // another copy has its ties in another order
		slices.Reverse(rows)
		slices.SortStableFunc(rows, better)
		first = slices.DeleteFunc(first, func(row *qdrant.ScoredPoint) bool { return !slices.Contains(rows[:limit], row) })
	}
	return first, nil
}

func distance(d qdrant.Distance, a, b []float32) float32 {
	var sum float32
	for i := range a {
		if d == qdrant.Distance_Euclid {
			sum += (a[i] - b[i]) * (a[i] - b[i])
		} else {
			sum += a[i] * b[i]
		}
	}
	if d == qdrant.Distance_Euclid {
		return float32(math.Sqrt(float64(sum)))
	}
	return sum
}

// overlap is the inner product of sparse vectors, where they share a dimension.
func overlap(a, b *qdrant.SparseVector) (score float32, ok bool) {
	for i, dim := range a.GetIndices() {
		if j := slices.Index(b.GetIndices(), dim); j >= 0 {
			score, ok = score+a.GetValues()[i]*b.GetValues()[j], true
		}
	}
	return score, ok
}

// retrieved is a point as it is sent back.
func retrieved(p *qdrant.PointStruct, fields *qdrant.WithPayloadSelector, vectors *qdrant.WithVectorsSelector) *qdrant.RetrievedPoint {
	out := &qdrant.RetrievedPoint{Id: p.GetId(), Payload: map[string]*qdrant.Value{}}
	for _, name := range fields.GetInclude().GetFields() {
		if v, ok := p.GetPayload()[name]; ok {
			out.Payload[name] = v
		}
	}
	if fields.GetEnable() {
		out.Payload = p.GetPayload()
	}
	if !vectors.GetEnable() && len(vectors.GetInclude().GetNames()) == 0 {
		return out
	}
	if only := p.GetVectors().GetVector(); only != nil {
		out.Vectors = &qdrant.VectorsOutput{VectorsOptions: &qdrant.VectorsOutput_Vector{Vector: &qdrant.VectorOutput{Vector: &qdrant.VectorOutput_Dense{Dense: only.GetDense()}}}}
		return out
	}
	named := map[string]*qdrant.VectorOutput{}
	for name, v := range p.GetVectors().GetVectors().GetVectors() {
		named[name] = &qdrant.VectorOutput{Vector: &qdrant.VectorOutput_Dense{Dense: v.GetDense()}}
		if v.GetSparse() != nil {
			named[name] = &qdrant.VectorOutput{Vector: &qdrant.VectorOutput_Sparse{Sparse: v.GetSparse()}}
		}
	}
	out.Vectors = &qdrant.VectorsOutput{VectorsOptions: &qdrant.VectorsOutput_Vectors{Vectors: &qdrant.NamedVectorsOutput{Vectors: named}}}
	return out
}
